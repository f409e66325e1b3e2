"""What a score allows to say, in sentences; nothing that its intervals do not carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from steelyard.evaluation.ranking import FEW, Row, best, lies_above, moved, window_rows, windows
from steelyard.evaluation.report.numbers import (
    NARROW,
    metric_interval,
    metric_value,
    names,
    percent,
    plain,
)
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
        rows: agents and indices, in the order of the tables.
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
        if self.bars < FEW:
            return []
        bar = self.agents[self.reference]
        return [name for name in self.rivals if lies_above(self.agents[name], bar)]


def compare(score: Score) -> list[Comparison]:
    """Every window of a score, with the paired excess over the reference."""
    return [_compare(score, number) for number in range(len(windows(score)))]


def verdict(score: Score, comparisons: Sequence[Comparison] | None = None) -> list[str]:
    """Sentences on who is better than whom, as far as the 90{NARROW}% intervals reach.

    Args:
        score: of a run.
        comparisons: those of `compare(score)`, where they are at hand.

    Returns:
        First the headline: agents against the reference by their Sharpe intervals. Then, window
        by window, the leader, the paired comparison, the index, and what limits all of it.
    """
    seen = compare(score) if comparisons is None else comparisons
    if not seen or not any(one.agents for one in seen):
        return ["No agent was scored."]
    told = [sentence for one in seen for sentence in _window(one, len(seen))]
    return [_headline(seen), *told, *_ceilings(score), *_few(seen), *_seeds(score)]


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
    bars = max((len(curve.timestamps) - 1 for curve in curves), default=0)
    years = bars / curves[0].periods_per_year if curves else 0.0
    made = Comparison(windows(score)[number].name, bars, years, rows, chosen, excess)
    if not made.short:
        return made
    return replace(made, excess={name: _scaled(one, years) for name, one in excess.items()})


def _scaled(one: Estimate, factor: float) -> Estimate:
    return Estimate(factor * one.value, factor * one.low, factor * one.high)


def _headline(seen: Sequence[Comparison]) -> str:
    first = seen[0]
    if not first.reference:
        return f"There is no {REFERENCE} to compare with: the agents are only ranked."
    if not first.rivals:
        return f"{first.reference} stands alone: there is nothing to compare it with."
    if all(one.bars < FEW for one in seen):
        bars = names([str(one.bars) for one in seen])
        return f"{bars} returns are too few to tell agents apart."
    above = [one.above() for one in seen]
    if not any(above):
        where = "" if len(seen) == 1 else f" in any of the {len(seen)} windows"
        return f"No agent's Sharpe interval lies above {first.reference}'s{where}."
    if len(seen) == 1:
        noun, verb = ("interval", "lies") if len(above[0]) == 1 else ("intervals", "lie")
        return f"The Sharpe {noun} of {_all(above[0])} {verb} above {first.reference}'s."
    each = [
        f"{_all(who) if who else 'none'} in {plain(one.window)}"
        for one, who in zip(seen, above, strict=True)
    ]
    return f"Sharpe intervals above {first.reference}'s: {'; '.join(each)}."


def _window(one: Comparison, count: int) -> list[str]:
    ranked = [*_leader(one), *_paired(one)] if one.bars >= FEW else []
    sentences = [*ranked, *_index(one)]
    return sentences if count == 1 else [f"{plain(one.window)} · {text}" for text in sentences]


def _few(seen: Sequence[Comparison]) -> list[str]:
    """Why nothing is said about short windows."""
    bars = names([str(one.bars) for one in seen if one.bars < FEW])
    if not bars:
        return []
    return [
        f"{bars} returns are not ranked: annualised numbers extrapolate them, and intervals only "
        "know what these bars showed."
    ]


def _leader(one: Comparison) -> list[str]:
    """Who has the highest Sharpe ratio, and whether that settles anything."""
    top = best(one.rows, KEY)
    if not top.agents:
        return ["No agent traded: every account stayed where it was."]
    name = sorted(top.agents)[0]
    held = one.agents[name]
    verb = "has" if len(top.agents) == 1 else "have"
    stated = (
        f"{_all(sorted(top.agents))} {verb} the highest Sharpe ratio,"
        f" {metric_value(KEY, held.value)} (90{NARROW}% interval {metric_interval(KEY, held)})"
    )
    if held.value < 0:
        return [stated + ": below zero, holding cash did better."]
    active = {row.agent for row, window in one.rows if moved(window)}
    others = [other for who, other in one.agents.items() if who in active - set(top.agents)]
    if not others:
        return [stated + "."]
    overlapping = sum(not lies_above(held, other) for other in others)
    if not overlapping:
        return [stated + ", above the interval of every other agent."]
    many = (
        f"all {len(others)}"
        if overlapping == len(others)
        else f"{overlapping} of the {len(others)}"
    )
    return [f"{stated}, but its interval overlaps {many} others': the order is not settled."]


def _paired(one: Comparison) -> list[str]:
    """Returns against the reference's on the same bars."""
    found = {name: one.excess[name] for name in one.rivals if name in one.excess}
    if not found:
        return []
    over = [name for name, excess in found.items() if excess.low > 0]
    under = [name for name, excess in found.items() if excess.high < 0]
    sentences = []
    if not over:
        sentences.append(
            f"Bar for bar against {one.reference}, no agent earned reliably more: every 90 % "
            "interval of the excess return reaches zero or below."
        )
    sentences += [
        f"Bar for bar against {one.reference}, {plain(name)} earned {_more(found[name], one)}."
        for name in over
    ]
    if over and len(found) > 1:
        luck = 1 - 0.95 ** len(found)
        sentences.append(
            f"Among {len(found)} independent agents without skill, luck gives at least one such "
            f"interval about {100 * luck:.0f} times in 100."
        )
    if under:
        sentences.append(f"{_all(under)} earned reliably less than {one.reference}.")
    return sentences


def _more(excess: Estimate, one: Comparison) -> str:
    """An excess per year, or over a window that is too short to speak of years."""
    digits, time = (2, "in all") if one.short else (1, "a year")
    value, low, high = (percent(each, digits) for each in (excess.value, excess.low, excess.high))
    return f"{value} {time} more (90{NARROW}% interval {low} to {high})"


def _index(one: Comparison) -> list[str]:
    """How many agents earned more than the index did, which pays no costs."""
    metric = "cumulative_return"
    gains = {row.agent: window.metrics.get(metric) for row, window in one.rows}
    sentences = []
    for row, _ in one.rows:
        level = gains[row.agent]
        if row.kind == "index" and level is not None and np.isfinite(level.value):
            rivals = [gain for name in one.agents if (gain := gains[name]) is not None]
            more = sum(gain.value > level.value for gain in rivals)
            sentences.append(
                f"The index {plain(row.agent)} returned {metric_value(metric, level.value)} "
                f"without paying costs; {more} of {len(rivals)} agents returned more."
            )
    return sentences


def _ceilings(score: Score) -> list[str]:
    """How much of what hindsight could have earned the agents did earn."""
    told = []
    for one in score.ceilings:
        where = "" if len(score.ceilings) == 1 else f"{plain(one.window)} · "
        shares = [f"{plain(name)} {percent(share, 1)}" for name, share in one.shares.items()]
        told.append(
            f"{where}Knowing the future, {percent(one.gain, 2)} could have been earned; "
            + (f"of that earned {', '.join(shares)}." if shares else "there was nothing to earn.")
        )
    return told


def _seeds(score: Score) -> list[str]:
    """Learned agents whose luck of training was not measured."""
    single = [row.agent for row in score.rows if row.kind == "learned" and len(row.seeds) == 1]
    if not single:
        return []
    verb = "was" if len(single) == 1 else "were"
    return [
        f"{_all(single)} {verb} trained with one seed: what training owes to luck is not known."
    ]


def _all(agents: Sequence[str]) -> str:
    return names([plain(agent) for agent in agents])
