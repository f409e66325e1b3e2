"""Every window of a score, seen from the agent that others have to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steelyard.evaluation.ranking import FEW, Row, bars, lies_above, window_rows, windows
from steelyard.evaluation.results import Estimate, Score
from steelyard.evaluation.statistics import excess_interval

KEY = "sharpe_ratio"
"""The metric that the verdict is about."""

REFERENCE = "buy_and_hold"
"""The agent that others have to beat: who bought everything once and went home."""

QUARTER = 0.25
"""Years of a window below which nothing is said about a year."""


@dataclass(frozen=True)
class Comparison:
    """One window seen from a reference.

    Attributes:
        window: its name.
        bars: returns in it.
        years: their length on the clock by which ratios are annualised.
        rows: agents and indices that were scored, in the order of the tables.
        reference: name of the agent that others are compared with; empty where there is none.
        excess: name -> return per year above the reference on the same bars (paired); that of all
            bars where the window is `short`.
    """

    window: str
    bars: int
    years: float
    rows: Sequence[Row]
    reference: str
    excess: dict[str, Estimate]

    @property
    def short(self) -> bool:
        """Whether nothing should be said about a year."""
        return self.years < QUARTER

    @property
    def agents(self) -> dict[str, Estimate]:
        """Sharpe ratio of every agent, indices left out."""
        return {
            agent.agent: window.metrics[KEY]
            for agent, window in self.rows
            if agent.kind != "index" and KEY in window.metrics
        }

    @property
    def rivals(self) -> list[str]:
        """Agents that are compared with the reference."""
        return [name for name in self.agents if name != self.reference]

    def above(self) -> list[str]:
        """Agents whose Sharpe interval lies above that of the reference."""
        bar = self.agents.get(self.reference)
        if self.bars < FEW or bar is None:
            return []
        return [name for name in self.rivals if lies_above(self.agents[name], bar)]


def compare(score: Score) -> list[Comparison]:
    """Every window of a score, with the paired excess over the reference."""
    return [_compare(score, number) for number in range(len(windows(score)))]


def _compare(score: Score, number: int) -> Comparison:
    rows = window_rows(score, number)
    held = {agent.agent: window for agent, window in rows}
    chosen = REFERENCE if REFERENCE in held else ""
    excess: dict[str, Estimate] = {}
    if chosen and held[chosen].curves:
        benchmark = held[chosen].curves[0]
        excess = {
            name: excess_interval(list(window.curves), benchmark)
            for name, window in held.items()
            if name != chosen and window.curves
        }
    curves = [window.curves[0] for _, window in rows if window.curves]
    count = bars(rows)
    years = count / curves[0].periods_per_year if curves else 0.0
    made = Comparison(windows(score)[number].name, count, years, rows, chosen, excess)
    if not made.short:
        return made
    return replace(made, excess={name: _scaled(one, years) for name, one in excess.items()})


def _scaled(one: Estimate, factor: float) -> Estimate:
    return Estimate(factor * one.value, factor * one.low, factor * one.high)
