"""Every kind of agent of every task that runs out of the box decides the same in another future."""

from dataclasses import replace

import jax
import pytest

from steelyard.benchmark import Window, open_venue
from steelyard.benchmark.checking import short
from steelyard.benchmark.configure import resolve_agent
from steelyard.benchmark.rows import Run, score_agent
from steelyard.data import load
from steelyard.errors import SteelyardError
from steelyard.registry import members

MOST_ROUNDS, MEMBERS = 6, 2


def runnable():
    """Names of the tasks whose data are bundled and that need no factors mined before."""
    return [
        name
        for name, known in members("tasks").items()
        if known.value.data.startswith("bundled:") and not known.value.needs_factors
    ]


def shortened(name):
    """A task whose rolling windows are a few."""
    task = members("tasks")[name].value
    if task.rolling is None:
        return task
    panel = load(task.data)
    first, _ = panel.span(task.windows[0].start, task.windows[0].end)
    last = first + MOST_ROUNDS * task.rolling.trade
    end = str(panel.timestamps[min(last, len(panel) - 1)].astype("datetime64[D]"))
    return replace(task, windows=(Window("test", task.windows[0].start, end),))


def fewer(agent):
    """At most two members of each kind of an ensemble."""
    population = getattr(agent, "population", None)
    if not hasattr(agent, "take") or max(population.counts) <= MEMBERS:
        return agent
    groups = tuple((one, min(count, MEMBERS)) for one, count in population.groups)
    take = min(agent.take, MEMBERS) if isinstance(agent.take, int) else agent.take
    return replace(agent, population=replace(population, groups=groups), take=take)


@pytest.fixture(scope="module")
def runs():
    held = {}

    def run(name):
        if name not in held:
            held.clear()
            held[name] = Run(open_venue(shortened(name)), (0,))
        return held[name]

    return run


@pytest.fixture(autouse=True)
def forgetful():
    """Programs of one agent are of no use to the next; thousands of them fill a process."""
    yield
    jax.clear_caches()


def pairs():
    """Every agent on every task; on windows of another length only those that the task names."""
    known = {name: members("tasks")[name].value for name in runnable()}
    return [
        (name, agent)
        for name, task in known.items()
        for agent in (task.agents if name == "stock-ensemble-long" else members("agents"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "agent"), pairs())
def test_an_agent_of_the_house_decides_the_same_in_another_future(task, agent, runs):
    run = runs(task)
    name, made = resolve_agent(agent, run.venue.task.learning)
    try:
        row = score_agent(run, name, fewer(short(made)))
    except SteelyardError as error:
        pytest.skip(f"{agent} is not for {task}: {error.message}")
    if not row.stands and "finding" not in row.hunt:
        pytest.skip(f"{agent} is not for {task}: {row.note}")
    assert row.stands, row.note
    assert row.hunt["cuts"] >= min(5, row.hunt["decisions"])


def test_tasks_that_run_out_of_the_box_are_found():
    assert {"stock-dow30", "stock-ensemble", "crypto-ensemble-2024"} <= set(runnable())
