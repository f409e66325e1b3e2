"""The tables of the report: metrics with intervals, published rows, trading, conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steelyard.evaluation.ranking import Best, Row, best
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import (
    MISSING,
    metric_interval,
    metric_value,
    money,
    number,
    percent,
    title,
)
from steelyard.evaluation.report.series import Trading, trading
from steelyard.evaluation.results import Estimate, WindowScore
from steelyard.metrics import metric_card
from steelyard.types import Facts

GROUPS = {"learned": "Learned", "classic": "Without learning", "index": "Index"}


def metric_table(
    rows: Sequence[Row], metrics: Sequence[str], style: Mapping[str, str], published: Sequence[Facts]
) -> Html:
    """One row per agent, one column per metric, published rows in a group of their own.

    The best agent of a column is marked with a disc, a full one where its interval overlaps that
    of no other agent.
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
        body.append(tag("tr", _agent_head(agent.agent, style[agent.agent], notes), *cells))
    if published:
        body.append(_group("Published, as printed: other data, costs and code", len(metrics) + 1))
        body += [_published(row, number + 1, metrics) for number, row in enumerate(published)]
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="metrics"))


def published_notes(published: Sequence[Facts]) -> Html:
    """What a reader must know about the published rows, numbered as in the table."""
    items = []
    for number, row in enumerate(published):
        period = f"{row.get('start', '')} to {row.get('end', '')}" if row.get("start") else ""
        scale = (
            "Sharpe ratio per day, not annualised; shown in that column"
            if row.get("sharpe") == "daily"
            else "Sharpe ratio on an annual scale"
        )
        source = f"Table {row['table']}" if row.get("table") else ""
        said = [source, period, scale, *(str(row[key]) for key in ("flaw", "note") if row.get(key))]
        text = "; ".join(part for part in said if part)
        items.append(tag("li", tag("b", str(row.get("agent", ""))), ": ", text, ".", value=number + 1))
    return tag("ol", *items, class_="notes")


def published_in(published: Sequence[Facts], window: WindowScore, others: Sequence[WindowScore]) -> list[Facts]:
    """Published rows whose period overlaps `window` more than any of `others`."""

    def overlap(row: Facts, place: WindowScore) -> int:
        ends = [np.datetime64(str(day), "D") for day in (row["start"], row["end"])]
        low = max(ends[0], np.datetime64(place.start[:10], "D"))
        high = min(ends[1], np.datetime64(place.end[:10], "D"))
        return max(0, int((high - low).astype(int)) + 1)

    found = []
    for row in published:
        if not row.get("start") or not row.get("end"):
            nearest = 0
        else:
            nearest = int(np.argmax([overlap(row, place) for place in others]))
        if others[nearest] is window:
            found.append(row)
    return found


def forest(
    held: Mapping[str, Estimate], metric: str, style: Mapping[str, str], reference: str
) -> Html:
    """A dot with its interval per agent, best first, over the band of the reference.

    Args:
        held: agent -> estimate.
        metric: name of a metric, or "excess" for a return per year above the reference.
        style: agent -> CSS classes.
        reference: whose interval is shaded behind all others.
    """
    from steelyard.evaluation.report.axes import Range, decimals

    ends = np.array([[one.low, one.value, one.high] for one in held.values()])
    span = Range.of([ends], zero=True, pad=0.05)
    levels = span.ticks(4)
    places = decimals(levels)

    def place(value: float) -> str:
        return f"{100 * span.fraction(value):.2f}%"

    def written(value: float, digits: int) -> str:
        return percent(value, digits) if metric == "excess" else number(value, digits)

    bands = [place(held[reference].low), place(held[reference].high)] if reference in held else []
    backdrop = join(
        [
            tag("i", class_="shade", style=f"left:{bands[0]};right:calc(100% - {bands[1]})")
            if bands
            else Html(""),
            *(
                tag("i", class_="rule zero" if abs(level) < 1e-12 else "rule", style=f"left:{place(level)}")
                for level in levels
            ),
        ]
    )
    order = sorted(held, key=lambda name: -held[name].value)
    body = []
    for name in order:
        one = held[name]
        shown = written(one.value, 1 if metric == "excess" else 2)
        interval = " to ".join(
            number(100 * end, 1, sign=True) if metric == "excess" else number(end, 2)
            for end in (one.low, one.high)
        )
        bar = tag(
            "i",
            class_=f"span {style[name]}",
            style=f"left:{place(one.low)};right:calc(100% - {place(one.high)})",
        )
        dot = tag("i", class_=f"dot {style[name]}", style=f"left:{place(one.value)}")
        body.append(
            tag(
                "tr",
                tag("th", name, scope="row"),
                tag("td", backdrop, bar, dot, class_="range"),
                tag("td", tag("b", shown), tag("small", interval), class_="value"),
            )
        )
    axis = join(
        tag("span", written(level, max(0, places - 2) if metric == "excess" else places), style=f"left:{place(level)}")
        for level in levels
    )
    foot = tag("tr", tag("td"), tag("td", axis, class_="range axis"), tag("td"), aria_hidden="true")
    return tag("table", tag("tbody", *body), tag("tfoot", foot), class_="forest")


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
        tag("tr", _agent_head(name, style[name], ""), *_trading_cells(one, *most))
        for name, one in held.items()
    ]
    head = tag("tr", tag("th", "Agent", scope="col"), *heads)
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="trading"))


def _trading_cells(one: Trading, most_turnover: float, most_drag: float) -> list[Html]:
    return [
        _bar(number(one.turnover, 2) + "×", one.turnover, most_turnover),
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


def convention_table(metrics: Sequence[str], conventions: Facts) -> Html:
    """How every metric is computed, as its card says."""
    body = []
    for name in metrics:
        stated = conventions.get(name, {})
        card: Mapping[str, Any] = metric_card(name) | dict(stated if isinstance(stated, Mapping) else {})
        options = ", ".join(f"{key} {value}" for key, value in (card.get("options") or {}).items())
        facts = [f"ddof {card['ddof']}" if "ddof" in card else "", options]
        facts += [str(card.get(key) or "") for key in ("note", "source")]
        facts += [stated] if isinstance(stated, str) else []
        body.append(
            tag(
                "tr",
                tag("th", title(name), scope="row"),
                tag("td", tag("code", str(card["formula"]))),
                tag("td", str(card["unit"])),
                tag("td", str(card["better"])),
                tag("td", "; ".join(fact for fact in facts if fact)),
            )
        )
    heads = ("Metric", "Formula", "Unit", "Better", "Conventions")
    head = tag("tr", *(tag("th", label, scope="col") for label in heads))
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="conventions"))


def scroll(table: Html) -> Html:
    """A wide table that moves inside its own frame on a narrow screen."""
    return tag("div", table, class_="scroll", tabindex="0")


def _metric_head(name: str) -> Html:
    card = metric_card(name)
    return tag("th", title(name), scope="col", title=f"{card['formula']}; {card['better']} is better")


def _group(label: str, columns: int) -> Html:
    return tag("tr", tag("th", label, colspan=columns, scope="colgroup"), class_="group")


def _agent_head(name: str, style: str, note: str) -> Html:
    below = tag("small", note) if note else Html("")
    return tag("th", tag("i", class_=f"swatch {style}"), tag("span", name, below), scope="row")


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


def _published(row: Facts, footnote: int, metrics: Sequence[str]) -> Html:
    held = dict(row.get("metrics", {}))
    if row.get("sharpe") == "daily" and "sharpe_ratio" in held:
        held["daily_sharpe_ratio"] = held.pop("sharpe_ratio")
    cells = [
        tag("td", metric_value(name, float(held[name])) if name in held else MISSING)
        for name in metrics
    ]
    name = tag("span", str(row.get("agent", "")), tag("sup", str(footnote)))
    return tag("tr", tag("th", name, scope="row"), *cells, class_="published")
