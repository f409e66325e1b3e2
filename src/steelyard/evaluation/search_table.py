"""A search in the terminal: the best trials, each setting in a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard.evaluation.report.numbers import (
    NARROW,
    metric_interval,
    metric_value,
    plain,
    title,
)
from steelyard.evaluation.trials import Search, Trial, short

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 10
"""Trials that are shown."""


def table(search: Search) -> Table:
    """The best trials in their order, and the agent as it was given."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(plain(f"{search.agent} on {search.task} · {' to '.join(search.period)}")),
        title_justify="left",
        title_style="bold",
        caption=Text(_caption(search)),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    made.add_column("trial", justify="right")
    made.add_column(title(search.metric), justify="right", no_wrap=True)
    made.add_column("", style="dim", no_wrap=True)
    for name in search.space:
        made.add_column(name.replace("_", " "), justify="right")
    for number, one in ranked(search)[:ROWS]:
        assert one.value is not None
        given = "○ " if one is search.start else ""
        made.add_row(
            f"{given}{number}",
            metric_value(search.metric, one.value.value).replace(NARROW, ""),
            metric_interval(search.metric, one.value).replace(" to ", "..").replace(NARROW, ""),
            *[short(value) for value in one.settings.values()],
            style="bold" if one is search.chosen else None,
        )
    return made


def _caption(search: Search) -> str:
    if search.cross_validation is None:
        return "validation rows; median over seeds, 90 % interval; ○ as given"
    cross = search.cross_validation
    lead = f"lead over {cross.against}, " if cross.against else ""
    return (
        f"{lead}mean over {cross.count} splits, median over seeds; middle 90 % of splits and seeds;"
        " ○ as given"
    )


def ranked(search: Search) -> list[tuple[int, Trial]]:
    """(number, trial) of all that did not fail, the best first, the earliest of equals first."""
    sign = -1.0 if search.better == "higher" else 1.0
    found = [(n, one) for n, one in enumerate(search.trials, 1) if one.value is not None]
    return sorted(found, key=lambda pair: sign * pair[1].value.value if pair[1].value else 0.0)
