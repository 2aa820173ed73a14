"""Responses within answers: what is cut out is what TMDB would have said, and in doubt there is nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.standin import shapes
from tmdb_mongo_cache.tmdb.appended import NOT_SERVED, PARTS, Source, extract, key_range, may_hold, sources
from tmdb_mongo_cache.tmdb.cache_key import KEY_LENGTH, START, key_of_url

from ..keykit import TEXT, fast

SHARED = Path(__file__).parents[3] / "shared"
OPENAPI = SHARED / "reference" / "tmdb-openapi.json"
RECORDINGS = SHARED / "recordings" / "exchanges.jsonl"
needs_openapi = pytest.mark.skipif(not OPENAPI.exists(), reason="the OpenAPI description is not beside the checkout")
needs_recordings = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the checkout")
MOVIE = "/3/movie/{movie_id}"
EPISODE = "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}"
PATHS = {
    MOVIE: "/3/movie/550",
    "/3/person/{person_id}": "/3/person/31",
    "/3/tv/{series_id}": "/3/tv/1399",
    "/3/tv/{series_id}/season/{season_number}": "/3/tv/1399/season/2",
    EPISODE: "/3/tv/1399/season/2/episode/3",
}
PAIRS = [(template, part) for template, parts in PARTS.items() for part in parts]


def key(path: str, *parts: str, **params: str) -> str:
    """Return the key of a call."""
    appended = {"append_to_response": ",".join(parts)} if parts else {}
    found = key_of_url(f"https://api.themoviedb.org{path}", {**params, **appended})
    assert found
    return found


def source(*args: str, **params: str) -> Source:
    """Return the one source of a call."""
    (found,) = sources(key(*args, **params))
    return found


def loads(text: str | bytes) -> Any:
    """Read JSON with numbers as they are written, and objects as pairs."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=lambda pairs: pairs)


def described() -> dict[str, Any]:
    """Return the GET operations of TMDB's description."""
    paths = json.loads(OPENAPI.read_text("utf-8"))["paths"]
    return {path: methods["get"] for path, methods in paths.items() if "get" in methods}


def example(operation: Any) -> Any:
    examples = operation["responses"]["200"]["content"]["application/json"]["examples"]
    return json.loads(next(iter(examples.values()))["value"])


def parts_below(template: str, paths: Any) -> set[str]:
    below = {path.removeprefix(f"{template}/") for path in paths if path.startswith(f"{template}/")}
    return {part for part in below if "{" not in part}


@needs_openapi
def test_the_table_has_the_endpoints_that_take_append_to_response() -> None:
    """Responses are taken out of those five endpoints that the description gives the param to, and of no other."""
    operations = described()
    assert set(PARTS) == {
        path
        for path, operation in operations.items()
        if any(param["name"] == "append_to_response" for param in operation.get("parameters", []))
    }


@needs_openapi
@pytest.mark.parametrize("template", PARTS)
def test_the_table_has_every_described_part(template: str) -> None:
    """Every sub-resource of the description is served, or only left out, or account_states."""
    assert parts_below(template, described()) - {"account_states"} == {*PARTS[template], *NOT_SERVED[template]}
    assert not NOT_SERVED[template] & set(PARTS[template])


@needs_openapi
@pytest.mark.parametrize(("template", "part"), PAIRS)
def test_the_description_has_these_members(template: str, part: str) -> None:
    """A sub-resource has the members of the table, the id exactly where it says so, last where it says so."""
    operation = described()[f"{template}/{part}"]
    schema = list(operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"])
    expected = PARTS[template][part].split()
    if (template, part) == (MOVIE, "recommendations"):
        assert schema == []  # the stand-in's shape, made of recordings, says it
        return
    assert set(expected) <= set(schema)
    assert ("id" in expected) == ("id" in schema)
    assert (expected[-1] == "id") == (schema[-1] == "id")


@needs_openapi
def test_the_ids_of_parts_are_those_of_the_details() -> None:
    """In the description's examples a sub-resource has its details' id, but for two that are about other titles."""
    operations = described()
    other = {
        (template, part)
        for template, part in PAIRS
        if "id" in PARTS[template][part].split()
        and example(operations[f"{template}/{part}"])["id"] != example(operations[template])["id"]
    }
    # The images of a show are those of film 550 there; a person's are another person's.
    assert other == {("/3/tv/{series_id}", "images"), ("/3/person/{person_id}", "images")}
    season = example(operations["/3/tv/{series_id}/season/{season_number}"])
    assert example(operations[f"{EPISODE}/videos"])["id"] == season["id"] != example(operations[EPISODE])["id"]


@needs_openapi
@pytest.mark.parametrize("template", PARTS)
def test_the_described_details_have_no_member_of_a_parts_name(template: str) -> None:
    """What is left out of a response was appended to it."""
    assert not {*PARTS[template], *NOT_SERVED[template]} & set(example(described()[template]))


@pytest.mark.parametrize("template", PARTS)
def test_the_table_agrees_with_the_stand_in(template: str) -> None:
    """The shapes made of TMDB's recorded responses have the same parts, members and ids."""
    paths = {name.removeprefix("GET "): name for name in shapes.OPERATIONS if name.startswith("GET ")}
    former = {"casts", "trailers", "releases"} if template == MOVIE else set()
    known = {*PARTS[template], *NOT_SERVED[template]}
    assert parts_below(template, paths) - {"account_states"} - former == known
    for part, members in PARTS[template].items():
        found = shapes.route("GET", f"{PATHS[template]}/{part}")
        assert found
        assert set(members.split()) <= set(found.shape)
        assert ("id" in members.split()) == ("id" in found.shape)
    details = shapes.route("GET", PATHS[template])
    assert details
    assert not known & {name.rstrip("?") for name in details.shape}


def recorded() -> list[tuple[str, dict[str, str], Any]]:
    """Return path, params and response of every recorded success."""
    lines = [json.loads(line) for line in RECORDINGS.read_text("utf-8").splitlines()]
    return [(line["path"], dict(line["query"]), line["body"]) for line in lines if line["status"] == 200]


def dump(value: Any) -> bytes:
    """Write JSON as TMDB does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@needs_recordings
def test_every_recorded_sub_resource_comes_back() -> None:
    """A recorded response that is put into its details as TMDB does, without its id, is cut out again as it was."""
    seen = 0
    for path, params, body in recorded():
        found = sources(key(path, **params))
        if "page" in params and params["page"] != "1":
            assert found == ()
        if not found or found[0].part is None:
            continue
        wanted = found[0]
        inner = {name: value for name, value in body.items() if name != "id"}
        told = {"id": body.get("id", int(path.split("/")[3])), "season_number": 1}
        whole = dump({"adult": False, **told, "title": "ä", wanted.part: inner, "videos?": {}})
        cut = extract(wanted, whole)
        assert cut is not None, path
        assert json.loads(cut) == body
        if "images" not in path:  # TMDB has their id in the middle
            assert cut == dump(body)
        seen += 1
    assert seen >= 15


@needs_recordings
def test_every_recorded_answer_with_parts_comes_apart() -> None:
    """Out of a recorded response with something appended come the response without it, and the part with the id."""
    seen = 0
    for path, params, body in recorded():
        parts = params.pop("append_to_response", "").split(",")
        if parts == [""] or not sources(key(path, **params)):
            continue
        held = key(path, *parts, **params)
        plain = source(path, **params)
        assert may_hold(plain, held)
        assert extract(plain, dump(body)) == dump({k: v for k, v in body.items() if k not in parts})
        for part in parts:
            wanted = source(f"{path}/{part}", **params)
            assert may_hold(wanted, held)
            assert "id" not in body[part]
            assert extract(wanted, dump(body)) == dump({"id": body["id"], **body[part]})
        seen += 1
    assert seen >= 2


@needs_recordings
def test_the_params_reach_a_part_and_the_default_language_does_not() -> None:
    """Images appended with a language of their own are of that one, and without any they are of all."""
    answers = {(path, *params.values()): body for path, params, body in recorded()}
    show = answers["/3/tv/1396", "pt", "images"]["images"]
    assert {image["iso_639_1"] for kind in show.values() for image in kind} == {"pt"}
    alone = answers["/3/collection/264/images",]
    assert answers["/3/collection/264", "images"]["images"] == {k: v for k, v in alone.items() if k != "id"}
    assert len({image["iso_639_1"] for image in alone["posters"]}) > 5


SPACE = st.text(" \t\n\r", max_size=3)
NUMBERS = st.sampled_from(["1.10", "1e400", "-0", "0.1E+5", "12345678901234567890123", "-1e-999", "7"])
STRINGS = st.one_of(TEXT.map(json.dumps), TEXT.map(lambda text: json.dumps(text, ensure_ascii=False)))
NAMES = STRINGS.filter(lambda text: json.loads(text) not in ("id", "success", "status_code"))


def obj(members: list[tuple[str, str]], space: str) -> str:
    """Write an object with names and values as they are given."""
    return "{" + space + f"{space},".join(f"{name}{space}:{space}{value}" for name, value in members) + space + "}"


VALUES = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null", "[]", "{}"]),
    lambda inner: (
        st.builds(lambda items, space: f"[{space}{f'{space},'.join(items)}]", st.lists(inner, max_size=3), SPACE)
        | st.builds(obj, st.lists(st.tuples(st.sampled_from(['"a"', '"id"', '"success"', '"ä"']), inner)), SPACE)
    ),
    max_leaves=6,
)
MEMBERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
SPELLINGS = st.sampled_from(['"credits"', '"\\u0063redits"', '"cred\\u0069ts"'])


@st.composite
def films(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str, str]:
    """Make the members of a film, what it has as its credits, and space for between them."""
    inner = draw(st.permutations([*draw(MEMBERS), ('"cast"', draw(VALUES)), ('"crew"', draw(VALUES))]))
    part = obj(inner, draw(SPACE))
    known = {json.loads(name): (name, value) for name, value in draw(MEMBERS)}
    others = [pair for name, pair in known.items() if name not in {*PARTS[MOVIE], *NOT_SERVED[MOVIE]}]
    members = [*others, ('"id"', "550"), (draw(SPELLINGS), part), ('"images"', draw(VALUES))]
    return draw(st.permutations(members)), part, draw(SPACE)


@fast
@given(films())
def test_a_part_is_cut_out_as_it_is_written(film: tuple[list[tuple[str, str]], str, str]) -> None:
    """Space, escapes, big and long numbers, repeated and foreign members of a part stay, and the id is put before."""
    members, part, space = film
    body = f"{space}{obj(members, space)}{space}".encode()
    assert extract(source("/3/movie/550/credits"), body) == f'{{"id":550,{part[1:]}'.encode()


@fast
@given(films())
def test_the_rest_of_an_answer_is_left_as_it_is_written(film: tuple[list[tuple[str, str]], str, str]) -> None:
    """What is not left out has the same text and the same place as before."""
    members, _, space = film
    body = f"{space}{obj(members, space)}".encode()
    for parts in ((), ("credits",)):
        found = extract(source("/3/movie/550", *parts), body)
        kept = [pair for pair in members if json.loads(pair[0]) not in {"credits", "images"} - set(parts)]
        assert found == ("{" + ",".join(f"{name}{space}:{space}{value}" for name, value in kept) + "}").encode()
        assert loads(found) == loads(obj(kept, ""))


FILM = b'{"id":550,"title":"x","credits":{"cast":[],"crew":[]},"similar":{"page":1,"results":[],"total_pages":1,' + (
    b'"total_results":0},"season/1":{"id":7,"_id":"x"}}'
)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("credits", b'{"id":550,"cast":[],"crew":[]}'),
        ("similar", b'{"page":1,"results":[],"total_pages":1,"total_results":0}'),
        ("images", None),
    ],
)
def test_only_what_is_there_is_found(part: str, found: bytes | None) -> None:
    """A part that is there is served, with the id where its own response has one; another is not."""
    assert extract(source(f"/3/movie/550/{part}"), FILM) == found


def test_the_id_is_last_where_tmdb_has_it_last() -> None:
    """A season's credits end in the season's id."""
    body = b'{"_id":"5","id":3572,"season_number":1,"credits":{"cast":[1.0],"crew":[]}}'
    assert extract(source("/3/tv/1396/season/1/credits"), body) == b'{"cast":[1.0],"crew":[],"id":3572}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b"{}", b"}", b"1", b"\xff", FILM + b"x", FILM[:-1], b"[" + FILM + b"]",
        b"\xef\xbb\xbf" + FILM, FILM.decode().encode("utf-16"),
        FILM.replace(b"550", b'"550"'), FILM.replace(b"550", b"true"), FILM.replace(b"550", b"null"),
        FILM.replace(b"550", b"550.0"), FILM.replace(b'"id":550,', b""), FILM.replace(b"550", b"9" * 5000),
        FILM.replace(b'"credits"', b'"Credits"'), FILM.replace(b'{"cast":[],"crew":[]}', b"null"),
        FILM.replace(b'{"cast":[],"crew":[]}', b"[]"), FILM.replace(b'{"cast":[],"crew":[]}', b"{}"),
        FILM.replace(b'"cast"', b'"id":551,"cast"'), FILM.replace(b'"cast"', b'"i\\u0064":550,"cast"'),
        FILM.replace(b'"crew"', b'"crow"'),
        FILM.replace(b'"cast"', b'"success":false,"cast"'), FILM.replace(b'"cast"', b'"status_code":34,"cast"'),
        FILM.replace(b'"title"', b'"success":false,"title"'), FILM.replace(b'"title"', b'"status_code":34,"title"'),
        FILM.replace(b'"title"', b'"id"'), FILM.replace(b'"title"', b'"credits"'), FILM.replace(b'"title"', b"title"),
        FILM.replace(b'"title":', b'"title"'), FILM.replace(b'"x",', b'"x" '), FILM.replace(b'"x",', b'"x",,'),
        FILM.replace(b'"x",', b'"x"}'), FILM.replace(b'"title"', b"1"), FILM.replace(b'"x"', b'"\n"'),
        FILM.replace(b'"x"', b"[" * 100_000 + b"]" * 100_000), FILM.replace(b"}}", b"},}"),
        b'{"success":false,"status_code":34,"status_message":"The resource you requested could not be found."}',
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_serves_nothing(body: bytes) -> None:
    """No part comes out of what is broken, an error, about nothing known, or shaped otherwise."""
    assert body != FILM
    assert extract(source("/3/movie/550/credits"), body) is None


@pytest.mark.parametrize(
    "body",
    [
        FILM.replace(b'"credits"', b'"Credits"'), FILM.replace(b'{"cast":[],"crew":[]}', b"null"),
        FILM.replace(b'"cast"', b'"success":false,"cast"'), FILM.replace(b"550", b'"550"'), FILM[:-1],
        FILM.replace(b'"title"', b'"success":false,"title"'), FILM.replace(b'"title"', b'"credits"'),
    ],
)  # fmt: skip
def test_fewer_parts_come_only_out_of_a_whole_answer(body: bytes) -> None:
    """What was appended and is wanted must be there, as an object and no error."""
    wanted = source("/3/movie/550", "credits")
    assert extract(wanted, FILM) == FILM.replace(
        b',"similar":{"page":1,"results":[],"total_pages":1,"total_results":0}', b""
    )
    assert extract(wanted, body) is None


@pytest.mark.parametrize(
    ("path", "parts", "params"),
    [
        ("/3/movie/550", (), {"page": "2"}),
        ("/3/movie/550/reviews", (), {"page": "2"}),
        ("/3/movie/550/credits", ("images",), {}),
        ("/3/movie/550/account_states", (), {}),
        ("/3/movie/550", ("account_states",), {}),
        ("/3/movie/550/changes", (), {}),
        ("/3/movie/550/casts", (), {}),
        ("/3/movie/550/", (), {}),
        ("/3/movie/550/credits/", (), {}),
        ("//3/movie/550", (), {}),
        ("/3/movie/popular", (), {}),
        ("/3/movie/latest", (), {}),
        ("/3/tv/changes", (), {}),
        ("/3/tv/1/season/1/episode/1/videos", (), {}),
        ("/3/collection/264", (), {}),
        ("/3/collection/264/images", (), {}),
        ("/3/search/movie", (), {"query": "x"}),
        ("/4/movie/550", (), {}),
        ("/3/movie/550", (), {"query": "x" * KEY_LENGTH}),
    ],
)
def test_what_is_contained_in_nothing(path: str, parts: tuple[str, ...], params: dict[str, str]) -> None:
    """No other response is looked for where none could be the same, or where it is not known to be."""
    assert sources(key(path, *parts, **params)) == ()


def test_what_is_no_key_of_ours() -> None:
    """Keys of other programs in the same collection have no source and hold nothing."""
    for foreign in ("", "abc", "GET example.org/4/list/550", "POST api.themoviedb.org/3/movie/550"):
        assert sources(foreign) == ()
        assert not may_hold(source("/3/movie/550"), foreign)


def test_where_answers_are_looked_for() -> None:
    """A sub-resource is looked for in its details, details in themselves, by the same params."""
    movie = Source(START, "/3/movie/550", "language=de", None, frozenset({"credits"}), MOVIE)
    assert sources(key("/3/movie/550", "credits", language="de")) == (movie,)
    providers = Source(START, "/3/movie/550", "", "watch/providers", frozenset(), MOVIE)
    assert sources(key("/3/movie/550/watch/providers")) == (providers,)
    episode = "/3/tv/1/season/0/episode/2"
    assert sources(key(f"{episode}/credits")) == (Source(START, episode, "", "credits", frozenset(), EPISODE),)
    season = source("/3/tv/1/season/1")
    assert season.path == "/3/tv/1/season/1"
    assert season.part is None


@pytest.mark.parametrize(
    ("wanted", "held", "holds"),
    [
        ((), ("credits",), True),
        ((), ("changes", "credits"), True),
        ((), (), False),
        (("credits",), ("credits",), False),
        (("credits",), ("credits", "watch/providers"), True),
        (("credits", "images"), ("credits", "videos"), False),
        ((), ("casts",), False),
        ((), ("season/1",), False),
        (("season/1",), ("credits", "season/1"), True),
        (("season/1",), ("credits", "season/1", "season/2"), False),
        ((), ("account_states", "credits"), False),
        ((), ("content_ratings",), False),
    ],
)
def test_which_answers_have_enough(wanted: tuple[str, ...], held: tuple[str, ...], holds: bool) -> None:
    """A response holds one with fewer parts where each part to be left out is a known one of that endpoint."""
    assert may_hold(source("/3/movie/550", *wanted), key("/3/movie/550", *held)) is holds
    part = source("/3/movie/550/credits")
    assert may_hold(part, key("/3/movie/550", *held)) is ("credits" in held and "account_states" not in held)


def test_the_params_must_be_the_same() -> None:
    """Another language, an absent one, another path or a page is another response."""
    wanted = source("/3/movie/550/credits", language="de")
    assert may_hold(wanted, key("/3/movie/550", "credits", language="de"))
    assert not may_hold(wanted, key("/3/movie/550", "credits", language="fr"))
    assert not may_hold(wanted, key("/3/movie/550", "credits"))
    assert not may_hold(wanted, key("/3/movie/550", "credits", language="de", region="DE"))
    assert not may_hold(wanted, key("/3/movie/550", "credits", language="de", page="2"))
    assert not may_hold(wanted, key("/3/movie/551", "credits", language="de"))
    assert not may_hold(source("/3/movie/550"), key("/3/movie/550", "credits", region="x" * KEY_LENGTH))
    twice = "https://api.themoviedb.org/3/movie/550?append_to_response=credits&append_to_response=images"
    assert not may_hold(source("/3/movie/550"), key_of_url(twice) or "")


OTHERS = ["/3/movie/5500", "/3/movie/55", "/3/movie/550/credits", "/3/movie/550-x", "/3/movie/550=", "/3/movie/550/"]
PARAMS = st.dictionaries(
    st.one_of(
        TEXT, st.sampled_from(["language", "a", "append", "append_to_responsf", "append_to_response_", "Z", "é"])
    ),
    TEXT,
    max_size=4,
).filter(lambda params: not {"page", "append_to_response"} & set(params))
HELD = st.lists(st.sampled_from([*PARTS[MOVIE], "season/1", "a b&c=d"]), max_size=5, unique=True)


@fast
@given(PARAMS, HELD, HELD)
def test_sources_and_keys_speak_of_the_same(params: dict[str, str], parts: list[str], more: list[str]) -> None:
    """For all params: what holds a response by its key is in the range, which has no key of another path or no part."""
    plain, held = key("/3/movie/550", *parts, **params), key("/3/movie/550", *parts, *more, **params)
    found = sources(plain)
    if "#" in plain or not found:
        assert "#" in plain or "append_to_response_" in params  # which some server takes for the one without
        return
    first, end = (bound.encode() for bound in key_range(found[0]))
    assert (first <= held.encode() < end) is bool(parts or more)
    extra = set(more) - set(parts)
    if "#" not in held:
        assert may_hold(found[0], held) is (bool(extra) and extra <= set(PARTS[MOVIE]))
        for part in PARTS[MOVIE]:
            assert may_hold(source(f"/3/movie/550/{part}", **params), held) is (part in {*parts, *more})
    for other in OTHERS:
        there = key(other, "credits", **params)
        assert not first <= there.encode() < end
        assert not may_hold(found[0], there)
    assert not first <= key("/3/movie/550", **params).encode() < end


def test_the_range_is_narrow() -> None:
    """It begins with the params that come before append_to_response and ends with that name."""
    start = "GET api.themoviedb.org/3/tv/1?"
    wanted = source("/3/tv/1/images", a="b", language="de")
    assert key_range(wanted) == (f"{start}a=b&append_to_response=", f"{start}a=b&append_to_response>")
    assert re.fullmatch(r"GET \S+", key_range(wanted)[0])


PARTS_OF = {
    "movie/550": "alternative_titles credits external_ids images keywords lists recommendations release_dates reviews "
    "similar translations videos watch/providers",
    "person/287": "combined_credits external_ids images movie_credits tagged_images translations tv_credits",
    "tv/1399": "aggregate_credits alternative_titles content_ratings credits episode_groups external_ids images "
    "keywords lists recommendations reviews screened_theatrically similar translations videos watch/providers",
    "tv/1399/season/1": "aggregate_credits credits external_ids images translations videos watch/providers",
    "tv/1399/season/1/episode/2": "credits external_ids images translations",
}
LEFT_OUT_ONLY = {"movie/550": "changes", "person/287": "changes", "tv/1399": "changes"} | {
    "tv/1399/season/1/episode/2": "videos"
}


@pytest.mark.parametrize("path", PARTS_OF)
def test_which_parts_serve(path: str) -> None:
    """Each part that TMDB documents serves its own path, but for changes and an episode's videos; all are left out."""
    start = f"GET api.themoviedb.org/3/{path}"
    (bare,) = sources(start)
    for part in PARTS_OF[path].split():
        (found,) = sources(f"{start}/{part}")
        assert (found.path, found.part) == (f"/3/{path}", part)
        assert may_hold(found, f"{start}?append_to_response={part}")
        assert may_hold(bare, f"{start}?append_to_response={part}")
    for part in LEFT_OUT_ONLY.get(path, "").split():
        assert sources(f"{start}/{part}") == ()
        assert may_hold(bare, f"{start}?append_to_response={part}")
    for part in ("odd", "season/1", "account_states", "changes/x"):
        assert part == "season/1" or sources(f"{start}/{part}") == ()
        assert not may_hold(bare, f"{start}?append_to_response={part}")


@pytest.mark.parametrize(
    ("path", "part", "body", "found"),
    [
        ("movie/550", "credits", {"cast": [], "crew": []}, '{"id":550,"cast":[],"crew":[]}'),
        ("movie/550", "similar", {"page": 1, "results": [], "total_pages": 1, "total_results": 0}, "same"),
        ("movie/550", "keywords", {"keywords": []}, '{"id":550,"keywords":[]}'),
        ("movie/550", "alternative_titles", {"titles": []}, '{"id":550,"titles":[]}'),
        ("movie/550", "external_ids", {"imdb_id": 1, "wikidata_id": 2}, '{"id":550,"imdb_id":1,"wikidata_id":2}'),
        ("movie/550", "release_dates", {"results": []}, '{"id":550,"results":[]}'),
        ("movie/550", "translations", {"translations": []}, '{"id":550,"translations":[]}'),
        ("person/550", "movie_credits", {"cast": [], "crew": []}, '{"cast":[],"crew":[],"id":550}'),
        ("person/550", "images", {"profiles": []}, '{"id":550,"profiles":[]}'),
        ("tv/550", "credits", {"cast": [], "crew": []}, '{"cast":[],"crew":[],"id":550}'),
        ("tv/550", "content_ratings", {"results": []}, '{"results":[],"id":550}'),
        ("tv/550", "alternative_titles", {"results": []}, '{"id":550,"results":[]}'),
        ("tv/550", "keywords", {"results": []}, '{"id":550,"results":[]}'),
    ],
)
def test_a_part_as_its_own_response(path: str, part: str, body: dict[str, Any], found: str) -> None:
    """It has the id where TMDB has it there; without one of its members it is none."""
    (wanted,) = sources(f"GET api.themoviedb.org/3/{path}/{part}")
    text = json.dumps(body, separators=(",", ":"))
    holder = f'{{"id":550,"{part}":%s}}'
    assert extract(wanted, (holder % text).encode()) == (text if found == "same" else found).encode()
    for name in body:
        less = {other: value for other, value in body.items() if other != name}
        assert extract(wanted, (holder % json.dumps(less)).encode()) is None
    assert extract(wanted, (holder % json.dumps({**body, "id": 550})).encode()) is None


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("?query=%FF", "?query=%EF%BF%BD"),
        ("?query=%C3%A4", "?query=a"),
    ],
)
def test_other_bytes_are_other_params(key: str, other: str) -> None:
    """A response with other params holds nothing, though their bytes are no text either."""
    (bare,) = sources(f"GET api.themoviedb.org/3/movie/550{key}")
    held = "append_to_response=credits&"
    assert may_hold(bare, f"GET api.themoviedb.org/3/movie/550?{held}{key[1:]}")
    assert not may_hold(bare, f"GET api.themoviedb.org/3/movie/550?{held}{other[1:]}")
