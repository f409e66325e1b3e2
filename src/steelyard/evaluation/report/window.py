"""Everything about one test window: intervals, metrics, curves, weights, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steelyard.evaluation.ranking import FEW, Row, best, metric_names, unscored, windows
from steelyard.evaluation.report import series
from steelyard.evaluation.report.beside import beside
from steelyard.evaluation.report.charts import line_chart, stack_chart
from steelyard.evaluation.report.comparison import KEY, Comparison
from steelyard.evaluation.report.forest import forest
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import counted
from steelyard.evaluation.report.plot import Look
from steelyard.evaluation.report.published import published_in, published_notes
from steelyard.evaluation.report.tables import metric_table, trading_table
from steelyard.evaluation.results import AgentScore, Backtest, Score


def window(score: Score, position: int, comparison: Comparison, anchor: str) -> Html:
    """Everything about one test window."""
    place = windows(score)[position]
    rows = comparison.rows
    style = series.styles(score)
    span = f"{place.start} to {place.end} · {counted(comparison.bars + 1, 'row')}"
    return tag(
        "section",
        tag("h2", comparison.window, tag("small", span)),
        _few(comparison.bars),
        _forests(comparison, style),
        _metrics(score, position, rows, style),
        _curves(rows, style),
        _weights(rows, score, f"{anchor}-weights"),
        _trading(rows, style),
        id=anchor,
    )


def _few(bars: int) -> Html:
    """A warning above windows in which nobody is ranked."""
    if bars >= FEW:
        return Html("")
    said = (
        f"{counted(bars, 'return')} {'is' if bars == 1 else 'are'} too few to tell agents apart: "
        "nobody is marked as the best. Annualised numbers extrapolate them, and intervals are "
        "narrower than the truth: they only know what these bars showed."
    )
    return tag("p", said, class_="warning")


def tab_rules(count: int) -> str:
    """Style rules that show the panel of the chosen tab."""
    shown = ",".join(
        f".tabs>input:nth-of-type({n}):checked~.panels>:nth-child({n})" for n in _upto(count)
    )
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


def _forests(comparison: Comparison, style: Mapping[str, str]) -> Html:
    sharpe = {
        agent.agent: window.metrics[KEY]
        for agent, window in comparison.rows
        if KEY in window.metrics
    }
    figures = []
    if sharpe:
        said = f", {comparison.reference} shaded" if comparison.reference in sharpe else ""
        figures.append(
            tag(
                "figure",
                tag("figcaption", tag("b", "Sharpe ratio"), f" with 90 % interval{said}"),
                forest(sharpe, style, reference=comparison.reference),
            )
        )
    if comparison.excess:
        time = "in all" if comparison.short else "per year"
        said = f" over {comparison.reference}, bar for bar; covering zero shows no skill"
        figures.append(
            tag(
                "figure",
                tag("figcaption", tag("b", f"Excess return {time}"), said),
                forest(comparison.excess, style, unit="%"),
            )
        )
    return tag("div", *figures, class_="pair")


def _metrics(score: Score, position: int, rows: Sequence[Row], style: Mapping[str, str]) -> Html:
    published = published_in(score.published, position, windows(score))
    metrics = metric_names(score)
    said: tuple[str, ...] = ("Median over seeds, 90 % interval below.",)
    if any(best(rows, metric).agents for metric in metrics):
        said += (
            " ",
            tag("span", "○", class_="disc"),
            " best agent of the column, ",
            tag("span", "●", class_="disc"),
            " best with an interval that overlaps no other agent's. An index pays no costs and "
            "does not compete, nor does an account that never traded.",
        )
    notes = [published_notes(published), beside(rows, published, style)] if published else []
    return join(
        [
            tag("h3", "Metrics"),
            tag("p", *said, class_="lead"),
            metric_table(rows, metrics, style, published, unscored(score)),
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
            line_chart(gains, times, Look("Gain on the starting capital over time", 420)),
            tag("h3", "Drawdown"),
            tag("p", "Below the highest value so far.", said, class_="lead"),
            line_chart(falls, times, Look("Drawdown over time", 260)),
        ]
    )


def _weights(rows: Sequence[Row], score: Score, group: str) -> Html:
    held = [(agent, window) for agent, window in rows if window.backtests]
    if not held:
        return Html("")
    radios, labels, panels = [], [], []
    for count, (agent, window) in enumerate(held):
        label = f"{group}-{count}"
        radios.append(
            tag("input", type="radio", name=group, id=label, checked=not count, autocomplete="off")
        )
        labels.append(tag("label", agent.agent, for_=label))
        panels.append(_weight_panel(agent, window.backtests, score.assets))
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


def _weight_panel(agent: AgentScore, backtests: Sequence[Backtest], assets: Sequence[str]) -> Html:
    """The stack of the one backtest that is shown of an agent."""
    chosen = series.middle_seed(backtests)
    one = backtests[chosen]
    look = Look(f"Weights of {agent.agent} over time", 280, sign=False, ends=False, points=150)
    many = len(agent.seeds)
    said = f"seed {agent.seeds[chosen]}, one of {many}" if many > 1 else ""
    stack = stack_chart(series.weight_layers(one, assets), one.curve.timestamps, look)
    return tag("div", tag("h4", agent.agent, tag("small", said) if said else Html("")), stack)


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
            trading_table(rows, style),
            tag("p", "Commissions paid so far, share of the starting capital.", class_="lead"),
            line_chart(paid, times, look),
        ]
    )
