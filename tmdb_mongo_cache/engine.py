"""``Engine``: the parts of one cache, which every module below the facade takes as its argument.

The driver is imported and created at the first call, because a program that only
calls ``install()`` does not need it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .config import CacheConfig, overrides
from .fork import ForkSafeLock, importing
from .metrics.recorder import Recorder
from .tmdb.hosts import OWN_HOSTS

if TYPE_CHECKING:
    from .core.state import Core
    from .mongo.store import MongoStore
    from .runtime.sync_driver import SyncDriver


class _Driver:
    """Creates the driver of an engine when it is first read, and leaves it in the engine's attributes.

    Not ``__getattr__``, which makes every attribute slower, nor ``cached_property``, whose lock a fork may leave taken.
    """

    def __get__(self, engine: Engine, _: type[Engine]) -> SyncDriver:
        with importing():
            from .runtime.sync_driver import SyncDriver

        with engine.lock:
            driver: SyncDriver | None = vars(engine).get("driver")
            if driver is None:  # else another thread has just created it
                driver = SyncDriver(engine.config, engine.recorder, flushes=engine.config.statistics)
                if engine.closed:
                    driver.close()
                vars(engine)["driver"] = driver
        return driver


class Engine:
    """The parts of one cache; thread-safe and fork-safe.

    Args:
        config: the settings.

    Attributes:
        driver: drives the flow of this cache; created when it is first read.
    """

    driver = _Driver()

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.hosts = frozenset(config.hosts)
        self._names = (*OWN_HOSTS, *(re.sub(r":[0-9]+$", "", host) for host in self.hosts))
        self.recorder = Recorder(config.on_event, by_day=config.statistics)
        self.lock = ForkSafeLock()
        self.closed = False

    @property
    def core(self) -> Core:
        """The state that the calls of this cache share in this process."""
        return self.driver.core

    @property
    def offline(self) -> bool:
        """Whether TMDB is never called."""
        return self.config.offline or overrides.offline

    @property
    def store(self) -> MongoStore:
        """The store that raises MongoDB's errors."""
        return self.driver.store.unguarded

    def may_be_tmdb(self, url: str) -> bool:
        """Return quickly whether a URL may be one of TMDB: it contains one of its hosts."""
        url = url.lower()
        for name in self._names:  # noqa: SIM110  any() takes three times as long, for every call to another host
            if name in url:
                return True
        return False

    def close(self) -> None:
        """Wait for refreshes in progress, and close the database; idempotent."""
        with self.lock:
            self.closed = True
            driver = vars(self).get("driver")
        if driver is not None:
            driver.close()
