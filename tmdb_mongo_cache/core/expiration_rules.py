"""Which setting decides how long the response to a call is fresh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..httpcache.expiration import ADAPTIVE, ExpirationSetting
from ..tmdb import freshness
from ..tmdb.call import Request
from ..tmdb.redaction import strip_url
from .settings import Policy

CALL: Final = "the call's own expire_after"
URL: Final = "urls_expire_after"
CLASS: Final = "expire_after for the class"
EVERYTHING: Final = "expire_after for everything"
TABLE: Final = "the table of classes"


def find_rule(request: Request, policy: Policy) -> tuple[ExpirationSetting, str]:
    """Return the expiration and the rule that sets it, one of the constants of this module.

    The call's own ``expire_after`` comes first, then ``urls_expire_after``, then ``expire_after``.
    """
    if policy.call_expire_after is not None:
        return policy.call_expire_after, CALL
    if policy.url_expiration is not None and (found := policy.url_expiration(strip_url(request.url))) is not None:
        return found, URL
    given = policy.expire_after
    if given is None:
        return freshness.seconds_of(request.kind), TABLE
    if not isinstance(given, Mapping):
        return given, EVERYTHING
    of_class = given.get(request.kind)
    return (freshness.seconds_of(request.kind), TABLE) if of_class is None else (of_class, CLASS)


def rule_text(rule: str, request: Request, policy: Policy, pattern: str | None = None) -> str:
    """Return the setting of a rule, as a user writes it.

    Args:
        rule: as :func:`find_rule` returns it.
        request: the call.
        policy: the settings.
        pattern: the pattern of ``urls_expire_after`` that matches.
    """
    if rule == CALL:
        return "expire_after of this call"
    if rule == URL:
        return "urls_expire_after" if pattern is None else f"urls_expire_after[{pattern!r}]"
    if rule == CLASS:
        return f"expire_after[{request.kind!r}]"
    if rule == EVERYTHING:
        return "expire_after, which is for everything"
    table = f"the table of classes (here {request.kind!r}"
    if isinstance(policy.expire_after, Mapping):
        return f"{table}; expire_after does not have it)"
    return f"{table}; expire_after is not set)"


def adapts(value: ExpirationSetting, kind: str) -> bool:
    """Return whether an expiration depends on the age of the title; of other classes it never does."""
    return value == ADAPTIVE and kind in freshness.ADAPTED
