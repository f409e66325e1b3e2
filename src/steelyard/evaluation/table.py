"""The score in the terminal: one table per window, the key metrics with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from steelyard.evaluation.ranking import Best, Row, best, window_rows, windows
from steelyard.evaluation.report.numbers import (
    MISSING,
    NARROW,
    metric_interval,
    metric_value,
    plain,
)
from steelyard.evaluation.results import Estimate, Score

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

KEY: dict[str, str] = {
    "cumulative_return": "return",
    "sharpe_ratio": "Sharpe",
    "max_drawdown": "drawdown",
    "annual_volatility": "volatility",
}
"""Metrics that fit beside each other into 100 columns, with their heads; the last without room for
its interval."""

LONGEST = 18
"""Columns of an agent's name. A longer one is cut with an ellipsis, and so are all names where
numbers need the room."""


def tables(score: Score) -> list[Table]:
    """One table per window of the score."""
    return [render(score, window) for window in range(len(windows(score)))]


def render(score: Score, window: int = 0) -> Table:
    """The rows of one window: value and, dim, the 90 % interval; at most 100 columns wide.

    The best agent of a column is bold and marked: a disc where its interval overlaps no other
    agent's, a ring where it does.

    Args:
        score: of a run.
        window: position of the window in the task.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    place = windows(score)[window]
    rows = window_rows(score, window)
    heading = f"{score.task} · {place.name} · {place.start} to {place.end}"
    made = Table(
        title=Text(plain(heading)),
        title_justify="left",
        title_style="bold",
        caption=Text("median over seeds, 90 % interval; ○ best, ● best and apart from all others"),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    made.add_column("agent", min_width=8, max_width=LONGEST, overflow="ellipsis")
    for name, head in KEY.items():
        made.add_column(head, justify="right", no_wrap=True)
        if name != _LAST:
            made.add_column("", justify="left", no_wrap=True, style="dim")
    tops = {name: best(rows, name) for name in KEY}
    for position, row in enumerate(rows):
        last = position + 1 == len(rows) or rows[position + 1][0].kind != row[0].kind
        cells = [cell for name in KEY for cell in _cells(row, name, tops[name])]
        made.add_row(Text(plain(row[0].agent)), *cells, end_section=last)
    return made


_LAST = list(KEY)[-1]


def _cells(row: Row, metric: str, top: Best) -> list[Text]:
    """Value and interval of one metric, only the value of the last."""
    from rich.text import Text

    agent, window = row
    one = window.metrics.get(metric)
    if one is None or not np.isfinite(one.value):
        return [Text(MISSING), Text("")][: 1 if metric == _LAST else 2]
    value = Text(metric_value(metric, one.value).replace(NARROW, ""))
    if agent.agent in top.agents:
        value = Text.assemble("● " if top.apart else "○ ", value, style="bold")
    return [value] if metric == _LAST else [value, Text(_short(metric, one))]


def _short(metric: str, one: Estimate) -> str:
    """An interval in as few columns as can be."""
    return metric_interval(metric, one).replace(" to ", "..").replace(NARROW, "")
