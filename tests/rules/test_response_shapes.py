"""The response fits the request: one that does not is passed on as it came, and neither stored nor imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache as once
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache.core.policy import Verdict, judge
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.httpcache import json_body
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.standin import responses, shapes
from tmdb_mongo_cache.tmdb import endpoints
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.response_shapes import ECHOED, LISTS, MEMBERS, why_invalid

from ..entrykit import NOW
from ..flowkit import MOVIE
from ..transferkit import file_fixture, rewrite  # noqa: F401 - the fixture is used by its name

SHARED = Path(__file__).parents[3] / "shared"
DESCRIPTION = SHARED / "reference" / "tmdb-openapi.json"
RECORDINGS = SHARED / "recordings" / "exchanges.jsonl"
TEMPLATES = [template for templates in endpoints.ENDPOINTS.values() for template in templates]
WORDS = {"external_id": "tt0137523", "time_window": "week"}
HEX = frozenset({"credit_id", "review_id", "tv_episode_group_id"})
PORTALS: list[Any] = [
    {"redirect": "https://portal.example/login"},
    {"message": "Forbidden"},
    {"errors": ["x"]},
    {"status": "ok", "data": {"id": 550}},
    {"items": [], "count": 0},
    [{"login": "required"}],
]
FAILED: list[dict[str, Any]] = [
    *({"success": value} for value in (False, None, 0, 1, "false", "no", "", "true", [], {})),
    {"status_code": 7, "status_message": "Invalid API key"},
    {"success": True, "status_code": 1, "status_message": "Success."},
    {"statusCode": 403, "statusMessage": "Forbidden"},
    {"Status-Code": 500},
    {"STATUS_MESSAGE": "x"},
    {"Success": False},
    {"error": "x"},
    {"Errors": ["page must be less than or equal to 500"]},
]


def filled(template: str, number: int = 7) -> str:
    """Return a path with values for its params; the numbers in it all differ."""
    values = iter(range(number, number + 9))

    def value(found: re.Match[str]) -> str:
        return f"{number:024x}" if found[1] in HEX else WORDS.get(found[1], str(next(values)))

    return re.sub(r"\{(\w+)\}", value, template)


@once
def standin_answer(path: str) -> Any:
    """Return the stand-in's response to a path, with the first of each list."""
    found = shapes.route("GET", path)
    assert found is not None
    made = responses.single(found, path, {}, {})
    return made[:2] if isinstance(made, list) else {k: v[:1] if isinstance(v, list) else v for k, v in made.items()}


def dump(value: Any) -> bytes:
    """Write JSON as TMDB does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def asked(path: str, body: bytes, **reply: Any) -> str:
    """Say why a response to a path is not stored; empty where it is."""
    call = classify("GET", f"https://api.themoviedb.org{path}", {})
    assert call is not None
    assert not call.bypass
    found = judge(Reply(200, body=body, **reply), call.request, None, Policy(), False, NOW)
    assert (found.verdict is Verdict.STORE) is (not found.why)
    return found.why


def unfitting(template: str) -> Iterator[bytes]:
    """Give responses to a filled template that are none of TMDB's to it."""
    answer = standin_answer(filled(template))
    yield from map(dump, [{}, [], None, "x", 1, True, *PORTALS, *FAILED])
    if isinstance(answer, list):
        yield from map(dump, [{"list": answer}, {"results": answer}, [7, *answer], [[], *answer], [{}, *answer]])
        return
    yield from map(dump, [[answer], [answer, answer], *(answer | failed for failed in FAILED)])
    yield from (dump(answer).replace(b"{", b"{%s:0," % dump(name), 1) for name in [*answer][:3])  # there twice
    for _, name, is_number in ECHOED[template]:
        value = answer[name]
        wrong = [None, True, [value], {"id": value}, "", *([str(value), value + 0.0, -value] if is_number else [7])]
        yield from (dump(answer | {name: one}) for one in wrong)
        yield dump({other: value for other, value in answer.items() if other != name})
        if not template.endswith("/latest"):
            yield dump(standin_answer(filled(template, 70)))
            yield dump(answer | {name: value + 1 if is_number else f"{value[:-1]}f"})
    if template in MEMBERS:
        member = MEMBERS[template]
        yield dump({name: value for name, value in answer.items() if name != member})
        if isinstance(answer[member], dict | list):
            yield from (dump(answer | {member: one}) for one in (None, "x", 1, True))


class TestTable:
    @pytest.mark.skipif(not DESCRIPTION.exists(), reason="the description of TMDB's API is not beside the checkout")
    def test_the_description(self) -> None:
        """The table is what the examples of TMDB's OpenAPI description say, and each of them fits its path."""
        described = json.loads(DESCRIPTION.read_text("utf-8"))["paths"]
        seen = 0
        for template in TEMPLATES:
            content = described[template]["get"]["responses"]["200"]["content"]["application/json"]
            for found in content.get("examples", {}).values():
                value = found["value"]
                example = json.loads(value) if isinstance(value, str) else value
                if template == "/3/movie/{movie_id}/recommendations":  # its example is empty
                    continue
                seen += 1
                assert isinstance(example, list) is (template in LISTS)
                is_told_by_id = isinstance(example, dict) and "id" in example and template.count("{") < 2
                assert any(told.name == "id" for told in ECHOED[template]) is is_told_by_id
                assert template in {*MEMBERS, *LISTS} or ECHOED[template]
                path = filled(template)
                if is_told_by_id:
                    path = re.sub(r"\{.*?\}", str(example["id"]), template)
                elif ECHOED[template]:
                    path = re.sub(r"\{(\w+)\}", lambda one, of=example: str(of.get(one[1], 7)), template)
                assert why_invalid(path, example) == ""
        assert seen >= len(TEMPLATES) - 1

    @pytest.mark.skipif(not RECORDINGS.exists(), reason="the recorded exchanges are not beside the checkout")
    def test_the_recordings(self) -> None:
        """Whatever TMDB has answered to a real client fits."""
        lines = [json.loads(line) for line in RECORDINGS.read_text("utf-8").splitlines()]
        found = [(line["path"], line["body"]) for line in lines if line["status"] == 200]
        assert len(found) > 40
        assert [(path, why) for path, body in found if (why := why_invalid(path, body))] == []

    def test_the_standin(self) -> None:
        """What the stand-in answers fits, at all public paths."""
        for template in TEMPLATES:
            found = shapes.route("GET", filled(template))
            assert found is not None
            assert asked(filled(template), dump(responses.single(found, filled(template), {}, {}))) == ""
            assert asked(filled(template), dump(standin_answer(filled(template)))) == ""

    def test_the_table(self) -> None:
        """It speaks of public endpoints alone; only details, and the latest ones, are told by nothing but a number."""
        assert {*MEMBERS, *LISTS} <= set(TEMPLATES) == set(ECHOED)
        assert not {*MEMBERS} & {*LISTS}
        by_number = {path for path in TEMPLATES if path.endswith(("_id}", "_number}", "/latest"))}
        assert set(TEMPLATES) - {*MEMBERS, *LISTS} == by_number - {"/3/find/{external_id}"}
        assert all(map(ECHOED.get, by_number - {"/3/find/{external_id}"}))


class TestFitting:
    def test_unfitting(self) -> None:
        """No response to something else, no error and no portal's page is stored, whatever the endpoint."""
        stored = [(path, body[:200]) for path in TEMPLATES for body in unfitting(path) if not asked(filled(path), body)]
        assert stored == []

    @pytest.mark.parametrize("segment", ["550", "550-fight-club", "0550", "00550-x", "550-", "550.json", "550 "])
    def test_spellings_of_a_number(self, segment: str) -> None:
        """A number that TMDB reads as 550 is answered by 550 alone."""
        assert why_invalid(f"/3/movie/{segment}", {"id": 550}) == ""
        assert why_invalid(f"/3/movie/{segment}/", {"id": 550}) == ""
        assert why_invalid(f"//3//movie/{segment}", {"id": 550}) == ""
        for wrong in (0, 55, 551, 5500, 10**30, -550, 550.0, "550", segment, True, None, [550]):
            assert why_invalid(f"/3/movie/{segment}", {"id": wrong})

    def test_other_numbers(self) -> None:
        """An id of any length is compared as it is; True is not 1, and 0 is 0."""
        long = int("9" * 400)
        assert why_invalid(f"/3/movie/{long}", {"id": long}) == ""
        assert why_invalid(f"/3/movie/{long}", {"id": long - 1})
        assert why_invalid("/3/movie/1", {"id": True})
        assert why_invalid("/3/tv/1396/season/0", {"id": 3577, "season_number": 0}) == ""
        assert why_invalid("/3/tv/1396/season/0", {"id": 3577, "season_number": False})
        assert why_invalid("/3/tv/1396/season/1/episode/2", {"season_number": 2, "episode_number": 1})

    @pytest.mark.parametrize("segment", ["tt0137523", "nm0000093", "x", "%C3%A9", "-1"])
    def test_other_databases_ids(self, segment: str) -> None:
        """What is requested by another database's id is answered with an id of TMDB's, whichever."""
        assert why_invalid(f"/3/movie/{segment}", {"id": 550}) == ""
        for wrong in ({"title": "x"}, {"id": segment}, {"id": True}, {"id": None}):
            assert why_invalid(f"/3/movie/{segment}", wrong)

    @pytest.mark.parametrize("path", ["/3/movie/550/casts", "/3/movie", "/3/new", "/3/tv/1/season/2/new", "", "/"])
    def test_unknown_paths(self, path: str) -> None:
        """Of a path that nobody knows everything is stored but what is empty, an error, or has a member twice."""
        for fitting in ({"id": 1}, {"success": True}, {"errors": []}, {"error": None}, [{}], [1]):
            assert why_invalid(path, fitting) == ""
        for wrong in (*FAILED, {}, [], None, "x", 1, json_body.parse(b'{"id": 1, "id": 1}')):
            assert why_invalid(path, wrong)

    def test_appended(self) -> None:
        """What was appended does not change what tells the response; a part may repeat names, or be an error."""
        path = f"{MOVIE}?append_to_response=images,videos"
        images, videos = b'"images":{"a":1,"a":2}', b'"videos":{"success":false,"status_code":34}'
        assert asked(path, b'{"id":550,%s,%s}' % (images, videos)) == ""
        assert asked(path, b'{"id":551,%s,%s}' % (images, videos))
        assert asked(path, b'{"id":550,"id":550,%s,%s}' % (images, videos))

    def test_not_found(self) -> None:
        """TMDB's own 404 is a response, at every path."""
        body = dump({"success": False, "status_code": 34, "status_message": "-"})
        for template in TEMPLATES:
            call = classify("GET", f"https://api.themoviedb.org{filled(template)}", {})
            assert call is not None
            assert judge(Reply(404, body=body), call.request, None, Policy(), False, NOW).verdict is Verdict.STORE
