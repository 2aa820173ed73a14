"""A program with a tool that traces requests, called with the tool, a MongoDB URI, a database and steps.

The steps are start and stop (of the tool), install and uninstall (of the cache).
After each step it makes calls, and it prints for each of them the spans that
the tool made of it, and whether it came from the cache.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

os.environ.update({"DD_TRACE_AGENT_URL": "http://127.0.0.1:9", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"})
os.environ.update({"DD_REMOTE_CONFIGURATION_ENABLED": "false", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9"})


class Tool:
    """One way to trace; ``take()`` gives the hosts of the spans since it was last called."""

    def __init__(self) -> None:
        self.hosts: list[Any] = []

    def take(self) -> list[Any]:
        found, self.hosts = self.hosts, []
        return found

    def stop(self) -> None:
        """Most of them cannot be stopped."""


class OpenTelemetry(Tool):
    def start(self) -> None:
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._instrumentor = RequestsInstrumentor()
        self._instrumentor.instrument(tracer_provider=provider)

    def take(self) -> list[Any]:
        spans = self._exporter.get_finished_spans() if hasattr(self, "_exporter") else ()
        found = [urlsplit(span.attributes.get("http.url") or span.attributes["url.full"]).netloc for span in spans]
        self._exporter.clear() if hasattr(self, "_exporter") else None
        return found

    def stop(self) -> None:
        self._instrumentor.uninstrument()


class Datadog(Tool):
    def start(self) -> None:
        from ddtrace.contrib.internal.requests.patch import patch
        from ddtrace.trace import TraceFilter, tracer

        tool = self

        class Keep(TraceFilter):
            def process_trace(self, trace: Any) -> None:
                tool.hosts += [urlsplit(span.get_tag("http.url")).netloc for span in trace]

        tracer.configure(trace_processors=[Keep()])
        patch()

    def stop(self) -> None:
        from ddtrace.contrib.internal.requests.patch import unpatch

        unpatch()


class Elastic(Tool):
    def start(self) -> None:
        import elasticapm
        from elasticapm.instrumentation.packages.requests import RequestsInstrumentation

        tool = self

        class Client(elasticapm.Client):
            def queue(self, event_type: str, data: Any, flush: bool = False) -> None:
                if event_type == "span":
                    tool.hosts.append(urlsplit(data["context"]["http"]["url"]).netloc)

        self._client = Client(service_name="program", disable_send=True, central_config=False, cloud_provider=False)
        self._client.begin_transaction("program")
        self._instrumentation = RequestsInstrumentation()
        self._instrumentation.instrument()

    def take(self) -> list[Any]:
        if hasattr(self, "_client"):  # spans are handed over with their transaction
            self._client.end_transaction("program")
            self._client.begin_transaction("program")
        return super().take()

    def stop(self) -> None:
        self._instrumentation.uninstrument()


class XRay(Tool):
    def start(self) -> None:
        from aws_xray_sdk.core import xray_recorder
        from aws_xray_sdk.ext.requests import patch

        xray_recorder.configure(service="program", sampling=False)
        self._segment = xray_recorder.begin_segment("program")
        patch()

    def take(self) -> list[Any]:
        if not hasattr(self, "_segment"):
            return []
        found = [urlsplit(one.http["request"]["url"]).netloc for one in self._segment.subsegments]
        self._segment.subsegments.clear()
        return found


class Sentry(Tool):
    """It patches http.client, which nothing can come between; and pymongo, which is not asked for here."""

    def start(self) -> None:
        import sentry_sdk
        from sentry_sdk.integrations.stdlib import StdlibIntegration

        sentry_sdk.init(traces_sample_rate=1.0, default_integrations=False, integrations=[StdlibIntegration()])
        self._transaction = sentry_sdk.start_transaction(name="program").__enter__()

    def take(self) -> list[Any]:
        if not hasattr(self, "_transaction"):
            return []
        spans = self._transaction._span_recorder.spans
        found = [urlsplit(span._data["url"]).netloc for span in spans if span.op == "http.client"]
        spans.clear()
        return found


class NewRelic(Tool):
    """Its wrapper alone: spans are made for who has an account."""

    def start(self) -> None:
        import requests
        from newrelic.hooks.external_requests import instrument_requests_api, instrument_requests_sessions

        instrument_requests_sessions(requests.sessions)
        instrument_requests_api(requests.api)


TOOLS = {
    "opentelemetry": OpenTelemetry,
    "datadog": Datadog,
    "elastic": Elastic,
    "xray": XRay,
    "sentry": Sentry,
    "newrelic": NewRelic,
}


def main(name: str, uri: str, database: str, *steps: str) -> None:
    import requests

    import tmdb_mongo_cache
    from tmdb_mongo_cache.standin import StandIn

    tool = TOOLS[name]()
    before = {name: vars(requests.Session)[name] for name in ("send", "request")}
    numbers = iter(range(1, 1000))
    with StandIn() as tmdb, StandIn() as elsewhere:
        names = {tmdb.host: "tmdb", elsewhere.host: "elsewhere"}

        def calls() -> Any:
            session = requests.Session()
            film = f"{tmdb.url}/3/movie/{next(numbers)}?api_key=any"
            prepared = session.prepare_request(requests.Request("GET", film))
            other = f"{elsewhere.url}/3/movie/1?api_key=any"
            for way in (
                lambda: requests.get(other),
                lambda: requests.get(film),
                lambda: session.get(film),
                lambda: session.send(prepared),
                lambda: requests.post(film + "/rating", json={"value": 8}),
            ):
                tool.take()
                response = way()
                yield getattr(response, "from_cache", None), [names[host] for host in tool.take()]

        for step in steps:
            if step == "install":
                tmdb_mongo_cache.install(uri=uri, database=database, hosts=tmdb.host, store_timeout=10)
            elif step == "uninstall":
                tmdb_mongo_cache.uninstall()
            else:
                getattr(tool, step)()
            print(json.dumps([step, tmdb_mongo_cache.is_installed(), list(calls())]))
    print(json.dumps({name: vars(requests.Session)[name] is thing for name, thing in before.items()}))
    sys.stdout.flush()
    os._exit(0)  # what these tools do at the end is nobody's business here


if __name__ == "__main__":
    main(*sys.argv[1:])
