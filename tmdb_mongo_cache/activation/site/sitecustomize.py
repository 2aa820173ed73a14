"""Runs at the start of every Python that ``tmdb-mongo-cache run`` starts, children included.

It sets import hooks that install the cache when ``requests`` is used. It is
first on the path; the user's own ``sitecustomize`` is run as well. Nothing
happens in an interpreter without this package (another environment or version).
Restricted to syntax that any Python 3 understands.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _is_here(entry: str) -> bool:
    return os.path.abspath(entry or os.curdir) == _HERE


def _chain() -> None:
    """Run the sitecustomize that this one shadows, if there is one."""
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
    # The archive (zipapp, shiv) that "run" is in: appended, because the program has its own packages.
    archive = os.environ.get("TMDB_CACHE_RUN_PATH")
    if archive and archive not in sys.path:
        sys.path.append(archive)
    try:
        from tmdb_mongo_cache.activation import import_hooks
    except Exception:  # noqa: BLE001  the program must not fail because of it
        # This package is not installed here: its child processes need not look for it either.
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in path if not _is_here(entry))
        if not os.environ["PYTHONPATH"]:
            del os.environ["PYTHONPATH"]
        if first:
            sys.stderr.write("tmdb-mongo-cache is not installed for this Python: " + sys.executable + "\n")
        return
    import_hooks.install_with_requests()


sys.path[:] = [entry for entry in sys.path if not _is_here(entry)]
try:
    _chain()
finally:
    _install()
