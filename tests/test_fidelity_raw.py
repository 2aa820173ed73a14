"""raw, iter_content and stream=True, as without the cache."""

import gzip
import io
import shutil

import pytest
import requests
from urllib3 import HTTPResponse, Retry

from tmdb_mongo_cache import enabled

from .fidelitykit import BODIES, HEADERS
from .flowkit import MOVIE, expire, get

pytestmark = [pytest.mark.versions, pytest.mark.any_database]

PACKED = gzip.compress(b'{"id":550,"all":[' + b",".join([BODIES["non-ascii"]] * 50) + b"]}")
PLAIN = gzip.decompress(PACKED)


@pytest.fixture(params=["plain", "gzip"])
def packed(tmdb, request):
    """Let the stand-in answer with or without compression; say which."""
    if request.param == "gzip":
        tmdb.answer(MOVIE, headers={**HEADERS, "Content-Encoding": "gzip"}, body=PACKED)
    else:
        tmdb.answer(MOVIE, headers=HEADERS, body=PLAIN)
    return request.param == "gzip"


def each(tmdb, cache, **options):
    """Yield the answer without the cache, the live one and the cached one."""
    with get(tmdb, **options) as response:
        yield response
    with enabled(cache):
        for _ in range(2):
            with get(tmdb, **options) as response:
                yield response


@pytest.mark.usefixtures("packed")
class TestStreamed:
    def test_content(self, tmdb, cache):
        """A streamed answer is read when it is asked for, once, and kept."""
        for response in each(tmdb, cache, stream=True):
            assert response._content_consumed is False
            assert response.content == PLAIN == response.content
            assert response.json()["all"][0]["title"]

    @pytest.mark.parametrize("size", [1, 100, 10**6, None])
    def test_iter_content(self, tmdb, cache, size):
        """iter_content() gives the decoded body in pieces, and a second time is refused."""
        pieces = []
        for response in each(tmdb, cache, stream=True):
            pieces.append([len(piece) for piece in response.iter_content(size)])
            with pytest.raises(requests.exceptions.StreamConsumedError):
                list(response.iter_content(size))
        assert sum(pieces[0]) == sum(pieces[1]) == sum(pieces[2]) == len(PLAIN)
        if size is not None:
            assert pieces[0] == pieces[1] == pieces[2]

    def test_iter_lines(self, tmdb, cache):
        """iter_lines() gives the same lines."""
        lines = [list(response.iter_lines()) for response in each(tmdb, cache, stream=True)]
        assert lines[0] == lines[1] == lines[2] != []

    def test_iteration(self, tmdb, cache):
        """Iterating over a response gives its body."""
        for response in each(tmdb, cache, stream=True):
            assert b"".join(response) == PLAIN

    def test_read(self, tmdb, cache, packed):
        """raw.read() gives the bytes as they were sent, and with decode_content the body."""
        for response in each(tmdb, cache, stream=True):
            assert isinstance(response.raw, HTTPResponse)
            data = response.raw.read()
            assert (gzip.decompress(data) if packed else data) == PLAIN
            assert response.raw.read() == b""
        for response in each(tmdb, cache, stream=True):
            assert response.raw.read(decode_content=True) == PLAIN

    def test_read_some(self, tmdb, cache):
        """raw.read(n) gives what it gives without the cache: older releases of urllib3 have odd ways there."""
        pieces = {
            (response.raw.read(10, decode_content=True), response.raw.read(decode_content=True))
            for response in each(tmdb, cache, stream=True)
        }
        assert len(pieces) == 1
        assert b"".join(pieces.pop()).startswith(PLAIN[:10])

    @pytest.mark.parametrize("decode", [True, False])
    def test_stream(self, tmdb, cache, packed, decode):
        """raw.stream() gives the body, decoded or as it was sent."""
        for response in each(tmdb, cache, stream=True):
            data = b"".join(response.raw.stream(64, decode_content=decode))
            assert (gzip.decompress(data) if packed and not decode else data) == PLAIN

    def test_copyfileobj(self, tmdb, cache):
        """The usual way to save a download works."""
        for response in each(tmdb, cache, stream=True):
            response.raw.decode_content = True
            file = io.BytesIO()
            shutil.copyfileobj(response.raw, file)
            assert file.getvalue() == PLAIN

    def test_attributes(self, tmdb, cache):
        """Status, reason, version and headers of raw are TMDB's."""
        for stream in (True, False):
            for response in each(tmdb, cache, stream=stream):
                raw = response.raw
                assert (raw.status, raw.reason, raw.version) == (200, "OK", 11)
                assert raw.headers["etag"] == HEADERS["ETag"]
                assert raw.headers["X-Lower"] == "yes"
                assert raw.headers.get("Content-Encoding") == response.headers.get("Content-Encoding")

    def test_read_up(self, tmdb, cache):
        """Without stream=True the body has been read and raw is at its end."""
        for response in each(tmdb, cache):
            assert response._content_consumed
            assert response.raw.read() == b""
            assert b"".join(response.iter_content(50)) == PLAIN

    def test_session_streams(self, tmdb, cache):
        """session.stream = True is as good as the argument."""
        with requests.Session() as session:
            session.stream = True
            for response in each(tmdb, cache, session=session):
                assert response._content_consumed is False
                assert response.content == PLAIN

    def test_closed_unread(self, tmdb, cache):
        """A streamed answer may be closed unread."""
        for response in each(tmdb, cache, stream=True):
            response.close()
        with enabled(cache):
            assert get(tmdb).content == PLAIN

    def test_two_readers(self, tmdb, cache):
        """Two answers from the cache are read independently of each other."""
        with enabled(cache):
            get(tmdb)
            with get(tmdb, stream=True) as one, get(tmdb, stream=True) as two:
                assert one.raw.read(5) == two.raw.read(5)
                assert one.raw.read() == two.raw.read() != b""

    def test_validated(self, tmdb, cache, collection):
        """An answer that a 304 has confirmed can be streamed, too."""
        with enabled(cache):
            get(tmdb)
            expire(collection)
            tmdb.answer(MOVIE, status=304, headers={"ETag": HEADERS["ETag"]})
            with get(tmdb, stream=True) as response:
                assert response.raw.read(decode_content=True) == PLAIN


@pytest.mark.parametrize("given", [None, False, 0, 3, Retry(2, status_forcelist=[503])], ids=str)
def test_retries(tmdb, cache, plain_session, given):
    """What a program finds in raw.retries is what its adapter would have tried, in whatever form it was told."""
    plain_session.get_adapter(tmdb.url).max_retries = given
    told = {
        (tried.total, tried.read, tuple(tried.status_forcelist), tried.history)
        for response in each(tmdb, cache, session=plain_session)
        for tried in [response.raw.retries]
    }
    assert len(told) == 1


class TestNotStored:
    @pytest.mark.parametrize("name", ["401", "503", "not-json", "empty"])
    def test_streamed(self, tmdb, cache, name):
        """What is passed on can be streamed, too."""
        tmdb.fail(name)
        with get(tmdb, stream=True) as plain:
            expected = plain.raw.read(decode_content=True)
        with enabled(cache), get(tmdb, stream=True) as response:
            assert response.raw.read(decode_content=True) == expected

    def test_private(self, tmdb, cache):
        """A private answer is streamed by TMDB itself: nothing reads it first."""
        with enabled(cache), get(tmdb, "/3/account", stream=True) as response:
            assert response.raw.tell() == 0
            assert response.json()
