"""The score of agents on a task, every one on the same rows, capital and costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.data import load
from steelyard.errors import MissingDataError
from steelyard.evaluation.results import AgentScore, Backtest, Score, WindowScore
from steelyard.evaluation.statistics import interval
from steelyard.evaluation.training import fit
from steelyard.metrics import metric_card
from steelyard.registry import find, members
from steelyard.types import EquityCurve

Report = Callable[[str, int, int], None]
"""Progress: (what is being done, steps done, steps in all)."""


def evaluate(
    task: Task,
    agents: Sequence[Any],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    venue: Venue | None = None,
    report: Report | None = None,
) -> Score:
    """Train and backtest `agents` on `task`, every one on the same rows, capital and costs.

    Args:
        agents: names in room "agents", agents themselves, or pairs (name, agent).
        seeds: of learned agents and of agents that draw; others run once.
        venue: to open a task once for several evaluations.
        report: called with the progress of everything that takes long.

    Returns:
        One row per agent and per index. Ctrl-C keeps the rows that are finished, and says so.
    """
    begun = time.monotonic()
    venue = open_venue(task) if venue is None else venue
    chosen = [resolve_agent(agent) for agent in agents]
    rows: list[AgentScore] = []
    notes: list[str] = []
    for number, (name, agent) in enumerate(chosen):
        try:
            rows.append(_score_agent(venue, name, agent, seeds, report))
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
    rows += [_score_index(venue, name) for name in task.index]
    names = sorted(rows[0].windows[0].metrics)
    return Score(
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
    )


def resolve_agent(agent: Any) -> tuple[str, Any]:
    """(name, agent) of a name in the room, of an agent that somebody passes, or of such a pair."""
    if isinstance(agent, tuple):
        return agent
    if isinstance(agent, str):
        return agent, find("agents", agent)()
    for name, known in members("agents").items():
        if type(agent) is known.value:
            return name, agent
    return type(agent).__name__, agent


def versions() -> dict[str, str]:
    """Library -> version, of all that may move a number."""
    return {name: version(name) for name in ("steelyard", "jax", "jaxlib", "equinox", "numpy")}


def _score_agent(
    venue: Venue,
    name: str,
    agent: Any,
    seeds: Sequence[int],
    report: Report | None,
) -> AgentScore:
    """Train where there is something to learn, then one pass per seed and window."""
    begun = time.monotonic()
    learns = getattr(agent, "learns", True)
    note, logs = "", []
    if learns:
        tell = (lambda done, total: report(f"train {name}", done, total)) if report else None
        trained = fit(agent, venue.env, venue.training, seeds, progress=tell)
        policies, logs = list(trained.policies), list(trained.logs)
        if not trained.complete:
            note = f"stopped after {trained.updates} of {agent.updates} updates"
    elif not getattr(agent, "draws", False):
        seeds = (0,)
    scored = []
    for window in venue.task.windows:
        params = venue.window(window)
        passes = []
        for number, seed in enumerate(seeds):
            if report:
                report(f"backtest {name}", number, len(seeds))
            if learns:
                policy = policies[number]
            else:
                policy = agent.train(jax.random.key(seed), venue.env, params)[0]
            passes.append(venue.trade(params, policy, seed))
        scored.append(_window_score(window, passes, [one.curve for one in passes]))
    return AgentScore(
        agent=name,
        kind="learned" if learns else "classic",
        seeds=tuple(seeds),
        windows=scored,
        training=logs,
        settings=settings(agent),
        seconds=time.monotonic() - begun,
        note=note,
    )


def _window_score(
    window: Window, passes: Sequence[Backtest], curves: Sequence[EquityCurve]
) -> WindowScore:
    return WindowScore(window.name, window.start, window.end, passes, curves, interval(curves))


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
    level = load(request).select([asset])
    first, last = venue.panel.span(window.start, window.end)
    clock = venue.panel.timestamps[first : last + 1]
    rows = np.minimum(np.searchsorted(level.timestamps, clock), len(level) - 1)
    if not np.array_equal(level.timestamps[rows], clock):
        raise MissingDataError(f"index {name} lacks sessions of {window.start}..{window.end}")
    close = level["close"][rows, 0]
    value = venue.task.cash * close / close[0]
    return EquityCurve(clock, value, venue.task.periods_per_year)


def settings(agent: Any) -> dict[str, Any]:
    """An agent's hyper-parameters, ready for JSON."""
    fields = getattr(agent, "__dataclass_fields__", {})
    return {name: _plain(getattr(agent, name)) for name in fields}


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, str, type(None))):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return repr(value)
