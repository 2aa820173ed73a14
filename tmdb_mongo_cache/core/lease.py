"""What came of an attempt to acquire a key's lease: which process requests it."""

from __future__ import annotations

from typing import NamedTuple


class Lease(NamedTuple):
    """The outcome of an attempt to acquire a lease.

    Attributes:
        is_mine: the caller has it, and sends the request.
        is_anothers: another process has it, and its response is waited for. Neither is true where the last
            request failed just now: nobody waits for anybody then.
        after: seconds since another process had the lease, if that is not long ago: its response may be
            stored already.
        backoff: seconds in which the key is not refreshed, because the last refresh failed.
    """

    is_mine: bool = False
    is_anothers: bool = False
    after: float | None = None
    backoff: float = 0.0
