"""Whether the server's certificate is verified for a call, and was verified for a response.

``verify`` is what the caller wants. Whether it happened is read from the
connection: an adapter of the program may disable it, and a connection that was
opened without verification may be reused by a call that wants it.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
from requests import Response
from urllib3.util.ssl_ import resolve_cert_reqs

from . import mock_detection
from .response import text

_CHECKED_NAMES = ("assert_fingerprint", "assert_hostname", "server_hostname")
"""urllib3's options for checking another name than that of the host, or none."""

_unverified: WeakSet[Any] = WeakSet()
"""Adapters over whose connections a response came unverified although its caller wanted verification, and pools that
have such connections."""


def merged_verify(session: requests.Session, verify: Any) -> Any:
    """Return ``verify`` merged with the session's and the environment's, as ``Session.request`` does."""
    if (verify is None or verify is True) and session.trust_env:
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify
    return session.verify if verify is None else verify


def is_to_be_verified(session: requests.Session, url: str, verify: Any) -> bool:
    """Return whether the server will be verified, as far as that is known before the call.

    Args:
        session: the caller's.
        url: the requested URL.
        verify: as given to ``Session.send``.
    """
    if not verify or not url.startswith("https:"):
        return False
    return not (_unverified and _is_unverified(session.get_adapter(url)))


def _is_unverified(adapter: Any) -> bool:
    try:
        return adapter in _unverified
    except TypeError:  # its class defines __eq__, and is not hashable
        return False


def is_verified(response: Response, hosts: frozenset[str]) -> bool:
    """Return whether a response came from a server whose certificate was verified for the requested host.

    This is certain while the response is unread and has its connection. Later it is
    inferred from the pool's other connections. A response of a server in this
    process, for one of ``hosts``, needs no certificate.

    Args:
        response: as an adapter returned it.
        hosts: what counts as TMDB besides its own hosts.
    """
    try:
        url = text(response.url)
        parts, raw = urlsplit(url), response.raw
        if parts.scheme != "https":
            return False
        pool, connection = getattr(raw, "_pool", None), getattr(raw, "_connection", None)
        if pool is None:
            return mock_detection.is_listed(url, hosts)
        host = (parts.hostname or "").rstrip(".")
        if not _checks_only(host, {**pool.conn_kw, **vars(pool)}.get):
            return False
        if connection is not None and connection.sock is not None:
            return _has_verified(connection, host)
        # The server has closed the connection after this response, or it is in use again.
        sock = getattr(getattr(getattr(raw._original_response, "fp", None), "raw", None), "_sock", None)
        return _verifies(pool, host) if sock is None else _is_checked(sock, pool, host)
    except Exception:  # noqa: BLE001  a class of response or connection of the program
        return False


class VerificationHook:
    """A response hook that checks the responses to one request while they have their connections.

    An adapter of the program may copy or pickle the request with its hooks, so it references nothing else.

    Args:
        hosts: what counts as TMDB besides its own hosts.
    """

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._seen: list[tuple[Response, bool]] = []

    def __call__(self, response: Response, **_: Any) -> None:
        """Check a response."""
        self._seen.append((response, is_verified(response, self._hosts)))

    def verified(self, response: Response, session: requests.Session, wanted: Any) -> bool:
        """Return whether a response was verified; if it should have been, its adapter is noted as unverified.

        Args:
            response: the response or one of its redirects.
            session: the caller's.
            wanted: the caller's ``verify``.
        """
        found = next((found for seen, found in self._seen if seen is response), None)
        found = is_verified(response, self._hosts) if found is None else found
        with suppress(Exception):  # a class of response or adapter of the program
            if not found and wanted and text(response.url).startswith("https:"):
                _unverified.add(session.get_adapter(text(response.url)))
        return found


def _has_verified(connection: Any, host: str) -> bool:
    name = getattr(connection, "_tunnel_host", None) or connection.host
    checks_only = _checks_only(host, lambda name: getattr(connection, name, None))
    return connection.is_verified is True and checks_only and _is_same(name, host)


def _is_checked(sock: Any, pool: Any, host: str) -> bool:
    tls = getattr(sock, "sslobj", sock)  # TLS within TLS, by an https proxy
    # urllib3 1.26 passes a host's name, but not its address.
    return tls.context.verify_mode == ssl.CERT_REQUIRED and _is_same(tls.server_hostname or pool.host, host)


def _verifies(pool: Any, host: str) -> bool:
    """Return whether the connections of a pool verify that they lead to a host, idle ones included."""
    pooled = list(getattr(pool.pool, "queue", ()))  # urllib3-future's has no queue
    idle = [connection for connection in pooled if connection is not None and connection.sock is not None]
    is_required = resolve_cert_reqs(pool.cert_reqs) == ssl.CERT_REQUIRED and _is_same(pool.host, host)
    if not is_required or not all(_has_verified(connection, host) for connection in idle):
        _unverified.add(pool)
    return pool not in _unverified


def _checks_only(host: str, given: Any) -> bool:
    """Return whether certificates are checked by a certificate authority, and for the host's own name."""
    fingerprint, *names = map(given, _CHECKED_NAMES)
    return not fingerprint and all(name is None or _is_same(name, host) for name in names)


def _is_same(name: Any, host: str) -> bool:
    return isinstance(name, str) and name.strip("[]").rstrip(".").lower() == host
