"""Asks for a film at an address, then two mocks of it by a library, then for the film again; prints the titles.

With the address comes the name of the library. What each of them needs is in its own function.
"""

import json
import sys
import tempfile
from pathlib import Path

import requests

PARAMS = {"api_key": "any"}


def body(title):
    return json.dumps({"id": 550, "title": title})


def ask(url, session=None):
    session = session or requests.Session()
    with session:
        return session.get(url, params=PARAMS, timeout=10).json()["title"]


def by_responses(url, title):
    import responses

    with responses.RequestsMock() as mocked:
        mocked.get(url, body=body(title))
        return ask(url)


def by_requests_mock(url, title):
    import requests_mock

    with requests_mock.Mocker() as mocked:
        mocked.get(url, text=body(title))
        return ask(url)


def by_httpretty(url, title):
    import httpretty

    with httpretty.enabled(allow_net_connect=True):
        httpretty.register_uri(httpretty.GET, url, body=body(title))
        return ask(url)


def by_pook(url, title):
    import pook

    with pook.use(network=True):
        pook.get(url, reply=200, response_json=json.loads(body(title)))
        return ask(url)


def by_mocket(url, title):
    from mocket import Mocketizer
    from mocket.mocks.mockhttp import Entry

    with Mocketizer(strict_mode=False):
        Entry.single_register(Entry.GET, f"{url}?api_key=any", body=body(title))
        return ask(url)


def by_vcr(url, title):
    import vcr

    recorded = {
        "request": {"body": None, "headers": {}, "method": "GET", "uri": f"{url}?api_key=any"},
        "response": {"body": {"string": body(title)}, "headers": {}, "status": {"code": 200, "message": "OK"}},
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "film.json").write_text(json.dumps({"version": 1, "interactions": [recorded]}))
        with vcr.use_cassette(str(Path(folder, "film.json")), serializer="json", record_mode="none"):
            return ask(url)


def by_vcr_that_records(url, title):
    """Nothing is mocked here: what is recorded is the film."""
    import vcr

    with tempfile.TemporaryDirectory() as folder, vcr.use_cassette(str(Path(folder, "film.yaml"))) as cassette:
        ask(url)
        return title if len(cassette) == 1 else "nothing was recorded"


def by_betamax(url, title):
    import betamax

    recorded = {
        "request": {"body": {"encoding": "utf-8", "string": ""}, "headers": {}, "method": "GET"},
        "response": {
            "body": {"encoding": "utf-8", "string": body(title)},
            "headers": {},
            "status": {"code": 200, "message": "OK"},
            "url": url,
        },
        "recorded_at": "2026-01-01T00:00:00",
    }
    recorded["request"]["uri"] = f"{url}?api_key=any"
    session = requests.Session()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "film.json").write_text(json.dumps({"recorded_with": "", "http_interactions": [recorded]}))
        with betamax.Betamax(session, cassette_library_dir=folder) as recorder:
            recorder.use_cassette("film", record="none")
            return ask(url, session)


mocked_by = globals()[f"by_{sys.argv[2]}"]
for title in (ask(sys.argv[1]), mocked_by(sys.argv[1], "first"), mocked_by(sys.argv[1], "second"), ask(sys.argv[1])):
    print(title)
