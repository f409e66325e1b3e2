"""The sections of the report, from the verdict to the command that verifies it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.evaluation.ranking import Row, metric_names, windows
from steelyard.evaluation.report import charts, series, tables
from steelyard.evaluation.report.charts import Look
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import money, number, percent, title
from steelyard.evaluation.report.verdict import KEY, Comparison
from steelyard.evaluation.results import AgentScore, Score

FILLS = {
    "next_open": "decided at close, filled at next open",
    "same_close": "decided and filled at the same close",
}


def header(score: Score, sentences: Sequence[str]) -> Html:
    """Title, verdict and the facts that every number depends on."""
    points = [tag("li", sentence) for sentence in sentences[1:]]
    notes = [tag("p", "Note: ", note, class_="warning") for note in score.notes]
    summary = str(score.card.get("summary", ""))
    return tag(
        "header",
        tag("p", "Steelyard report · fingerprint ", tag("code", score.fingerprint), class_="eyebrow"),
        tag("h1", score.task),
        tag("p", summary, class_="summary") if summary else Html(""),
        *notes,
        tag("p", sentences[0], class_="verdict"),
        tag("ul", *points, class_="verdict-points") if points else Html(""),
        _facts(_key_facts(score)),
    )


def window(score: Score, position: int, comparison: Comparison, anchor: str) -> Html:
    """Everything about one test window."""
    place = windows(score)[position]
    rows = comparison.rows
    style = series.styles(score)
    span = f"{place.start} to {place.end} · {comparison.bars + 1:,} rows"
    return tag(
        "section",
        tag("h2", comparison.window, tag("small", span)),
        _forests(comparison, style),
        _metrics(score, position, rows, style),
        _curves(rows, style),
        _weights(rows, score, f"{anchor}-weights"),
        _trading(rows, style),
        id=anchor,
    )


def training(score: Score) -> Html:
    """Training logs of the learned agents; empty where nothing learned."""
    style = series.styles(score)
    found = [_training(row, style[row.agent]) for row in score.rows if row.training]
    if not found:
        return Html("")
    said = "Median and range over seeds, one value per update, not smoothed."
    return join([tag("p", said, class_="lead"), *found])


def task(score: Score) -> Html:
    """The card of the task, the agents' settings and the versions."""
    card = {key: value for key, value in score.card.items() if key not in ("published", "summary")}
    agents = [_settings(row) for row in score.rows if row.settings]
    versions = ", ".join(f"{name} {version}" for name, version in score.versions.items())
    return join(
        [
            _facts([(title(key), _plain(value)) for key, value in card.items()], "card"),
            tag("h3", "Agents’ settings"),
            *agents,
            tag("p", f"Ran in {number(score.seconds, 0)} s with {versions or 'unknown versions'}."),
        ]
    )


def conventions(score: Score) -> Html:
    """How the numbers are made."""
    rest = {key: value for key, value in score.conventions.items() if key not in metric_names(score)}
    return join(
        [
            tag(
                "p",
                "A value is the median over seeds. An interval holds the middle 90 % of values "
                "resampled in blocks of bars (stationary bootstrap), all seeds together; it tells "
                "what one more run over bars like these may show. r are returns per bar, n bars, "
                "P bars per year, V account values. Ratios at ±10⁶ had nothing to be divided by.",
                class_="lead",
            ),
            tables.convention_table(metric_names(score), score.conventions),
            _facts([(title(key), _plain(value)) for key, value in rest.items()]),
        ]
    )


def verify(score: Score, bundle: str) -> Html:
    """How anybody can score the recorded actions again."""
    return join(
        [
            tag(
                "p",
                "Every action of every agent is recorded beside this file. This command replays "
                "them on the exact ledger and compares all numbers, bit for bit:",
                class_="lead",
            ),
            tag("pre", tag("code", f"steelyard verify {bundle}")),
            tag("p", f"Scores compare only where fingerprints are equal: {score.fingerprint}."),
        ]
    )


def tab_rules(count: int) -> str:
    """Style rules that show the panel of the chosen tab."""
    shown = ",".join(f".tabs>input:nth-of-type({n}):checked~.panels>:nth-child({n})" for n in _upto(count))
    chosen = ",".join(
        f".tabs>input:nth-of-type({n}):checked~.tablist>label:nth-child({n})" for n in _upto(count)
    )
    focused = chosen.replace(":checked", ":focus-visible")
    return (
        f"{shown}{{display:block}}{chosen}{{color:var(--ink);border-color:var(--ink)}}"
        f"{focused}{{outline:2px solid var(--focus)}}"
    )


def _upto(count: int) -> range:
    return range(1, count + 1)


def _key_facts(score: Score) -> list[tuple[str, str]]:
    card = score.card
    seeds = max((len(row.seeds) for row in score.rows), default=0)
    facts = [
        (place.name if len(windows(score)) > 1 else "Test", _period(place.start, place.end))
        for place in windows(score)
    ]
    if isinstance(card.get("train"), Mapping):
        facts.insert(0, ("Trained on", _period(card["train"]["start"], card["train"]["end"])))
    if "cash" in card:
        facts.append(("Capital", money(float(card["cash"]))))
    if "cost" in card:
        facts.append(("Cost", percent(float(card["cost"]), 2, sign=False) + " each side"))
    if "fill" in card:
        facts.append(("Fill", FILLS.get(str(card["fill"]), str(card["fill"]))))
    facts.append(("Universe", f"{len(score.assets)} assets"))
    facts.append(("Seeds", str(seeds)))
    return facts


def _period(start: str, end: str) -> Html:
    """Two days that are not broken over lines."""
    return join(
        [tag("span", start, class_="nowrap"), " to ", tag("span", end, class_="nowrap")]
    )


def _facts(facts: Sequence[tuple[str, str]], style: str = "facts") -> Html:
    pairs = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts]
    return tag("dl", *pairs, class_=style) if pairs else Html("")


def _plain(value: Any) -> str:
    """A fact as text: lists with commas, everything nested as JSON."""
    if value is None or value in ([], {}, ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, Mapping) and {"start", "end"} <= set(value):
        return f"{value.get('name', '')} {value['start']} to {value['end']}".strip()
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        return "; ".join(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _forests(comparison: Comparison, style: Mapping[str, str]) -> Html:
    sharpe = {agent.agent: window.metrics[KEY] for agent, window in comparison.rows if KEY in window.metrics}
    figures = []
    if sharpe:
        said = f", {comparison.reference} shaded" if comparison.reference in sharpe else ""
        figures.append(
            tag(
                "figure",
                tag("figcaption", tag("b", "Sharpe ratio"), f" with 90 % interval{said}"),
                tables.forest(sharpe, KEY, style, comparison.reference),
            )
        )
    if comparison.excess:
        said = f" over {comparison.reference}, bar for bar; an interval that covers zero shows no skill"
        figures.append(
            tag(
                "figure",
                tag("figcaption", tag("b", "Excess return per year"), said),
                tables.forest(comparison.excess, "excess", style, ""),
            )
        )
    return tag("div", *figures, class_="pair")


def _metrics(score: Score, position: int, rows: Sequence[Row], style: Mapping[str, str]) -> Html:
    places = windows(score)
    published = tables.published_in(score.published, places[position], places)
    said = (
        "Median over seeds, 90 % interval below. ",
        tag("span", "○", class_="disc"),
        " best agent of the column, ",
        tag("span", "●", class_="disc"),
        " best with an interval that overlaps no other agent’s. An index pays no costs and does "
        "not compete, nor does an account that never moved.",
    )
    notes = [tables.published_notes(published)] if published else []
    return join(
        [
            tag("h3", "Metrics"),
            tag("p", *said, class_="lead"),
            tables.metric_table(rows, metric_names(score), style, published),
            *notes,
        ]
    )


def _curves(rows: Sequence[Row], style: dict[str, str]) -> Html:
    times = series.timestamps(rows)
    gains = series.curve_series(rows, style, series.growth)
    falls = series.curve_series(rows, style, series.underwater)
    many = max((len(window.curves) for _, window in rows), default=1)
    ends = "5th to 95th percentile" if many > series.MANY else "lowest to highest"
    said = f" Bands: {ends} of {many} seeds around the median." if many > 1 else ""
    return join(
        [
            tag("h3", "Equity"),
            tag("p", "Gain on the starting capital, after costs.", said, class_="lead"),
            charts.line_chart(gains, times, Look("Gain on the starting capital over time", 420)),
            tag("h3", "Drawdown"),
            tag("p", "Below the highest value so far.", said, class_="lead"),
            charts.line_chart(falls, times, Look("Drawdown over time", 260)),
        ]
    )


def _weights(rows: Sequence[Row], score: Score, group: str) -> Html:
    held = [(agent, window) for agent, window in rows if window.backtests]
    if not held:
        return Html("")
    radios, labels, panels = [], [], []
    for number_, (agent, window) in enumerate(held):
        chosen = series.middle_seed(window.backtests)
        one = window.backtests[chosen]
        label = f"{group}-{number_}"
        radios.append(tag("input", type="radio", name=group, id=label, checked=number_ == 0, autocomplete="off"))
        labels.append(tag("label", agent.agent, for_=label))
        layers = series.weight_layers(one, score.assets)
        look = Look(f"Weights of {agent.agent} over time", 280, sign=False, ends=False, points=150)
        said = f"{agent.agent}, seed {agent.seeds[chosen]}" if len(agent.seeds) > 1 else agent.agent
        panels.append(
            tag("div", tag("h4", said), charts.stack_chart(layers, one.curve.timestamps, look))
        )
    lead = (
        f"Share of the account in its {series.NAMED} largest holdings on average, in the rest and "
        "in cash. Where there are several seeds: the one with the median final value."
    )
    return join(
        [
            tag("h3", "Weights"),
            tag("p", lead, class_="lead"),
            tag(
                "div",
                *radios,
                tag("div", *labels, class_="tablist"),
                tag("div", *panels, class_="panels"),
                class_="tabs",
            ),
        ]
    )


def _trading(rows: Sequence[Row], style: dict[str, str]) -> Html:
    paid = series.cost_series(rows, style)
    if not paid:
        return Html("")
    times = series.timestamps(rows)
    look = Look("Costs paid so far", 240, sign=False)
    return join(
        [
            tag("h3", "Turnover and costs"),
            tag("p", "Medians over seeds.", class_="lead"),
            tables.trading_table(rows, style),
            tag("p", "Commissions paid so far, share of the starting capital.", class_="lead"),
            charts.line_chart(paid, times, look),
        ]
    )


def _training(row: AgentScore, style: str) -> Html:
    logs = sorted({name for log in row.training for name in log}, key=lambda name: (name != "reward", name))
    figures = []
    for name in logs:
        one = series.training_series(row, name, style)
        look = Look(f"{name} of {row.agent}", 150, percent=False, zero=False, keys=False, ends=False)
        figures.append(
            tag("div", tag("h4", title(name)), charts.update_chart(one, look), class_="small")
        )
    updates = max(len(log) for log in row.training[0].values())
    said = f"{len(row.training)} seeds, {updates:,} updates, {number(row.seconds, 0)} s with backtests"
    return join([tag("h3", row.agent, tag("small", said)), tag("div", *figures, class_="multiples")])


def _settings(row: AgentScore) -> Html:
    pairs = [(key, _plain(value)) for key, value in row.settings.items()]
    return tag("details", tag("summary", row.agent), _facts(pairs, "card"))
