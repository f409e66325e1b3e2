"""Where trials are trained and traded: a task without the rows behind those that choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.answers import require_policy
from steelyard.agents.rolling import RollingPolicy
from steelyard.benchmark.overrides import override
from steelyard.benchmark.rounds import roll
from steelyard.benchmark.search_space import Space, leaves
from steelyard.benchmark.settling import ending_with, settled
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.errors import ConfigError, ContractError
from steelyard.evaluation.training import fit
from steelyard.evaluation.trials import Trial
from steelyard.rollout import Env, Params
from steelyard.types import Panel


class Tell:
    """Hears of the progress of a search; this one keeps it to itself."""

    def progress(self, what: str, done: int, total: int) -> None:
        """`what` has come to `done` of `total`."""

    def ended(self, trials: Sequence[Trial], best: int | None) -> None:
        """The last of `trials` has just ended; `best` is the position of the best one."""


class Exam(Protocol):
    """What the policies of a trial are traded through."""

    def trial(self, settings: Mapping[str, Any], policies: Sequence[Any]) -> Trial:
        """What settings are worth whose trainings ended in these policies, one per seed."""
        ...


@dataclass(frozen=True)
class Ground:
    """Where trials are trained and traded.

    Attributes:
        venue: without any row behind those that choose.
        window: the rows that choose.
        env: in which is trained.
        training: params to train on; `stacked` where every leaf has a leading axis, along which
            as many policies are trained.
        exam: what the policies are traded through.
        seeds: of the trainings of every trial.
        metric: what a trial is worth.
        width: trials in one program on an accelerator; on a CPU they go through it one by one, on
            all cores.
        notes: what a reader must know.
    """

    venue: Venue
    window: Window
    env: Env
    training: Params
    exam: Exam
    seeds: tuple[int, ...]
    metric: str
    width: int
    stacked: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Validation:
    """One pass over the validation rows on the exact ledger.

    Attributes:
        venue: where.
        trading: the pass.
        starts: (R,) first row that each rolling window trades; None without them.
        seeds, metric: see `Ground`.
    """

    venue: Venue
    trading: Params
    starts: Any
    seeds: tuple[int, ...]
    metric: str

    def trial(self, settings: Mapping[str, Any], policies: Sequence[Any]) -> Trial:
        """The median of the metric over the seeds."""
        if self.starts is not None:
            policies = [RollingPolicy(one, self.starts) for one in policies]
        passes = zip(policies, self.seeds, strict=True)
        curves = [self.venue.trade(self.trading, *one).curve for one in passes]
        return Trial.of(settings, curves, self.metric)


def open_ground(
    task: Task, panel: Panel | None, seeds: Sequence[int], metric: str, width: int
) -> Ground:
    """The ground of a task that has a validation period.

    Args:
        panel: instead of `task.data`.
        seeds, metric, width: see `Ground`.

    Raises:
        MissingDataError: a period lies outside the data, or the rows before it are too few.
        ConfigError: settings that cannot hold.
    """
    task, panel = settled(task, panel)
    assert task.validate is not None
    window, panel = ending_with(task.validate, panel)
    venue = open_venue(replace(task, windows=(window,), validate=None), panel)
    how = (tuple(seeds), metric)
    if task.rolling is None:
        exam = Validation(venue, venue.window(window), None, *how)
        return Ground(venue, window, venue.env, venue.training, exam, *how, width)
    rounds = roll(venue, window)
    training = rounds.learn if rounds.again is None else rounds.again
    exam = Validation(venue, rounds.window, rounds.starts, *how)
    cold = "every rolling window was trained from the start, without warm_start"
    notes = (cold,) if task.rolling.warm_start else ()
    return Ground(venue, window, venue.env, training, exam, *how, width, stacked=True, notes=notes)


def try_all(
    ground: Ground, agent: Any, space: Space, proposed: Sequence[Mapping[str, Any]], tell: Tell
) -> list[Trial]:
    """Train and trade a batch of settings; those that differ only in floats share a program."""
    found: dict[int, Trial] = {}
    groups: dict[str, list[tuple[int, Any]]] = {}
    swept = [name for name in leaves(agent) if name in space]
    for number, chosen in enumerate(proposed):
        try:
            one = override(agent, chosen)
        except ConfigError as error:
            found[number] = Trial(chosen, note=error.message)
            continue
        built = str([(name, value) for name, value in chosen.items() if name not in swept])
        groups.setdefault(built, []).append((number, one))
    for group in groups.values():
        results = _train(ground, [one for _, one in group], swept, tell)
        for (number, _), result in zip(group, results, strict=True):
            if isinstance(result, str):
                found[number] = Trial(proposed[number], note=result)
                continue
            tell.progress("trade", number + 1, len(proposed))
            found[number] = ground.exam.trial(proposed[number], result)
    return [found[number] for number in range(len(proposed))]


def _train(
    ground: Ground, agents: Sequence[Any], swept: Sequence[str], tell: Tell
) -> list[list[Any] | str]:
    """The policies of every agent, one per seed, or why there are none."""
    each, on_cpu = len(ground.seeds), jax.default_backend() == "cpu"
    # one width, one program: the last batch and every choice of static settings are filled up
    filled = [*agents] + ([] if on_cpu else [agents[-1]] * (ground.width - len(agents)))
    trained = fit(
        _stack(filled, swept, each),
        ground.env,
        ground.training,
        ground.seeds * len(filled),
        windows=ground.stacked,
        variants=bool(swept),
        strict=False,
        progress=lambda done, total: tell.progress("train", done, total),
        chunk=each if on_cpu and not ground.stacked else None,
    )
    if not trained.complete:
        raise KeyboardInterrupt
    results: list[list[Any] | str] = []
    for number in range(len(agents)):
        own = slice(number * each, (number + 1) * each)
        policies: list[Any] = list(trained.policies[own])
        bad = _refused(policies) or _broken(trained.logs[own], policies, ground.seeds)
        results.append(bad or policies)
    return results


def _stack(agents: Sequence[Any], swept: Sequence[str], copies: int) -> Any:
    """One agent whose swept floats have a leading axis: every agent's, `copies` times each."""
    if not swept:
        return agents[0]
    values = [
        jnp.asarray(np.repeat([getattr(one, name) for one in agents], copies), jnp.float32)
        for name in swept
    ]
    return eqx.tree_at(lambda one: [getattr(one, name) for name in swept], agents[0], values)


def _refused(policies: Sequence[Any]) -> str:
    """Why a policy of somebody's own may not be traded; empty if it may."""
    for policy in policies:
        try:
            require_policy(policy)
        except ContractError as error:
            return error.message
    return ""


def _broken(logs: Sequence[Mapping[str, Any]], policies: Sequence[Any], seeds: Any) -> str:
    """Which number of a training is not finite; empty if all are."""
    for log, policy, seed in zip(logs, policies, seeds, strict=True):
        bad = [name for name, values in log.items() if not np.isfinite(values).all()]
        if bad:
            return f"`{bad[0]}` of seed {seed} was not finite"
        weights = jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array_like))
        if not all(np.isfinite(leaf).all() for leaf in weights):
            return f"the policy of seed {seed} was not finite"
    return ""
