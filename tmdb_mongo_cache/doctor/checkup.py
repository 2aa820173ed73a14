"""The doctor: checks everything that a cache depends on, in turn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial

from ..engine import Engine
from ..errors import StoreError, StoreUnavailable
from ..mongo.client import where as place_of
from ..mongo.connection import Connection
from ..mongo.diagnostics import collection as contents
from ..mongo.diagnostics.collection import Ages, Sizes
from ..mongo.diagnostics.connection import TIMEOUT, Health, Server, Trouble
from ..mongo.diagnostics.permissions import rights
from ..mongo.embedded.binary import VARIABLE, version_of
from ..mongo.embedded.server import shared_server
from ..mongo.errors import EMBEDDED
from ..mongo.store import MongoStore
from . import environment, mongodb_releases, verdicts
from .verdicts import Verdict

_TEXTS = {
    "refused": "nothing listens at {}",
    "unknown-host": "the host does not exist: {}",
    "unreachable": "this machine has no route to {}",
    "password": "{} does not accept the user and the password",
    "tls": "no connection to {}: one side speaks TLS, or shows a certificate, that the other does not accept",
    "no-mongodb": "what responds at {} is not MongoDB",
    "replica-set": "no member of the replica set that the URI names is at {}",
    "timeout": "{} does not answer",
    "old": "the server at {} is too old for this pymongo",
}
_ADVICE = {
    "refused": "start it, or set TMDB_CACHE_URI to one that runs, or to 'embedded'",
    "unknown-host": "correct the host in TMDB_CACHE_URI, or see why this machine's DNS does not know it",
    "unreachable": "check whether this machine is in that network or its VPN, and correct the host in TMDB_CACHE_URI",
    "password": "correct them in TMDB_CACHE_URI, with '@', ':' and '/' escaped, and authSource with them",
    "tls": "set tls=true in the URI where the server wants TLS, tlsCAFile for its CA; leave tls out where it does not",
    "no-mongodb": "correct the port in TMDB_CACHE_URI; MongoDB's own is 27017",
    "replica-set": "correct replicaSet= in TMDB_CACHE_URI, or remove it where the server is not part of a replica set",
    "timeout": "check whether a firewall is in between (Atlas: its IP access list), and how busy the server is",
    "embedded": "fix that, or set TMDB_CACHE_URI to another MongoDB",
    "settings": "correct TMDB_CACHE_URI",
    "old": "update the server to MongoDB 4.4 or newer",
    "other": "see the log of MongoDB",
}


def examine(engine: Engine, *, mend: bool) -> tuple[Verdict, ...]:
    """Check everything; see :meth:`TMDBCache.doctor`."""
    store = engine.store
    found = [environment.settings(engine.config), environment.uri(engine.config)]
    found += [environment.packages(), environment.patches()]
    health, where = Health(store.connection, engine.config), place_of(engine.config)
    trouble = health.contact()
    if trouble is not None:
        return (*found, _trouble(trouble, where))
    found.append(Verdict("connection", "ok", f"{where} responds"))
    told = float(engine.config.store_timeout)  # type: ignore[arg-type]
    missing: list[str] = []
    checks: dict[str, Callable[[], Iterator[Verdict]]] = {
        "server": lambda: _server(health, where),
        "rights": lambda: _rights(store, missing, engine.config.database),
        "latency": lambda: iter([verdicts.latency(health.round_trips(), told)]),
        "indexes": lambda: _indexes(store.connection, engine.config.database, mend=mend),
        "expiry": lambda: _expiry(health),
        "size": lambda: _documents(store.connection, f"{engine.config.database}.{engine.config.collection}"),
        "disk": lambda: _disk(where),
    }
    for name, check in checks.items():
        try:
            found += check()
        except StoreUnavailable as error:
            # Whatever comes next would wait for it as well.
            return (*found, Verdict(name, "problem", f"the connection was lost: {error}", "run this again"))
        except StoreError as error:
            found.append(Verdict(name, "problem", str(error), _ADVICE["other"]))
        if "read" in missing:
            break
    return tuple(found)


def _trouble(trouble: Trouble, where: str) -> Verdict:
    if trouble.kind == "timeout" and where == EMBEDDED:
        log = shared_server().log_path
        trouble = Trouble("embedded", f"the embedded server has not responded within {TIMEOUT:.0f} s; its log is {log}")
    text = _TEXTS.get(trouble.kind, "").format(where) or trouble.said
    return Verdict("connection", "problem", text, _ADVICE[trouble.kind])


def _server(health: Health, where: str) -> Iterator[Verdict]:
    server = health.server()
    text = f"MongoDB {'.'.join(map(str, server.version))}, "
    if server.kind == "replica set":
        seen = [f"{address} {_MEMBERS.get(kind, kind)}" for address, kind in server.members.items()]
        text += f"replica set {server.set_name}: {', '.join(seen)}"
    else:
        text += "embedded" if where == EMBEDDED else server.kind
    kinds = server.members.values()
    if server.kind == "replica set" and "RSPrimary" not in kinds:
        advice = "name all members in the URI, with replicaSet=, or check why none is elected"
        yield Verdict("server", "problem", f"{text}; no primary: nothing is stored", advice)
    elif server.kind == "replica set" and "Unknown" in kinds:
        yield Verdict("server", "note", text, "check the members that do not respond")
    else:
        yield _release(server, text, embedded=where == EMBEDDED)
    yield verdicts.clock(server.ahead)


def _release(server: Server, text: str, *, embedded: bool) -> Verdict:
    judge = mongodb_releases.judge
    if embedded:
        on_path = shutil.which("mongod")
        found, chosen = version_of(on_path) if on_path else None, os.environ.get(VARIABLE)
        judge = partial(mongodb_releases.judge_embedded, on_path=found, chosen=chosen)
    return judge(server.version, text, datetime.now(timezone.utc).date(), compresses=server.compresses)


_MEMBERS = {"RSPrimary": "(primary)", "RSSecondary": "(secondary)", "RSArbiter": "(arbiter)", "Unknown": "(away)"}


def _rights(store: MongoStore, missing: list[str], database: str) -> Iterator[Verdict]:
    found = rights(store.connection)
    missing += found.missing
    yield verdicts.rights(found.missing, found.anonymous, database)


def _indexes(connection: Connection, database: str, *, mend: bool) -> Iterator[Verdict]:
    found = contents.check_indexes(connection, repair=mend)
    if not found:
        yield Verdict("indexes", "ok", "all exist, or will with the first response that is stored")
        return
    judged = [verdicts.index(one, database, tried=mend) for one in found]
    worst = max((one.level for one in judged), key=verdicts.LEVELS.index)
    advice = "; ".join(dict.fromkeys(one.advice for one in judged if one.advice))
    yield Verdict("indexes", worst, "; ".join(one.text for one in judged), advice)


def _expiry(health: Health) -> Iterator[Verdict]:
    deletes = health.deletes_by_time()
    if deletes is False:
        advice = "set the server's parameter ttlMonitorEnabled, or run 'tmdb-mongo-cache purge' by cron"
        yield Verdict("expiry", "problem", "the server does not delete expired documents", advice)
        return
    said = "deletes by its TTL indexes" if deletes else "does not say whether it deletes by its TTL indexes"
    yield Verdict("expiry", "ok", f"the server {said}")


def _disk(where: str) -> Iterator[Verdict]:
    if where == EMBEDDED:
        yield verdicts.disk(shutil.disk_usage(shared_server().folder).free)


def _documents(connection: Connection, where: str) -> Iterator[Verdict]:
    sizes, ages = contents.sizes(connection), contents.ages(connection, datetime.now(timezone.utc))
    yield _size(sizes, ages, where)
    if ages is None:
        yield Verdict(
            "six-months", "note", "there are too many documents to check all of them", "run 'tmdb-mongo-cache purge'"
        )
        return
    yield verdicts.six_months(ages.too_old, ages.without_end, ages.overdue)
    if ages.other_schema:
        text = f"{verdicts.counted(ages.other_schema)} of another version of this package, and not used"
        yield Verdict(
            "schema", "note", text, "use one version everywhere; they are replaced when they are next requested"
        )


def _size(sizes: Sizes | None, ages: Ages | None, where: str) -> Verdict:
    if sizes is None:
        return Verdict(
            "size", "note", f"the user may not query the size of {where}", verdicts.lacking("collStats", where)
        )
    data, storage, of_indexes = (f"{size / 1e6:.1f} MB" for size in (sizes.data, sizes.storage, sizes.indexes))
    foreign = f", {ages.foreign} of them not TMDB's" if ages and ages.foreign else ""
    documents = f"{sizes.documents} document{'' if sizes.documents == 1 else 's'}"
    text = f"{documents}{foreign}: {data} of data, on disk {storage} and {of_indexes} of indexes"
    return Verdict("size", "ok", text)
