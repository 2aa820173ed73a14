"""TLS for the stand-in: a certificate for TMDB's names and the environment that routes a program to it.

An unmodified program calls `https://api.themoviedb.org`. With `HTTPS_PROXY` it requests a tunnel to that
name from a proxy (CONNECT), the stand-in opens it and speaks TLS with a certificate of a CA made for the
occasion, which the program trusts through `REQUESTS_CA_BUNDLE`. No name is resolved and no port below 1024
is needed.
"""

import shutil
import ssl
import tempfile
from pathlib import Path

import certifi

TMDB_HOSTS = ("api.themoviedb.org", "api.tmdb.org")


class Certificate:
    """A certificate for TMDB's hosts, and a file with the CA that vouches for it."""

    def __init__(self) -> None:
        import trustme

        authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_alpn_protocols(["http/1.1"])
        authority.issue_cert(*TMDB_HOSTS, "localhost", "127.0.0.1").configure_cert(self.context)
        self.folder = Path(tempfile.mkdtemp(prefix="tmdb-standin-"))
        self.bundle = self.folder / "ca.pem"
        self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.cert_pem.bytes())

    def environment(self, url: str) -> dict[str, str]:
        """Return what a subprocess needs in its environment to find the proxy and to trust it."""
        proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), url)
        trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(self.bundle))
        # What is on this machine (a MongoDB, a program under test) is reached without it.
        here = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        return {**proxy, **trust, **here}

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
