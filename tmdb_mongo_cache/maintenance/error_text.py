"""Short texts for errors of requests, whose own texts repeat the URL with the API key."""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import exceptions

# The first that matches: some are subclasses of others.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.ProxyError, "the proxy for {host} does not respond, or refuses"),
    (exceptions.SSLError, "no trusted TLS connection to {host}"),
    (exceptions.ConnectTimeout, "cannot reach {host} in time"),
    (exceptions.Timeout, "{host} does not respond in time"),
    (exceptions.TooManyRedirects, "{host} redirects too often"),
    (exceptions.ChunkedEncodingError, "the connection to {host} broke"),
    (exceptions.ContentDecodingError, "a response of {host} is damaged"),
    (exceptions.ConnectionError, "cannot reach {host}"),
)


def why_failed(error: BaseException, url: str) -> str:
    """Return why a call failed: the host and the kind of error, nothing else."""
    name, host = type(error).__name__, urlsplit(url).netloc.rpartition("@")[2]
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "")
    return f"{words.format(host=host)} ({name})" if words else name
