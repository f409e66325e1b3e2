"""The score of agents on a task, every one on the same rows, capital and costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from steelyard.benchmark.configure import identity, resolve_agent, settings
from steelyard.benchmark.earlier import Earlier
from steelyard.benchmark.learning import Learned, Report, Trainer
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.data import load
from steelyard.errors import ContractError, MissingDataError
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.claims import judge
from steelyard.evaluation.results import AgentScore, Backtest, Ceiling, Score, WindowScore
from steelyard.evaluation.statistics import interval
from steelyard.metrics import metric_card
from steelyard.types import EquityCurve


def evaluate(
    task: Task,
    agents: Sequence[Any],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    venue: Venue | None = None,
    report: Report | None = None,
    checkpoints: Checkpoints | None = None,
    earlier: Earlier | None = None,
) -> Score:
    """Train and backtest `agents` on `task`, every one on the same rows, capital and costs.

    Args:
        agents: names in room "agents", agents themselves, or pairs (name, agent).
        seeds: of learned agents and of agents that draw; others run once.
        venue: to open a task once for several evaluations.
        report: called with the progress of everything that takes long.
        checkpoints: where finished trainings are kept, and looked for.
        earlier: a run whose passes are repeated from its recorded actions instead of trained anew.

    Returns:
        One row per agent and per index. Ctrl-C keeps the rows that are finished, and says so.
    """
    begun = time.monotonic()
    venue = open_venue(task) if venue is None else venue
    task = venue.task
    chosen = [resolve_agent(agent, task.learning) for agent in agents]
    trainer = Trainer(venue, report, checkpoints)
    rows: list[AgentScore] = []
    notes: list[str] = []
    for number, (name, agent) in enumerate(chosen):
        try:
            rows.append(_score_agent(venue, name, agent, seeds, trainer, report, earlier))
        except KeyboardInterrupt:
            if not rows:
                raise
            left = ", ".join(name for name, _ in chosen[number:])
            notes.append(f"interrupted: not run are {left}")
            break
        if rows[-1].note:
            left = ", ".join(name for name, _ in chosen[number + 1 :])
            notes.append(f"{name} {rows[-1].note}" + (f"; not run are {left}" if left else ""))
            break
    ceilings = _ceilings(venue, rows)
    rows += [_score_index(venue, name) for name in task.index]
    names = sorted(rows[0].windows[0].metrics)
    score = Score(
        task=task.name,
        fingerprint=venue.fingerprint,
        card=task.card(),
        conventions={name: dict(metric_card(name)) for name in names},
        assets=venue.panel.assets,
        rows=rows,
        published=task.published,
        versions=versions(),
        seconds=time.monotonic() - begun,
        notes=notes,
        ceilings=ceilings,
    )
    return replace(score, verdicts=judge(score, task.claims))


def versions() -> dict[str, str]:
    """Library -> version, of all that may move a number."""
    return {name: version(name) for name in ("steelyard", "jax", "jaxlib", "equinox", "numpy")}


def _score_agent(
    venue: Venue,
    name: str,
    agent: Any,
    seeds: Sequence[int],
    trainer: Trainer,
    report: Report | None,
    earlier: Earlier | None,
) -> AgentScore:
    """Train where there is something to learn, then one pass per seed and window."""
    begun = time.monotonic()
    learns = getattr(agent, "learns", True)
    if not learns and not getattr(agent, "draws", False):
        seeds = (0,)
    missing = earlier.missing(name, agent, seeds) if earlier and learns else list(seeds)
    known = set(seeds) - set(missing)
    learned = Learned((), ())
    scored = []
    for window in venue.task.windows:
        params = venue.window(window)
        if learns and missing:
            learned = trainer.learn(name, agent, missing, window)
            params = params if venue.task.rolling is None else trainer.rounds(window).window
        passes = []
        for number, seed in enumerate(seeds):
            if report:
                report(f"backtest {name}", number, len(seeds))
            if earlier and seed in known:
                policy = earlier.policy(name, window, seed)
            elif learns:
                policy = learned.policies[missing.index(seed)]
            else:
                policy = agent.train(jax.random.key(seed), venue.env, params)[0]
            passes.append(venue.trade(params, policy, seed))
        scored.append(_window_score(window, passes, [one.curve for one in passes]))
    logs = dict(zip(missing, learned.logs, strict=bool(learned.logs)))
    if earlier:
        logs |= {seed: earlier.log(name, seed) for seed in known}
    return AgentScore(
        agent=name,
        kind="learned" if learns else "classic",
        seeds=tuple(seeds),
        windows=scored,
        training=[logs[seed] for seed in seeds] if logs else (),
        settings=settings(agent),
        seconds=time.monotonic() - begun,
        note=learned.note,
        ensemble=earlier.ensemble(name) if earlier and seeds[0] in known else learned.ensemble,
        identity=identity(agent),
    )


def _window_score(
    window: Window, passes: Sequence[Backtest], curves: Sequence[EquityCurve]
) -> WindowScore:
    return WindowScore(window.name, window.start, window.end, passes, curves, interval(curves))


def _ceilings(venue: Venue, rows: Sequence[AgentScore]) -> list[Ceiling]:
    """The best in hindsight of every window, and the agents against it.

    Raises:
        ContractError: an agent has passed it, which no honest account can.
    """
    found = []
    for number, window in enumerate(venue.task.windows):
        best = venue.ceiling(window)
        if best is None:
            continue
        profit = float(best.value[-1] - best.value[0])
        earned = {
            row.agent: [float(one.value[-1] - one.value[0]) for one in row.windows[number].curves]
            for row in rows
        }
        for agent, profits in earned.items():
            if max(profits) > profit + 1e-9 * venue.task.cash:
                raise ContractError(
                    f"{agent} earned {max(profits):,.2f} in `{window.name}`, hindsight "
                    f"{profit:,.2f}: the market's accounts are wrong",
                    hint="please report this, with the bundle",
                )
        shares = {name: float(np.median(each)) / profit for name, each in earned.items()}
        gain = profit / venue.task.cash
        found.append(Ceiling(window.name, profit, gain, shares if profit > 0 else {}))
    return found


def _score_index(venue: Venue, name: str) -> AgentScore:
    """A price index beside the agents; it pays no costs and cannot be traded."""
    scored = [
        _window_score(window, (), [index_curve(venue, name, window)])
        for window in venue.task.windows
    ]
    return AgentScore(
        name, "index", (0,), scored, settings={"source": list(venue.task.index[name])}
    )


def index_curve(venue: Venue, name: str, window: Window) -> EquityCurve:
    """A price index on the rows of the agents, scaled to their capital.

    Raises:
        MissingDataError: the index lacks a session of the window.
    """
    request, asset = venue.task.index[name]
    level = load(request).select([asset]) if request else venue.panel
    clock = venue.panel.timestamps[venue.clock(window)]
    rows = np.minimum(np.searchsorted(level.timestamps, clock), len(level) - 1)
    if not np.array_equal(level.timestamps[rows], clock):
        raise MissingDataError(f"index {name} lacks sessions of {window.start}..{window.end}")
    close = level["close"][rows, 0]
    value = venue.task.cash * close / close[0]
    return EquityCurve(clock, value, venue.task.periods_per_year)
