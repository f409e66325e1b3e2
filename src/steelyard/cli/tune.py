"""`steelyard tune`: search an agent's settings on the rows of a task that choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from steelyard.cli.output import Progress, emit, say
from steelyard.errors import ConfigError

if TYPE_CHECKING:
    from steelyard.benchmark import Task
    from steelyard.evaluation.trials import Search


def tune(
    task: str,
    agent: str,
    *,
    trials: int = 50,
    seeds: int = 3,
    steps: int | None = None,
    metric: str = "sharpe_ratio",
    search: Annotated[list[str] | None, Parameter(negative=())] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    out: Path | None = None,
    data: str | None = None,
    json: bool = False,
) -> int:
    """Search an agent's settings on the validation period of a task; no test row is opened.

    A task may ask for cross-validation instead; then the search ends with the probability that
    its best trial is only the luckiest.

    Ctrl-C keeps the trials that have ended, and the same command goes on from there.

    Parameters
    ----------
    task
        Name of a task that has a validation period, or cross-validation.
    agent
        Name of an agent that learns, or `file.py:OBJECT` for your own.
    trials
        Trials in all, those of earlier calls included.
    seeds
        Trainings per trial; a trial is worth their median.
    steps
        Environment steps of every training; the agent's own default if omitted.
    metric
        What a trial is worth; `steelyard metrics` lists them.
    search
        Where to search, as `clip=0.1:0.3`, `learning_rate=1e-5:1e-2:log` or `hidden=64x32,128x64`,
        or a name alone for its usual range; may be repeated, and nothing else is searched then.
    set_
        A setting that is not searched, as `discount=0.95`; may be repeated.
    out
        Directory of the search; `runs/TASK-tune-AGENT` if omitted.
    data
        Other data for the task, as `source:request`; its columns are the universe.
    json
        Print one JSON document on stdout.
    """
    from steelyard.cli.run import chosen_task
    from steelyard.compilation import use_cache
    from steelyard.evaluation.search_files import write_search

    use_cache()
    chosen = chosen_task(task, data, validate=False)
    name, given, fixed = _agent(chosen, agent, steps, set_ or ())
    place = out or Path("runs") / f"{chosen.name}-tune-{name}"
    how = {"trials": trials, "seeds": range(max(seeds, 0)), "metric": metric}
    found = _search(chosen, (name, given), place, search or (), fixed, how)
    write_search(found, place)
    _emit(found, place) if json else _show(found, place)
    return 0


def _search(
    task: Task,
    member: tuple[str, Any],
    place: Path,
    wishes: Sequence[str],
    fixed: Sequence[str],
    how: dict[str, Any],
) -> Search:
    """Refuse what cannot be searched before anything is loaded, then search."""
    from steelyard.benchmark.search import require_searchable, search
    from steelyard.benchmark.search_space import search_space
    from steelyard.evaluation.search_files import require_place

    require_searchable(task, *member)
    space = search_space(member[1], wishes, fixed)
    require_place(place)
    say(f"{task.name}: searching {', '.join(space)} of {member[0]} in {place}")
    with Progress() as progress:
        tell = _told(progress, how["metric"])
        return search(task, member, place, space=space, tell=tell, **how)


def _agent(
    task: Task, agent: str, steps: int | None, assignments: Sequence[str]
) -> tuple[str, Any, list[str]]:
    """(name, agent with what was set, names of what was set)."""
    from steelyard.benchmark import resolve_agent
    from steelyard.benchmark.overrides import override
    from steelyard.cli.objects import find_object
    from steelyard.cli.settings import split

    name, given = resolve_agent(find_object("agents", agent), task.learning)
    changes: dict[str, Any] = {}
    for words in assignments:
        setting, value = split(words, "--set")
        changes[setting.removeprefix(f"{name}.")] = value
    if steps is not None:
        if steps < 1:
            raise ConfigError(f"--steps must be at least 1, got {steps}", hint="--steps 100000")
        changes["steps"] = steps
    return name, override(given, changes), list(changes)


def _told(progress: Progress, metric: str) -> Any:
    """What hears of the search: the display, and a line for every trial that is the best so far."""
    from steelyard.benchmark.search_ground import Tell
    from steelyard.evaluation.report.numbers import metric_value
    from steelyard.evaluation.trials import Trial, short

    class Told(Tell):
        def progress(self, what: str, done: int, total: int) -> None:
            progress(what, done, total)

        def ended(self, trials: Sequence[Trial], best: int | None) -> None:
            one = trials[-1]
            if one.value is not None and best == len(trials) - 1:
                settings = ", ".join(f"{key}={short(value)}" for key, value in one.settings.items())
                value = metric_value(metric, one.value.value)
                say(f"trial {len(trials)} is the best so far: {metric} {value} with {settings}")

    return Told()


def _emit(search: Search, place: Path) -> None:
    from steelyard.evaluation.trials import search_json

    report, best = place / "search.html", place / "best.json"
    emit(search_json(search, str(place), str(report), str(best)))


def _show(search: Search, place: Path) -> None:
    from rich.console import Console

    from steelyard.evaluation.report.search import sentences
    from steelyard.evaluation.search_table import table

    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    console.print(table(search))
    for sentence in sentences(search):
        console.print(f"• {sentence}", highlight=False, markup=False)
    for note in search.notes:
        say(f"note: {note}")
    best = place / "best.json"
    say(f"report: {place / 'search.html'}")
    say(f"settings: {best}   (steelyard run {search.task} {search.agent} --settings {best})")
    say(f"fingerprint {search.fingerprint}, {search.seconds:.0f} s")
