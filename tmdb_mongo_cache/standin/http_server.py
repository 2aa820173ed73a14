"""An HTTP/1.1 server on 127.0.0.1, and a proxy to TMDB's hosts: it reads requests and writes a handler's responses."""

import contextlib
import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .messages import Request, Response
from .tls import TMDB_HOSTS

Handler = Callable[[Request], Response | None]
"""Makes the response to a request; None resets the connection."""

FORBIDDEN = Response(403, b"this proxy leads to TMDB alone\n", {"Content-Type": "text/plain"})


class HTTPServer(http.server.ThreadingHTTPServer):
    """The listening socket and the open connections."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, handler: Handler, port: int) -> None:
        super().__init__(("127.0.0.1", port), Connection, bind_and_activate=False)
        self.handler = handler
        self.tls: ssl.SSLContext | None = None
        self.open: set[socket.socket] = set()
        self.changed = threading.Condition()
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

    def listen(self, tls: ssl.SSLContext | None) -> None:
        """Accept connections in a thread; `tls` is for the tunnels that CONNECT opens, None refuses them."""
        self.tls = tls
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(0.02,), name="standin", daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and end the open ones."""
        self.shutdown()
        self.server_close()
        with self.changed:
            self.stopped = True
            for connection in self.open:
                _shut_down(connection)
            self.changed.wait_for(lambda: not self.open, timeout=0.3)

    def add(self, connection: socket.socket) -> None:
        """Note an open connection."""
        with self.changed:
            self.open.add(connection)
            if self.stopped:
                _shut_down(connection)

    def discard(self, *connections: socket.socket) -> None:
        """Forget connections that are closed."""
        with self.changed:
            self.open.difference_update(connections)
            self.changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing when a client went away; anything else is a bug of this package."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut_down(connection: socket.socket) -> None:
    """End a connection that a thread may be reading from."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Connection(http.server.BaseHTTPRequestHandler):
    """One connection of a client, plain or, after CONNECT, with TLS."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HTTPServer

    def setup(self) -> None:
        """Note the connection as open."""
        super().setup()
        self.server.add(self.connection)

    def finish(self) -> None:
        """Close both the connection and the TLS over it."""
        with contextlib.suppress(OSError):
            super().finish()
        if self.connection is not self.request:
            self.connection.close()
        self.server.discard(self.connection, self.request)

    def version_string(self) -> str:
        """Return the Server header."""
        return "openresty"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has in the base class
        """Print nothing."""

    def do_CONNECT(self) -> None:
        """Open a tunnel to TMDB's hosts and speak TLS in it."""
        if self.server.tls is None or self.path not in [f"{host}:443" for host in TMDB_HOSTS]:
            self._send(FORBIDDEN)
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.rfile.close()
        self.wfile.close()
        secure = self.server.tls.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.connection = secure
        self.server.add(secure)
        secure.do_handshake()
        self.rfile = secure.makefile("rb")
        self.wfile = secure.makefile("wb")
        self.close_connection = False

    def _respond(self) -> None:
        """Respond to any request but CONNECT."""
        target = self.path
        if target.startswith("http://"):
            parts = urlsplit(target)
            if parts.hostname not in TMDB_HOSTS and parts.netloc != f"127.0.0.1:{self.server.server_port}":
                self._send(FORBIDDEN)
                return
            target = target.removeprefix(f"http://{parts.netloc}") or "/"
        path, _, query = target.partition("?")
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdigit() else b""
        pairs = parse_qsl(query, keep_blank_values=True)
        response = self.server.handler(Request(self.command, path, pairs, dict(self.headers.items()), body))
        if response is None:
            self._reset()
        else:
            self._send(response)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = _respond  # noqa: N815 - as above

    def _send(self, response: Response) -> None:
        """Send a response; with a header Content-Length it is cut short, see the fault "truncated"."""
        exact = {name.lower() for name in response.headers}
        self.send_response_only(response.status)
        for name, value in (("Server", self.version_string()), ("Date", self.date_time_string())):
            if name.lower() not in exact:
                self.send_header(name, value)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if "content-length" in exact:
            self.close_connection = True
        elif response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body)
        self.wfile.flush()

    def _reset(self) -> None:
        """Reset the connection."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise ConnectionAbortedError("reset by a fault")
