"""Our table beside the published one: the same agents, the same metrics, number under number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steelyard.evaluation.ranking import ORDER, Row
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import MISSING, metric_interval, metric_value, title
from steelyard.evaluation.report.published import footnotes, matched, metrics_of, outside
from steelyard.evaluation.report.tables import scroll
from steelyard.evaluation.results import Estimate
from steelyard.types import Facts


def beside(rows: Sequence[Row], published: Sequence[Facts], style: Mapping[str, str]) -> Html:
    """One column per agent that was published and run here; empty where there is none.

    Args:
        rows: of one window.
        published: the published rows that belong to it.
        style: agent -> CSS classes.
    """
    pairs = matched(rows, published)
    if not pairs:
        return Html("")
    notes = {id(row): note for row, note in zip(published, footnotes(published), strict=True)}
    heads = [
        _head(agent.agent, row, style[agent.agent], notes[id(row)]) for (agent, _), row in pairs
    ]
    body = [
        tag(
            "tr",
            tag("th", title(metric), scope="row"),
            *(
                _cell(metric, window.metrics.get(metric), metrics_of(row))
                for (_, window), row in pairs
            ),
        )
        for metric in published_metrics([row for _, row in pairs])
    ]
    head = tag("tr", tag("th", "Metric", scope="col"), *heads)
    said = (
        "Bold: ours, median over seeds, with its 90 % interval. Below: as printed, ",
        tag("span", "marked", class_="outside"),
        " where it lies outside of our interval. Other data, costs and code are behind the printed "
        "numbers; what is known to be wrong with them stands in the notes above.",
    )
    return join(
        [
            tag("h3", "Ours beside the published table"),
            tag("p", *said, class_="lead"),
            scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="metrics beside")),
        ]
    )


def published_metrics(published: Sequence[Facts]) -> list[str]:
    """Every metric that one of the rows has, in the order of the tables."""
    held = {metric for row in published for metric in metrics_of(row)}
    return [name for name in ORDER if name in held]


def _head(agent: str, row: Facts, style: str, note: int) -> Html:
    below = tag("small", str(row.get("agent", "")), tag("sup", str(note)))
    return tag("th", tag("i", class_=f"swatch {style}"), agent, below, scope="col")


def _cell(metric: str, ours: Estimate | None, published: Mapping[str, float]) -> Html:
    """Our value and interval over the printed number."""
    lines = [tag("b", MISSING)]
    if ours is not None and np.isfinite(ours.value):
        value = tag("b", metric_value(metric, ours.value))
        lines = [value, tag("small", metric_interval(metric, ours))]
    if metric in published:
        style = "printed outside" if outside(ours, published[metric]) else "printed"
        lines.append(tag("span", metric_value(metric, published[metric]), class_=style))
    return tag("td", *lines)
