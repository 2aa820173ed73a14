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
            *(
                "core.fetch.stale",
                "core.flow.write",
                "core.lookup.recall",
                "integrations.requests.mock_detection.builds_as_usual",
                "integrations.requests.response_builder.build_response",
            ),
            *(
                "integrations.requests.response_builder.leave_unread",
                "integrations.requests.response_builder.to_reply",
            ),
            *(
                "cli.output.print_failures",
                "integrations.requests_cache.responses.storage_key",
                "integrations.requests.cached_session.max_age",
            ),
            *(
                "integrations.requests.cached_session.without_condition",
                "integrations.requests.redirects.finish",
                "integrations.requests.redirects.followed",
                "integrations.requests.redirects.next_request",
                "integrations.requests.adapter.send",
                "maintenance.bulk_fetch.why_failed",
            ),
            "integrations.requests.known_calls.known_call",
            *(
                "integrations.requests.mock_detection.is_from_network",
                "integrations.requests.mock_detection.bypass_reason",
                "integrations.requests.fast_path.answer",
            ),
            *(
                "integrations.requests.response.add_status",
                "integrations.requests.response.annotate",
            ),
            *(
                "integrations.requests.original_request.restore_in_response",
                "integrations.requests.original_request.restore_in_error",
            ),
            "mongo.bulk.item_of",
        ],
        _HANDS_ON,
    ),
    **dict.fromkeys(
        [
            *("cli.arguments.same_path_hint", "cli.arguments.parse_reference", "cli.arguments.parse_url"),
            *("mongo.errors.failed", "mongo.errors.translation", "mongo.executor.beside"),
            *("mongo.queries.matching", "core.memory.forget_titles", "mongo.diagnostics.index_repair.check"),
            *("mongo.command.find_one", "mongo.executor.execute", "mongo.invalidation.expire"),
            *(
                "inspection.explain.explain",
                "inspection.entry_details.as_document",
            ),
            *(
                "inspection.entry_details.details_key",
                "inspection.entry_details.same_path",
                "inspection.entry_details.rows",
            ),
            *("maintenance.deletion.invalidate", "maintenance.warm.warm"),
            *(
                "inspection.entry_details.rule",
                "inspection.entry_details.stale_until",
            ),
        ],
        _MONGODB,
    ),
    **dict.fromkeys(
        [
            *(
                "cli.arguments.complete_reference",
                "activation.decorator.cached_tmdb",
                "integrations.requests.patch.wrapper_for",
            ),
            *(
                "integrations.requests_cache.responses.is_whole",
                "activation.decorated_function.wrapper_of",
                "integrations.requests.mock_detection.may_add",
                "deferred_install.is_placeholder",
            ),
            *(
                "cache.resolve_cache",
                "context.scope_of",
                "integrations.requests.session_checks.has_own_cache",
            ),
            *(
                "integrations.requests.session_checks.is_downstream",
                "integrations.requests.session_checks.is_own",
                "integrations.requests.session_checks.takes_the_usual_way",
            ),
            *("mongo.client.client_options", "mongo.client.close_with", "mongo.client.open_client"),
            *("mongo.deadline.has_secondaries_alone", "mongo.shutdown.is_ours"),
            *("doctor.verdicts.index", "doctor.verdicts.lacking"),
            *("doctor.verdicts.package", "doctor.verdicts.rights", "integrations.method_wrappers.wrapped_by"),
            *(
                "integrations.method_wrappers.bind",
                "integrations.method_wrappers.reaches_ours",
                "integrations.method_wrappers.is_mock",
                "integrations.method_wrappers.is_ours",
                "integrations.method_wrappers.reachable",
            ),
            "integrations.method_wrappers.wrap",
            *(
                "integrations.requests.tls_verification.is_to_be_verified",
                "integrations.requests.tls_verification.is_verified",
                "integrations.requests.tls_verification.merged_verify",
            ),
            *("doctor.mongodb_releases.judge", "doctor.mongodb_releases.judge_embedded"),
        ],
        _PROGRAM,
    ),
    **dict.fromkeys(
        [
            *("activation.run.command_line", "activation.run.environment"),
            *("activation.run.run", "environment.read_environment", "environment.report_unknown_variables"),
            *("mongo.client.check_uri", "mongo.client.resolve_uri", "mongo.embedded.paths.open_private"),
            *("testing.databases.scratch", "transfer.importer.entry_lines", "transfer.importer.opened"),
            *("transfer.partial_file.resume", "transfer.partial_file.target_of", "transfer.partial_file.writable"),
        ],
        _OPERATOR,
    ),
    **dict.fromkeys(
        [
            *("formatting.html_table", "cli.output.echo_json", "cli.output.json_text"),
            *("cli.output.confirm", "cli.output.status"),
            *("cli.output.lines_of", "cli.output.print_rows"),
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
