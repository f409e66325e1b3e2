"""The score in the terminal: one table per window, the key metrics with their intervals.

Where numbers were published for a window, a second table holds ours beside them. Who has no
numbers, or was not isolated, is told in a line below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from steelyard.evaluation.ranking import Best, Row, best, unscored, window_rows, windows
from steelyard.evaluation.report.beside import published_metrics
from steelyard.evaluation.report.numbers import (
    MISSING,
    NARROW,
    is_percent,
    metric_interval,
    metric_value,
    names,
    number,
    plain,
)
from steelyard.evaluation.report.published import matched, metrics_of, outside, published_in
from steelyard.evaluation.results import AgentScore, Estimate, Score, is_isolated
from steelyard.types import Facts

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
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

SHORTEST, LONGEST = 8, 18
"""Columns of an agent's name. A longer one is cut with an ellipsis, and so are all names where
numbers need the room."""

MARK = "\u2021"
"""What stands behind the name of an agent that was not isolated."""

ACROSS = 8
"""Agents beside each other in a table of published numbers: what fits into 100 columns."""

SHORT: dict[str, str] = {
    "cumulative_return": "return",
    "annual_return": "per year",
    "annual_volatility": "volatility",
    "sharpe_ratio": "Sharpe",
    "daily_sharpe_ratio": "per bar",
    "sortino_ratio": "Sortino",
    "max_drawdown": "drawdown",
    "romad": "RoMaD",
    "calmar_ratio": "Calmar",
    "omega_ratio": "Omega",
    "rachev_ratio": "Rachev",
    "win_loss_ratio": "win/loss",
}
"""Metrics in at most ten letters."""


def tables(score: Score) -> list[Table | Text]:
    """One table per window of the score, each followed by ours beside the published one.

    Below the last window stand lines on who has no numbers, and on who was not isolated.
    """
    shown: list[Table | Text] = []
    for window, _ in enumerate(windows(score), 1):
        shown.append(render(score, window - 1))
        if window == len(windows(score)):
            shown += _remarks(score)
        shown += published_tables(score, window - 1)
    return shown or _remarks(score)


def _remarks(score: Score) -> list[Table | Text]:
    """Why rows have no numbers, and how agents ran that were not isolated."""
    from rich.text import Text

    told = [(MISSING, row.agent, row.note) for row in unscored(score)]
    told += [
        (MARK, row.agent, row.isolation) for row in score.rows if not is_isolated(row.isolation)
    ]
    return [Text(plain(f"{mark} {name}: {text}"), style="dim") for mark, name, text in told]


def published_tables(score: Score, window: int = 0) -> list[Table]:
    """Our numbers beside the published ones of a window; none where nothing matches.

    A column per agent that was published and run here, at most `ACROSS` in a table; a row per
    metric with our value, its 90 % interval, and the printed number.
    """
    rows = window_rows(score, window)
    published = published_in(score.published, window, windows(score))
    pairs = matched(rows, published)
    return [
        _published(score, window, pairs[first : first + ACROSS])
        for first in range(0, len(pairs), ACROSS)
    ]


def _published(score: Score, window: int, pairs: Sequence[tuple[Row, Facts]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    numbers = sorted({str(row["table"]) for _, row in pairs if row.get("table")})
    noun = "Table" if len(numbers) == 1 else "Tables"
    source = f"{noun} {names(numbers)}" if numbers else "the published table"
    heading = f"{score.task} · {windows(score)[window].name} · beside {source}"
    made = Table(
        title=Text(plain(heading)),
        title_justify="left",
        title_style="bold",
        caption=Text("ours, its 90 % interval, and as printed (* outside of our interval)"),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        show_edge=False,
    )
    made.add_column("", no_wrap=True)
    for _, row in pairs:
        name = plain(str(row.get("agent", "")))
        head = name if len(name) <= 10 else name.replace("-", "-\n", 1)
        made.add_column(Text(head), justify="right", overflow="ellipsis", vertical="bottom")
    for metric in published_metrics([row for _, row in pairs]):
        cells = [
            _stacked(metric, place.metrics.get(metric), metrics_of(row).get(metric))
            for (_, place), row in pairs
        ]
        made.add_row(Text(f"{SHORT[metric]}\n  90 %\n  printed"), *cells)
    return made


def _stacked(metric: str, ours: Estimate | None, printed: float | None) -> Text:
    """Our value, its interval and the printed number, in three lines of at most ten letters."""
    from rich.text import Text

    value, ends = MISSING, ""
    if ours is not None and np.isfinite(ours.value):
        value = metric_value(metric, ours.value).replace(NARROW, "")
        digits = 2 if metric.startswith("daily") else 0 if is_percent(metric) else 1
        scale = 100 if is_percent(metric) else 1
        ends = "..".join(number(scale * end, digits) for end in (ours.low, ours.high))
    shown = MISSING if printed is None else metric_value(metric, printed).replace(NARROW, "")
    mark = "*" if printed is not None and outside(ours, printed) else ""
    return Text.assemble((value, "bold"), "\n", (ends, "dim"), "\n", mark + shown)


def render(score: Score, window: int = 0) -> Table:
    """The rows of one window: value and, dim, the 90 % interval; at most 100 columns wide.

    The best agent of a column is bold and marked: a disc where its interval overlaps no other
    agent's, a ring where it does. Who has no numbers stands last.

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
    tops = {name: best(rows, name) for name in KEY}
    ranked = any(top.agents for top in tops.values())
    legend = "; ○ best, ● best and apart from all others" if ranked else ""
    made = Table(
        title=Text(plain(heading)),
        title_justify="left",
        title_style="bold",
        caption=Text(f"median over seeds, 90 % interval{legend}"),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    made.add_column("agent", min_width=SHORTEST, max_width=LONGEST, overflow="ellipsis")
    for name, head in KEY.items():
        made.add_column(head, justify="right", no_wrap=True)
        if name != _LAST:
            made.add_column("", justify="left", no_wrap=True, style="dim")
    for position, row in enumerate(rows):
        last = position + 1 == len(rows) or rows[position + 1][0].kind != row[0].kind
        cells = [cell for name in KEY for cell in _cells(row, name, tops[name])]
        made.add_row(_Name(row[0]), *cells, end_section=last)
    for absent in unscored(score):
        made.add_row(_Name(absent), *[*[Text(MISSING), Text("")] * len(KEY)][:-1])
    return made


class _Name:
    """An agent's name, cut where there is no room; the mark behind it never is."""

    def __init__(self, row: AgentScore) -> None:
        self.name = plain(row.agent)
        self.mark = "" if is_isolated(row.isolation) else f" {MARK}"

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.cells import cell_len
        from rich.measure import Measurement

        whole = cell_len(self.name + self.mark)
        return Measurement(min(SHORTEST, whole), whole)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        name = Text(self.name)
        name.truncate(options.max_width - len(self.mark), overflow="ellipsis")
        yield name.append(self.mark)


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
