"""Searching an agent's hyper-parameters on the rows of a task that choose, and nowhere else.

These are its validation period or, where the task asks for cross-validation, rows that are held out
in turn. All rows behind are cut off before anything is computed from the data. Trials are proposed
in batches. Those of a batch that differ only in floats train in one program, a job per trial and
seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from steelyard.benchmark.configure import resolve_agent, settings
from steelyard.benchmark.overrides import typed_settings
from steelyard.benchmark.search_cross import open_cross_ground
from steelyard.benchmark.search_ground import Ground, Tell, open_ground, try_all
from steelyard.benchmark.search_space import Space, search_space
from steelyard.benchmark.search_study import Study, library
from steelyard.benchmark.task import Task
from steelyard.errors import ConfigError, TrainingError
from steelyard.evaluation.trials import Search, Trial, best_of, overfitting_of
from steelyard.metrics import metric_card
from steelyard.types import Panel

BATCH = 8
"""Trials that are proposed at once; more learn less from each other, fewer train less at a time."""


def search(
    task: Task,
    agent: Any,
    place: Path,
    *,
    trials: int = 50,
    seeds: Sequence[int] = (0, 1, 2),
    space: Space | None = None,
    metric: str = "sharpe_ratio",
    batch: int = BATCH,
    seed: int = 0,
    panel: Panel | None = None,
    tell: Tell | None = None,
) -> Search:
    """Search an agent's settings on the validation period of `task`, or by its cross-validation.

    The first trial is the agent as it is given, where that lies inside the space; the others are
    proposed by the tree-structured Parzen estimator (Bergstra et al., 2011). A trial is worth the
    median of the metric over the seeds; of its mean over all splits, where rows are held out in
    turn (see `search_cross`). One whose training does not stay finite has failed. Trials that have
    ended are kept in `place`, and the same call goes on from there.

    Args:
        task: has a validation period, through which rolling windows roll as through a test window,
            or `cross_validation`.
        agent: a name in room "agents", an agent that learns, or a pair (name, agent).
        place: directory of the study.
        trials: how many in all, those of earlier calls included, `batch` proposed at a time.
        seeds: of the trainings of every trial.
        space: see `search_space`.
        metric: a name in room "metrics".
        seed: of the proposals; same input, same search, however often it was interrupted.
        panel: instead of `task.data`, for people who bring their own.
        tell: hears of the progress.

    Returns:
        The search so far; Ctrl-C keeps the trials that have ended, and says so.

    Raises:
        ConfigError: the task has no rows to choose on, the agent cannot be searched, or `place`
            holds another search.
        DependencyError: Optuna is not installed.
        TrainingError: all trials failed.
    """
    begun, _ = time.monotonic(), library()
    name, given = resolve_agent(agent, task.learning)
    better = str(metric_card(metric)["better"])
    require_searchable(task, name, given)
    _require_some(trials, seeds, batch)
    space = search_space(given) if space is None else space
    opened = open_ground if task.cross_validation is None else open_cross_ground
    ground = opened(task, panel, seeds, metric, batch)
    contract = _contract(ground, name, given, space, seed)
    plan = _Plan(ground, given, space, better, trials, batch, tell or Tell())
    done, notes = _go_on(plan, Study(place, space, better, contract, seed))
    return _found(plan, contract, done, notes, time.monotonic() - begun)


@dataclass(frozen=True)
class _Plan:
    """What is tried where, and how often."""

    ground: Ground
    agent: Any
    space: Space
    better: str
    trials: int
    batch: int
    tell: Tell

    @property
    def start(self) -> Mapping[str, Any] | None:
        """The settings of the agent as it was given; None where they lie outside the space."""
        own = {name: getattr(self.agent, name) for name in self.space}
        return own if all(self.space[name].holds(value) for name, value in own.items()) else None


def _go_on(plan: _Plan, study: Study) -> tuple[list[Trial], list[str]]:
    """All trials of the study once it has as many as were asked for, and notes on what went on."""
    done, notes = study.trials(), []
    try:
        for proposed in _proposals(plan, study, len(done)):
            for trial in try_all(plan.ground, plan.agent, plan.space, proposed, plan.tell):
                study.keep(trial)
                done.append(trial)
                plan.tell.ended(done, best_of(done, plan.better))
            plan.tell.progress("trials", len(done), plan.trials)
    except KeyboardInterrupt:
        if best_of(done, plan.better) is None:
            raise
        notes.append(
            f"interrupted after {len(done)} of {plan.trials} trials; the same call goes on"
        )
    if best_of(done, plan.better) is None:
        raise TrainingError(
            f"all {len(done)} trials failed, the last one because {done[-1].note}",
            hint="narrow the ranges, as --search learning_rate=1e-5:1e-3:log, with another --out",
        )
    return done, notes


def _found(
    plan: _Plan,
    contract: Mapping[str, Any],
    done: Sequence[Trial],
    notes: Sequence[str],
    seconds: float,
) -> Search:
    ground, cross = plan.ground, plan.ground.venue.task.cross_validation
    overfitting = None if cross is None else overfitting_of(done)
    if cross is not None and overfitting is None:
        few = "too few trials or rows to say how likely it is that the best one is luck"
        notes = [*notes, few]
    return Search(
        **{key: contract[key] for key in ("fingerprint", "agent", "space", "metric")},
        task=ground.venue.task.name,
        settings=typed_settings(plan.agent),
        better=plan.better,
        period=(ground.window.start, ground.window.end),
        seeds=len(ground.seeds),
        asked=plan.trials,
        trials=done,
        default=plan.start is not None,
        notes=[*ground.notes, *notes],
        seconds=seconds,
        cross_validation=cross,
        overfitting=overfitting,
    )


def _proposals(plan: _Plan, study: Study, done: int) -> Iterator[list[Mapping[str, Any]]]:
    """Batches of settings to try, the same ones wherever an earlier call has stopped."""
    while done < plan.trials:
        begin = done - done % plan.batch
        own = [plan.start] if begin == 0 and plan.start is not None else []
        proposed = [*own, *study.propose(begin, plan.batch - len(own))]
        chosen = proposed[done - begin : plan.trials - begin]
        yield chosen
        done += len(chosen)


def require_searchable(task: Task, name: str, agent: Any) -> None:
    """A search needs rows to choose on, and an agent that learns by itself.

    Raises:
        ConfigError: it is not so.
    """
    if task.cross_validation is not None and task.rolling is not None:
        raise ConfigError(
            f"task {task.name} has rolling windows, which cannot be held out in turn",
            hint="set rolling or cross_validation, not both",
        )
    if task.validate is None and task.cross_validation is None:
        raise ConfigError(
            f"task {task.name} has no validation period to search on",
            hint="steelyard tasks lists others; tests are not for choosing settings",
        )
    if hasattr(agent, "population"):
        raise ConfigError(
            f"`{name}` is an ensemble; its members are searched one by one",
            hint=f"steelyard tune {task.name} ppo",
        )
    if not getattr(agent, "learns", True):
        raise ConfigError(f"`{name}` does not learn", hint=f"steelyard tune {task.name} ppo")


def _require_some(trials: int, seeds: Sequence[int], batch: int) -> None:
    if trials < 1 or not seeds or batch < 1:
        raise ConfigError(
            f"a search needs at least one trial, seed and trial at a time; got {trials}, "
            f"{len(seeds)} and {batch}",
            hint="--trials 50 --seeds 3",
        )


def _contract(ground: Ground, name: str, agent: Any, space: Space, seed: int) -> Mapping[str, Any]:
    """What every trial depends on: a search whose contract has changed is another search."""
    card = ground.venue.task.card()
    for free in ("summary", "agents", "published", "index"):
        card.pop(free, None)
    return {
        "task": card,
        "data": ground.venue.panel.digest()[:16],
        "steelyard": version("steelyard"),
        "fingerprint": ground.venue.fingerprint,
        "agent": name,
        "settings": settings(agent),
        "space": {key: str(where) for key, where in space.items()},
        "metric": ground.metric,
        "seeds": [int(one) for one in ground.seeds],
        "seed": seed,
    }
