"""One row of a score: an agent is trained, searched for leaks and traded, or says why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from steelyard.agents.answers import strangers_in
from steelyard.benchmark.configure import identity, settings
from steelyard.benchmark.earlier import Earlier
from steelyard.benchmark.futures import Futures
from steelyard.benchmark.hunt import Finding, LessonHunt, facts_of, hunt_pass
from steelyard.benchmark.learning import Learned, Report, Trainer, learner_of
from steelyard.benchmark.rounds import Rounds
from steelyard.benchmark.strangers import TRUSTED, Stranger
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.errors import (
    BundleError,
    DeviceError,
    SteelyardError,
    TrainingError,
    WorkerError,
)
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.results import AgentScore, Backtest, WindowScore
from steelyard.evaluation.statistics import interval
from steelyard.isolation.remote import LIMIT
from steelyard.types import EquityCurve, Floats

HOUSE = "house"
"""How agents of this package run; its tests prove what they read."""


@dataclass
class Run:
    """What all rows of a score share.

    Attributes:
        venue: the task, opened.
        seeds: of agents that learn or draw.
        report: of progress.
        checkpoints: where finished trainings are kept.
        earlier: a run whose passes are repeated.
        trust: no search for leaks.
        limit: seconds that a decision of somebody's own agent may take.
    """

    venue: Venue
    seeds: Sequence[int]
    report: Report | None = None
    checkpoints: Checkpoints | None = None
    earlier: Earlier | None = None
    trust: bool = False
    limit: float = LIMIT
    trainer: Trainer = field(init=False)
    lessons: LessonHunt = field(init=False)
    futures: Futures = field(init=False)
    passes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.trainer = Trainer(self.venue, self.report, self.checkpoints)
        self.lessons = LessonHunt(self.venue)
        self.futures, self.passes = Futures(), {}

    def window(self, window: Window) -> Any:
        """Params of the pass over a window that is not rolled through, made once."""
        if window.name not in self.passes:
            self.passes[window.name] = self.venue.window(window)
        return self.passes[window.name]

    def rounds(self, window: Window) -> Rounds | None:
        """The rolling windows of a test window; None where the task has none."""
        return None if self.venue.task.rolling is None else self.trainer.rounds(window)

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress."""
        if self.report is not None:
            self.report(what, done, total)


class Leaked(SteelyardError):
    """An agent knew too much.

    Attributes:
        finding: what it did.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def score_agent(run: Run, name: str, agent: Any) -> AgentScore:
    """Train where there is something to learn, then one pass per seed and window.

    An agent that fails, or that knew too much, is a row without windows that says why.

    Raises:
        BundleError, DeviceError, WorkerError: what was kept, or the machine, is at fault, and not
            the agent.
    """
    begun = time.monotonic()
    stranger: Stranger | None = None
    try:
        if strangers_in(agent):
            trust, limit = run.trust, run.limit
            stranger = Stranger(
                run.venue, name, agent, run.lessons, run.report, trust=trust, limit=limit
            )
            return _row(run, name, agent, begun, **_of_stranger(run, name, stranger, agent))
        return _row(run, name, agent, begun, **_of_house(run, name, agent))
    except Leaked as leaked:
        finding = leaked.finding
        hunt = {"finding": {"asset": finding.asset, "date": finding.date, "text": finding.text}}
        fault = {"note": finding.text, "hunt": hunt}
    except TrainingError as error:
        kept = run.checkpoints.keep_policy(error.policy) if run.checkpoints is not None else ""
        fault = {"note": error.message + (f"; the policy before that is {kept}" if kept else "")}
    except (BundleError, DeviceError, WorkerError):
        raise
    except SteelyardError as error:
        fault = {"note": error.message + (f" ({error.hint})" if error.hint else "")}
    isolation = _house_isolation(run) if not strangers_in(agent) else ""
    isolation = stranger.isolation if stranger is not None else isolation
    return _row(run, name, agent, begun, seeds=(), windows=[], isolation=isolation, **fault)


def _row(run: Run, name: str, agent: Any, begun: float, **parts: Any) -> AgentScore:
    del run
    return AgentScore(
        agent=name,
        kind="learned" if getattr(agent, "learns", True) else "classic",
        settings=settings(agent),
        seconds=time.monotonic() - begun,
        identity=identity(agent),
        **parts,
    )


def _house_isolation(run: Run) -> str:
    return TRUSTED if run.trust else HOUSE


def seeds_of(run: Run, agent: Any) -> tuple[int, ...]:
    """The seeds that an agent runs with: one where nothing is drawn."""
    drawn = getattr(agent, "learns", True) or getattr(agent, "draws", False)
    return tuple(run.seeds) if drawn else (0,)


def sees_features(agent: Any) -> bool:
    """Whether the features of the task may move what an agent does."""
    blind = not getattr(agent, "learns", True) and not getattr(agent, "signal", "")
    return not blind or bool(strangers_in(agent))


def _of_stranger(run: Run, name: str, stranger: Stranger, agent: Any) -> Mapping[str, Any]:
    """The row of somebody's own agent."""
    seeds, scored = seeds_of(run, agent), list[WindowScore]()
    hunt, logs = dict[str, Any](), list[Any]()
    known = run.earlier.seeds(name, agent) if run.earlier is not None else set()
    if run.earlier is not None and set(seeds) <= known:
        return _repeated(run, run.earlier, name, seeds)
    _require_honest_inputs(run, agent)
    for window in run.venue.task.windows:
        asked = stranger.ask(window, seeds, run.rounds(window))
        if asked.finding is not None:
            raise Leaked(asked.finding)
        scored.append(window_score(window, asked.passes, [one.curve for one in asked.passes]))
        hunt, logs = {**hunt, **asked.hunt, "opened": list(asked.opened)}, list(asked.logs)
    return {
        "seeds": seeds,
        "windows": scored,
        "training": list(logs) if any(logs) else (),
        "isolation": stranger.isolation,
        "hunt": {} if run.trust else hunt,
    }


def _repeated(run: Run, earlier: Earlier, name: str, seeds: tuple[int, ...]) -> Mapping[str, Any]:
    """A row whose passes are all recorded; how it ran was said when they were."""
    windows = []
    for window in run.venue.task.windows:
        rounds = run.rounds(window)
        params = run.venue.window(window) if rounds is None else rounds.window
        passes = [
            run.venue.trade(params, earlier.policy(name, window, seed), seed) for seed in seeds
        ]
        windows.append(window_score(window, passes, [one.curve for one in passes]))
    logs = [earlier.log(name, seed) for seed in seeds]
    return {
        "seeds": seeds,
        "windows": windows,
        "training": logs if any(logs) else (),
        **earlier.searched(name),
    }


def _require_honest_inputs(run: Run, agent: Any) -> None:
    """Nobody learns from features that look ahead.

    Raises:
        Leaked: one does.
    """
    if run.trust or not sees_features(agent):
        return
    found = run.lessons.inputs
    if found is None and getattr(agent, "learns", True):
        found = run.lessons.finding
    if found is not None:
        raise Leaked(found)


def _of_house(run: Run, name: str, agent: Any) -> Mapping[str, Any]:
    """The row of an agent of this package."""
    earlier, venue, learns = run.earlier, run.venue, getattr(agent, "learns", True)
    seeds = seeds_of(run, agent)
    missing = earlier.missing(name, agent, seeds) if earlier and learns else list(seeds)
    known = set(seeds) - set(missing)
    if missing or not learns:
        _require_honest_inputs(run, agent)
    learned, hunt, scored = Learned((), ()), dict[str, Any](), []
    for window in venue.task.windows:
        rounds = run.rounds(window) if learns else None
        params = run.window(window) if rounds is None else rounds.window
        if learns and missing:
            hunt |= _retrained(run, agent, missing, window, rounds)
            learned = run.trainer.learn(name, agent, missing, window)
        passes = []
        for number, seed in enumerate(seeds):
            run.tell(f"backtest {name}", number, len(seeds))
            if earlier and seed in known:
                passes.append(venue.trade(params, earlier.policy(name, window, seed), seed))
                continue
            policy_in = _policy_of(run, agent, learned, missing, seed)
            passes.append(venue.trade(params, policy_in(params), seed))
            hunt |= _hunted(run, name, window, params, policy_in, passes[-1], seed)
        scored.append(window_score(window, passes, [one.curve for one in passes]))
    return {
        "seeds": seeds,
        "windows": scored,
        "training": _logs(run, name, seeds, missing, learned),
        "note": learned.note,
        "ensemble": earlier.ensemble(name) if earlier and seeds[0] in known else learned.ensemble,
        "isolation": _house_isolation(run),
        "hunt": hunt,
    }


def _policy_of(
    run: Run, agent: Any, learned: Learned, missing: Sequence[int], seed: int
) -> Callable[[Any], Any]:
    """The policy for some params: one that was learned, or one that is prepared on them."""
    if getattr(agent, "learns", True):
        policy = learned.policies[list(missing).index(seed)]
        return lambda _: policy
    env = run.venue.env
    return lambda params: agent.prepare(jax.random.key(seed), env, params)[0]


def _retrained(
    run: Run, agent: Any, seeds: Sequence[int], window: Window, rounds: Rounds | None
) -> Mapping[str, Any]:
    """Search the training for leaks before it is made whole.

    Raises:
        Leaked: there is one.
    """
    if run.trust:
        return {}
    learner = learner_of(agent)
    key = (identity(learner), *([] if rounds is None else [window.name]), *map(str, seeds))
    run.tell("leaks in training", 0, 1)
    finding, facts = run.lessons.retrain(key, learner, seeds, rounds)
    if finding is not None:
        raise Leaked(finding)
    return facts


def _hunted(
    run: Run,
    name: str,
    window: Window,
    params: Any,
    policy_in: Callable[[Any], Any],
    scored: Backtest,
    seed: int,
) -> Mapping[str, Any]:
    """Search a pass for leaks.

    Raises:
        Leaked: there is one.
    """
    if run.trust:
        return {}
    run.tell(f"leaks {name}", 0, 1)
    rows, rolling = run.venue.clock(window)[:-1], params is not run.passes.get(window.name)
    others = run.futures.of(window.name, params, rows, rolling=rolling)
    finding = hunt_pass(run.venue, window, params, policy_in, scored.actions, seed, others)
    if finding is not None:
        raise Leaked(finding)
    return facts_of(len(scored.actions))


def _logs(
    run: Run, name: str, seeds: Sequence[int], missing: Sequence[int], learned: Learned
) -> Sequence[Mapping[str, Floats]]:
    """The training log of every seed, of this run or of the one before; () where nobody learned."""
    logs = dict(zip(missing, learned.logs, strict=bool(learned.logs)))
    if run.earlier is not None:
        logs |= {seed: run.earlier.log(name, seed) for seed in seeds if seed not in set(missing)}
    return [logs[seed] for seed in seeds] if logs else ()


def window_score(
    window: Window, passes: Sequence[Backtest], curves: Sequence[EquityCurve]
) -> WindowScore:
    """The numbers of one window, with their intervals."""
    return WindowScore(window.name, window.start, window.end, passes, curves, interval(curves))
