"""Run the stand-in as a process: `python -m tmdb_mongo_cache.standin [--port N] [--tls]`."""

import argparse
import signal
import sys
import threading

from . import StandIn


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tmdb_mongo_cache.standin", description="A stand-in for TMDB's API."
    )
    parser.add_argument("--port", type=int, default=0, help="the port of 127.0.0.1 to listen on (default: a free one)")
    parser.add_argument("--tls", action="store_true", help="also be a proxy for https://api.themoviedb.org")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        standin = StandIn(tls=options.tls, port=options.port)
    except ImportError:
        parser.error("--tls needs the extra: pip install 'tmdb-mongo-cache[embedded]'")
    except (OSError, OverflowError) as error:
        parser.error(f"port {options.port} cannot be used: {getattr(error, 'strerror', None) or error}")
    with standin as tmdb:
        lines = [tmdb.url, f"Try:  curl '{tmdb.url}/3/movie/550?api_key=any'"]
        if options.tls:
            lines += ["Let a program take it for TMDB:"]
            lines += [f"export {name}={value}" for name, value in tmdb.env.items()]
        sys.stdout.write("\n".join([*lines, "Ctrl-C ends it."]) + "\n")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    main()
