"""TMDB by every channel: plain http, https with its certificate, and https with one that nobody has vouched for.

One port is the proxy for both, so that an unmodified program reaches it under
TMDB's own names. The response says by which channel the call came.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
import trustme

from tmdb_mongo_cache.tmdb.hosts import HOST, OWN_HOSTS

FILM = "/3/movie/550"
ETAG = 'W/"one"'
TRUE, FORGED = "the film", "what somebody on the way has made of it"


class Asked(NamedTuple):
    """A call that arrived: by ``http``, or by ``https``, and with which certificate."""

    scheme: str
    certificate: str
    host: str
    path: str
    headers: dict[str, str]

    @property
    def title(self) -> str:
        return TRUE if self.certificate == "good" else FORGED


Response = tuple[int, dict[str, str], bytes]


class World:
    """A proxy that is TMDB behind it.

    Attributes:
        certificate: what the next connections by https get: ``good``, ``forged`` (by
            another authority), ``other`` (vouched for, but for another host).
        answer: makes the response to a call; None makes the usual one.
        closes: whether a connection ends with its first response.
        calls: what arrived.
    """

    def __init__(self, folder: Path) -> None:
        trusted, unknown = trustme.CA(), trustme.CA()
        self._contexts = {
            "good": _context(trusted, *OWN_HOSTS, "127.0.0.1"),
            "forged": _context(unknown, *OWN_HOSTS, "127.0.0.1"),
            "other": _context(trusted, "evil.example"),
        }
        self.bundle = str(folder / "ca.pem")
        trusted.cert_pem.write_to_path(self.bundle)
        self._fronts: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reset()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        self.calls: list[Asked] = []
        self.certificate = "good"
        self.answer: Callable[[Asked], Response | None] | None = None
        self.closes = False

    @property
    def env(self) -> dict[str, str]:
        """What leads a program here, and makes it trust the one authority."""
        names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
        return {**dict.fromkeys(names, self.url), "NO_PROXY": "", "no_proxy": "", "REQUESTS_CA_BUNDLE": self.bundle}

    def session(self, kind: type[requests.Session] = requests.Session, **options: Any) -> requests.Session:
        """Make a session that comes here without the environment."""
        session = kind(**options)
        session.trust_env = False
        session.proxies = {"http": self.url, "https": self.url}
        session.verify = self.bundle
        return session

    def by_https(self) -> str:
        """Return the URL of the same proxy, which is reached by https itself."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._fronts.append(listener)
        threading.Thread(target=self._front, args=(listener,), daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    def close(self) -> None:
        for listener in (self._listener, *self._fronts):
            listener.close()

    def _front(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._hand_on, args=(listener.accept()[0],), daemon=True).start()

    def _hand_on(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            front = stack.enter_context(self._contexts["good"].wrap_socket(sock, server_side=True))
            back = stack.enter_context(socket.create_connection(self._listener.getsockname(), 30))
            while True:
                came = [front] if front.pending() else select.select([front, back], [], [], 30)[0]
                for one, other in ((front, back), (back, front)):
                    if one in came:
                        data = one.recv(65536)
                        if not data:
                            return
                        other.sendall(data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        certificate, scheme, host = "", "http", ""
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            reader = stack.enter_context(stack.enter_context(sock).makefile("rb"))
            while line := reader.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (field := reader.readline().decode().strip()) != "":
                    name, _, value = field.partition(":")
                    headers[name.strip().lower()] = value.strip()
                if method == "CONNECT":
                    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    scheme, certificate, host = "https", self.certificate, target.partition(":")[0]
                    reader.close()
                    sock = stack.enter_context(self._contexts[certificate].wrap_socket(sock, server_side=True))
                    reader = stack.enter_context(sock.makefile("rb"))
                    continue
                if target.startswith("http://"):
                    host, _, path = target.removeprefix("http://").partition("/")
                    target = f"/{path}"
                asked = Asked(scheme, certificate, host or headers.get("host", ""), target, headers)
                self.calls.append(asked)
                sock.sendall(self._wire(asked))
                if self.closes:
                    return

    def _wire(self, asked: Asked) -> bytes:
        status, headers, body = (self.answer and self.answer(asked)) or usual(asked)
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        if self.closes:
            fields["Connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if status != 304 or name == "ETag")
        return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + (b"" if status == 304 else body)


def usual(asked: Asked) -> Response:
    """Return a film, and a 304 to who has it; what is appended is there."""
    if asked.headers.get("if-none-match") == ETAG:
        return 304, {"ETag": ETAG}, b""
    path, _, query = asked.path.partition("?")
    data: dict[str, Any] = {"id": int(path.split("/")[3]), "title": asked.title}
    if path.endswith("/credits"):
        data = {"id": data["id"], "cast": [{"id": 1, "name": asked.title}], "crew": []}
    elif "append_to_response=credits" in query:
        data["credits"] = {"cast": [{"id": 1, "name": asked.title}], "crew": []}
    return 200, {"ETag": ETAG}, json.dumps(data).encode()


def to_https(asked: Asked) -> Response | None:
    """Lead from http to the same by https, as TMDB does."""
    return (301, {"Location": f"https://{asked.host}{asked.path}"}, b"") if asked.scheme == "http" else None


def to_http(asked: Asked) -> Response | None:
    """Lead from https to the same by http."""
    return (301, {"Location": f"http://{asked.host}{asked.path}"}, b"") if asked.scheme == "https" else None


def _context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


VERIFIED_KEY, UNVERIFIED_KEY = f"GET {HOST}{FILM}", f"GET http://{HOST}{FILM}"
