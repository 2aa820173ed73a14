"""Why TMDB could not be asked, in a few words: requests' own texts repeat the URL, key and all."""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import exceptions

# The first that fits: some are kinds of others.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.ProxyError, "the proxy on the way to {host} does not answer, or refuses"),
    (exceptions.SSLError, "no TLS connection to {host} that can be trusted"),
    (exceptions.ConnectTimeout, "cannot reach {host} in time"),
    (exceptions.Timeout, "{host} does not answer in time"),
    (exceptions.TooManyRedirects, "{host} redirects again and again"),
    (exceptions.ChunkedEncodingError, "the connection to {host} broke"),
    (exceptions.ContentDecodingError, "an answer of {host}'s is damaged"),
    (exceptions.ConnectionError, "cannot reach {host}"),
)


def why_failed(error: BaseException, url: str) -> str:
    """Say why a call failed, by the host and the kind of error alone."""
    name, host = type(error).__name__, urlsplit(url).netloc.rpartition("@")[2]
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "")
    return f"{words.format(host=host)} ({name})" if words else name
