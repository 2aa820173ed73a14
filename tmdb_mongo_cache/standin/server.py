"""The stand-in itself: it starts and stops, counts its calls, fails on demand."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from . import exports, private
from .api import Api
from .connection import Listener
from .faults import Fault
from .proxy import Certificate
from .wire import JSON, Reply, Request, resolved

VARY = {"Vary": "accept-encoding, Origin"}


@dataclass
class Call(Request):
    """A call that arrived; `status` is what was answered, 0 for no answer."""

    status: int = 0

    @classmethod
    def of(cls, request: Request, status: int) -> "Call":
        """Return the record of a request that was answered with this status."""
        return cls(request.method, request.path, request.query, request.headers, request.body, status)


class StandIn:
    """A stand-in for TMDB's API on a free port of this machine.

        with StandIn() as tmdb:
            requests.get(tmdb.url + "/3/movie/550", params={"api_key": "any"})

    With `tls=True` it is also a proxy that leads `https://api.themoviedb.org` to itself: run a program with
    `env={**os.environ, **tmdb.env}`. Any credential is good but the word "invalid". Answers are made up and
    always the same for the same request. `latency` is in seconds and comes before each answer. `on_call` is
    None or called with each Call before its answer is made and counted, so that something may change just then.

    `change()` gives a path another answer and enters what it is about into the feed of changes, where
    `feed_pages` pages of made-up ids a day come after it. The daily id exports are under `/p/exports/`, with
    `export_rows` rows each. `reset()` makes everything as it was at the start.
    """

    def __init__(self, *, tls: bool = False, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.latency = 0.0
        self.on_call: Callable[[Call], object] | None = None
        self._api = Api()
        self._faults: list[Fault] = []
        self._answers: dict[str, Reply] = {}
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._closing = threading.Event()
        self._switch = threading.Lock()
        self._listener = Listener(self, port)
        self.certificate = Certificate() if tls else None
        self._port = self._listener.server_port
        self._refusing = False
        self._listener.listen()

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The address and port: "127.0.0.1:40713"."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The address to call: "http://127.0.0.1:40713"."""
        return f"http://{self.host}"

    @property
    def count(self) -> int:
        """How many calls arrived since the start or the last reset()."""
        return len(self.calls)

    @property
    def feed_pages(self) -> dict[str, int]:
        """How many pages of 100 made-up ids a day of the feed has: {"movie": 68, "tv": 28, "person": 60}."""
        return self._api.feed.pages

    @feed_pages.setter
    def feed_pages(self, pages: dict[str, int]) -> None:
        self._api.feed.pages = pages

    @property
    def export_rows(self) -> int:
        """How many rows an export has: 1,000."""
        return self._api.export_rows

    @export_rows.setter
    def export_rows(self, rows: int) -> None:
        self._api.export_rows = rows

    @property
    def states_of_nobody(self) -> str:
        """What appended account_states are where only an api_key asks: "error" (the start), "false" or "missing"."""
        return self._api.states_of_nobody

    @states_of_nobody.setter
    def states_of_nobody(self, form: str) -> None:
        if form not in private.NOBODY:
            raise ValueError(f"there is no form {form!r}; there are {', '.join(private.NOBODY)}")
        self._api.states_of_nobody = form

    @property
    def env(self) -> dict[str, str]:
        """What to add to a subprocess's environment so that it takes this for TMDB; needs `tls=True`."""
        if self.certificate is None:
            raise RuntimeError("env needs StandIn(tls=True)")
        return self.certificate.environment(self.url)

    def fail(
        self, name: str, times: int | None = None, path: str | None = None, *, retry_after: int | None = None
    ) -> None:
        """Fail from now on until heal(), or for `times` calls; only for paths that contain `path`.

        Args:
            name: An HTTP status ("503", "429", …) or one of the names in `faults.BROKEN`.
            times: For how many calls; None means until heal().
            path: Part of the paths that fail; None means all of them.
            retry_after: Seconds for the Retry-After header of a status; None leaves the header out.

        Raises:
            ValueError: There is no such fault.
        """
        fault = Fault(str(name), times, path, retry_after)
        with self._lock:
            self._faults.append(fault)
        with self._switch:
            if fault.name == "refuse" and not self._refusing:
                self._refusing = True
                self._listener.stop()
                self._listener = Listener(self, self._port)  # bound, to keep the port, but not listening

    def heal(self) -> None:
        """End every fault; calls that hang lose their connection."""
        with self._lock:
            self._faults.clear()
            self._released.set()
            self._released = threading.Event()
        with self._switch:
            if self._refusing:
                self._refusing = False
                self._listener.listen()

    def change(self, path: str, day: dt.date | None = None) -> None:
        """Let the answer of a path, and its ETag, differ from now on; the feed of changes tells of it.

        Args:
            path: What changes: a film, or a season of a series, which the feed tells by the id of the series.
            day: The day (UTC) that the feed tells it for; None means today. The answer differs at once.
        """
        with self._lock:
            self._api.change(path, day)

    def export(self, name: str) -> bytes:
        """Return the file that a daily export of this name is, of whatever day.

        Raises:
            ValueError: No export is called that.
        """
        return exports.content(name, self.export_rows)

    def answer(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Answer a path with exactly this, until reset()."""
        given = {"Content-Type": JSON} if headers is None else dict(headers)
        with self._lock:
            self._answers[resolved(path)] = Reply(status, body, given)

    def reset(self) -> None:
        """Forget calls, faults, changes, answers and latency, and be as at the start in everything else."""
        self.heal()
        with self._lock:
            self.calls.clear()
            self._answers.clear()
            self._api.reset()
            self.latency = 0.0
            self.on_call = None

    def close(self) -> None:
        """Stop, end all connections and remove the certificate."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            self._released.set()
        with self._switch:
            if self._refusing:
                self._listener.server_close()
            else:
                self._listener.stop()
        if self.certificate is not None:
            self.certificate.close()

    def answer_call(self, request: Request) -> Reply | None:
        """Count a call and return its answer, after the latency; None when the connection is to be reset."""
        call = Call.of(request, 0)
        if (notice := self.on_call) is not None:
            notice(call)  # outside the lock: it may change something, or wait for another call
        with self._lock:
            fault = self._fault(request)
            reply = self._spoilt(fault, request) if fault else self._sound(request)
            call.status = reply.status if reply else 0
            self.calls.append(call)
            released, latency = self._released, self.latency
        if fault and fault.name == "timeout":
            released.wait()
        elif latency > 0:
            self._closing.wait(latency)
        return reply

    def _sound(self, request: Request, append: bool = True) -> Reply:
        """Return the answer to a call that meets no fault."""
        given = self._answers.get(request.resource)
        if given is not None:
            return given
        reply = self._api.reply(request, append)
        return Reply(reply.status, reply.body, {**VARY, **reply.headers})

    def _spoilt(self, fault: Fault, request: Request) -> Reply | None:
        """Return the answer to a call that meets a fault; None when there is to be none."""
        if fault.name in ("refuse", "reset", "timeout"):
            return None
        if fault.name == "no-append":
            return self._sound(request, append=False)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "if-none-match"}
        spoilt = fault.spoil(self._sound(replace(request, headers=headers)))
        return Reply(spoilt.status, spoilt.body, {**VARY, **spoilt.headers})

    def _fault(self, request: Request) -> Fault | None:
        """Return the fault that a call meets and take one off its number."""
        for fault in self._faults:
            if fault.path is None or fault.path in request.path or fault.path in request.resource:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None
