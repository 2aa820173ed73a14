"""How long answers to a call are to be fresh by the settings, and which of them says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from . import freshness
from .expiration import ADAPTIVE, LONGEST, Wanted
from .rules import Policy
from .secrets import strip_url

if TYPE_CHECKING:
    from .policy import Ask

CALL: Final = "the call's own expire_after"
URL: Final = "urls_expire_after"
CLASS: Final = "expire_after for the class"
EVERYTHING: Final = "expire_after for everything"
TABLE: Final = "the table of classes"


def ruled(ask: Ask, policy: Policy) -> tuple[Wanted, str]:
    """Return the expiration of the settings and the rule it comes from, one of the constants of this module.

    The call's own wish goes before the URL's, and that before what is set for all.
    """
    if policy.call_expire_after is not None:
        return policy.call_expire_after, CALL
    if policy.url_expiration is not None and (found := policy.url_expiration(strip_url(ask.sent_url))) is not None:
        return found, URL
    given = policy.expire_after
    if given is None:
        return freshness.seconds_of(ask.kind), TABLE
    if not isinstance(given, Mapping):
        return given, EVERYTHING
    of_class = given.get(ask.kind)
    return (freshness.seconds_of(ask.kind), TABLE) if of_class is None else (of_class, CLASS)


def named(rule: str, ask: Ask, policy: Policy, pattern: str | None = None) -> str:
    """Name the setting that a rule stands for, as a user has written it.

    Args:
        rule: as :func:`ruled` gives it.
        ask: the call.
        policy: the settings.
        pattern: of ``urls_expire_after``, the one that matches.
    """
    if rule == CALL:
        return "expire_after of this call"
    if rule == URL:
        return "urls_expire_after" if pattern is None else f"urls_expire_after[{pattern!r}]"
    if rule == CLASS:
        return f"expire_after[{ask.kind!r}]"
    if rule == EVERYTHING:
        return "expire_after, which is for everything"
    table = f"the table of classes (here {ask.kind!r}"
    if isinstance(policy.expire_after, Mapping):
        return f"{table}; expire_after does not have it)"
    return f"{table}; expire_after is not set)"


def length(seconds: float) -> str:
    """Write a length of time in its two largest units: ``90 s``, ``24 h``, ``26 h 12 min``, ``27 days 4 h``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return _units(whole, (60, "min"), (1, "s"))
    if whole < 48 * 3600:
        return _units(whole, (3600, "h"), (60, "min"))
    return _units(whole, (86400, "days"), (3600, "h"))


def allowed(seconds: float) -> str:
    """Write for how long an answer is kept fresh where a setting asks for so many seconds, also for ever."""
    longest = LONGEST.total_seconds()
    return length(seconds) if seconds < longest else f"{length(longest)}, as long as TMDB's terms allow"


def _units(seconds: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    # Rounded to the smaller unit before it is split, so that there is no "1 h 60 min".
    count, rest = divmod(round(seconds / small[0]), large[0] // small[0])
    return f"{count} {large[1]} {rest} {small[1]}" if rest else f"{count} {large[1]}"


def adapts(value: Wanted, kind: str) -> bool:
    """Say whether an expiration depends on the answer: by its title's age, which the other classes do not have."""
    return value == ADAPTIVE and kind in freshness.ADAPTED
