"""The settings that decide, in normal form; apart from the decisions, which settings can be checked without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .expiration import Expiration, Wanted


class Policy(NamedTuple):
    """The settings that decide, in normal form; durations in seconds."""

    expire_after: Wanted | Mapping[str, Wanted] | None = None
    url_expiration: Callable[[str], Wanted | None] | None = None
    cache_control: bool = False
    stale_if_error: float = 7 * 86400.0
    stale_while_revalidate: float = 0.0
    not_found_expire_after: Expiration = 3600.0
    offline: bool = False
    wait_on_rate_limit: bool = False
    only_if_cached: bool = False
    refresh: bool = False
    force_refresh: bool = False
    call_expire_after: Wanted | None = None
    reuse_appended: bool = False
