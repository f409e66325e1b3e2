"""The score of agents on a task, every one on the same rows, capital and costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from steelyard.benchmark.configure import resolve_agent
from steelyard.benchmark.earlier import Earlier
from steelyard.benchmark.learning import Report
from steelyard.benchmark.rows import Run, score_agent, window_score
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.data import load
from steelyard.errors import ContractError, MissingDataError
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.claims import judge
from steelyard.evaluation.results import AgentScore, Ceiling, Score
from steelyard.isolation.remote import LIMIT
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
    trust: bool = False,
    limit: float = LIMIT,
    tell: Callable[[str], None] | None = None,
) -> Score:
    """Train and backtest `agents` on `task`, every one on the same rows, capital and costs.

    Args:
        agents: names in room "agents", agents themselves, or pairs (name, agent).
        seeds: of learned agents and of agents that draw; others run once.
        venue: to open a task once for several evaluations.
        report: called with the progress of everything that takes long.
        checkpoints: where finished trainings are kept, and looked for.
        earlier: a run whose passes are repeated from its recorded actions instead of trained anew.
        trust: do not search for leaks, for one's own quick work; every row says so.
        limit: seconds that a decision of somebody's own agent may take.
        tell: called with a line about every agent that is not scored, as soon as that is known.

    Returns:
        One row per agent, in the order asked for, and per index. Agents without learning run first.
        An agent that fails, or that knew too much, is a row without windows that says why. Ctrl-C
        keeps the rows that are finished, and says so.
    """
    begun = time.monotonic()
    venue = open_venue(task) if venue is None else venue
    task = venue.task
    chosen = [resolve_agent(agent, task.learning) for agent in agents]
    run = Run(venue, tuple(seeds), report, checkpoints, earlier, trust, limit)
    rows, notes = _rows(run, chosen, tell)
    ceilings = _ceilings(venue, rows)
    rows += [_score_index(venue, name) for name in task.index]
    names = sorted({name for row in rows for one in row.windows for name in one.metrics})
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


def _rows(
    run: Run, chosen: Sequence[tuple[str, Any]], tell: Callable[[str], None] | None
) -> tuple[list[AgentScore], list[str]]:
    """A row for every agent that was come to, in the order asked for, and what was left undone."""
    order = sorted(range(len(chosen)), key=lambda n: bool(getattr(chosen[n][1], "learns", True)))
    done: dict[int, AgentScore] = {}
    notes: list[str] = []
    for place, number in enumerate(order):
        name, left = chosen[number][0], [chosen[n][0] for n in order[place:]]
        try:
            done[number] = score_agent(run, *chosen[number])
        except KeyboardInterrupt:
            if not done:
                raise
            notes.append(f"interrupted: not run are {', '.join(left)}")
            break
        if done[number].stands and done[number].note:
            rest = f"; not run are {', '.join(left[1:])}" if left[1:] else ""
            notes.append(f"{name} {done[number].note}{rest}")
            break
        if not done[number].stands and tell is not None:
            tell(f"{name} is not scored: {done[number].note}")
    return [done[number] for number in sorted(done)], notes


def versions() -> dict[str, str]:
    """Library -> version, of all that may move a number."""
    return {name: version(name) for name in ("steelyard", "jax", "jaxlib", "equinox", "numpy")}


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
            if row.stands
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
        window_score(window, (), [index_curve(venue, name, window)])
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
