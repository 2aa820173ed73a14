"""``stats``: what the cache has saved, over all processes and machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from ..formatting import bytes_text, count_text, time_text
from .options import Settings, common, open_cache
from .output import console, echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from ..inspection.usage import Usage, UsageReport

_MOST_ENDPOINTS = 15
_BAR = 20


@click.command()
@click.option("--days", type=int, default=30, show_default=True, help="Number of days (UTC), including today.")
@click.option("--plot", metavar="FILE", help="Also write a plot: FILE.png, .svg or .pdf.")
@common
def stats(days: int, plot: str | None, as_json: bool, settings: Settings) -> None:
    """Show what the cache has saved, over all programs, processes and machines.

    Each process adds its counts to MongoDB periodically and when it exits. Days
    are in UTC.

    \b
    tmdb-mongo-cache stats
    tmdb-mongo-cache stats --days 90 --plot saved.png
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    with open_cache(settings) as cache:
        report = cache.usage(days=days)
    if plot is not None:
        _draw(report, plot)
    if as_json:
        echo_json(_as_document(report))
    elif not report.total.calls and not report.total.unanswered:
        click.echo(f"No calls of programs were counted in the last {count_text(days, 'day')}.")
        if report.total.background:
            click.echo(f"The cache itself made {report.total.background} (warm, refresh).")
        click.echo("(Not counted: MongoBackend, statistics=False, programs that only make private calls. See ls.)")
    else:
        _show(report)
    if plot is not None and not as_json:
        click.echo(f"Plot written to {plot}.")


def _as_document(report: UsageReport) -> dict[str, Any]:
    def row(usage: Usage) -> dict[str, Any]:
        derived = {"calls": usage.calls, "hits": usage.hits, "calls_saved": usage.calls_saved}
        return {**derived, "hit_ratio": round(usage.hit_ratio, 4), **usage._asdict()}

    return {
        "total": row(report.total),
        "days": [{"day": day, **row(usage)} for day, usage in report.days],
        "endpoints": [{"endpoint": name, **row(usage)} for name, usage in report.endpoints],
    }


def _show(report: UsageReport) -> None:
    total, shown = report.total, console()
    shown.print(f"[bold]{total.calls_saved} of {total.calls} calls saved[/bold] ({_percent(total)} of them)")
    parts = [(total.memory, "from memory"), (total.mongodb, "from MongoDB"), (total.reused, "from other responses")]
    parts += [(total.collapsed, "coalesced with another call")]
    shown.print("  " + ", ".join(f"{number} {text}" for number, text in parts if number or text == "from MongoDB"))
    time = f"about {time_text(total.seconds_saved)} and " if total.seconds_saved > 0 else ""
    shown.print(f"  {time}{bytes_text(total.bytes_saved)} not waited for")
    rest = [
        (total.stale, "served stale"),
        (total.revalidated, "revalidated"),
        (total.misses - total.failed, "fetched"),
        (total.failed, "failed at TMDB"),
        (total.straight, "never cached"),
        (total.unanswered, "without a response (offline or only_if_cached)"),
        (total.background, "made by the cache itself, not included above"),
    ]
    shown.print("  " + ", ".join(f"{number} {text}" for number, text in rest if number), style="dim")
    shown.print()
    shown.print(_days(report))
    shown.print()
    shown.print(_endpoints(report))


def _table(name: str, *numbers: str) -> Table:
    from rich.table import Table

    table = Table(name, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _days(report: UsageReport) -> Table:
    from rich.bar import Bar

    table = _table("day", "calls", "saved", "", "time")
    table.columns[3].width = _BAR
    most = max((usage.calls for _, usage in report.days), default=1) or 1
    for day, usage in report.days:
        bar = Bar(most, 0, usage.calls_saved, width=_BAR, color="green")
        time = time_text(usage.seconds_saved) if usage.seconds_saved > 0 else ""
        table.add_row(f"{day}", f"{usage.calls}", f"{usage.calls_saved}", bar, time)
    return table


def _endpoints(report: UsageReport) -> Table:
    from rich.markup import escape

    table = _table("endpoint", "calls", "hits", "stale", "fetched", "saved")
    for name, usage in report.endpoints[:_MOST_ENDPOINTS]:
        row = (usage.calls, usage.hits, usage.stale, usage.misses)
        table.add_row(escape(name), *(f"{number}" for number in row), _percent(usage))
    if len(report.endpoints) > _MOST_ENDPOINTS:
        table.add_row(f"and {len(report.endpoints) - _MOST_ENDPOINTS} more (--json has all)")
    return table


def _percent(usage: Usage) -> str:
    return f"{usage.calls_saved / usage.calls:.0%}" if usage.calls else "–"


def _draw(report: UsageReport, plot: str) -> None:
    """Plot the calls saved and made per day.

    Raises:
        ConfigError: matplotlib is missing, or the file cannot be written.
    """
    path = Path(plot)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--plot takes a .png, .svg or .pdf file, not {plot!r}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("--plot needs matplotlib: pip install 'tmdb-mongo-cache[plot]'") from None
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    days = [day for day, _ in report.days]
    bottom = [0] * len(days)
    for name, color, numbers in (
        ("saved", "tab:green", [usage.calls_saved for _, usage in report.days]),
        ("served stale, or revalidated", "tab:olive", [u.stale + u.revalidated for _, u in report.days]),
        ("fetched", "tab:blue", [usage.misses for _, usage in report.days]),
        ("never cached", "tab:gray", [usage.straight for _, usage in report.days]),
    ):
        axes.bar(days, numbers, bottom=bottom, color=color, label=name)  # type: ignore[arg-type]  # it knows dates
        bottom = [low + number for low, number in zip(bottom, numbers, strict=True)]
    axes.set_ylabel("calls to TMDB per day (UTC)")
    axes.set_title(f"{report.total.calls_saved} of {report.total.calls} calls saved")
    axes.tick_params(axis="x", rotation=45)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ConfigError(f"cannot write the plot to {plot}: {error.strerror}") from None
