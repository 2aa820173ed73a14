"""The doctor: everything that a cache stands on, looked at in turn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial

from ..cache import TMDBCache
from ..errors import StoreError, StoreUnavailable
from ..store.contents import Ages, Contents, Sizes
from ..store.embedded import shared_server
from ..store.failures import EMBEDDED
from ..store.health import PATIENCE, Health, Kind, Server, Trouble
from ..store.mongo import MongoStore
from ..store.mongod import VARIABLE, version_of
from ..store.rights import rights
from . import releases, surroundings, verdicts
from .index_verdicts import judge, lacking
from .verdicts import Verdict

_TEXTS: dict[Kind, str] = {
    "refused": "nobody listens at {}",
    "unknown-host": "there is no host of that name: {}",
    "unreachable": "no network leads from this machine to {}",
    "password": "{} does not accept the user and the password",
    "tls": "no connection to {}: one side speaks TLS, or shows a certificate, that the other does not take",
    "no-mongodb": "what answers at {} is no MongoDB",
    "replica-set": "no member of the replica set that the URI names is at {}",
    "timeout": "{} does not answer",
    "old": "the server at {} is too old for this pymongo",
}
_ADVICE: dict[Kind, str] = {
    "refused": "start it there, or set TMDB_CACHE_URI to one that runs, or to 'embedded'",
    "unknown-host": "correct the host in TMDB_CACHE_URI, or see why this machine's DNS does not know it",
    "unreachable": "see whether this machine is in that network, or in its VPN, and correct the host in TMDB_CACHE_URI",
    "password": "correct them in TMDB_CACHE_URI, with '@', ':' and '/' escaped, and authSource with them",
    "tls": "set tls=true in the URI where the server wants TLS, tlsCAFile for its CA; leave tls out where it does not",
    "no-mongodb": "correct the port in TMDB_CACHE_URI; MongoDB's own is 27017",
    "replica-set": "correct replicaSet= in TMDB_CACHE_URI, or leave it out where the server is none of a replica set",
    "timeout": "see whether a firewall is between (Atlas: its IP access list), and how busy the server is",
    "embedded": "mend that, or set TMDB_CACHE_URI to another MongoDB",
    "settings": "correct TMDB_CACHE_URI",
    "old": "update the server to MongoDB 4.4 or newer",
    "other": "see the log of MongoDB",
}


def examine(cache: TMDBCache, store: MongoStore, *, mend: bool) -> tuple[Verdict, ...]:
    """Look at everything; see :meth:`TMDBCache.doctor`."""
    found = [surroundings.settings(cache.config), surroundings.uri(cache.config)]
    found += [surroundings.packages(), surroundings.patches()]
    health, where = Health(store.connection, cache.config), surroundings.where(cache.config)
    trouble = health.contact()
    if trouble is not None:
        return (*found, _trouble(trouble, where))
    found.append(Verdict("connection", "ok", f"{where} answers"))
    contents, told = Contents(store.connection), float(cache.config.store_timeout)  # type: ignore[arg-type]
    missing: list[str] = []
    checks: dict[str, Callable[[], Iterator[Verdict]]] = {
        "server": lambda: _server(health, where),
        "rights": lambda: _rights(store, missing, cache.config.database),
        "latency": lambda: iter([verdicts.latency(health.round_trips(), told)]),
        "indexes": lambda: _indexes(contents, cache.config.database, mend=mend),
        "expiry": lambda: _expiry(health),
        "size": lambda: _documents(contents, f"{cache.config.database}.{cache.config.collection}"),
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
        trouble = Trouble(
            "embedded", f"the embedded server has given no answer within {PATIENCE:.0f} s; its log is {log}"
        )
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
        advice = "name all members in the URI, with replicaSet=, or see why none is elected"
        yield Verdict("server", "problem", f"{text}; no primary: nothing is stored", advice)
    elif server.kind == "replica set" and "Unknown" in kinds:
        yield Verdict("server", "note", text, "see to the members that do not answer")
    else:
        yield _release(server, text, embedded=where == EMBEDDED)
    yield verdicts.clock(server.ahead)


def _release(server: Server, text: str, *, embedded: bool) -> Verdict:
    judge = releases.judge
    if embedded:
        on_path = shutil.which("mongod")
        found, chosen = version_of(on_path) if on_path else None, os.environ.get(VARIABLE)
        judge = partial(releases.judge_embedded, on_path=found, chosen=chosen)
    return judge(server.version, text, datetime.now(timezone.utc).date(), compresses=server.compresses)


_MEMBERS = {"RSPrimary": "(primary)", "RSSecondary": "(secondary)", "RSArbiter": "(arbiter)", "Unknown": "(away)"}


def _rights(store: MongoStore, missing: list[str], database: str) -> Iterator[Verdict]:
    found = rights(store.connection)
    missing += found.missing
    yield verdicts.rights(found.missing, found.anonymous, database)


def _indexes(contents: Contents, database: str, *, mend: bool) -> Iterator[Verdict]:
    found = contents.check_indexes(mend=mend)
    if not found:
        yield Verdict("indexes", "ok", "all are there, or will be with the first answer that is stored")
        return
    judged = [judge(one, database, tried=mend) for one in found]
    worst = max((one.level for one in judged), key=verdicts.LEVELS.index)
    advice = "; ".join(dict.fromkeys(one.advice for one in judged if one.advice))
    yield Verdict("indexes", worst, "; ".join(one.text for one in judged), advice)


def _expiry(health: Health) -> Iterator[Verdict]:
    deletes = health.deletes_by_time()
    if deletes is False:
        advice = "set the server's parameter ttlMonitorEnabled, or run 'tmdb-mongo-cache purge' by cron"
        yield Verdict("expiry", "problem", "the server does not delete what is past its time", advice)
        return
    said = "deletes by its TTL indexes" if deletes else "does not say whether it deletes by its TTL indexes"
    yield Verdict("expiry", "ok", f"the server {said}")


def _disk(where: str) -> Iterator[Verdict]:
    if where == EMBEDDED:
        yield verdicts.disk(shutil.disk_usage(shared_server().folder).free)


def _documents(contents: Contents, where: str) -> Iterator[Verdict]:
    sizes, ages = contents.sizes(), contents.ages(datetime.now(timezone.utc))
    yield _size(sizes, ages, where)
    if ages is None:
        yield Verdict("six-months", "note", "there is too much to look at all of it", "run 'tmdb-mongo-cache purge'")
        return
    yield verdicts.six_months(ages.too_old, ages.without_end, ages.overdue)
    if ages.other_schema:
        text = f"{verdicts.counted(ages.other_schema)} of another version of this package, and not used"
        yield Verdict("schema", "note", text, "use one version everywhere; they are replaced when they are asked for")


def _size(sizes: Sizes | None, ages: Ages | None, where: str) -> Verdict:
    if sizes is None:
        return Verdict("size", "note", f"the user may not ask how large {where} is", lacking("collStats", where))
    data, storage, of_indexes = (f"{size / 1e6:.1f} MB" for size in (sizes.data, sizes.storage, sizes.indexes))
    foreign = f", {ages.foreign} of them not TMDB's" if ages and ages.foreign else ""
    documents = f"{sizes.documents} document{'' if sizes.documents == 1 else 's'}"
    text = f"{documents}{foreign}: {data} of data, on disk {storage} and {of_indexes} of indexes"
    return Verdict("size", "ok", text)
