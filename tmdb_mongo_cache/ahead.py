"""Reading a response's body ahead of its caller, who still reads it from the connection as it came.

What the connection has to give is recorded byte for byte, and put in its place
below ``http.client``: whatever reads the body later (``iter_content``, ``raw``)
gets the same bytes in the same encoding, and an exception where it came.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import Any

import requests
import urllib3

from .flights import copy_of

_PIECE = 65536


class _Recorded(RawIOBase):
    """What a connection gave for one body; at its end it does what the connection did.

    Args:
        data: the bytes.
        error: what reading ended in, if it failed.
        source: the connection itself, which is closed with this.
    """

    def __init__(self, data: bytes, error: BaseException | None, source: Any = None) -> None:
        self._left = memoryview(data)
        self._error = error
        self._source = source

    def readable(self) -> bool:
        """Whether it may be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        size = min(len(buffer), len(self._left))
        if not size and self._error is not None:
            # Once, and kept no longer: it would hold the frames that it passes, and these the connection.
            error, self._error = self._error, None
            raise error
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def fileno(self) -> int:
        """Return the number of the connection's socket."""
        return super().fileno() if self._source is None else self._source.fileno()

    def close(self) -> None:
        """Let the connection go."""
        if self._source is not None and not self.closed:
            self._source.close()
        super().close()


def read_ahead(response: requests.Response) -> requests.Response | None:
    """Read the body of a response that nobody has read, and leave it to be read.

    Args:
        response: as an adapter gave it.

    Returns:
        a response with the same body, for oneself; None where the body cannot be
        read ahead: this is no connection of ``http.client``, or it was read already.
    """
    raw = response.raw
    origin = getattr(raw, "_original_response", None)
    if response._content_consumed or not isinstance(raw, urllib3.HTTPResponse):
        return None
    if type(origin) is not http.client.HTTPResponse or raw._fp is not origin or raw.tell():
        return None
    source = origin.fp
    if not isinstance(source, BufferedReader):
        return None
    recorded, error = bytearray(), None
    try:
        for piece in _pieces(origin, source):
            recorded += piece
    except (OSError, http.client.HTTPException) as failure:
        error = failure.with_traceback(None)
    data = bytes(recorded)
    own = http.client.HTTPResponse.__new__(http.client.HTTPResponse)
    vars(own).update(vars(origin))
    own.fp = BufferedReader(_Recorded(data, error and (copy_of(error) or error)))
    origin.fp = BufferedReader(_Recorded(data, error, source))
    copy = requests.Response()
    copy.status_code, copy.headers = response.status_code, response.headers
    copy.raw = urllib3.HTTPResponse(
        body=own,
        headers=raw.headers,
        status=raw.status,
        reason=raw.reason,
        preload_content=False,
        decode_content=False,
        original_response=own,
        pool=raw._pool,
        request_method="GET",
        enforce_content_length=raw.enforce_content_length,
    )
    return copy


def _pieces(origin: http.client.HTTPResponse, source: BufferedReader) -> Iterator[bytes]:
    """Read what belongs to one body, as it is on the wire."""
    if not origin.chunked:
        yield from _up_to(source, origin.length)
        return
    line = size = b"1"
    while size.strip(b"0"):
        line = source.readline(_PIECE)
        yield line
        size = line.partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError:
            return  # who reads it will say what is wrong
        if length > 0:
            yield from _up_to(source, length + 2)
    while line not in (b"\r\n", b"\n", b""):  # trailers
        line = source.readline(_PIECE)
        yield line


def _up_to(source: BufferedReader, length: int | None) -> Iterator[bytes]:
    """Read a number of bytes, or (None) all there are."""
    while length is None or length > 0:
        piece = source.read1(_PIECE if length is None else min(length, _PIECE))
        if not piece:
            return
        yield piece
        if length is not None:
            length -= len(piece)
