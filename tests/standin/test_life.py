"""The stand-in TMDB from its start to its end, and behind its proxy."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn

from ..flowkit import ANY_KEY


class TestLife:
    @pytest.mark.parametrize("fault", ["timeout", "refuse", None])
    def test_close(self, fault):
        """close() takes no half second, whatever is open or hangs, and may come twice."""
        standin = StandIn()
        idle = socket.create_connection(("127.0.0.1", int(standin.host.split(":")[1])))
        if fault:
            standin.fail(fault)
        if fault == "timeout":
            idle.sendall(b"GET /3/movie/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            while not standin.count:
                time.sleep(0.005)
        start = time.monotonic()
        standin.close()
        standin.close()
        assert time.monotonic() - start < 0.5
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(standin.host.split(":")[1])))

    def test_port_in_use(self, tmdb):
        """A port that is taken is an OSError at the start."""
        with pytest.raises(OSError, match=r"\w") as caught:
            StandIn(port=int(tmdb.host.split(":")[1]))
        assert caught.value.errno == errno.EADDRINUSE

    def test_process(self):
        """`python -m tmdb_mongo_cache.standin` says its address, serves, and ends without a word at Ctrl-C."""
        command = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache.standin", "--tls"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            url = process.stdout.readline().strip()
            assert requests.get(url + "/3/movie/1", params=ANY_KEY, timeout=5).status_code == 200
            process.send_signal(signal.SIGINT)
            output, errors = process.stdout.read(), process.stderr.read()
        assert f"curl '{url}/3/movie/550?api_key=any'" in output
        assert f"export HTTPS_PROXY={url}" in output
        assert (process.returncode, errors) == (0, "")


class TestTLS:
    @pytest.fixture
    def proxied(self, http_session, tls_tmdb):
        """A session that reaches TMDB's addresses through the stand-in's proxy."""
        http_session.proxies = {"https": tls_tmdb.env["HTTPS_PROXY"], "http": tls_tmdb.env["HTTP_PROXY"]}
        http_session.verify = tls_tmdb.env["REQUESTS_CA_BUNDLE"]
        return http_session

    @pytest.mark.parametrize(
        "base", ["https://api.themoviedb.org", "https://api.tmdb.org", "http://api.themoviedb.org"]
    )
    def test_tmdb(self, tls_tmdb, proxied, base):
        """TMDB's own addresses lead to the stand-in, many calls over one tunnel."""
        for number in (1, 2):
            assert proxied.get(f"{base}/3/movie/{number}", timeout=5).json()["id"] == number
        assert [call.path for call in tls_tmdb.calls] == ["/3/movie/1", "/3/movie/2"]

    def test_others(self, proxied):
        """No other host is reached."""
        with pytest.raises(requests.exceptions.ProxyError):
            proxied.get("https://example.org/", timeout=5)
        assert proxied.get("http://example.org/", timeout=5).status_code == 403

    def test_untrusted(self, proxied):
        """A program that does not know the test's CA refuses the certificate, and the stand-in goes on."""
        proxied.verify = True
        with pytest.raises(requests.exceptions.SSLError):
            proxied.get("https://api.themoviedb.org/3/movie/1", timeout=5)

    @pytest.mark.parametrize("name", ["reset", "truncated", "refuse"])
    def test_faults(self, tls_tmdb, proxied, name):
        """Connections break in the tunnel as they do without one."""
        proxied.get("https://api.themoviedb.org/3/movie/1", timeout=5)
        tls_tmdb.fail(name)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            proxied.get("https://api.themoviedb.org/3/movie/1", timeout=5)
        tls_tmdb.heal()
        assert proxied.get("https://api.themoviedb.org/3/movie/1", timeout=5).status_code == 200

    def test_program(self, tls_tmdb):
        """A program started with `env` calls TMDB and gets the stand-in."""
        code = "import requests; print(requests.get('https://api.themoviedb.org/3/movie/7?api_key=k').json()['id'])"
        environment = {**os.environ, **tls_tmdb.env}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("7\n", "")

    def test_files(self):
        """The CA's file is gone after close(); without tls there is no env."""
        with StandIn(tls=True) as standin:
            bundle = Path(standin.env["SSL_CERT_FILE"])
            assert bundle.exists()
        assert not bundle.parent.exists()
        with StandIn() as plain, pytest.raises(RuntimeError, match="tls=True"):
            plain.env  # noqa: B018 - the property raises
