"""The settings that the policy depends on, in normal form; a module of its own, so that importing them is cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..httpcache.expiration import Expiration, ExpirationSetting

LEASE = 3.0
"""Seconds a lease lasts without renewal; its holder renews it every second."""


class Policy(NamedTuple):
    """The settings that the policy depends on, in normal form; durations in seconds."""

    expire_after: ExpirationSetting | Mapping[str, ExpirationSetting] | None = None
    url_expiration: Callable[[str], ExpirationSetting | None] | None = None
    cache_control: bool = False
    stale_if_error: float = 7 * 86400.0
    stale_while_revalidate: float = 0.0
    not_found_expire_after: Expiration = 3600.0
    offline: bool = False
    wait_on_rate_limit: bool = False
    only_if_cached: bool = False
    refresh: bool = False
    force_refresh: bool = False
    call_expire_after: ExpirationSetting | None = None
    reuse_appended: bool = False
