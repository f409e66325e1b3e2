"""From agents to policies: who is trained on which rows, and what an ensemble makes of it.

An ensemble has a `population`, whose members are trained, and `combine(policies, sharpe)`, which
makes one policy of them. Each distinct population is trained once, whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.rolling import RollingPolicy
from steelyard.benchmark.configure import identity, name_of
from steelyard.benchmark.joining import in_line, seeds_of, together
from steelyard.benchmark.rounds import Rounds, roll
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.members import (
    combine_rounds,
    diversity_of,
    diversity_of_rounds,
    sharpe_of,
)
from steelyard.evaluation.training import Trained, apart, fit
from steelyard.rollout import Params
from steelyard.types import Facts, Floats

Report = Callable[[str, int, int], None]
"""Progress: (what is being done, steps done, steps in all)."""

ONCE = "once"
"""The training of a task without rolling windows."""


@dataclass(frozen=True)
class Learned:
    """What an agent trades a window with.

    Attributes:
        policies: one per seed.
        logs: per seed, log name -> (U,) one value per update, (R, U) on rolling windows.
        ensemble: weights and diversity of the first seed's members; empty for a single agent.
        note: what a reader must know; empty if nothing.
    """

    policies: Sequence[Any]
    logs: Sequence[Mapping[str, Floats]]
    ensemble: Facts = field(default_factory=dict)
    note: str = ""


class Trainer:
    """Trains on one venue, each distinct training once."""

    def __init__(
        self, venue: Venue, report: Report | None = None, checkpoints: Checkpoints | None = None
    ) -> None:
        self._venue, self._report, self._checkpoints = venue, report, checkpoints
        self._members: dict[tuple[str, ...], _Members] = {}
        self._learned: dict[tuple[str, ...], Learned] = {}
        self._rounds: dict[str, Rounds] = {}

    def learn(self, name: str, agent: Any, seeds: Sequence[int], window: Window) -> Learned:
        """Policies of `agent` for `window`, one per seed.

        Raises:
            TrainingError: a log value is not finite.
            MissingDataError: rolling windows need rows that are not there.
        """
        if self._venue.task.rolling is None:
            key = (name, identity(agent), *map(str, seeds))
            if key not in self._learned:
                self._learned[key] = self._learn_once(name, agent, seeds, window)
            return self._learned[key]
        return self._learn_rolling(name, agent, seeds, window)

    def phases(self, agent: Any, window: Window) -> tuple[str, ...]:
        """The trainings that `agent` needs for `window`, by name; none needs another's result."""
        rolling = self._venue.task.rolling
        if rolling is None:
            return (ONCE,)
        if not _combines(agent):
            return (f"{window.name}/last",)
        return (window.name, *([f"{window.name}/again"] if rolling.retrain else []))

    def missing(self, agent: Any, seeds: Sequence[int], phase: str) -> list[tuple[int, ...]]:
        """Seeds of a training that no checkpoint has, together where they must train together."""
        kept = self._checkpoints
        return [
            group
            for group in _groups(seeds, phase)
            if kept is None or not kept.holds(self._key(learner_of(agent), group, phase))
        ]

    def train(
        self, name: str, agent: Any, seeds: Sequence[int], window: Window, phase: str
    ) -> Trained:
        """One training of those that `learn` makes its policies of.

        Raises:
            TrainingError: a log value is not finite.
        """
        return self._fit(name, learner_of(agent), seeds, self._rows(window, phase), phase)

    def rounds(self, window: Window) -> Rounds:
        """The rolling windows of a test window, cut once."""
        if window.name not in self._rounds:
            self._rounds[window.name] = roll(self._venue, window)
        return self._rounds[window.name]

    def _learn_once(self, name: str, agent: Any, seeds: Sequence[int], window: Window) -> Learned:
        """Train before the test; members of an ensemble are weighed on the validation rows."""
        if not _combines(agent):
            trained = self._fit(name, agent, seeds, self._venue.training, ONCE)
            return Learned(trained.policies, trained.logs, note=_unfinished(agent, trained))
        members = self._members_of(name, agent, seeds, window)
        made = [
            agent.combine(groups, None if sharpe is None else jnp.asarray(sharpe))
            for groups, sharpe in zip(members.groups, members.sharpe, strict=True)
        ]
        note = _unfinished(agent, members.trained)
        return Learned(made, members.trained.logs, self._facts(agent, members, made[0]), note)

    def _learn_rolling(
        self, name: str, agent: Any, seeds: Sequence[int], window: Window
    ) -> Learned:
        """Train before every round; what a round trades with has seen no row behind its start."""
        rounds = self.rounds(window)
        if not _combines(agent):
            (phase,) = self.phases(agent, window)
            trained = self.train(name, agent, seeds, window, phase)
            made = trained.policies
            facts: Facts = {}
        else:
            members = self._members_of(name, agent, seeds, window, rounds)
            trained = members.trained
            made = [
                combine_rounds(agent, groups, jnp.asarray(sharpe))
                for groups, sharpe in zip(members.groups, members.sharpe, strict=True)
            ]
            facts = self._facts(agent, members, made[0], rounds)
        return Learned([RollingPolicy(one, rounds.starts) for one in made], trained.logs, facts)

    def _members_of(
        self,
        name: str,
        agent: Any,
        seeds: Sequence[int],
        window: Window,
        rounds: Rounds | None = None,
    ) -> _Members:
        """The members of an ensemble: trained, validated, and trained once more where asked for."""
        first, *more = self.phases(agent, window)
        key = (identity(agent.population), first, *map(str, seeds))
        if key in self._members:
            return self._members[key]
        told, windows = f"members of {name}", first != ONCE
        trained = self.train(told, agent, seeds, window, first)
        sharpe: list[Floats | None] = [None] * len(seeds)
        validate = self._venue.validation() if rounds is None else rounds.validate
        if validate is not None:
            env, cash = self._venue.env, self._venue.task.cash
            sharpe = [
                sharpe_of(groups, env, validate, cash, windows=windows)
                for groups in trained.policies
            ]
        for again in more:
            trained = self.train(f"{told} again", agent, seeds, window, again)
        self._members[key] = _Members(trained, trained.policies, sharpe, seeds)
        return self._members[key]

    def _rows(self, window: Window, phase: str) -> Params:
        """What a training is made on."""
        if phase == ONCE:
            return self._venue.training
        rounds = self.rounds(window)
        return rounds.learn if phase == window.name or rounds.again is None else rounds.again

    def _key(self, learner: Any, seeds: Sequence[int], phase: str) -> tuple[str, ...]:
        """The name of a training among the checkpoints."""
        return (self._venue.fingerprint, identity(learner), phase, *map(str, seeds))

    def _fit(
        self, name: str, agent: Any, seeds: Sequence[int], params: Params, phase: str
    ) -> Trained:
        """Train what no checkpoint has; `phase` says on which rows."""
        kept, env, windows = self._checkpoints, self._venue.env, phase != ONCE
        if kept is None:
            return self._train(name, agent, seeds, params, windows=windows)
        one = jax.tree.map(lambda leaf: leaf[0], params) if windows else params
        like = eqx.filter_eval_shape(agent.init, jax.random.key(0), env, one).policy
        groups = _groups(seeds, phase)
        found = {
            group: kept.find(self._key(agent, group, phase), like, len(group)) for group in groups
        }
        missing = [group for group in groups if found[group] is None]
        if missing:
            every = [seed for group in missing for seed in group]
            trained = self._train(name, agent, every, params, windows=windows)
            if not trained.complete:
                if len(missing) < len(groups):
                    raise KeyboardInterrupt  # finished seeds and stopped ones have no common log
                return trained
            for group in missing:
                own = [every.index(seed) for seed in group]
                found[group] = seeds_of(trained, own)
                kept.keep(self._key(agent, group, phase), seeds_of(trained, own))
        return together([one for one in found.values() if one is not None])

    def _train(
        self,
        name: str,
        agent: Any,
        seeds: Sequence[int],
        params: Params,
        *,
        windows: bool,
    ) -> Trained:
        report, env = self._report, self._venue.env
        rolling = self._venue.task.rolling

        def tell(done: int, total: int) -> None:
            if report is not None:
                report(f"train {name}", done, total)

        if not windows or rolling is None or not rolling.warm_start:
            return fit(agent, env, params, seeds, windows=windows, progress=tell)
        count, state, rounds = len(jax.tree.leaves(params)[0]), None, []
        for number in range(count):
            one = jax.tree.map(lambda leaf, i=number: leaf[i : i + 1], params)
            done = fit(agent, env, one, seeds, windows=True, initial=state, keep=True)
            state = done.state
            rounds.append(done)
            tell(number + 1, count)
        return in_line(rounds)

    def _facts(
        self, agent: Any, members: _Members, made: Any, rounds: Rounds | None = None
    ) -> Facts:
        """What a report shows of the first seed's members; nothing is left to be trained."""
        days, apart = self._diversity(agent, members.groups[0], rounds)
        facts = {
            "members": [
                f"{name_of(one)} {number + 1}"
                for (one, _), count in zip(agent.population.groups, agent.counts, strict=True)
                for number in range(count)
            ],
            "seed": members.seeds[0],
            **{name: np.asarray(value).tolist() for name, value in apart.items()},
        }
        weights = getattr(made, "weights", None)
        if weights is not None:
            clock = self._venue.panel.timestamps
            facts["dates"] = [str(clock[day].astype("datetime64[D]")) for day in days]
            facts["weights"] = np.atleast_2d(np.asarray(weights, np.float64)).tolist()
        return facts

    def _diversity(
        self, agent: Any, groups: Any, rounds: Rounds | None
    ) -> tuple[list[int], Mapping[str, Any]]:
        """The first row of each window that is traded, and how far the members are apart there.

        Both are empty where the venue has no rows to trade.
        """
        venue = self._venue
        if rounds is not None:
            longest = int(np.max(rounds.trade.length))
            apart = diversity_of_rounds(agent, groups, venue.env, rounds.trade, longest)
            return [one.trade[0] for one in rounds.rows], apart._asdict()
        if not venue.task.windows:
            return [], {}
        window = venue.task.windows[0]
        params = venue.passing(window)
        apart = diversity_of(agent, groups, venue.env, params, int(params.length))
        return [venue.span(window)[0]], apart._asdict()


@dataclass(frozen=True)
class _Members:
    """The trained members of a population, and how they did on the validation rows.

    Attributes:
        trained: the last training; its policies are `groups`.
        groups: per seed, groups of policies stacked over members (and rounds before them).
        sharpe: per seed, (M,) or (R, M) Sharpe ratio per bar; None without validation rows.
        seeds: the seeds.
    """

    trained: Trained
    groups: Sequence[Any]
    sharpe: Sequence[Floats | None]
    seeds: Sequence[int]


def _combines(agent: Any) -> bool:
    """Whether an agent makes its policy of members."""
    return hasattr(agent, "combine")


def learner_of(agent: Any) -> Any:
    """What of an agent is trained: its population, or itself."""
    return agent.population if _combines(agent) else agent


def _groups(seeds: Sequence[int], phase: str) -> list[tuple[int, ...]]:
    """Seeds that come out as they do only if they are trained in one call."""
    if apart(windows=phase != ONCE):
        return [(seed,) for seed in seeds]
    return [tuple(seeds)]


def _unfinished(agent: Any, trained: Trained) -> str:
    made, of = trained.updates, learner_of(agent).updates
    return "" if trained.complete else f"stopped after {made} of {of} updates"
