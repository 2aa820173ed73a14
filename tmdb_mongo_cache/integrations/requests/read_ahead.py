"""Reading the body of a streamed response ahead of its caller, who can still read it as if from the connection.

The bytes from the connection are recorded, and replace it below ``http.client``:
later reads (``iter_content``, ``raw``) get the same bytes in the same encoding,
and an exception at the same position.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import Any

import requests
import urllib3

from ...core.single_flight import copy_of

_SIZE = 65536


class _Recording(RawIOBase):
    """The recorded bytes of one body, ending as the connection did.

    Args:
        data: the bytes.
        error: the exception that reading ended in, if any.
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
            # Once, and without a reference: its traceback would keep frames alive, and these the connection.
            error, self._error = self._error, None
            raise error
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def fileno(self) -> int:
        """Return the file descriptor of the connection."""
        return super().fileno() if self._source is None else self._source.fileno()

    def close(self) -> None:
        """Close the connection."""
        if self._source is not None and not self.closed:
            self._source.close()
        super().close()


def read_ahead(response: requests.Response) -> requests.Response | None:
    """Read the body of an unread response, so that it can be read again.

    Args:
        response: as an adapter returned it.

    Returns:
        a second response with the same body; None if the body cannot be read ahead,
        because the connection is not one of ``http.client``, or was read already.
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
        for chunk in _chunks(origin, source):
            recorded += chunk
    except (OSError, http.client.HTTPException) as failure:
        error = failure.with_traceback(None)
    data = bytes(recorded)
    own = http.client.HTTPResponse.__new__(http.client.HTTPResponse)
    vars(own).update(vars(origin))
    own.fp = BufferedReader(_Recording(data, error and (copy_of(error) or error)))
    origin.fp = BufferedReader(_Recording(data, error, source))
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


def _chunks(origin: http.client.HTTPResponse, source: BufferedReader) -> Iterator[bytes]:
    """Read the bytes of one body, as they are on the wire."""
    if not origin.chunked:
        yield from _up_to(source, origin.length)
        return
    line = size = b"1"
    while size.strip(b"0"):
        line = source.readline(_SIZE)
        yield line
        size = line.partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError:
            return  # the actual reader will raise an error
        if length > 0:
            yield from _up_to(source, length + 2)
    while line not in (b"\r\n", b"\n", b""):  # trailers
        line = source.readline(_SIZE)
        yield line


def _up_to(source: BufferedReader, length: int | None) -> Iterator[bytes]:
    """Read a number of bytes, or (None) all."""
    while length is None or length > 0:
        chunk = source.read1(_SIZE if length is None else min(length, _SIZE))
        if not chunk:
            return
        yield chunk
        if length is not None:
            length -= len(chunk)
