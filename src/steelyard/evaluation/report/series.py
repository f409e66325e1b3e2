"""What the charts show, taken out of a score: bands over seeds, drawdowns, costs, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.evaluation.ranking import Row
from steelyard.evaluation.results import AgentScore, Backtest, Score
from steelyard.types import EquityCurve, Floats

NAMED = 8
"""Holdings of an agent that get a colour of their own."""

MANY = 10
"""From more seeds than this on, bands go from the 5th to the 95th percentile."""


@dataclass(frozen=True)
class Series:
    """A line with its band.

    Attributes:
        label: whose it is.
        style: CSS classes that give colour and dash.
        value: (T,) median over seeds.
        low, high: (T,) the band; None for a single curve.
    """

    label: str
    style: str
    value: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Layer:
    """One holding in a stack of weights."""

    label: str
    style: str
    value: Floats


def styles(score: Score) -> dict[str, str]:
    """CSS classes of every row with numbers, the same in all charts: eight colours, then dashed."""
    order = {"learned": 0, "classic": 1}
    agents = [row for row in score.rows if row.kind != "index" and row.stands]
    agents.sort(key=lambda row: order.get(row.kind, 2))
    found = {row.agent: _style(number) + " " + row.kind for number, row in enumerate(agents)}
    indices = [row for row in score.rows if row.kind == "index" and row.stands]
    return found | {row.agent: f"neutral dash{n % 3 + 1} index" for n, row in enumerate(indices)}


def _style(number: int) -> str:
    dash = number // 8
    return f"c{number % 8}" + (f" dash{(dash - 1) % 3 + 1}" if dash else "")


def growth(curves: Sequence[EquityCurve]) -> Floats:
    """(S, T) gain since the first row as a fraction of the starting capital."""
    value = np.stack([np.asarray(curve.value, np.float64) for curve in curves])
    return np.asarray(value / value[:, :1] - 1.0)


def underwater(curves: Sequence[EquityCurve]) -> Floats:
    """(S, T) value over the peak before it, minus 1."""
    value = np.stack([np.asarray(curve.value, np.float64) for curve in curves])
    return np.asarray(value / np.maximum.accumulate(value, axis=1) - 1.0)


def band(label: str, style: str, values: Floats) -> Series:
    """Median and band of (S, T): all of it for up to ten seeds, else the middle 90 %."""
    middle = np.median(values, axis=0)
    if len(values) == 1:
        return Series(label, style, middle)
    ends = (5, 95) if len(values) > MANY else (0, 100)
    low, high = np.percentile(values, ends, axis=0)
    return Series(label, style, middle, low, high)


def curve_series(
    rows: Sequence[Row],
    style: dict[str, str],
    measure: Callable[[Sequence[EquityCurve]], Floats],
) -> list[Series]:
    """One series per row of a window, of what `measure` says about its curves."""
    return [
        band(agent.agent, style[agent.agent], measure(window.curves))
        for agent, window in rows
        if window.curves
    ]


def cost_series(rows: Sequence[Row], style: dict[str, str]) -> list[Series]:
    """Costs paid so far as a fraction of the starting capital, per agent that trades."""
    found = []
    for agent, window in rows:
        if window.backtests:
            paid = np.stack([np.append(0.0, np.cumsum(b.costs)) for b in window.backtests])
            start = np.array([float(b.curve.value[0]) for b in window.backtests])
            found.append(band(agent.agent, style[agent.agent], paid / start[:, None]))
    return found


def timestamps(rows: Sequence[Row]) -> NDArray[np.datetime64]:
    """The rows on which all agents of a window were scored."""
    return next(window.curves[0].timestamps for _, window in rows if window.curves)


def middle_seed(backtests: Sequence[Backtest]) -> int:
    """Position of the backtest whose final value is the (lower) median."""
    final = np.array([float(one.curve.value[-1]) for one in backtests])
    return int(np.argsort(final, kind="stable")[(len(final) - 1) // 2])


def weight_layers(one: Backtest, assets: Sequence[str]) -> list[Layer]:
    """Largest holdings on average, the rest together, and cash: they add up to 1.

    Cash is what the weights leave of the account, negative where it was borrowed.
    """
    mean = np.abs(one.weights).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    held = [int(column) for column in order if mean[column] > 1e-6]
    layers = [
        Layer(assets[column], f"c{number}", one.weights[:, column])
        for number, column in enumerate(held[:NAMED])
    ]
    if rest := held[NAMED:]:
        label = assets[rest[0]] if len(rest) == 1 else f"{len(rest)} others"
        layers.append(Layer(label, "rest", one.weights[:, rest].sum(axis=1)))
    return [*layers, Layer("cash", "cash", 1.0 - one.weights.sum(axis=1))]


def training_series(agent: AgentScore, name: str, style: str) -> Series:
    """A log of all seeds and rolling windows of an agent, cut to the shortest."""
    logs = [
        np.atleast_2d(np.asarray(log[name], np.float64)) for log in agent.training if name in log
    ]
    updates = min(log.shape[1] for log in logs)
    return band(name, style, np.concatenate([log[:, :updates] for log in logs]))


@dataclass(frozen=True)
class Trading:
    """How much an agent traded in a window; medians over seeds.

    Attributes:
        turnover: half of what was bought and sold per year, over the mean value.
        costs: commissions in quote currency.
        drag: commissions per year, over the mean value.
        active: share of the bars with a trade.
        trades: closed trades.
        cash: mean share of the account in cash.
        holdings: mean number of assets held.
        largest: mean weight of the largest holding.
        gated: share of the bars on which a risk gate was closed.
    """

    turnover: float
    costs: float
    drag: float
    active: float
    trades: float
    cash: float
    holdings: float
    largest: float
    gated: float


def trading(backtests: Sequence[Backtest]) -> Trading:
    """Sum up what the backtests of one agent in one window traded."""
    return Trading(*np.median([_trading(one) for one in backtests], axis=0).tolist())


def _trading(one: Backtest) -> list[float]:
    value = np.asarray(one.curve.value, np.float64)
    mean = float(value.mean())
    years = max(len(one.costs), 1) / one.curve.periods_per_year
    weights = np.abs(one.weights[1:])
    return [
        float(one.traded.sum()) / 2 / mean / years,
        float(one.costs.sum()),
        float(one.costs.sum()) / mean / years,
        float((one.traded > 0).mean()),
        float(0 if one.curve.trades is None else len(one.curve.trades)),
        float((1.0 - one.weights[1:].sum(axis=1)).mean()),
        float((weights > 1e-6).sum(axis=1).mean()),
        float(weights.max(axis=1).mean()),
        float(one.gated.mean()),
    ]
