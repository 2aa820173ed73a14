"""Answering a call with a part of another answer, where ``reuse_appended`` is set."""

from __future__ import annotations

from itertools import chain

from .looking import Looked
from .store.guard import GuardedStore
from .tmdb import appended, policy
from .tmdb.calls import Call
from .tmdb.making import contained_entry
from .tmdb.policy import Step
from .tmdb.rules import Policy

REUSED = "reused"


def look_inside(guarded: GuardedStore, call: Call, rules: Policy, looked: Looked) -> Looked | None:
    """Look for a fresh answer that contains the one that is wanted; None where there is none.

    One query by a range of keys, and one look-up, for each key by which the call
    may be answered. Never raises because of the database.

    Args:
        guarded: MongoDB.
        call: the call.
        rules: the settings as they are for it.
        looked: what was looked up for the call itself.
    """
    for source in chain(*(appended.sources(key) for key in (call.verified_key, call.key) if key)):
        keys = guarded.keys_between(*appended.key_range(source), appended.key_ending(source), looked.now)
        for key in (key for key in keys if appended.may_hold(source, key)):
            found, _ = guarded.get(key)
            holder = policy.usable(found, call.ask, looked.now)
            if holder is None or holder.status != 200 or holder.history:
                continue
            body = appended.extract(source, holder.body)
            entry = None if body is None else contained_entry(call, rules, holder, body)
            # Fresh: offline, what is stale would be served as well, and the call's own answer goes before that.
            if (
                entry is not None
                and policy.is_fresh_by_time(entry, looked.now)
                and policy.decide(entry, call.ask, rules, looked.now) is Step.SERVE
            ):
                return looked._replace(entry=entry, step=Step.SERVE, where=REUSED)
    return None
