"""By what channel a call goes, and by what channel its answer has come: who sent it may have been anybody, or not.

``verify`` says what the caller wants. Whether it was done the connection says:
an adapter of the program's own may see to the contrary, and a connection that
was made without a check may be used again by a call that wants one.
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

from . import network
from .responses import text

_NAMES = ("assert_fingerprint", "assert_hostname", "server_hostname")
"""What urllib3 calls that by which it checks other things than the name of a host, or none."""

_lax: WeakSet[Any] = WeakSet()
"""Adapters over whose connections something has come unverified, though its caller wanted it to be verified;
pools that have such connections."""
_is_any_lax = False


def merged_verify(session: requests.Session, verify: Any) -> Any:
    """Return what ``Session.request`` makes of its ``verify`` and the session's, before it sends."""
    if (verify is None or verify is True) and session.trust_env:
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify
    return session.verify if verify is None else verify


def is_to_be_verified(session: requests.Session, url: str, verify: Any) -> bool:
    """Say whether who answers a call will be verified, as far as that can be told before.

    Args:
        session: makes the call.
        url: is called.
        verify: as it comes to ``Session.send``.
    """
    if not verify or not url.startswith("https:"):
        return False
    return not (_is_any_lax and _is_lax(session.get_adapter(url)))


def _is_lax(adapter: Any) -> bool:
    try:
        return adapter in _lax
    except TypeError:  # its class has an __eq__ of its own
        return False


def is_verified(response: Response, hosts: frozenset[str]) -> bool:
    """Say whether the certificate of who sent a response was checked, and is for the host that was asked.

    Surely so as long as nobody has read the response: then it has its
    connection. Later there are those that are like it. What a server in this
    process has answered, for a host of one's own, needs no certificate.

    Args:
        response: as an adapter gave it.
        hosts: what counts as TMDB besides its own hosts.
    """
    try:
        url = text(response.url)
        parts, raw = urlsplit(url), response.raw
        if parts.scheme != "https":
            return False
        pool, connection = getattr(raw, "_pool", None), getattr(raw, "_connection", None)
        if pool is None:
            return network.is_listed(url, hosts)
        host = (parts.hostname or "").rstrip(".")
        if not _checks_only(host, {**pool.conn_kw, **vars(pool)}.get):
            return False
        if connection is not None and connection.sock is not None:
            return _has_verified(connection, host)
        # The server has ended the connection with this answer, or it is in use again.
        sock = getattr(getattr(getattr(raw._original_response, "fp", None), "raw", None), "_sock", None)
        return _verifies(pool, host) if sock is None else _is_checked(sock, pool, host)
    except Exception:  # noqa: BLE001  a response, or a connection, of somebody's own kind
        return False


class Witness:
    """Looks at the responses to one request while they have their connections, as a hook of it.

    An adapter of the program's own may copy or pickle the request, and it with that: it has hold of nothing else.

    Args:
        hosts: what counts as TMDB besides its own hosts.
    """

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._seen: list[tuple[Response, bool]] = []

    def __call__(self, response: Response, **_: Any) -> None:
        """Look at a response."""
        self._seen.append((response, is_verified(response, self._hosts)))

    def verified(self, response: Response, session: requests.Session, wanted: Any) -> bool:
        """Say whether a response was verified; its adapter is known by it, if that should have seen to it.

        Args:
            response: has come, with the others that led to it.
            session: whose call it is.
            wanted: what was given as ``verify``.
        """
        global _is_any_lax
        found = next((found for seen, found in self._seen if seen is response), None)
        found = is_verified(response, self._hosts) if found is None else found
        with suppress(Exception):  # somebody's own kind of response, or of adapter
            if not found and wanted and text(response.url).startswith("https:"):
                _lax.add(session.get_adapter(text(response.url)))
                _is_any_lax = True
        return found


def _has_verified(connection: Any, host: str) -> bool:
    name = getattr(connection, "_tunnel_host", None) or connection.host
    checks_only = _checks_only(host, lambda name: getattr(connection, name, None))
    return connection.is_verified is True and checks_only and _is_same(name, host)


def _is_checked(sock: Any, pool: Any, host: str) -> bool:
    tls = getattr(sock, "sslobj", sock)  # by a proxy that is reached by https, TLS is within TLS
    # urllib3 1.26 tells the name of a host, but not its address.
    return tls.context.verify_mode == ssl.CERT_REQUIRED and _is_same(tls.server_hostname or pool.host, host)


def _verifies(pool: Any, host: str) -> bool:
    """Say whether the connections of a pool, of which some may be there, verify that they lead to a host."""
    kept = list(getattr(pool.pool, "queue", ()))  # urllib3-future's does not show them
    idle = [one for one in kept if one is not None and one.sock is not None]
    is_required = resolve_cert_reqs(pool.cert_reqs) == ssl.CERT_REQUIRED and _is_same(pool.host, host)
    if not is_required or not all(_has_verified(one, host) for one in idle):
        _lax.add(pool)
    return pool not in _lax


def _checks_only(host: str, given: Any) -> bool:
    """Say whether certificates are checked by their authority, and for a host's own name."""
    fingerprint, *names = map(given, _NAMES)
    return not fingerprint and all(name is None or _is_same(name, host) for name in names)


def _is_same(name: Any, host: str) -> bool:
    return isinstance(name, str) and name.strip("[]").rstrip(".").lower() == host
