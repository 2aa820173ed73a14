"""Work grows no faster than what anybody types, TMDB answers or a file has: measured over growing lengths.

Every public function that takes a text is found by itself. A new one that
cannot be fed by its annotations fails here until somebody says how, or why not.
"""

from __future__ import annotations

import re

import pytest

pytest.importorskip(
    "requests_cache.policy", reason="every module is imported, and MongoBackend's wants requests-cache 1.2"
)

from .growthkit import FEW, TOKENS, found_in, functions, takes_text, ways

FUNCTIONS = {name: function for name, function in functions().items() if takes_text(function)}

_HANDS_ON = "hands texts on to functions that are fed here, and makes responses and requests of them"
_MONGODB = "asks MongoDB, with texts that functions which are fed here have read"
_PROGRAM = "what it is given is the program's own: classes, names of options, a database"
_OPERATOR = "names of files, variables and servers on the machine itself"
_TELLS = "writes on the terminal, or for it, what the cache has found"

NOT_FED = {
    **dict.fromkeys(
        [
            *("asking.hit_outcome", "building.builds_as_usual", "building.from_entry", "building.from_hop"),
            *("building.from_reply", "building.leave_unread", "building.not_cached", "building.to_reply"),
            *("doors.commands.calling.say_failed", "doors.kept.kept_under", "downstream.longest"),
            *("downstream.without_condition", "ending.followed", "exchange.send", "jobs.failing.why_failed"),
            "known.known_call",
            *("looking.hit_status", "network.is_from_network", "network.why_not_asked", "plain.answer"),
            *("responses.add_status", "responses.annotate", "responses.built", "responses.from_source"),
            *("restoring.give_back", "restoring.give_back_error", "store.cached_response.to_entry"),
            "store.copying.item_of",
        ],
        _HANDS_ON,
    ),
    **dict.fromkeys(
        [
            *("doors.commands.naming.near", "doors.commands.naming.read", "doors.commands.naming.read_url"),
            *("store.failures.failed", "store.failures.translation", "store.feed.beside", "store.leases.of"),
            *("store.listing.matching", "store.memory.forget_titles", "store.mending.check", "store.sums.beside"),
            *("tools.explaining.explain", "tools.listing.query_of", "tools.showing.as_document"),
            *("tools.showing.details_key", "tools.showing.kept", "tools.showing.near", "tools.showing.rows"),
            *("tools.showing.rule", "tools.showing.stands_in_until", "turns.wait_for_turn"),
        ],
        _MONGODB,
    ),
    **dict.fromkeys(
        [
            *("doors.commands.naming.complete_named", "doors.decorator.cached_tmdb", "doors.held.wrapper_for"),
            *("doors.kept.is_whole", "doors.running.runner", "network.may_add", "pending.is_standing_in"),
            *("pending.stands_in", "scope.chosen_cache", "scope.scope_of", "sessions.has_own_cache"),
            *("sessions.is_downstream", "sessions.is_own", "sessions.takes_the_usual_way"),
            *("store.client.client_options", "store.client.close_with", "store.client.open_client"),
            *("store.deadline.has_secondaries_alone", "store.leading.led", "store.leaving.is_ours"),
            *("tools.index_verdicts.judge", "tools.index_verdicts.lacking", "tools.severing.severed"),
            *("tools.verdicts.package", "tools.verdicts.rights", "wrappers.below"),
            *("wrappers.bind", "wrappers.has_ours", "wrappers.is_mock", "wrappers.is_ours", "wrappers.reached"),
            "wrappers.wrap",
            *("certificates.is_to_be_verified", "certificates.is_verified", "certificates.merged_verify"),
            *("tools.releases.judge", "tools.releases.judge_embedded"),
        ],
        _PROGRAM,
    ),
    **dict.fromkeys(
        [
            *("doors.commands.options.open_cache", "doors.commands.options.read_settings"),
            *("doors.commands.options.variables", "doors.runner.command_line", "doors.runner.environment"),
            *("doors.runner.run", "environment.read_environment", "environment.tell_unknown_variables"),
            *("store.client.check_uri", "store.client.resolve_uri", "store.folders.open_private"),
            *("store.scratch.scratch", "tools.reading.entry_lines", "tools.reading.opened"),
            *("tools.unfinished.take_up", "tools.unfinished.target_of", "tools.unfinished.writable"),
        ],
        _OPERATOR,
    ),
    **dict.fromkeys(
        [
            *("display.html_table", "doors.commands.options.echo_json", "doors.commands.options.json_text"),
            *("doors.commands.options.say_no_more", "doors.commands.options.waiting"),
            *("doors.commands.printing.lines_of", "doors.commands.printing.print_rows"),
        ],
        _TELLS,
    ),
}
"""Functions that are not fed, and why."""

FED = sorted(FUNCTIONS.keys() - NOT_FED.keys())


def test_every_function_is_fed() -> None:
    """Of every function that takes a text it is known how one gets into it, or why none does."""
    unknown = {}
    for name in FED:
        try:
            assert ways(FUNCTIONS[name]), f"{name} takes no text"
        except LookupError as error:
            unknown[name] = f"say what it is given as {error}, or why it is not fed"
    assert unknown == {}
    assert NOT_FED.keys() <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", FED)
def test_growth(name: str) -> None:
    """Four times the text takes no more than about four times as long, whatever it repeats."""
    assert found_in(FUNCTIONS[name], FEW, 2000, 0.003) == []


def quadratic(text: str) -> str:
    return re.sub(r" +$", "", f"{text}x")


def linear(text: str) -> list[str]:
    return [letter for _ in range(20) for letter in text]


def test_what_grows_is_found() -> None:
    """A function whose time grows with the square of a text is found, and one that is slow in proportion is not."""
    assert any("' '" in one for one in found_in(quadratic, FEW, 2000, 0.003))
    assert found_in(linear, FEW[:5], 2000, 0.0) == []


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FED)
def test_growth_of_long_texts(name: str) -> None:
    """It is so for long texts, too, of everything that a reader looks for."""
    assert found_in(FUNCTIONS[name], TOKENS, 20_000, 0.01) == []
