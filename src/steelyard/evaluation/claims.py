"""Claims about groups of agents, and whether a score bears them out.

A claim says that some agents are better than some others in one metric, each group as a whole. It
is judged by one number: the mean of the ones minus the mean of the others, every agent on the same
resampled bars (`paired.py`). One number needs no correction for the number of pairs. The pairs are
told beside it, with those that reliably contradict by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from steelyard.errors import ConfigError
from steelyard.evaluation.paired import Paired, resample_together
from steelyard.evaluation.ranking import FEW, bars, unscored, window_rows, windows
from steelyard.evaluation.report.numbers import (
    NARROW,
    counted,
    lead_interval,
    lead_value,
    names,
    plain,
    quantity,
)
from steelyard.evaluation.results import (
    UNJUDGED,
    Decision,
    Estimate,
    Lead,
    Score,
    Verdict,
    not_scored,
)
from steelyard.metrics import metric_card
from steelyard.types import EquityCurve, Facts

RESAMPLES = 2000
"""Draws behind every verdict."""


@dataclass(frozen=True)
class Claim:
    """Some agents are better than some others in one metric.

    Attributes:
        name: short and unique in its task, as `ensembles_cut_drawdown`.
        text: the claim as people say it, without a full stop.
        metric: a name in room "metrics"; its card says what better means.
        better: agents or indices that are said to be ahead.
        than: agents or indices that are said to be behind.
    """

    name: str
    text: str
    metric: str
    better: tuple[str, ...]
    than: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a claim that compares nothing.

        Raises:
            ConfigError: a group is empty, or an agent is on both sides or twice on one.
        """
        everyone = [*self.better, *self.than]
        if not self.better or not self.than:
            raise ConfigError(
                f"claim `{self.name}` compares nobody", hint='better=("ensemble_1",), than=("ppo",)'
            )
        for name in everyone:
            if everyone.count(name) > 1:
                raise ConfigError(f"claim `{self.name}` names `{name}` twice")

    def facts(self) -> dict[str, Any]:
        """The claim, ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Facts) -> Claim:
        """The claim whose `facts` these are; lists become tuples again."""
        groups = {key: tuple(facts[key]) for key in ("better", "than")}
        return cls(**{**facts, **groups})


def judge(
    score: Score,
    claims: Sequence[Claim],
    *,
    level: float = 0.9,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Verdict]:
    """What every test window of a score says about every claim.

    A claim is *supported* where the group is ahead and the interval of its lead lies above zero,
    *refuted* where it is behind and the interval lies below, else *undecided*. So is a claim of
    which a side was not run or not scored, and every claim in a window of fewer than `FEW` returns.
    The bars are drawn once for all agents of all claims. What an interval means is said at
    `statistics.difference_interval`; with few seeds it knows little about the luck of training.

    Args:
        score: its rows are agents and indices on identical bars.
        claims: agents without numbers are left out of their groups, and the sentence says why.
        level, resamples, seed: as for `statistics.interval`.

    Returns:
        Window by window, one verdict per claim; a single one where no row has a window.

    Raises:
        UnknownNameError: a claim names no metric.
        DataError: curves of one window do not lie on identical rows.
    """
    found: list[Verdict] = []
    why = {row.agent: not_scored(plain(row.agent), plain(row.note)) for row in unscored(score)}
    if score.rows and not windows(score):
        return [_unjudged(one, "", _missing(one, {}, why)) for one in claims]
    for number, window in enumerate(windows(score)):
        held = _curves(score, number)
        named = {agent for claim in claims for agent in (*claim.better, *claim.than)}
        order = {agent: place for place, agent in enumerate(a for a in held if a in named)}
        if not order:
            found += [_unjudged(one, window.name, _missing(one, order, why)) for one in claims]
            continue
        paired = resample_together(
            [held[agent] for agent in order],
            dict.fromkeys(claim.metric for claim in claims),
            resamples=resamples,
            seed=seed,
        )
        count = bars(window_rows(score, number))
        for claim in claims:
            missing = _missing(claim, order, why)
            found.append(_verdict(claim, window.name, count, paired, order, level, missing))
    return found


def _curves(score: Score, window: int) -> dict[str, list[EquityCurve]]:
    """Agent -> curves in a window, of those that were scored there."""
    return {
        row.agent: list(row.windows[window].curves)
        for row in score.rows
        if window < len(row.windows) and row.windows[window].curves
    }


def _verdict(
    claim: Claim,
    window: str,
    count: int,
    paired: Paired,
    order: Mapping[str, int],
    level: float,
    missing: str,
) -> Verdict:
    """One claim in one window of `count` returns; `order` says which row of `paired` is whose."""
    better, than = ([a for a in group if a in order] for group in (claim.better, claim.than))
    if not better or not than:
        return _unjudged(claim, window, missing)

    def lead(ones: Sequence[str], others: Sequence[str]) -> Estimate:
        at, below = ([order[agent] for agent in group] for group in (ones, others))
        return _turned(claim.metric, paired.difference(claim.metric, at, below, level))

    ahead = lead(better, than)
    if not math.isfinite(ahead.value):
        lost = f"the lead in {quantity(claim.metric)} is not a number."
        return _unjudged(claim, window, " ".join(filter(None, (UNJUDGED, lost, missing))))
    pairs = tuple(Lead(one, other, lead([one], [other])) for one in better for other in than)
    decision = _decision(ahead) if count >= FEW else "undecided"
    said = [_group_sentence(claim.metric, better, than, ahead, level), *_pairs_sentence(pairs)]
    if count < FEW:
        said.append(
            f"{counted(count, 'return')} {'is' if count == 1 else 'are'} too few to decide."
        )
    return Verdict(
        claim=claim.name,
        text=claim.text,
        metric=claim.metric,
        window=window,
        decision=decision,
        ahead=ahead,
        pairs=pairs,
        sentence=" ".join(filter(None, [*said, missing])),
    )


def _unjudged(claim: Claim, window: str, sentence: str) -> Verdict:
    return Verdict(claim.name, claim.text, claim.metric, window, "undecided", None, (), sentence)


def _decision(ahead: Estimate) -> Decision:
    """Where the value and its whole interval lie; touching zero decides nothing."""
    if ahead.value > 0 and ahead.low > 0:
        return "supported"
    if ahead.value < 0 and ahead.high < 0:
        return "refuted"
    return "undecided"


def _turned(metric: str, one: Estimate) -> Estimate:
    """A difference with the sign that makes better positive."""
    if metric_card(metric)["better"] == "higher":
        return one
    return Estimate(-one.value, -one.high, -one.low)


def _group_sentence(
    metric: str, better: Sequence[str], than: Sequence[str], ahead: Estimate, level: float
) -> str:
    verb = "is" if len(better) == 1 else "are"
    mean = " on average" if len(better) + len(than) > 2 else ""
    by = lead_value(metric, abs(ahead.value)).removeprefix("+")
    word = "ahead of" if ahead.value > 0 else "behind"
    stands = f"{word} {_all(than)} by {by}" if ahead.value else f"level with {_all(than)}"
    reaches = ", which reaches zero" if ahead.low <= 0 <= ahead.high else ""
    return (
        f"{_all(better)} {verb}{mean} {stands} in {quantity(metric)} "
        f"({100 * level:g}{NARROW}% interval of the lead {lead_interval(metric, ahead)}{reaches})."
    )


def _pairs_sentence(pairs: Sequence[Lead]) -> list[str]:
    """How many pairs agree, and which ones reliably do not."""
    if len(pairs) < 2:
        return []
    decided = [_decision(pair.ahead) for pair in pairs]
    along = sum(pair.ahead.value > 0 for pair in pairs)
    told = (
        f"{along} of {len(pairs)} pairs {'points' if along == 1 else 'point'} the claimed way, "
        f"{decided.count('supported') or 'none'} with an interval above zero"
    )
    against = [
        f"{plain(pair.better)} to {plain(pair.than)}"
        for pair, one in zip(pairs, decided, strict=True)
        if one == "refuted"
    ]
    return [told + (f"; reliably the other way: {names(against)}." if against else ".")]


def _missing(claim: Claim, held: Mapping[str, int], why: Mapping[str, str]) -> str:
    """Who has no numbers, and the reason where it is known."""
    everyone = (*claim.better, *claim.than)
    absent = [agent for agent in everyone if agent not in held and agent not in why]
    said = [why[agent] for agent in everyone if agent not in held and agent in why]
    if absent:
        said.append(f"{_all(absent)} {'was' if len(absent) == 1 else 'were'} not run.")
    none = [group for group in (claim.better, claim.than) if not set(group) & set(held)]
    return " ".join([UNJUDGED] * bool(none) + said)


def _all(agents: Sequence[str]) -> str:
    return names([plain(agent) for agent in agents])
