"""The search for leaks that every run makes: does anything depend on what had not happened?

The actions of a pass are compared with those under another future, at several decisions. What is
learned from is built again from a panel in which other rows lie behind training, and learners are
trained again on it for a few updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import strangers_in
from steelyard.benchmark.futures import another_panel, cuts_of, ending_behind, futures
from steelyard.benchmark.market_rows import MarketRows
from steelyard.benchmark.passes import day_of
from steelyard.benchmark.rewards import REWARDS
from steelyard.benchmark.rounds import Rounds, stack
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.envs.check_reward import check_reward
from steelyard.evaluation.backtest import one_pass
from steelyard.evaluation.splits import Span
from steelyard.evaluation.training import Trained, fit
from steelyard.features.leaks import find_leak
from steelyard.isolation.baggage import find_baggage
from steelyard.rollout import Params
from steelyard.types import Facts, Feature, Panel

SPREAD, GAPS = 24, 8
"""Further rows at which a feature of somebody's own is asked: spread out, and before gaps end."""

SAMPLED = 3
"""Rolling windows whose training is made again."""


@dataclass(frozen=True)
class Finding:
    """Something that knew too much.

    Attributes:
        text: what it did, in one line.
        asset: whose numbers; "" where it is not about one.
        date: the first at which it knew too much.
    """

    text: str
    asset: str
    date: str


def hunt_pass(
    venue: Venue,
    window: Window,
    params: Params,
    policy_in: Callable[[Params], Any],
    scored: NDArray[Any],
    seed: int,
    others: Iterable[tuple[int, Params]] | None = None,
) -> Finding | None:
    """Compare the actions of a pass with those in other futures, up to where these begin.

    Args:
        params: of the pass.
        policy_in: the policy for params like these; one that is prepared on a market is prepared
            anew.
        scored: (D, A) actions of the pass.
        seed: of the pass.
        others: (decision, params in another future), where they are at hand.
    """
    rows, length = venue.clock(window)[:-1], int(params.length)
    for cut, other in futures(params, rows) if others is None else others:
        steps = one_pass(
            venue.env,
            other,
            policy_in(ending_behind(other, int(rows[cut]))),
            length,
            seed,
            deterministic=venue.task.deterministic,
        )
        actions = np.asarray(steps.action, np.float32).reshape(len(scored), -1)
        found = first_difference(scored, actions, cut)
        if found is not None:
            return _ahead(venue, rows, *found, cut)
    return None


def first_difference(one: NDArray[Any], other: NDArray[Any], last: int) -> tuple[int, int] | None:
    """(decision, asset) of the first difference up to the decision `last`; None without one."""
    mine, theirs = (np.asarray(each).reshape(len(each), -1)[: last + 1] for each in (one, other))
    apart = np.argwhere(mine != theirs)
    return None if not len(apart) else (int(apart[0][0]), int(apart[0][1]))


def _ahead(venue: Venue, rows: NDArray[np.int64], step: int, asset: int, cut: int) -> Finding:
    name = venue.panel.assets[min(asset, len(venue.panel.assets) - 1)]
    date, behind = day_of(venue, int(rows[step])), day_of(venue, int(rows[cut]))
    text = f"looks ahead: its action on {name} at {date} changes with what comes after {behind}"
    return Finding(text, name, date)


def facts_of(decisions: int) -> Facts:
    """What was done to a pass, for readers."""
    return {"cuts": len(cuts_of(decisions)), "decisions": decisions}


class LessonHunt:
    """Whether what is learned from depends on rows behind it; everything is made once a run.

    Args:
        venue: of the run.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._trained: dict[tuple[str, ...], tuple[Finding | None, Facts]] = {}

    @cached_property
    def inputs(self) -> Finding | None:
        """The first feature or reward of somebody's own that knows too much.

        Raises:
            ContractError: one breaks the contract of its room in another way.
        """
        for feature in self._venue.rows.features:
            if strangers_in(feature.function):
                found = self._of_feature(feature)
                if found is not None:
                    return found
        return self._of_reward()

    @cached_property
    def elsewhere(self) -> Params:
        """The training params of the same task where other rows lie behind training."""
        return self._reopened(self._last)

    @cached_property
    def finding(self) -> Finding | None:
        """The first number of the training params that knows a row behind them."""
        return self._differs(self._venue.training, self.elsewhere, self._last)

    def retrain(
        self, key: tuple[str, ...], learner: Any, seeds: Sequence[int], rounds: Rounds | None
    ) -> tuple[Finding | None, Facts]:
        """Train for a few updates with either future behind, and compare every weight.

        Args:
            key: of the learner and its rows; each is asked once.
            learner: a single agent or a population.
            rounds: rolling windows; of these a few are trained whole.
        """
        if key not in self._trained:
            found = self._again(learner, seeds) if rounds is None else self._rounds(learner, rounds)
            self._trained[key] = found
        return self._trained[key]

    def _of_feature(self, feature: Feature) -> Finding | None:
        """Ask a feature under other futures, at the end of training and in every window."""
        venue = self._venue
        clocks = [venue.clock(window)[:-1] for window in venue.task.windows]
        carried = find_baggage(feature.function, venue.panel, min(int(one[0]) for one in clocks))
        if carried is not None:
            asset, row = carried.asset, carried.row
            text = f"feature `{feature.name}` holds numbers of the future: those of {asset} from "
            return Finding(text + day_of(venue, row), asset, day_of(venue, row))
        cuts = {self._last, *(int(one[cut]) for one in clocks for cut in cuts_of(len(one)))}
        cuts |= set(_more_cuts(venue.panel, feature.warmup))
        leak = find_leak(feature, venue.panel, sorted(cuts))
        if leak is None:
            return None
        text = leak.error(lambda row: day_of(venue, row)).message
        return Finding(text, leak.asset, day_of(venue, leak.row))

    def _of_reward(self) -> Finding | None:
        """Ask a reward of somebody's own whether it depends on values that had not come."""
        venue, name = self._venue, str(getattr(self._venue.task.rules, "reward", ""))
        reward = REWARDS[name]() if name in REWARDS else None
        if reward is None or not strangers_in(reward):
            return None
        carried = find_baggage(reward, venue.panel, self._last)
        if carried is not None:
            date = day_of(venue, carried.row)
            text = f"reward `{name}` holds numbers of the future: those of {carried.asset} from "
            return Finding(text + date, carried.asset, date)
        check_reward(reward)  # what breaks its contract is said as it is
        return None

    @property
    def _last(self) -> int:
        train = self._venue.task.train
        return self._venue.panel.span(train.start, train.end)[1]

    def _reopened(self, last: int, **changes: Any) -> Params:
        """The training params of a task that is opened on another panel behind row `last`."""
        task = replace(self._venue.task, windows=(), validate=None, rolling=None, **changes)
        return open_venue(task, another_panel(self._venue.panel, last)).training

    def _again(self, learner: Any, seeds: Sequence[int]) -> tuple[Finding | None, Facts]:
        made = [
            fit(learner, self._venue.env, params, seeds, most=1)
            for params in (self._venue.training, self.elsewhere)
        ]
        date = day_of(self._venue, self._last)
        return _compared(made, date), {"retrained": made[0].updates, "of": int(learner.updates)}

    def _rounds(self, learner: Any, rounds: Rounds) -> tuple[Finding | None, Facts]:
        """Rolling windows: the first, one in the middle and the last one, each as a whole."""
        venue, count = self._venue, len(rounds.rows)
        chosen = sorted({round(at) for at in np.linspace(0, count - 1, min(SAMPLED, count))})
        true = rounds.learn if rounds.again is None else rounds.again
        spans = [one.learn if rounds.again is None else one.again for one in rounds.rows]
        length = max(last - first for first, last in spans) + 1
        same = jax.tree.map(lambda leaf: leaf[np.asarray(chosen)], true)
        other = stack([self._round(spans[number], length) for number in chosen])
        date = day_of(venue, spans[chosen[0]][1])
        found = self._differs(same, other, spans[chosen[0]][1])
        if found is not None:
            return found, {}
        made = [fit(learner, venue.env, one, (0,), windows=True, pieces=1) for one in (same, other)]
        facts = {"retrained": made[0].updates, "of": int(learner.updates), "rounds": len(chosen)}
        return _compared(made, date), facts

    def _round(self, span: Span, length: int) -> Params:
        """What a rolling window learns from where other rows lie behind its last one."""
        venue, (first, last) = self._venue, span
        panel = another_panel(venue.panel, last, same_clock=True)
        rows = MarketRows(venue.task.rules, panel, venue.rows.features)
        market = rows.learning_market([span], rows.columns.fit((first, last + 1)), length)
        return venue.params(market, 0, last - first, episodes=True)

    def _differs(self, one: Params, other: Params, last: int) -> Finding | None:
        """What differs between params that must be equal to the last bit."""
        if equal(one, other):
            return None
        venue, date = self._venue, day_of(self._venue, last)
        tables = [np.asarray(params.market.table) for params in (one, other)]
        if tables[0].shape == tables[1].shape and tables[0].ndim == 2:
            apart = np.argwhere(tables[0] != tables[1])
            if len(apart):
                row, column = (int(number) for number in apart[0])
                name, _, asset = one.market.columns[column].partition("/")
                date = day_of(venue, min(row, last))
                text = (
                    f"was to learn from `{name}`, which looks ahead: its value"
                    + (f" of {asset}" if asset else "")
                    + f" at {date} changes with what comes after {day_of(venue, last)}"
                )
                return Finding(text, asset, date)
        text = f"was to learn from numbers that change with what comes after {date}"
        return Finding(text, "", date)


def _more_cuts(panel: Panel, warmup: int) -> list[int]:
    """Rows all over a panel, and some before which an asset was not observed for a while.

    What looks ahead only in gaps, as a fill from behind, shows at few rows.
    """
    random, later = np.random.default_rng(0), np.arange(warmup, max(len(panel) - 1, warmup))
    found = [int(row) for row in random.permutation(later)[:SPREAD]]
    for values in list(panel.fields.values())[:1]:
        known = np.isfinite(values)
        gaps = np.flatnonzero((~known[:-1] & known[1:]).any(axis=1))
        found += [int(row) for row in gaps[gaps >= warmup][:GAPS]]
    return found


def equal(one: Any, other: Any) -> bool:
    """Whether two trees are the same to the last bit, in structure, shapes and types too."""
    leaves, structure = jax.tree.flatten(one)
    others, same = jax.tree.flatten(other)
    return str(structure) == str(same) and all(
        _same_bits(mine, theirs) for mine, theirs in zip(leaves, others, strict=True)
    )


def _same_bits(one: Any, other: Any) -> bool:
    if isinstance(one, jax.Array) and jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    mine, theirs = np.asarray(one), np.asarray(other)
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    return bool(np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"))


def _compared(made: Sequence[Trained], date: str) -> Finding | None:
    if equal(list(made[0].policies), list(made[1].policies)):
        return None
    return Finding(
        f"looks ahead: what it learns changes with what comes after {date}, the end of training",
        "",
        date,
    )
