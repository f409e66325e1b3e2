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
from steelyard.benchmark.members import (
    combine_rounds,
    diversity_of,
    diversity_of_rounds,
    sharpe_of,
)
from steelyard.benchmark.rounds import Rounds, roll
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.training import Trained, fit
from steelyard.rollout import Params
from steelyard.types import Facts, Floats

Report = Callable[[str, int, int], None]
"""Progress: (what is being done, steps done, steps in all)."""


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
                self._learned[key] = self._learn_once(name, agent, seeds)
            return self._learned[key]
        return self._learn_rolling(name, agent, seeds, window)

    def rounds(self, window: Window) -> Rounds:
        """The rolling windows of a test window, cut once."""
        if window.name not in self._rounds:
            self._rounds[window.name] = roll(self._venue, window)
        return self._rounds[window.name]

    def _learn_once(self, name: str, agent: Any, seeds: Sequence[int]) -> Learned:
        """Train before the test; members of an ensemble are weighed on the validation rows."""
        if not _combines(agent):
            trained = self._fit(name, agent, seeds, self._venue.training, "once")
            return Learned(trained.policies, trained.logs, note=_unfinished(agent, trained))
        validation = self._validation()
        members = self._members_of(name, agent, seeds, "once", self._venue.training, validation)
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
        last = rounds.learn if rounds.again is None else rounds.again
        if not _combines(agent):
            trained = self._fit(name, agent, seeds, last, f"{window.name}/last")
            made = trained.policies
            facts: Facts = {}
        else:
            members = self._members_of(
                name, agent, seeds, window.name, rounds.learn, rounds.validate, rounds.again
            )
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
        phase: str,
        learn: Params,
        validate: Params | None,
        again: Params | None = None,
    ) -> _Members:
        """The members of an ensemble: trained, validated, and trained once more where asked for."""
        population = agent.population
        key = (identity(population), phase, *map(str, seeds))
        if key in self._members:
            return self._members[key]
        told, windows = f"members of {name}", phase != "once"
        trained = self._fit(told, population, seeds, learn, phase)
        sharpe: list[Floats | None] = [None] * len(seeds)
        if validate is not None:
            env, cash = self._venue.env, self._venue.task.cash
            sharpe = [
                sharpe_of(groups, env, validate, cash, windows=windows)
                for groups in trained.policies
            ]
        if again is not None:
            trained = self._fit(f"{told} again", population, seeds, again, f"{phase}/again")
        self._members[key] = _Members(trained, trained.policies, sharpe, seeds)
        return self._members[key]

    def _fit(
        self, name: str, agent: Any, seeds: Sequence[int], params: Params, phase: str
    ) -> Trained:
        """Train, unless a checkpoint has it; `phase` says on which rows."""
        kept, env = self._checkpoints, self._venue.env
        key = (self._venue.fingerprint, identity(agent), phase, *map(str, seeds))
        windows = phase != "once"
        if kept is not None:
            one = jax.tree.map(lambda leaf: leaf[0], params) if windows else params
            like = eqx.filter_eval_shape(agent.init, jax.random.key(0), env, one).policy
            found = kept.find(key, like, len(seeds))
            if found is not None:
                return found
        trained = self._train(name, agent, seeds, params, windows=windows)
        if kept is not None and trained.complete:
            kept.keep(key, trained)
        return trained

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
        return _in_line(rounds)

    def _validation(self) -> Params | None:
        """One pass over the validation rows, as the training rows taught to see them."""
        venue = self._venue
        if venue.task.validate is None:
            return None
        first, last = venue.span(venue.task.validate)
        return venue.params(venue.training.market, first, last)

    def _facts(
        self, agent: Any, members: _Members, made: Any, rounds: Rounds | None = None
    ) -> Facts:
        """What a report shows of the first seed's members."""
        venue, groups = self._venue, members.groups[0]
        clock = venue.panel.timestamps
        if rounds is None:
            first, last = venue.span(venue.task.windows[0])
            days = [first]
            params = venue.params(venue.training.market, first, last)
            apart = diversity_of(agent, groups, venue.env, params, int(params.length))
        else:
            days = [one.trade[0] for one in rounds.rows]
            longest = int(np.max(rounds.trade.length))
            apart = diversity_of_rounds(agent, groups, venue.env, rounds.trade, longest)
        facts = {
            "members": [
                f"{name_of(one)} {number + 1}"
                for (one, _), count in zip(agent.population.groups, agent.counts, strict=True)
                for number in range(count)
            ],
            "seed": members.seeds[0],
            **{name: np.asarray(value).tolist() for name, value in apart._asdict().items()},
        }
        weights = getattr(made, "weights", None)
        if weights is not None:
            facts["dates"] = [str(clock[day].astype("datetime64[D]")) for day in days]
            facts["weights"] = np.atleast_2d(np.asarray(weights, np.float64)).tolist()
        return facts


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


def _in_line(rounds: Sequence[Trained]) -> Trained:
    """Trainings of one round each as one training of all rounds."""
    per_seed = list(zip(*[one.policies for one in rounds], strict=True))
    logs = [
        {name: np.concatenate([log[name] for log in own]) for name in own[0]}
        for own in zip(*[one.logs for one in rounds], strict=True)
    ]
    policies = [jax.tree.map(lambda *leaves: np.concatenate(leaves), *own) for own in per_seed]
    return Trained(policies, logs, rounds[-1].updates, all(one.complete for one in rounds))


def _unfinished(agent: Any, trained: Trained) -> str:
    learner = agent.population if _combines(agent) else agent
    return (
        "" if trained.complete else f"stopped after {trained.updates} of {learner.updates} updates"
    )
