"""Rows of published tables beside ours: as printed, on the scale that they are on, with a note."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from steelyard.evaluation.ranking import Row
from steelyard.evaluation.report.markup import Html, tag
from steelyard.evaluation.report.numbers import MISSING, metric_value
from steelyard.evaluation.results import Estimate, WindowScore
from steelyard.types import Facts

HEADING = "Published, as printed: other data, costs and code"

SCALES = {
    "annual": "Sharpe ratio on an annual scale",
    "daily": "Sharpe ratio per day, not annualised; it stands in that column",
    "step": "ratios per step of a length that is not stated, not annualised; the Sharpe ratio "
    "stands in the column of those per bar, the Sortino ratio has no column",
}
"""What a row says about its Sharpe ratio."""


def published_in(
    published: Sequence[Facts], position: int, places: Sequence[WindowScore]
) -> list[Facts]:
    """Published rows whose period lies nearest to the window at `position` of `places`.

    Nearest is the one with the most days in common; a row without a period, or outside of all
    windows, belongs to the first.
    """
    return [
        row
        for row in published
        if int(np.argmax([_common_days(row, place) for place in places])) == position
    ]


def key(name: str) -> str:
    """What a name is matched by: `Min-Variance` and `min_variance` are one agent."""
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def matched(rows: Sequence[Row], published: Sequence[Facts]) -> list[tuple[Row, Facts]]:
    """Our agents and indices that a published row is about, in the published order."""
    ours = {key(agent.agent): (agent, window) for agent, window in rows}
    names = [key(str(row.get("agent", ""))) for row in published]
    return [(ours[name], row) for name, row in zip(names, published, strict=True) if name in ours]


def metrics_of(row: Facts) -> dict[str, float]:
    """The published numbers under our names; a Sharpe ratio per bar stands as such."""
    held = dict(row.get("metrics") or {})
    if row.get("sharpe") in ("daily", "step") and "sharpe_ratio" in held:
        held["daily_sharpe_ratio"] = held.pop("sharpe_ratio")
    if row.get("sharpe") == "step":
        held.pop("sortino_ratio", None)
    return {name: float(value) for name, value in held.items() if value is not None}


def outside(ours: Estimate | None, published: float) -> bool:
    """Whether a published number lies outside of our interval."""
    return ours is not None and bool(published < ours.low or published > ours.high)


def published_row(row: Facts, footnote: int, metrics: Sequence[str]) -> Html:
    """One row of the metric table, with the number of its note."""
    held = metrics_of(row)
    cells = [
        tag("td", metric_value(name, held[name]) if name in held else MISSING) for name in metrics
    ]
    name = tag("span", str(row.get("agent", "")), tag("sup", str(footnote)))
    return tag("tr", tag("th", name, scope="row"), *cells, class_="published")


def published_notes(published: Sequence[Facts]) -> Html:
    """What a reader must know about the published rows, numbered as in the table."""
    notes = dict.fromkeys(_note(row) for row in published)
    return tag("ol", *(tag("li", note) for note in notes), class_="notes")


def footnotes(published: Sequence[Facts]) -> list[int]:
    """The number of every row's note; rows of which the same is to be said share one."""
    order = {note: number + 1 for number, note in enumerate(dict.fromkeys(map(_note, published)))}
    return [order[_note(row)] for row in published]


def _note(row: Facts) -> str:
    said = [
        str(row.get("source") or ""),
        f"Table {row['table']}" if row.get("table") else "",
        f"{row['start']} to {row['end']}" if row.get("start") and row.get("end") else "",
        SCALES.get(str(row.get("sharpe")), ""),
        str(row.get("flaw") or ""),
        str(row.get("note") or ""),
    ]
    return "; ".join(part.rstrip(".") for part in said if part) + "."


def _common_days(row: Facts, place: WindowScore) -> int:
    if not row.get("start") or not row.get("end"):
        return 0
    starts, ends = (
        [np.datetime64(str(day)[:10], "D") for day in days]
        for days in ((row["start"], place.start), (row["end"], place.end))
    )
    return max(0, int((min(ends) - max(starts)).astype(np.int64)) + 1)
