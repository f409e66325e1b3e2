"""Who is best at what, and whether that is more than the intervals allow to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steelyard.evaluation.results import AgentScore, Estimate, Score, WindowScore
from steelyard.metrics import metric_card

ORDER: tuple[str, ...] = (
    "cumulative_return",
    "annual_return",
    "annual_volatility",
    "sharpe_ratio",
    "daily_sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "romad",
    "calmar_ratio",
    "omega_ratio",
    "rachev_ratio",
    "win_loss_ratio",
)
"""Metrics in the order of every table; others follow by name."""

KINDS: tuple[str, ...] = ("learned", "classic", "index")
"""Groups in the order of every table."""

FEW = 20
"""Returns below which no agent is said to be better than another: resampling a handful of bars
only repeats them, and its intervals are too narrow."""

Row = tuple[AgentScore, WindowScore]


@dataclass(frozen=True)
class Best:
    """The best value of a metric in a window.

    Attributes:
        agents: who has it; more than one where values are equal, none where nothing can be ranked.
        apart: whether its interval overlaps that of no other agent.
    """

    agents: frozenset[str]
    apart: bool


def window_rows(score: Score, window: int) -> list[Row]:
    """Rows of one window with their agents: learned, classic, then index, else as they came."""
    rows = [(row, row.windows[window]) for row in score.rows if window < len(row.windows)]
    known = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(rows, key=lambda pair: known.get(pair[0].kind, len(known)))


def windows(score: Score) -> list[WindowScore]:
    """The windows of the task, as its first row has them."""
    return list(score.rows[0].windows) if score.rows else []


def metric_names(score: Score) -> list[str]:
    """Every metric of the score, in the order of the tables."""
    held = {name for row in score.rows for window in row.windows for name in window.metrics}
    return [name for name in ORDER if name in held] + sorted(held - set(ORDER))


def moved(window: WindowScore) -> bool:
    """Whether the account's value ever changed; who only holds cash does not compete."""
    return any(bool(np.ptp(np.asarray(curve.value)) > 0) for curve in window.curves)


def competes(row: Row) -> bool:
    """Whether a row can be best at something: an agent, no index, that did something."""
    return row[0].kind != "index" and moved(row[1])


def best(rows: Sequence[Row], metric: str) -> Best:
    """Who is best at `metric` among the rows that compete, in the direction of its card.

    Nobody where there is nobody to be better than.
    """
    held = {
        agent.agent: window.metrics[metric]
        for agent, window in rows
        if competes((agent, window)) and metric in window.metrics
    }
    held = {name: one for name, one in held.items() if np.isfinite(one.value)}
    if len(held) < 2:
        return Best(frozenset(), False)
    sign = 1.0 if metric_card(metric)["better"] == "higher" else -1.0
    top = max(sign * one.value for one in held.values())
    agents = frozenset(name for name, one in held.items() if sign * one.value == top)
    others = [one for name, one in held.items() if name not in agents]
    bars = min(len(curve.timestamps) - 1 for _, window in rows for curve in window.curves)
    apart = (
        len(agents) == 1
        and bars >= FEW
        and all(
            lies_above(one, other) if sign > 0 else lies_above(other, one)
            for one in (held[next(iter(agents))],)
            for other in others
        )
    )
    return Best(agents, apart)


def lies_above(one: Estimate, other: Estimate) -> bool:
    """Whether the whole interval of `one` is larger than the whole interval of `other`."""
    return one.low > other.high
