"""What the flow waits for: each effect is yielded, carried out by a driver, and answered by ``send()`` or ``throw()``.

An effect is only what must wait: MongoDB, TMDB, other callers, time. State of
the process (memory, in-flight requests, back-off, counters) is used directly.
What fails in MongoDB is no error: its effects answer that there was nothing.
What the caller did wrong is thrown into the flow, and passes through it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..httpcache.models import Entry, Reply
from ..tmdb.call import Call
from ..tmdb.invalidation import Touched
from .single_flight import InFlight
from .state import Looked


class Find(NamedTuple):
    """Find an entry in MongoDB; answered with ``(entry or None, whether MongoDB answered)``."""

    key: str


class FindContaining(NamedTuple):
    """Find keys from ``first`` to before ``end`` that match and have fresh entries; answered with a list of keys."""

    first: str
    end: str
    pattern: str
    now: datetime


class Prepare(NamedTuple):
    """The first moment at which the real request is needed; answered with a :class:`Caller`.

    Up to here nothing has been changed, so a flow may be dropped, and ``explain`` ends here.
    """

    looked: Looked


class Wait(NamedTuple):
    """Wait for an in-flight request of this process, some seconds at most; answered with whether it is over."""

    flight: InFlight[Any]
    seconds: float


class AcquireLease(NamedTuple):
    """Take the lease of a key, unless another process has it; answered with a :class:`~.lease.Lease`.

    Answered with None where MongoDB does not say.
    ``refreshing`` where there is an older entry: then a back-off that another process has noted counts.
    """

    key: str
    refreshing: bool


class Sleep(NamedTuple):
    """Let some seconds pass; answered with None."""

    seconds: float


class Send(NamedTuple):
    """Send the caller's request with these headers added; answered with a :class:`Reply`, failures of TMDB in it."""

    headers: Mapping[str, str]


class Store(NamedTuple):
    """Store an entry, and its body parsed; answered with whether it is stored."""

    entry: Entry
    data: Any


class Renew(NamedTuple):
    """Write the new times and headers of an entry that TMDB has confirmed; answered with whether they are written."""

    entry: Entry


class MarkStale(NamedTuple):
    """Make stale what a write at TMDB has touched; answered with None."""

    touched: Sequence[Touched]
    now: datetime


class Background(NamedTuple):
    """Run the refresh of a call when its caller has been served; answered with whether it will be run.

    ``dropped`` is called where it was to be run and was not, because it has waited for too long.
    """

    call: Call
    flow: Flow[Any]
    dropped: Callable[[], object]


Effect = Find | FindContaining | Prepare | Wait | AcquireLease | Sleep | Send | Store | Renew | MarkStale | Background
Answer = TypeVar("Answer")
Flow = Generator[Effect, Any, Answer]
"""A flow that ends with an answer."""


class Caller(NamedTuple):
    """What the flow has to know of whose call it is.

    Attributes:
        timeout: the seconds that the caller waits for a response; None: as long as it takes.
        share_key: how its request is sent: a failure may come of that, and is no business of
            callers who send in another way.
        timed_out: makes the failure that its HTTP library raises when the timeout is over.
    """

    timeout: float | None
    share_key: Hashable
    timed_out: Callable[[], Reply]
