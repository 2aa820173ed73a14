"""Headers and bodies of responses that are easily changed, and all that a program sees of a response."""

from tmdb_mongo_cache import enabled

from .flowkit import MOVIE, get

HEADERS = {
    "Content-Type": "application/json;charset=utf-8",
    "ETag": 'W/"5d41402abc4b2a76b9719d911017c592"',
    "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
    "Cache-Control": "public, max-age=28800",
    "Link": '<https://api.themoviedb.org/3/movie/551>; rel="next"',
    "X-Memc-Key": "a, b; c=é",
    "x-lower": "yes",
    "Server": "openresty",
}
BODIES = {
    "white space": b' \n{"id" :\t550 ,\r\n "title":  "x" }\n\n',
    "numbers": b'{"a":1.10,"b":1e400,"c":-0,"d":1E+2,"e":12345678901234567890123,"f":0.1000000000000000055}',
    "duplicate keys": b'{"x":{"y":1,"y":2}}',
    "bom": b'\xef\xbb\xbf{"id":550}',
    "non-ascii": '{"id":550,"title":"Amélie — 千と千尋 \U0001f600","t":"\\u00e9"}'.encode(),
    "utf-16": '{"id":550,"title":"é"}'.encode("utf-16"),
    "escapes": b'{"t":"\\/\\u0000\\ud800 \\u2028"}',
    "list": b"[1,2, 3]",
    "key order": b'{"z":1,"a":2,"M":3}',
}
ATTRIBUTES = [
    *("apparent_encoding", "content", "cookies", "encoding", "history", "is_permanent_redirect", "is_redirect"),
    *("links", "next", "ok", "reason", "status_code", "text", "url"),
]


def comparable(response):
    """Return what a program can see of a response."""
    found = {name: getattr(response, name) for name in ATTRIBUTES}
    found["cookies"] = dict(found["cookies"])
    found["headers"] = [(k, v) for k, v in response.headers.items() if k not in ("Age", "Cache-Status")]
    found["request"] = (response.request.method, response.request.url, response.request.body)
    found["sent"] = dict(response.request.headers)
    found["repr"] = repr(response)
    found["true"] = bool(response)
    found["lines"] = list(response.iter_lines())
    found["chunks"] = list(response.iter_content(7))
    try:
        found["chars"] = list(response.iter_content(5, decode_unicode=True))
    except LookupError as error:
        found["chars"] = str(error)
    try:
        found["json"] = repr(response.json())
    except ValueError as error:
        found["json"] = type(error)
    return found


def three(tmdb, cache, call=get, path=MOVIE, **options):
    """Return the responses without the cache, live, and cached."""
    plain = call(tmdb, path, **options)
    with enabled(cache):
        live, cached = call(tmdb, path, **options), call(tmdb, path, **options)
    assert (live.from_cache, cached.from_cache) == (False, True)
    return plain, live, cached
