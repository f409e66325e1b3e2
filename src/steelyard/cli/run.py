"""`steelyard run`: train, evaluate, compare, write a report and a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.cli.output import Progress, emit, say
from steelyard.errors import ConfigError

if TYPE_CHECKING:
    from steelyard.benchmark import Task


def run(
    task: str,
    *agents: str,
    seeds: int = 5,
    steps: int | None = None,
    out: Path | None = None,
    data: str | None = None,
    validate: bool = False,
    json: bool = False,
) -> int:
    """Train and backtest agents on a task, beside honest baselines, and write a report.

    Parameters
    ----------
    task
        Name of a task; `steelyard tasks` lists them.
    agents
        Names of agents, or `file.py:OBJECT` for your own; the task's default set if omitted.
    seeds
        Seeds of agents that learn or draw.
    steps
        Environment steps of training per seed; each agent's own default if omitted.
    out
        Directory of the result bundle; `runs/TASK` if omitted. A complete older bundle there is
        replaced only once the new one is complete.
    data
        Other data for the task, as `source:request` (`files:prices.csv`); its columns are the
        universe.
    validate
        Score on the validation period instead of the test windows.
    json
        Print one JSON document on stdout.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}", hint="--seeds 5")
    from steelyard.benchmark import evaluate, open_venue
    from steelyard.compilation import use_cache
    from steelyard.evaluation.bundle import require_place, run_json, write

    use_cache()
    chosen = _task(task, data, validate=validate)
    members = _agents(agents or chosen.agents, steps)
    place = out or Path("runs") / chosen.name
    require_place(place)
    with Progress() as progress:
        venue = open_venue(chosen)
        say(f"{chosen.name}: {chosen.summary}")
        score = evaluate(chosen, members, seeds=range(seeds), venue=venue, report=progress)
    write(score, place)
    report = place / "report.html"
    if json:
        emit(run_json(score, place, report, score.seconds))
    else:
        _show(score, place, report)
    return 0


def _task(name: str, data: str | None, *, validate: bool) -> Task:
    """The task, on other data or on its validation period where that was asked for."""
    from steelyard.registry import find

    task: Task = find("tasks", name)
    if data is not None:
        task = replace(task, data=data, assets=())
    if validate:
        if task.validate is None:
            raise ConfigError(f"task {name} has no validation period", hint=f"steelyard run {name}")
        task = replace(task, windows=(task.validate,))
    return task


def _agents(names: Sequence[str], steps: int | None) -> list[tuple[str, Any]]:
    """(name, agent) of every name, each once, with the training budget that was asked for."""
    from steelyard.benchmark import resolve_agent
    from steelyard.cli.objects import find_object

    members = [resolve_agent(find_object("agents", name)) for name in names]
    known = [name for name, _ in members]
    for name in known:
        if known.count(name) > 1:
            raise ConfigError(f"agent `{name}` is named twice", hint="name every agent once")
    if steps is None:
        return members
    return [(name, _with_steps(agent, steps)) for name, agent in members]


def _with_steps(agent: Any, steps: int) -> Any:
    """The agent with another training budget, if it learns."""
    if steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}", hint="--steps 100000")
    return replace(agent, steps=steps) if getattr(agent, "learns", True) else agent


def _show(score: Any, place: Path, report: Path) -> None:
    from rich.console import Console

    from steelyard.evaluation.report.verdict import verdict
    from steelyard.evaluation.table import tables

    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    for table in tables(score):
        console.print(table)
    for sentence in verdict(score):
        console.print(f"• {sentence}", highlight=False, markup=False)
    for note in score.notes:
        say(f"note: {note}")
    say(f"report: {report}")
    say(f"bundle: {place}   (steelyard verify {place})")
    say(f"fingerprint {score.fingerprint}, {score.seconds:.0f} s")
