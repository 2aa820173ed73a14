"""One sequence of calls through requests_cache.CachedSession and through ours, and what each decided."""

from datetime import timedelta

import requests
import requests_cache

from tmdb_mongo_cache import TMDBSession, cached_tmdb, install, uninstall

from .flowkit import ANY_KEY

HOUR = 3600
DAY = 24 * HOUR
CALLS = {
    "plain": {},
    "refresh": {"refresh": True},
    "force": {"force_refresh": True},
    "only": {"only_if_cached": True},
    "no-store": {"headers": {"Cache-Control": "no-store"}},
    "no-cache": {"headers": {"Cache-Control": "no-cache"}},
    "only-header": {"headers": {"Cache-Control": "only-if-cached"}},
}


class Pair:
    """A CachedSession and ours, to which the same things happen."""

    def __init__(self, tmdb, cache, collection, entry_point, **options):
        self.tmdb, self.cache, self.collection, self.entry_point = tmdb, cache, collection, entry_point
        self.theirs = requests_cache.CachedSession(backend="memory", allowable_codes=(200,), **options)
        self.ours = TMDBSession(cache) if entry_point == "session" else requests.Session()

    def close(self):
        self.theirs.close()
        self.ours.close()

    def _ask_ours(self, url, **options):
        if self.entry_point == "session":
            return self.ours.get(url, params=ANY_KEY, **options)
        headers = options.pop("headers", {})
        install(self.cache)
        try:
            # install() has no arguments for single calls: the decorator's settings are its way.
            return cached_tmdb(**options)(self.ours.get)(url, params=ANY_KEY, headers=headers)
        finally:
            uninstall()

    def call(self, path, kind="plain", **options):
        """Make a call both ways; return what requests-cache decided, and what we did."""
        decisions = []
        for ask in (lambda url, **o: self.theirs.get(url, params=ANY_KEY, **o), self._ask_ours):
            before = self.tmdb.count
            try:
                response = ask(self.tmdb.url + path, **CALLS[kind], **options)
            except requests.HTTPError as error:
                # Past stale_if_error requests-cache raises for a status; here it is passed on as without a cache.
                decision = {"status": error.response.status_code, "from_cache": False}
            except requests.RequestException as error:
                decision = {"error": type(error)}
            else:
                decision = {"status": response.status_code, "from_cache": response.from_cache}
                if response.status_code == 200:
                    decision["content"] = response.content
                elif response.status_code == 504:
                    del decision["from_cache"]
            decisions.append({**decision, "upstream": [call.status for call in self.tmdb.calls[before:]]})
        if kind == "no-cache":
            # Validated by us (RFC 9111 section 5.2.1.4), fetched by requests-cache: one call all the same.
            for decision in decisions:
                decision.pop("from_cache", None)
                decision["upstream"] = [{304: 200}.get(status, status) for status in decision["upstream"]]
        return decisions

    def age(self, seconds):
        """Let all that is stored be older."""
        by = timedelta(seconds=seconds)
        for key, response in list(self.theirs.cache.responses.items()):
            response.created_at -= by
            response.expires = response.expires and response.expires - by
            self.theirs.cache.responses[key] = response
        for found in self.collection.find({}, {"timestamp": 1, "expires_at": 1, "purge_at": 1}):
            moved = {name: found[name] - by for name in ("timestamp", "expires_at", "purge_at")}
            self.collection.update_one({"_id": found["_id"]}, {"$set": moved})

    def clear(self):
        self.theirs.cache.clear()
        self.collection.delete_many({})
        self.tmdb.reset()


def same(decisions):
    """Check that both decided alike, and return it."""
    theirs, ours = decisions
    assert ours == theirs
    return ours
