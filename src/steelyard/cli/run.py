"""`steelyard run`: train, evaluate, compare, write a report and a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from steelyard.cli.elsewhere import Where, read_where, train_elsewhere
from steelyard.cli.output import Progress, emit, say
from steelyard.cli.settings import Changes, apply_changes, read_changes
from steelyard.cli.worker import order_of
from steelyard.errors import ConfigError

if TYPE_CHECKING:
    from steelyard.benchmark import Task
    from steelyard.evaluation.checkpoints import Checkpoints
    from steelyard.evaluation.results import Score
    from steelyard.types import Facts


def run(
    task: str,
    *agents: str,
    seeds: int = 5,
    steps: int | None = None,
    out: Path | None = None,
    data: str | None = None,
    factors: Path | None = None,
    validate: bool = False,
    settings: Annotated[list[Path] | None, Parameter(negative=())] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    resume: bool = False,
    on: str | None = None,
    trust: bool = False,
    limit: float = 60.0,
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
        Directory of the result bundle; `runs/TASK` if omitted.
    data
        Other data for the task, as `files:prices.csv`; its columns are the universe.
    factors
        Folder that `steelyard factors mine` wrote, as further observations.
    validate
        Score on the validation period instead of the test windows.
    settings
        File with an agent's settings, as the best.json of `steelyard tune`; may be repeated.
    set_
        A setting of an agent, as `ppo.learning_rate=1e-3`; may be repeated.
    resume
        Go on from the bundle in `--out`, or from an interrupted run. More `--seeds` are added.
    on
        Who trains: `processes`, `processes:N`, `ray` or `ray://HOST:PORT`; this process if omitted.
    trust
        Do not search for leaks, for your own quick work; every row says so.
    limit
        Seconds that one decision of an agent of your own may take.
    json
        Print one JSON document on stdout.
    """
    _require_numbers(seeds, limit)
    where = read_where(on)
    chosen = chosen_task(task, data, validate=validate, factors=factors)
    asked = Asked(agents or chosen.agents, steps, read_changes(settings or (), set_ or ()))
    place = out or Path("runs") / chosen.name
    score = _score(chosen, asked, How(range(seeds), place, where, resume, trust, limit))
    _deliver(score, place, as_json=json)
    return 0 if all(row.stands for row in score.rows) else 1


def _require_numbers(seeds: int, limit: float) -> None:
    """Refuse numbers of seeds and seconds that cannot be meant."""
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}", hint="--seeds 5")
    if not limit > 0:
        raise ConfigError(f"--limit must be above 0 seconds, got {limit:g}", hint="--limit 60")


class Asked(NamedTuple):
    """Who was asked for: names, environment steps of training, settings."""

    names: Sequence[str]
    steps: int | None
    changes: Changes


class How(NamedTuple):
    """How a run is made; see `run`."""

    seeds: Sequence[int]
    place: Path
    where: Where | None
    resume: bool
    trust: bool
    limit: float


def _deliver(score: Score, place: Path, *, as_json: bool) -> None:
    """Write the bundle, then tell."""
    from steelyard.evaluation.bundle import run_json, write

    write(score, place)
    if not score.notes and all(row.stands for row in score.rows):  # nothing was left undone
        _checkpoints(place).clear()
    report = place / "report.html"
    if as_json:
        emit(run_json(score, place, report, score.seconds))
    else:
        _show(score, place, report)


def chosen_members(
    task: Task, names: Sequence[str], steps: int | None, changes: Changes
) -> list[tuple[str, Any]]:
    """Who runs: what the task says of them, what was asked for, and the budget of training."""
    from steelyard.benchmark.configure import EVERYBODY, configure

    members = apply_changes(named_agents(names, task.learning), changes)
    if steps is None:
        return members
    if steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}", hint="--steps 100000")
    budget = {EVERYBODY: {"steps": steps}}
    return [(name, configure(agent, budget, name)) for name, agent in members]


def _score(task: Task, asked: Asked, how: How) -> Score:
    """Train and backtest; every finished training is kept until the bundle is written."""
    from steelyard.benchmark import evaluate, open_venue
    from steelyard.benchmark.earlier import Earlier
    from steelyard.benchmark.fanout import plan
    from steelyard.compilation import use_cache
    from steelyard.data.progress import watched
    from steelyard.evaluation.bundle import require_place

    members = chosen_members(task, *asked)
    use_cache()
    require_place(how.place)
    checkpoints = _checkpoints(how.place)
    if not how.resume:
        checkpoints.clear()
    with Progress() as progress:
        with watched(progress):
            venue = open_venue(task)
        say(f"{task.name}: {task.summary}")
        there = how.resume and how.place.is_dir()
        earlier = Earlier(how.place, venue.fingerprint) if there else None
        if how.where is not None:
            order = order_of(venue.task, venue.fingerprint, *asked, checkpoints.place)
            to_do = partial(plan, venue, members, how.seeds, checkpoints, earlier)
            train_elsewhere(how.where, venue, order, progress, to_do)
        return evaluate(
            task,
            members,
            seeds=how.seeds,
            venue=venue,
            report=progress,
            checkpoints=checkpoints,
            earlier=earlier,
            trust=how.trust,
            limit=how.limit,
            tell=say,
        )


def _checkpoints(place: Path) -> Checkpoints:
    """Where the trainings of a run are kept while it goes on, beside its bundle."""
    from steelyard.evaluation.checkpoints import Checkpoints

    return Checkpoints(place.resolve().with_name(f".{place.name}.trainings"))


def chosen_task(
    name: str, data: str | None, *, validate: bool = False, factors: Path | None = None
) -> Task:
    """The task, on other data or on its validation period where that was asked for."""
    from steelyard.registry import find

    task: Task = find("tasks", name)
    if data is not None:
        task = replace(task, data=data, assets=())
    if factors is not None:
        from steelyard.benchmark.task import FactorFile
        from steelyard.factors.artefact import load

        task = replace(task, factors=FactorFile(str(factors), load(factors).sha256))
    if validate:
        if task.validate is None:
            raise ConfigError(f"task {name} has no validation period", hint=f"steelyard run {name}")
        task = replace(task, windows=(task.validate,))
    return task


def named_agents(
    names: Sequence[str], learning: Mapping[str, Facts] | None = None
) -> list[tuple[str, Any]]:
    """(name, agent) of every name, each once, with the settings that a task gives them."""
    from steelyard.benchmark import resolve_agent
    from steelyard.cli.objects import find_object

    members = [resolve_agent(find_object("agents", name), learning) for name in names]
    known = [name for name, _ in members]
    for name in known:
        if known.count(name) > 1:
            raise ConfigError(f"agent `{name}` is named twice", hint="name every agent once")
    return members


def _show(score: Any, place: Path, report: Path) -> None:
    from rich.console import Console

    from steelyard.evaluation.report.claims import claim_lines
    from steelyard.evaluation.report.verdict import verdict
    from steelyard.evaluation.table import tables

    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    for table in tables(score):
        console.print(table)
    for line in claim_lines(score):
        console.print(line, highlight=False, markup=False)
    for sentence in verdict(score):
        console.print(f"• {sentence}", highlight=False, markup=False)
    for note in score.notes:
        say(f"note: {note}")
    say(f"report: {report}")
    say(f"bundle: {place}   (steelyard verify {place})")
    say(f"fingerprint {score.fingerprint}, {score.seconds:.0f} s")
