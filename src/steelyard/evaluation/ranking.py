"""Who is best at what, and whether that is more than the intervals allow to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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

Reason = Literal[
    "",
    "no agents",
    "nobody moved",
    "too few returns",
    "nothing finite",
    "one competitor",
    "one finite",
]
"""Why nobody is best: there are only indices, no account moved, the window is shorter than `FEW`,
no agent that moved has the number, only one agent moved, only one of those has the number."""


@dataclass(frozen=True)
class Best:
    """The best value of a metric in a window.

    Attributes:
        agents: who has it; more than one where values are equal, none where nothing can be ranked.
        apart: whether its interval overlaps that of no other agent.
        reason: why nobody is named; empty where somebody is.
    """

    agents: frozenset[str]
    apart: bool
    reason: Reason = ""


def window_rows(score: Score, window: int) -> list[Row]:
    """Rows of one window with their agents: learned, classic, then index, else as they came."""
    rows = [(row, row.windows[window]) for row in score.rows if window < len(row.windows)]
    known = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(rows, key=lambda pair: known.get(pair[0].kind, len(known)))


def windows(score: Score) -> list[WindowScore]:
    """The windows of the task, as the first row that was scored has them."""
    return next((list(row.windows) for row in score.rows if row.stands), [])


def unscored(score: Score) -> list[AgentScore]:
    """Rows without numbers, in the order in which they came."""
    return [row for row in score.rows if not row.stands]


def metric_names(score: Score) -> list[str]:
    """Every metric of the score, in the order of the tables."""
    held = {name for row in score.rows for window in row.windows for name in window.metrics}
    return [name for name in ORDER if name in held] + sorted(held - set(ORDER))


def bars(rows: Sequence[Row]) -> int:
    """Returns in a window of these rows."""
    return min((len(curve.timestamps) - 1 for _, at in rows for curve in at.curves), default=0)


def moved(window: WindowScore) -> bool:
    """Whether anything was ever traded, or the account's value changed.

    Who only holds cash does not compete.
    """
    values = [np.asarray(curve.value) for curve in window.curves]
    return any(bool((value != value[..., :1]).any()) for value in values) or any(
        bool((one.traded > 0).any() or (one.units != one.units[:1]).any())
        for one in window.backtests
    )


def competes(row: Row) -> bool:
    """Whether a row can be best at something: an agent, no index, that did something."""
    return row[0].kind != "index" and moved(row[1])


def contenders(rows: Sequence[Row], metric: str) -> dict[str, Estimate]:
    """The estimates of `metric` that are ranked: finite ones of the rows that compete."""
    return {
        row[0].agent: one
        for row in rows
        if (one := row[1].metrics.get(metric)) and np.isfinite(one.value) and competes(row)
    }


def best(rows: Sequence[Row], metric: str) -> Best:
    """Who is best at `metric` among the rows that compete, in the direction of its card.

    Nobody where there is nobody to be better than; the reason is told.
    """
    held = contenders(rows, metric)
    if reason := _nobody(rows, len(held)):
        return Best(frozenset(), False, reason)
    sign = 1.0 if metric_card(metric)["better"] == "higher" else -1.0
    top = max(sign * one.value for one in held.values())
    agents = frozenset(name for name, one in held.items() if sign * one.value == top)
    one = held[min(agents)]
    others = [other for name, other in held.items() if name not in agents]
    apart = len(agents) == 1 and all(
        lies_above(one, other) if sign > 0 else lies_above(other, one) for other in others
    )
    return Best(agents, apart)


def _nobody(rows: Sequence[Row], ranked: int) -> Reason:
    """Why nobody can be best where `ranked` agents have the number; empty if somebody can."""
    agents = [row for row in rows if row[0].kind != "index"]
    movers = sum(moved(window) for _, window in agents)
    if not agents:
        return "no agents"
    if not movers:
        return "nobody moved"
    if bars(rows) < FEW:
        return "too few returns"
    if not ranked:
        return "nothing finite"
    if movers == 1:
        return "one competitor"
    return "one finite" if ranked == 1 else ""


def lies_above(one: Estimate, other: Estimate) -> bool:
    """Whether the whole interval of `one` is larger than the whole interval of `other`."""
    return one.low > other.high
