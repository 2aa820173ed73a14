"""The ``raw`` of an answer from the cache: a urllib3 response over the stored body."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO

from urllib3 import HTTPHeaderDict, HTTPResponse

from .tmdb.entry import Entry, Hop, Reply, header


def make_raw(
    entry: Entry | Hop | Reply, request_url: str | None, headers: HTTPHeaderDict | None = None
) -> HTTPResponse:
    """Make the urllib3 response: the stored body in the encoding that its headers name.

    Args:
        entry: what has the body, its headers and its status.
        request_url: the path and query that were asked for.
        headers: as they came, where ``entry`` has them joined.
    """
    sent = HTTPHeaderDict(headers if headers is not None else entry.headers)
    encoding = (header(entry.headers, "content-encoding") or "").strip().lower()
    body = entry.body
    if encoding in ("gzip", "x-gzip"):
        body = gzip.compress(body, 1, mtime=0)
    elif encoding == "deflate":
        body = zlib.compress(body, 1)
    elif encoding:
        sent.discard("Content-Encoding")
    return HTTPResponse(
        body=_Body(body),
        headers=sent,
        status=entry.status,
        version=11,
        version_string="HTTP/1.1",
        reason=entry.reason,
        preload_content=False,
        decode_content=False,
        request_method="GET",
        request_url=request_url,
        # Content-Length is that of TMDB's own compression.
        enforce_content_length=False,
    )


class _Body(BytesIO):
    """A body that counts as closed when it has been read up, as that of ``http.client`` does.

    ``raw.stream()`` goes on until then.
    """

    def isclosed(self) -> bool:
        """Whether there is nothing left to read."""
        return self.closed or self.tell() >= self.getbuffer().nbytes
