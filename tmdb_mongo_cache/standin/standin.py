"""The stand-in: it starts and stops, records its calls, and fails on demand."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from . import id_exports, user_endpoints
from .api import Api
from .faults import Fault
from .http_server import HTTPServer
from .messages import JSON, Request, Response, resolved
from .tls import Certificate


def _with_vary(response: Response) -> Response:
    return replace(response, headers={"Vary": "accept-encoding, Origin", **response.headers})


@dataclass
class Call(Request):
    """A call that arrived; `status` is that of its response, 0 for none."""

    status: int = 0


class StandIn:
    """A stand-in for TMDB's API on a free port of this machine.

        with StandIn() as tmdb:
            requests.get(tmdb.url + "/3/movie/550", params={"api_key": "any"})

    With `tls=True` it is also a proxy that leads `https://api.themoviedb.org` to itself: run a program with
    `env={**os.environ, **tmdb.env}`. Every credential but the word "invalid" is valid. Responses are made up and
    always the same for the same request. `latency` is in seconds and comes before each response. `on_call` is
    None or called with each Call before its response is made and recorded, so that a test may change something then.

    `change()` changes the response of a path and lists its id in the feed of changes, before
    `feed_pages` pages of made-up ids a day. The daily id exports are under `/p/exports/`, with
    `export_rows` rows each. `reset()` restores the initial state.
    """

    def __init__(self, *, tls: bool = False, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.latency = 0.0
        self.on_call: Callable[[Call], object] | None = None
        self._api = Api()
        self._faults: list[Fault] = []
        self._fixed: dict[str, Response] = {}
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._closing = threading.Event()
        self._listening = threading.Lock()
        self._server = HTTPServer(self.respond, port)
        self.certificate = Certificate() if tls else None
        self._port = self._server.server_port
        self._refusing = False
        self._listen()

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
        """What appended account_states are with an api_key alone: "error" (the default), "false" or "missing"."""
        return self._api.states_of_nobody

    @states_of_nobody.setter
    def states_of_nobody(self, form: str) -> None:
        if form not in user_endpoints.NOBODY:
            raise ValueError(f"there is no form {form!r}; there are {', '.join(user_endpoints.NOBODY)}")
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
        with self._listening:
            if fault.name == "refuse" and not self._refusing:
                self._refusing = True
                self._server.stop()
                self._server = HTTPServer(self.respond, self._port)  # bound, to keep the port, but not listening

    def heal(self) -> None:
        """End every fault; calls that hang lose their connection."""
        with self._lock:
            self._faults.clear()
            self._released.set()
            self._released = threading.Event()
        with self._listening:
            if self._refusing:
                self._refusing = False
                self._listen()

    def _listen(self) -> None:
        self._server.listen(self.certificate.context if self.certificate else None)

    def change(self, path: str, day: dt.date | None = None) -> None:
        """Change the response of a path, and its ETag, and list it in the feed of changes.

        Args:
            path: What changes: a film, or a season of a series, which the feed lists by the id of the series.
            day: The day (UTC) that the feed lists it on; None means today. The response changes at once.
        """
        with self._lock:
            self._api.change(path, day)

    def export(self, name: str) -> bytes:
        """Return the file of a daily export, of any day.

        Raises:
            ValueError: No export has this name.
        """
        return id_exports.content(name, self.export_rows)

    def answer(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Respond to a path with exactly this, until reset()."""
        given = {"Content-Type": JSON} if headers is None else dict(headers)
        with self._lock:
            self._fixed[resolved(path)] = Response(status, body, given)

    def reset(self) -> None:
        """Forget calls, faults, changes, responses and latency, and restore every other default."""
        self.heal()
        with self._lock:
            self.calls.clear()
            self._fixed.clear()
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
        with self._listening:
            if self._refusing:
                self._server.server_close()
            else:
                self._server.stop()
        if self.certificate is not None:
            self.certificate.close()

    def respond(self, request: Request) -> Response | None:
        """Record a call and return its response after the latency; None resets the connection."""
        call = Call(**vars(request))
        if (notice := self.on_call) is not None:
            notice(call)  # outside the lock: it may change something, or wait for another call
        with self._lock:
            fault = self._next_fault(request)
            response = self._faulty(fault, request) if fault else self._healthy(request)
            call.status = response.status if response else 0
            self.calls.append(call)
            released, latency = self._released, self.latency
        if fault and fault.name == "timeout":
            released.wait()
        elif latency > 0:
            self._closing.wait(latency)
        return response

    def _healthy(self, request: Request, append: bool = True) -> Response:
        """Return the response without a fault."""
        given = self._fixed.get(request.resource)
        if given is not None:
            return given
        return _with_vary(self._api.response(request, append))

    def _faulty(self, fault: Fault, request: Request) -> Response | None:
        """Return the response with a fault; None for no response."""
        if fault.name in ("refuse", "reset", "timeout"):
            return None
        if fault.name == "no-append":
            return self._healthy(request, append=False)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "if-none-match"}
        return _with_vary(fault.apply(self._healthy(replace(request, headers=headers))))

    def _next_fault(self, request: Request) -> Fault | None:
        """Return the fault that applies to a call, None for none, and count it."""
        for fault in self._faults:
            if fault.path is None or fault.path in request.path or fault.path in request.resource:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None
