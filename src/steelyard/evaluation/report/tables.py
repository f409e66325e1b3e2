"""The tables of the report: metrics with intervals, trading and its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steelyard.evaluation.ranking import Best, Row, best
from steelyard.evaluation.report.markup import Html, tag
from steelyard.evaluation.report.numbers import (
    MISSING,
    metric_interval,
    metric_value,
    money,
    number,
    percent,
    title,
)
from steelyard.evaluation.report.published import HEADING, footnotes, published_row
from steelyard.evaluation.report.series import Trading, trading
from steelyard.evaluation.results import AgentScore, WindowScore, is_isolated
from steelyard.metrics import metric_card
from steelyard.types import Facts

_NOTHING = Html("")

GROUPS = {"learned": "Learned", "classic": "Without learning", "index": "Index"}


def metric_table(
    rows: Sequence[Row],
    metrics: Sequence[str],
    style: Mapping[str, str],
    published: Sequence[Facts],
    unscored: Sequence[AgentScore] = (),
) -> Html:
    """One row per agent, one column per metric; groups for who has no numbers, and for others'.

    The best agent of a column is marked with a disc, a full one where its interval overlaps that
    of no other agent; an agent that was not isolated has a badge.
    """
    tops = {name: best(rows, name) for name in metrics}
    head = tag("tr", tag("th", "Agent", scope="col"), *(_metric_head(name) for name in metrics))
    body, kind = [], ""
    for agent, window in rows:
        if agent.kind != kind:
            kind = agent.kind
            body.append(_group(GROUPS.get(kind, title(kind)), len(metrics) + 1))
        cells = [_estimate(name, window, tops[name], agent.agent) for name in metrics]
        seeds = f"{len(agent.seeds)} seeds" if len(agent.seeds) > 1 else ""
        notes = " · ".join(note for note in (seeds, agent.note) if note)
        head_cell = _agent_head(agent.agent, style[agent.agent], notes, _badge(agent.isolation))
        body.append(tag("tr", head_cell, *cells))
    body += _refused(unscored, len(metrics))
    if published:
        body.append(_group(HEADING, len(metrics) + 1))
        numbered = zip(published, footnotes(published), strict=True)
        body += [published_row(row, footnote, metrics) for row, footnote in numbered]
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="metrics"))


def _refused(unscored: Sequence[AgentScore], columns: int) -> list[Html]:
    """A group of rows that have a reason instead of numbers."""
    rows = [
        tag(
            "tr",
            tag("th", tag("span", row.agent), _badge(row.isolation), scope="row"),
            tag("td", row.note or MISSING, colspan=columns, class_="reason"),
        )
        for row in unscored
    ]
    return [_group("Not scored", columns + 1), *rows] if rows else []


def _badge(isolation: str) -> Html:
    """A mark with how an agent ran, where that is no proof; it leads to the table of all."""
    if is_isolated(isolation):
        return Html("")
    word = "not isolated" if "not isolated" in isolation else isolation.split(":")[0]
    return tag("a", f"\u2021 {word}", href="#conventions", title=isolation, class_="badge")


_TRADING: tuple[tuple[str, str, str], ...] = (
    ("Turnover", "per year", "half of what was bought and sold, over the mean value"),
    ("Costs", "in all", "commissions in quote currency"),
    ("Cost drag", "per year", "commissions per year over the mean value"),
    ("Active", "of bars", "share of the bars with a trade"),
    ("Closed trades", "", "sales against the average cost of what was held"),
    ("Cash", "mean", "mean share of the account that was not invested"),
    ("Holdings", "mean", "mean number of assets held"),
    ("Largest", "mean", "mean weight of the largest holding"),
    ("Gate closed", "of bars", "share of the bars on which a risk gate was closed"),
)


def trading_table(rows: Sequence[Row], style: Mapping[str, str]) -> Html:
    """How much every agent traded and what that cost; medians over seeds."""
    held = {agent.agent: trading(window.backtests) for agent, window in rows if window.backtests}
    heads = [
        tag("th", label, tag("small", unit), scope="col", title=meaning)
        for label, unit, meaning in _TRADING
    ]
    most = [max(one.turnover for one in held.values()), max(one.drag for one in held.values())]
    body = [
        tag("tr", _agent_head(name, style[name]), *_trading_cells(one, *most))
        for name, one in held.items()
    ]
    head = tag("tr", tag("th", "Agent", scope="col"), *heads)
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="trading"))


def _trading_cells(one: Trading, most_turnover: float, most_drag: float) -> list[Html]:
    return [
        _bar(number(one.turnover, 2) + "\u00d7", one.turnover, most_turnover),
        tag("td", money(one.costs)),
        _bar(percent(one.drag, 2, sign=False), one.drag, most_drag),
        tag("td", percent(one.active, 0, sign=False)),
        tag("td", number(one.trades, 0)),
        tag("td", percent(one.cash, 1, sign=False)),
        tag("td", number(one.holdings, 1)),
        tag("td", percent(one.largest, 1, sign=False)),
        tag("td", percent(one.gated, 1, sign=False)),
    ]


def _bar(shown: str, value: float, most: float) -> Html:
    """A number over a bar of its size."""
    width = 100 * value / most if most > 0 else 0.0
    return tag("td", tag("i", class_="bar", style=f"width:{width:.1f}%"), shown, class_="barred")


def scroll(table: Html) -> Html:
    """A wide table that moves inside its own frame on a narrow screen."""
    return tag("div", table, class_="scroll", tabindex="0")


def _metric_head(name: str) -> Html:
    card = metric_card(name)
    return tag(
        "th", title(name), scope="col", title=f"{card['formula']}; {card['better']} is better"
    )


def _group(label: str, columns: int) -> Html:
    return tag("tr", tag("th", label, colspan=columns, scope="colgroup"), class_="group")


def _agent_head(name: str, style: str, note: str = "", badge: Html = _NOTHING) -> Html:
    below = tag("small", note) if note else _NOTHING
    swatch = tag("i", class_=f"swatch {style}")
    return tag("th", swatch, tag("span", name, below), badge, scope="row")


def _estimate(metric: str, window: WindowScore, top: Best, agent: str) -> Html:
    one = window.metrics.get(metric)
    if one is None or not np.isfinite(one.value):
        return tag("td", MISSING, data_metric=metric)
    mark = ("best apart" if top.apart else "best") if agent in top.agents else None
    told = {"best apart": "best, apart from all others", "best": "best, but intervals overlap"}
    disc = (
        tag("i", "●" if top.apart else "○", title=told[mark], class_="disc") if mark else Html("")
    )
    value = tag("b", disc, metric_value(metric, one.value))
    return tag(
        "td", value, tag("small", metric_interval(metric, one)), class_=mark, data_metric=metric
    )
