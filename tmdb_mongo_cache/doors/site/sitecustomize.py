"""Runs at the start of every Python that ``tmdb-mongo-cache run`` starts, children included.

It waits for ``requests`` to be imported and then installs the cache. It stands
first on the path, so the user's own ``sitecustomize`` is found behind it and
runs as well. An interpreter that has not this package (another environment,
another version) is left as it is. Kept to what any Python 3 understands.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _is_here(entry: str) -> bool:
    return os.path.abspath(entry or os.curdir) == _HERE


def _chain() -> None:
    """Run the sitecustomize that this one stands before, if there is one."""
    own = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if own is not None:
            sys.modules["sitecustomize"] = own
        if getattr(error, "name", None) != "sitecustomize":
            raise


def _install() -> None:
    first = os.environ.pop("TMDB_CACHE_RUN_FIRST", None)
    # An archive (zipapp, shiv) that "run" came from: behind all else, for the program has its own packages.
    behind = os.environ.get("TMDB_CACHE_RUN_PATH")
    if behind and behind not in sys.path:
        sys.path.append(behind)
    try:
        from tmdb_mongo_cache.doors import startup
    except Exception:  # noqa: BLE001  whatever is wrong with it, this program is not to suffer
        # Not this package's interpreter: its children are not to look for it either.
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in path if not _is_here(entry))
        if not os.environ["PYTHONPATH"]:
            del os.environ["PYTHONPATH"]
        if first:
            sys.stderr.write("tmdb-mongo-cache is not installed for this Python: " + sys.executable + "\n")
        return
    startup.install_with_requests()


sys.path[:] = [entry for entry in sys.path if not _is_here(entry)]
try:
    _chain()
finally:
    _install()
