"""What is redacted of texts, URLs and headers, and what of them may be stored."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.httpcache.models import Hop, Reply
from tmdb_mongo_cache.tmdb import credentials, leak_check, redaction
from tmdb_mongo_cache.tmdb.shared_cache import why_not_shared

HEX = "0123456789abcdef0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln"
MOVIE = "https://api.themoviedb.org/3/movie/550"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("api_key=abcdef", "api_key=REDACTED"),
        ("a?x=1&API-KEY=abcdef&y=2", "a?x=1&API-KEY=REDACTED&y=2"),
        ('{"api_key": "abcdef"}', '{"api_key": "REDACTED"}'),
        ("x-api-key: abcdef", "x-api-key: REDACTED"),
        ("guest_session_id%3dabcdef", "guest_session_id%3dREDACTED"),
        ("password: abcdef, b", "password: REDACTED, b"),
        ("passwd=abcdef", "passwd=REDACTED"),
        ("username=abcdef", "username=REDACTED"),
        ("my_secret=abcdef;b", "my_secret=REDACTED;b"),
        *(
            (f"?{name}=abcdef", f"?{name}=REDACTED")
            for name in ("auth", "jwt", "key", "pass", "pwd", "sig", "signature")
        ),
        *((f"{name}: abcdef", f"{name}: abcdef") for name in ("auth", "key", "sig")),
        ("Bearer abc.def-1", "Bearer REDACTED"),
        ("Basic dXNlcjpwdw==", "Basic REDACTED"),
        ("Basic Instinct", "Basic Instinct"),
        ("basic training. Next", "basic training. Next"),
        (f"x {JWT} y", "x REDACTED y"),
        ("xeyJhbGciOi.J", "xeyJhbGciOi.J"),
        (f"a {HEX} b", "a REDACTED b"),
        (f"a {HEX[:31]} b", f"a {HEX[:31]} b"),
        (f"a#{HEX * 2}", f"a#{HEX * 2}"),
        (f"a#{HEX * 2}0", "a#REDACTED"),
        (f'W/"{HEX}"', f'W/"{HEX}"'),
        (f'"{HEX}"', f'"{HEX}"'),
        (f'x "{HEX}"', 'x "REDACTED"'),
        ("mongodb://u:p@host/x@y", "mongodb://host/x@y"),
        ("mongodb://***@host", "mongodb://***@host"),
    ],
)
def test_texts(text: str, redacted: str) -> None:
    """What looks like a credential in a text is replaced, and the rest of it stays."""
    assert redaction.redact(text) == redacted


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        *(
            (MOVIE, MOVIE),
            (f"{MOVIE}#", MOVIE),
            (f"{MOVIE}?", f"{MOVIE}?"),
            (f"{MOVIE}#a", MOVIE),
            (f"{MOVIE}?a#", f"{MOVIE}?a"),
        ),
        (f"{MOVIE}?api_key=x&a=b&api_key=", f"{MOVIE}?api_key=&a=b&api_key="),
        (f"{MOVIE}?a&API%5Fkey=x", f"{MOVIE}?a&API%5Fkey="),
        (f"{MOVIE}?session_id=x&my_session_id=y", f"{MOVIE}?session_id=&my_session_id=y"),
        ("https://u:p@api.tmdb.org/3/x?a=b@c", "https://api.tmdb.org/3/x?a=b@c"),
        (f"{MOVIE}?a=b&&c", f"{MOVIE}?a=b&&c"),
    ],
)
def test_urls(url: str, stripped: str) -> None:
    """An URL loses its user, its fragment and the values of its credentials."""
    assert redaction.strip_url(url) == stripped


@pytest.mark.parametrize(
    ("location", "stripped"),
    [
        *((one, one) for one in ("/3/x", "?a=b", "", "#a", "/x?#", "/x?a#b?api_key=c", "//u@x", "/x?a=b#c&api_key=d")),
        ("/x?api_key=a&b=c#d", "/x?api_key=&b=c#d"),
        ("?request_token=a", "?request_token="),
    ],
)
def test_locations(location: str, stripped: str) -> None:
    """A Location loses the values of its credentials, and is otherwise as it came."""
    assert redaction.strip_location(location) == stripped


@pytest.mark.parametrize(
    ("location", "personal"),
    [
        *(("/x", False), ("/x#a", False), ("https://a@api.tmdb.org/", True), ("/x@y", False), ("//a@x/", True)),
        *(("/x#api_key=abcdef", True), ("/x#mine-alone", True), ("/mine-alone", False)),
    ],
)
def test_personal_locations(location: str, personal: bool) -> None:
    """With a user, or with a credential in its fragment, a redirect is for one user alone."""
    assert redaction.is_personal_location(location, ("mine-alone",)) is personal


@pytest.mark.parametrize(
    "name",
    [
        *("Set-Cookie", "SET-COOKIE2", "Cookie", "Authorization", "Proxy-Authorization", "Authentication-Info"),
        *(
            " authentication-info ",
            "X-Api-Key",
            "X-Auth-Token",
            "X-Session-Id",
            "Bearer",
            "X-JWT-Assertion",
            "Client-Secret",
        ),
    ],
)
def test_headers_that_are_not_stored(name: str) -> None:
    """What carries a credential is not stored, whatever is in it."""
    assert redaction.redacted_headers({name: "x", "Date": "y"}, ()) == {"Date": "y"}


@pytest.mark.parametrize(
    "name",
    ["Date", "Access-Control-Allow-Credentials", "ETag", "WWW-Authenticate", "X-Key", "Author", "X-Pass-Through"],
)
def test_headers_that_are_stored(name: str) -> None:
    """Others are, unless they repeat a secret in their name or value."""
    assert redaction.redacted_headers({name: "x"}, ("mine-alone",)) == {name: "x"}
    assert redaction.redacted_headers({name: "a Mine-Alone b", "Age": "y"}, ("mine-alone",)) == {"Age": "y"}
    assert redaction.redacted_headers({"x-mine-alone": "x", name: "z"}, ("mine-alone",)) == {name: "z"}


@pytest.mark.parametrize(
    ("headers", "storable"),
    [
        *(({}, True), ({"A": "b\tc"}, True), ({"A": "ä"}, True), ({"A": "$b"}, True), ({"A$": "b"}, True)),
        *(({"$A": "b"}, False), ({"A": "b\n"}, False), ({"A\x7f": "b"}, False), ({"A": "\x00"}, False)),
        *(({"A": "b" * (2**16 - 1)}, True), ({"A": "b" * 2**16}, False)),
    ],
)
def test_headers_in_documents(headers: dict[str, str], storable: bool) -> None:
    """Control characters, names that MongoDB reads as operators, and more than 64 Ki characters are in none."""
    assert redaction.are_storable(headers) is storable


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        *(("Mine-Alone", True), ("mine%2dalone", True), ("mine alone", False), ("api_key=abcdef", True)),
        *(("Bearer abcdefg", True), (JWT, True), ("Basic dXNlcjpwdw==", True), ("a token of love", False)),
        *(
            ("ä api_key=abcdef", True),
            ("ä", False),
            ("?sig=abcdef", True),
            ("?key=abcdef", True),
            ("?pwd=abcdef", True),
        ),
        *(("?auth=abcdef", True), ("?jwt=abcdef", True), ("passwd: abcdef", True), ("username=abcdef", True)),
        *(("my_secret=abcdef", True), ("my_session_id=abcdef", True), ("my_token=abcdef", True)),
    ],
)
def test_mentions(text: str, mentions: bool) -> None:
    """A secret in any spelling, or what looks like one."""
    assert redaction.mentions(text, ("mine-alone",)) is mentions


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        *((HEX, True), (HEX[:-1], False), (f"x{HEX.upper()}y", True), (f"{HEX[:16]} {HEX[16:]}", False)),
        # A key has up to 128 characters, or more than a few different ones.
        *(("ab" * 64, True), ("ab" * 64 + "a", False), ("abcde" * 26, False), ("abcdef" * 26, True)),
        *((JWT, True), ("eyJhbGciOiJIU.", True), ("eyJhbGc.", False), ("ey.eyJhbGciOiJI", False)),
        *(("Bearer " + "a" * 20, True), ("Bearer " + "a" * 19, False), ("bearer:" + "a" * 20, True)),
        *(
            ("Basic dXNlcjpwdw==", True),
            ("Basic Instinct1", False),
            ("basic+dXNlcjpwdw", True),
            ("xbasic dXNlcjpwdw", False),
        ),
        *(("Basic dXNlcnB3", False), ("", False), ("x" * 13, False), ("%30123456789abcdef0123456789abcdef", True)),
    ],
)
def test_looks(text: str, looks: bool) -> None:
    """What looks like a credential by itself."""
    assert credentials.looks_like_credential(text) is looks


SCHEMES = """
ApiKey Basic Bearer Concealed Digest DPoP GNAP Hawk HOBA Mutual Negotiate NTLM OAuth PrivateToken Token VAPID
"""


@pytest.mark.parametrize("scheme", SCHEMES.split())
def test_schemes(scheme: str) -> None:
    """The name of a scheme is no credential, what follows it is."""
    assert credentials.of_headers({"Authorization": f"{scheme} s3cr3t-value"}) == {"s3cr3t-value"}


def test_no_scheme() -> None:
    """Any other word may be a credential itself."""
    assert credentials.of_headers({"X-Token": "s3cr3t-value another-one"}) == {"s3cr3t-value", "another-one"}


HARMLESS = """
accept accept-charset accept-encoding accept-language cache-control connection content-length content-type date dnt
host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive pragma range te
transfer-encoding upgrade-insecure-requests user-agent via b3 baggage newrelic sentry-trace traceparent tracestate
uber-trace-id x-amzn-trace-id x-b3-parentspanid x-b3-spanid x-b3-traceid x-cloud-trace-context x-correlation-id
x-datadog-parent-id x-datadog-tags x-datadog-trace-id x-request-id
"""


@pytest.mark.parametrize("name", HARMLESS.split())
def test_headers_without_credentials(name: str) -> None:
    """Long and odd values of these are none, in any case of the name; of any other header they are."""
    for spelt in (name, name.title()):
        assert credentials.of_headers({spelt: HEX}) == frozenset()
    assert credentials.of_headers({f"{name}-x": HEX}) == {HEX}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Cookie": 'a=secret-1; b="secret-2" ;c'}, {"secret-1", "secret-2"}),
        ({"X-Api-Key": "secret-1"}, {"secret-1"}),
        ({b"X-Api-Key": b"secret-1"}, {"secret-1"}),
        ({"Authorization": "Basic dXNlcm5hbWU6cGFzc3dvcmQx"}, {"dXNlcm5hbWU6cGFzc3dvcmQx", "password1"}),
        ({"X-Other": "basic dXNlcm5hbWU6cGFzc3dvcmQx"}, {"dXNlcm5hbWU6cGFzc3dvcmQx", "password1"}),
        (
            {"X-Other": "basic dXNlcjk5OXg6cGFzcz93b3Jkfjk5OQ=="},
            {"dXNlcjk5OXg6cGFzcz93b3Jkfjk5OQ==", "user999x", "pass?word~999"},
        ),
        (
            {"X-Other": "basic dXNlcjEwMDB4OnBhc3M-d29yZH4xMDAw"},
            {"dXNlcjEwMDB4OnBhc3M-d29yZH4xMDAw", "user1000x", "pass>word~1000"},
        ),
        (
            {"X-Other": "basic dXNlcjEwMDB4OnBhc3M/d29yZH4xMDAw"},
            {"dXNlcjEwMDB4OnBhc3M/d29yZH4xMDAw", "user1000x", "pass?word~1000"},
        ),
        (
            {"X-Other": "basic dXNlcjEwMDB4OnBhc3M+d29yZH4xMDAw"},
            {"dXNlcjEwMDB4OnBhc3M+d29yZH4xMDAw", "user1000x", "pass>word~1000"},
        ),
        ({"X-Other": "Bearer secret-1, x"}, {"secret-1"}),
        ({"Referer": "https://x/?api_key=secret-1&a=b"}, {"secret-1"}),
        ({"X-Other": '{"token": "secret-1"}'}, {"secret-1"}),
        ({"X-Other": "a perfectly usual value, of some length"}, set()),
        ({"X-Other": "Abc1" * 6}, {"Abc1" * 6}),
        ({"X-Other": "abcd" * 6}, set()),
        ({"X-Other": "short"}, set()),
        ({"X-Api-Key": "short"}, set()),
    ],
)
def test_headers_with_credentials(headers: dict[str, str], found: set[str]) -> None:
    """By the name, by the looks, and by what a value gives a name to."""
    assert credentials.of_headers(headers) - {"username"} == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://username1:password1@x/", {"username1", "password1"}),
        ("https://user%2d001:a@x/", {"user%2d001", "user-001"}),
        ("https://x/@password1", set()),
        ("https://x/", set()),
    ],
)
def test_users_in_urls(url: str, found: set[str]) -> None:
    """The user and the password, as they are and decoded."""
    assert credentials.of_url(url) == found


@pytest.mark.parametrize(
    ("reply", "passes"),
    [
        (Reply(200, "OK", {"A": "b"}, b"{}", url=MOVIE), True),
        *((Reply(200, reason, {}, b"{}"), False) for reason in ("a mine-alone", "api_key=abcdef")),
        (Reply(200, "OK", {"A": "mine-alone"}, b"{}"), False),
        (Reply(200, "OK", {"mine-alone": "a"}, b"{}"), False),
        (Reply(200, "OK", {}, b'{"a": "mine-alone"}'), False),
        (Reply(200, "OK", {}, b"{}", url=f"{MOVIE}?a=mine-alone"), False),
        (Reply(200, "mine-", {"alone": ""}, b"{}"), True),
        *(
            (Reply(200, "OK", {}, b"{}", history=(Hop(*hop),)), False)
            for hop in (
                (f"{MOVIE}?a=mine-alone", 301, "", {}, b""),
                (MOVIE, 301, "mine-alone", {}, b""),
                (MOVIE, 301, "", {"A": "mine-alone"}, b""),
                (MOVIE, 301, "", {}, b"mine-alone"),
            )
        ),
    ],
)
def test_what_repeats_a_secret(reply: Reply, passes: bool) -> None:
    """Nothing of a response, or of a redirect on the way, repeats one."""
    assert leak_check.passes(reply, frozenset({"mine-alone"})) is passes


def test_how_many_credentials() -> None:
    """A call with more than 64 bypasses the cache."""
    many = frozenset(f"credential-{number}" for number in range(64))
    assert leak_check.bypass_reason("/3/movie/550", "", many) == ""
    assert leak_check.bypass_reason("/3/movie/550", "", many | {"another-one"}) != ""


@pytest.mark.parametrize(
    ("path", "rest", "bypasses"),
    [
        *(("/3/movie/550", "a\nb", False), ("/3/movie/mine-alone", "", True), ("/3/movie/550", "MINE-alone", True)),
        *(("/3/movie/mine", "alone", False), ("/3/movie/550", "mine%252dalone", True), (f"/3/{HEX}", "", True)),
        *(("/3/movie/550", "%2525252525252541", True), ("/3/movie/550", "ｍine-alone", True)),
    ],
)
def test_secrets_in_calls(path: str, rest: str, bypasses: bool) -> None:
    """A call with one of its credentials in its path or in another param bypasses the cache."""
    assert bool(leak_check.bypass_reason(path, rest, frozenset({"mine-alone"}))) is bypasses


@pytest.mark.parametrize(
    ("headers", "template", "shared"),
    [
        *(({}, None, True), ({"Vary": "Accept-Encoding, Origin"}, None, True), ({"vary": " ,\torigin\t,"}, None, True)),
        *(
            ({"Vary": "*"}, None, False),
            ({"Vary": "Origin", "VARY": "Cookie"}, None, False),
            ({" Vary ": "Cookie"}, None, False),
        ),
        *(
            ({"Vary": "X Origin"}, None, False),
            ({"Vary": "x"}, None, False),
            ({"Cache-Control": "private=x"}, None, False),
        ),
        *(({"Cache-Control": "max-age=1, no-cache"}, None, True), ({"Cache-Control": "privately"}, None, True)),
        *(({"Cache-Control": "x-private"}, None, True), ({"Cache-Control": "PRIVATE;x"}, None, False)),
        *(({"Cache-Control": "no-store"}, "/3/certification/movie/list", False), ({"Pragma": "no-store"}, None, True)),
        *(({"Cache-Control": "private"}, f"/3/certification/{kind}/list", True) for kind in ("movie", "tv")),
        ({"Cache-Control": "private, no-store"}, "/3/certification/tv/list", False),
        ({"Cache-Control": "private"}, "/3/configuration", False),
    ],
)
def test_shared_responses(headers: dict[str, str], template: str | None, shared: bool) -> None:
    """A response is for everyone unless its own headers say otherwise."""
    assert (why_not_shared(headers, template) == "") is shared
