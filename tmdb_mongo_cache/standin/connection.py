"""HTTP/1.1 on a connection: requests are read here and handed to the stand-in, replies are written."""

import contextlib
import http.server
import socket
import socketserver
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .proxy import TMDB_HOSTS
from .wire import Reply, Request

if TYPE_CHECKING:
    from .server import StandIn


class Listener(http.server.ThreadingHTTPServer):
    """The listening socket and the connections that came in by it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, standin: "StandIn", port: int) -> None:
        super().__init__(("127.0.0.1", port), Connection, bind_and_activate=False)
        self.standin = standin
        self.open: set[socket.socket] = set()
        self.guard = threading.Condition()
        self.stopped = False
        try:
            self.server_bind()
        except OSError:
            self.server_close()
            raise

    def server_bind(self) -> None:
        """Bind without asking a name server what 127.0.0.1 is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def listen(self) -> None:
        """Take connections from now on, in a thread."""
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(0.02,), name="standin", daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on and end those that are open."""
        self.shutdown()
        self.server_close()
        with self.guard:
            self.stopped = True
            for connection in self.open:
                end(connection)
            self.guard.wait_for(lambda: not self.open, timeout=0.3)

    def enter(self, connection: socket.socket) -> None:
        """Enter a connection into the list of those that are open."""
        with self.guard:
            self.open.add(connection)
            if self.stopped:
                end(connection)

    def leave(self, *connections: socket.socket) -> None:
        """Take connections off the list."""
        with self.guard:
            self.open.difference_update(connections)
            self.guard.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client went away; anything else is a mistake in this package."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def end(connection: socket.socket) -> None:
    """End a connection that a thread may be reading from."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Connection(http.server.BaseHTTPRequestHandler):
    """One connection of a client, plain or, after CONNECT, with TLS."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Listener
    tunnel: str | None = None

    def setup(self) -> None:
        """Enter the connection into the list of those that are open."""
        super().setup()
        self.server.enter(self.connection)

    def finish(self) -> None:
        """Close whatever is open."""
        with contextlib.suppress(OSError):
            super().finish()
        if self.connection is not self.request:
            self.connection.close()
        self.server.leave(self.connection, self.request)

    def version_string(self) -> str:
        """Return the Server header."""
        return "openresty"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has in the base class
        """Print nothing."""

    def do_CONNECT(self) -> None:
        """Grant a tunnel to TMDB's hosts and speak TLS in it."""
        certificate = self.server.standin.certificate
        if certificate is None or self.path not in [f"{host}:443" for host in TMDB_HOSTS]:
            self._send(Reply(403, b"this proxy leads to TMDB alone\n", {"Content-Type": "text/plain"}))
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.tunnel = self.path.removesuffix(":443")
        plain = self.connection
        self.rfile.close()
        self.wfile.close()
        secure = certificate.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.connection = secure
        self.server.enter(secure)
        secure.do_handshake()
        self.rfile = secure.makefile("rb")
        self.wfile = secure.makefile("wb")
        self.close_connection = False

    def _answer(self) -> None:
        """Answer any request but CONNECT."""
        target = self.path
        if target.startswith("http://"):
            parts = urlsplit(target)
            if parts.hostname not in TMDB_HOSTS and parts.netloc != self.server.standin.host:
                self._send(Reply(403, b"this proxy leads to TMDB alone\n", {"Content-Type": "text/plain"}))
                return
            target = target.removeprefix(f"http://{parts.netloc}") or "/"
        path, _, query = target.partition("?")
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdigit() else b""
        pairs = parse_qsl(query, keep_blank_values=True)
        reply = self.server.standin.answer_call(Request(self.command, path, pairs, dict(self.headers.items()), body))
        if reply is None:
            self._reset()
        else:
            self._send(reply)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - as above

    def _send(self, reply: Reply) -> None:
        """Send a reply; with a header Content-Length it is cut short, see the fault "truncated"."""
        exact = {name.lower() for name in reply.headers}
        self.send_response_only(reply.status)
        for name, value in (("Server", self.version_string()), ("Date", self.date_time_string())):
            if name.lower() not in exact:
                self.send_header(name, value)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "content-length" in exact:
            self.close_connection = True
        elif reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" and reply.status not in (204, 304):
            self.wfile.write(reply.body)
        self.wfile.flush()

    def _reset(self) -> None:
        """End the connection with a reset instead of an answer."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise ConnectionAbortedError("the fault asked for it")
