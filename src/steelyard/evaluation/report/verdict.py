"""What a score allows to say, in sentences; nothing that its intervals do not carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steelyard.evaluation.ranking import (
    FEW,
    best,
    competes,
    contenders,
    lies_above,
    unscored,
)
from steelyard.evaluation.report.comparison import KEY, REFERENCE, Comparison, compare
from steelyard.evaluation.report.numbers import (
    NARROW,
    metric_interval,
    metric_value,
    names,
    percent,
    plain,
)
from steelyard.evaluation.results import Estimate, Score, not_scored


def verdict(score: Score, comparisons: Sequence[Comparison] | None = None) -> list[str]:
    """Sentences on who is better than whom, as far as the 90 % intervals reach.

    Args:
        score: of a run.
        comparisons: those of `compare(score)`, where they are at hand.

    Returns:
        First the headline: agents against the reference by their Sharpe intervals. Then who was
        not scored, and why. Then, window by window, the leader, the paired comparison, the index,
        and what limits all of it.
    """
    seen = compare(score) if comparisons is None else comparisons
    if not any(one.agents for one in seen):
        return ["No agent was scored.", *refusals(score)]
    told = [sentence for one in seen for sentence in _window(one, len(seen))]
    rest = [*_ceilings(score), *_few(seen), *_seeds(score)]
    return [_headline(seen), *refusals(score), *told, *rest]


def refusals(score: Score) -> list[str]:
    """Who was not scored, and why: a sentence for each of them."""
    return [not_scored(plain(row.agent), plain(row.note)) for row in unscored(score)]


def _headline(seen: Sequence[Comparison]) -> str:
    first = seen[0]
    if not first.reference:
        ranked = any(best(one.rows, KEY).agents for one in seen)
        rest = ": the agents are only ranked." if ranked else "."
        return f"There is no {REFERENCE} to compare with{rest}"
    if not first.rivals:
        return f"{first.reference} stands alone: there is nothing to compare it with."
    if all(one.bars < FEW for one in seen):
        return f"{_returns(seen)} too few to tell agents apart."
    if not any(_is_known(one.agents.get(one.reference)) for one in seen):
        return (
            f"The Sharpe ratio of {first.reference} is not a number: nothing is compared with it."
        )
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
    short = [one for one in seen if one.bars < FEW]
    if not short:
        return []
    return [
        f"{_returns(short)} not ranked: annualised numbers extrapolate them, and intervals only "
        "know what these bars showed."
    ]


def _returns(seen: Sequence[Comparison]) -> str:
    """`14 and 5 returns are`, `1 return is`."""
    one = len(seen) == 1 and seen[0].bars == 1
    return names([str(each.bars) for each in seen]) + (" return is" if one else " returns are")


def _leader(one: Comparison) -> list[str]:
    """Who has the highest Sharpe ratio, and whether that settles anything; or why nobody has."""
    top = best(one.rows, KEY)
    if top.agents:
        return [_first(one, sorted(top.agents))]
    if top.reason == "nobody moved":
        return ["No agent traded: every account stayed where it was."]
    if top.reason == "nothing finite":
        return ["No agent that traded has a Sharpe ratio that is a number: nobody is ranked."]
    if top.reason in ("one competitor", "one finite"):
        return [_alone(one, rivals=top.reason == "one finite")]
    return []


def _alone(one: Comparison, *, rivals: bool) -> str:
    """Who has nobody to be compared with: no other agent traded, or none of those has a number."""
    ((name, held),) = contenders(one.rows, KEY).items()
    if rivals:
        return (
            f"Of the agents that traded, only {plain(name)} has a Sharpe ratio that is a number, "
            f"{_stated(held)}: nobody is ranked{_below(held)}."
        )
    did = "traded" if _idle(one) else "was scored"
    return (
        f"{plain(name)} is the only agent that {did}, with a Sharpe ratio of {_stated(held)}: "
        f"there is nobody to rank it against{_below(held)}."
    )


def _first(one: Comparison, top: Sequence[str]) -> str:
    """Who is in front, alone or with equals, and how far that can be believed."""
    held = contenders(one.rows, KEY)
    lead = held[top[0]]
    of = "Of the agents, " if _index_above(one, lead.value) else ""
    if len(top) > 1:
        tied = f"{_all(top)} have the highest Sharpe ratio, {metric_value(KEY, lead.value)} each"
        return f"{of}{tied}: the order is not settled{_below(lead)}."
    said = f"{of}{plain(top[0])} has the highest Sharpe ratio, {_stated(lead)}"
    if lead.value < 0:
        return said + ": below zero, holding cash did better."
    others = [other for name, other in held.items() if name != top[0]]
    near = [other for other in others if not lies_above(lead, other)]
    who = _others(len(near), len(others), " that traded" if _idle(one) else "")
    if not near:
        return f"{said}, above the interval of {who}."
    verb = "overlaps" if all(_overlaps(lead, other) for other in near) else "does not lie above"
    return f"{said}, but its interval {verb} {who}: the order is not settled."


def _others(near: int, count: int, kind: str) -> str:
    """`near` of `count` other agents in words; all of them where it is 0."""
    if not near:
        return f"the other agent{kind}" if count == 1 else f"every other agent{kind}"
    if count == 1:
        return f"that of the other agent{kind}"
    share = f"all {count}" if near == count else f"{near} of the {count}"
    return f"{'that' if near == 1 else 'those'} of {share} other agents{kind}"


def _below(one: Estimate) -> str:
    return ", and holding cash did better" if one.value < 0 else ""


def _stated(one: Estimate) -> str:
    return f"{metric_value(KEY, one.value)} (90{NARROW}% interval {metric_interval(KEY, one)})"


def _is_known(one: Estimate | None) -> bool:
    return one is not None and bool(np.isfinite([one.value, one.low, one.high]).all())


def _overlaps(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals have a point in common; those that are not known have none."""
    return one.low <= other.high and other.low <= one.high


def _idle(one: Comparison) -> bool:
    """Whether there is an agent that never traded."""
    return any(row[0].kind != "index" and not competes(row) for row in one.rows)


def _index_above(one: Comparison, value: float) -> bool:
    """Whether an index, which is no agent, has a higher Sharpe ratio."""
    held = [window.metrics.get(KEY) for row, window in one.rows if row.kind == "index"]
    return any(level is not None and level.value > value for level in held)


def _paired(one: Comparison) -> list[str]:
    """Returns against the reference's on the same bars."""
    found = {name: one.excess[name] for name in one.rivals if _is_known(one.excess.get(name))}
    if not found:
        return []
    over = [name for name, excess in found.items() if excess.low > 0]
    under = [name for name, excess in found.items() if excess.high < 0]
    sentences = []
    if not over:
        sentences.append(_no_more(one.reference, list(found)))
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


def _no_more(reference: str, rivals: Sequence[str]) -> str:
    """That no rival has an excess return above zero."""
    said = f"Bar for bar against {reference}, "
    if len(rivals) == 1:
        who = f"{plain(rivals[0])} did not earn reliably more: the 90 % interval of its"
    else:
        who = "no agent earned reliably more: every 90 % interval of the"
    return f"{said}{who} excess return reaches zero or below."


def _more(excess: Estimate, one: Comparison) -> str:
    """An excess per year, or over a window that is too short to speak of years."""
    digits, time = (2, "in all") if one.short else (1, "a year")
    value, low, high = (percent(each, digits) for each in (excess.value, excess.low, excess.high))
    return f"{value} {time} more (90{NARROW}% interval {low} to {high})"


def _index(one: Comparison) -> list[str]:
    """How many agents earned more than the index did, which pays no costs."""
    metric = "cumulative_return"
    gains = {
        row.agent: gain.value
        for row, window in one.rows
        if (gain := window.metrics.get(metric)) and np.isfinite(gain.value)
    }
    rivals = [gains[name] for name in one.agents if name in gains]
    sentences = []
    for row, _ in one.rows:
        if row.kind == "index" and row.agent in gains:
            more = sum(gain > gains[row.agent] for gain in rivals)
            many = f"{more} of {len(rivals)} agents returned"
            who = many if len(rivals) > 1 else f"the agent returned{'' if more else ' no'}"
            sentences.append(
                f"The index {plain(row.agent)} returned {metric_value(metric, gains[row.agent])} "
                f"without paying costs{f'; {who} more' if rivals else ''}."
            )
    return sentences


def _ceilings(score: Score) -> list[str]:
    """How much of what hindsight could have earned the agents did earn."""
    told = []
    for one in score.ceilings:
        where = "" if len(score.ceilings) == 1 else f"{plain(one.window)} · "
        most = percent(one.gain, 2) if one.profit > 0 else "nothing"
        shares = [f"{plain(name)} {percent(share, 1)}" for name, share in one.shares.items()]
        earned = f"; of that earned {', '.join(shares)}" if shares else ""
        told.append(f"{where}Knowing the future, {most} could have been earned{earned}.")
    return told


def _seeds(score: Score) -> list[str]:
    """Learned agents whose luck of training was not measured."""
    learned = [row for row in score.rows if row.kind == "learned" and row.stands]
    single = [row.agent for row in learned if len(row.seeds) == 1]
    if not single:
        return []
    verb = "was" if len(single) == 1 else "were"
    return [
        f"{_all(single)} {verb} trained with one seed: what training owes to luck is not known."
    ]


def _all(agents: Sequence[str]) -> str:
    return names([plain(agent) for agent in agents])
