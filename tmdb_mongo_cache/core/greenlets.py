"""gevent without its threads (``monkey.patch_all(thread=False)``): greenlets that share one.

Such a program has sockets that let other greenlets run, and locks that stop all
of them. Where gevent has patched threads as well, a greenlet is a thread to
everybody, and nothing of this is needed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from time import monotonic

_PAUSE = 0.005


def current() -> int:
    """Return what tells the running greenlet from others that are alive; 0 where nothing has greenlets."""
    module = sys.modules.get("greenlet")
    return 0 if module is None else id(module.getcurrent())


def share_threads() -> bool:
    """Say whether calls of several greenlets are under way in one thread, where a lock must not be waited for."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("time") and not monkey.is_module_patched("threading")


def wait(is_over: Callable[[], bool], seconds: float) -> bool:
    """Wait, letting other greenlets of the thread run, until something is over; say whether it is."""
    end = monotonic() + seconds
    while not is_over():
        if monotonic() >= end:
            return False
        time.sleep(_PAUSE)  # gevent's
    return True
