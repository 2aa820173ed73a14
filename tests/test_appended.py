"""Answers within answers: what is cut out is what TMDB would have said, and in doubt there is nothing."""

from __future__ import annotations

import json

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.appended import NOT_SERVED, PARTS, extract, may_hold

from .rules.test_appended import PATHS, key, source


def fetch(tmdb: StandIn, path: str, *parts: str, **params: str) -> bytes:
    """Ask the stand-in, without a cache."""
    query = {"api_key": "any", **params, **({"append_to_response": ",".join(parts)} if parts else {})}
    answer = requests.get(tmdb.url + path, params=query, timeout=5)
    assert answer.status_code == 200
    return answer.content


@pytest.mark.parametrize("params", [{}, {"language": "de"}, {"include_image_language": "en,null", "region": "DE"}])
@pytest.mark.parametrize("template", PARTS)
def test_every_part_of_the_stand_in_is_its_own_answer(tmdb: StandIn, template: str, params: dict[str, str]) -> None:
    """What is cut out of the stand-in's answer with everything appended is what it says when asked for that alone."""
    path, parts = PATHS[template], [*PARTS[template], *NOT_SERVED[template]]
    whole = fetch(tmdb, path, *parts, **params)
    held = key(path, *parts, **params)
    assert len(parts) <= 20
    for part in PARTS[template]:
        wanted = source(f"{path}/{part}", **params)
        assert may_hold(wanted, held)
        found = extract(wanted, whole)
        assert found is not None, part
        assert json.loads(found) == json.loads(fetch(tmdb, f"{path}/{part}", **params)), part
    for fewer in ((), parts[:1], parts[1::2], parts[:-1]):
        wanted = source(path, *fewer, **params)
        assert may_hold(wanted, held)
        found = extract(wanted, whole)
        assert found == fetch(tmdb, path, *fewer, **params), fewer


@pytest.mark.parametrize("spelt", ["550-fight-club", "550"])
def test_a_film_with_its_name_in_the_path(tmdb: StandIn, spelt: str) -> None:
    """An id with a name behind it holds its own sub-resources; the id in the answer is the number."""
    wanted = source(f"/3/movie/{spelt}/credits")
    found = extract(wanted, fetch(tmdb, f"/3/movie/{spelt}", "credits"))
    assert found
    assert json.loads(found)["id"] == 550
    assert may_hold(wanted, key(f"/3/movie/{spelt}", "credits"))
    assert not may_hold(wanted, key("/3/movie/551", "credits"))
