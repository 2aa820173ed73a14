"""Fixtures of the tests of the stand-in TMDB: one for each file, and calls to it."""

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn

from ..flowkit import ANY_KEY


@pytest.fixture(scope="module")
def shared():
    """One stand-in TMDB for the tests of a file."""
    with StandIn() as standin:
        yield standin


@pytest.fixture
def tmdb(shared):
    """The stand-in of the file, as new after each test."""
    yield shared
    shared.reset()


@pytest.fixture
def http_session():
    """A session that carries a key and takes no setting from outside."""
    with requests.Session() as session:
        session.trust_env = False
        session.params = dict(ANY_KEY)
        yield session


@pytest.fixture
def get(tmdb, http_session):
    """Call the stand-in with a key; what else is named is the query."""

    def call(path, headers=None, **query):
        return http_session.get(tmdb.url + path, params=query, headers=headers, timeout=5)

    return call
