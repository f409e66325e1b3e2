"""Trainings that are dealt out: each is done once, whatever happens to who does it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from steelyard.agents.ensemble import Ensemble
from steelyard.agents.population import Population
from steelyard.benchmark import evaluate, learning, open_venue
from steelyard.benchmark.fanout import (
    Job,
    as_error,
    as_facts,
    circumstances,
    fan_out,
    perform,
    plan,
)
from steelyard.benchmark.fanout_processes import Processes
from steelyard.benchmark.learning import Trainer
from steelyard.cli.elsewhere import WORKER, Where, read_where
from steelyard.cli.worker import Workplace, order_of
from steelyard.errors import ConfigError, DependencyError, TrainingError, WorkerError
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.splits import Rolling
from steelyard.evaluation.training import fit
from tasks_for_tests import QUICK, planted

TOY = (sys.executable, "-I", str(Path(__file__).with_name("toy_worker.py")))
PATIENCE = 20.0


def job(name: str) -> Job:
    return Job(0, name, "", "test", "once", (0, 1))


def toys(notes: Path, *fate: str, count: int = 1, report: Any = None) -> Processes:
    return Processes(count, TOY, {"notes": str(notes), "fate": fate}, report)


def attempts(notes: Path) -> list[str]:
    return sorted(note.name for note in notes.iterdir())


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def test_every_job_is_done_once_and_the_display_counts_them(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def report(*words: Any) -> None:
        told.append(words)

    jobs = [job("a"), job("b"), job("c")]
    fan_out(jobs, toys(tmp_path, count=2, report=report), report)
    assert attempts(tmp_path) == ["a-0", "b-0", "c-0"]
    assert [words for words in told if words[0] == "jobs done"] == [
        ("jobs done", done, 3) for done in range(4)
    ]
    assert ("b, seeds 0, 1", 1, 2) in told


def test_a_job_whose_worker_is_killed_is_done_once_more(tmp_path: Path) -> None:
    def kill() -> None:
        wait_for(tmp_path / "a-0")
        os.kill(int((tmp_path / "a-0").read_text()), signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    fan_out([job("a")], toys(tmp_path, "hang"))
    killer.join()
    assert attempts(tmp_path) == ["a-0", "a-1"]


def test_a_worker_that_dies_twice_is_an_error_that_names_the_job(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"`a, seeds 0, 1` died twice: exit code 1, out of mem"):
        fan_out([job("a")], toys(tmp_path, "die", "die"))
    assert attempts(tmp_path) == ["a-0", "a-1"]


def test_a_training_that_fails_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="loss is nan") as found:
        fan_out([job("a")], toys(tmp_path, "refuse"))
    assert found.value.hint == "try less"
    assert attempts(tmp_path) == ["a-0"]


def test_an_interruption_ends_all_workers(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if len(attempts(tmp_path)) == 2 and what != "jobs done":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fan_out([job("a"), job("b")], toys(tmp_path, "hang", count=2, report=stop))
    assert not any(is_there(int(note.read_text())) for note in tmp_path.iterdir())


def test_a_worker_ends_when_its_run_is_gone() -> None:
    worker = subprocess.run(WORKER, input="", timeout=60, text=True, check=False)
    assert worker.returncode == 0


def test_a_run_plans_each_training_once(tmp_path: Path) -> None:
    venue, kept = open_venue(planted(assets=3)), Checkpoints(tmp_path)
    other = replace(QUICK, discount=0.5)
    ensemble = Ensemble(Population(((QUICK, 2),)))
    agents = [
        ("one", QUICK),
        ("same", QUICK),
        ("other", other),
        ("first", ensemble),
        ("second", replace(ensemble)),
        *named("buy_and_hold"),
    ]
    jobs = plan(venue, agents, (0, 1), kept)
    assert [(one.agent, one.seeds) for one in jobs] == [
        ("one", (0, 1)),
        ("other", (0, 1)),
        ("first", (0, 1)),
    ]


def test_rolling_windows_are_planned_seed_by_seed_and_window_by_window(tmp_path: Path) -> None:
    task = planted(assets=3, rolling=Rolling(train=30, validate=10, trade=15), validate=None)
    ensemble = Ensemble(Population(((QUICK, 2),)))
    venue = open_venue(task)
    jobs = plan(venue, [("quick", QUICK), ("members", ensemble)], (0, 1), Checkpoints(tmp_path))
    assert [(one.phase, one.seeds) for one in jobs if one.agent == "quick"] == [
        ("test/last", (0,)),
        ("test/last", (1,)),
    ]
    assert {one.phase for one in jobs if one.agent == "members"} == {"test", "test/again"}


def named(*names: str) -> list[tuple[str, Any]]:
    from steelyard.benchmark import resolve_agent

    return [resolve_agent(name) for name in names]


@pytest.mark.parametrize(
    "words",
    ["processes:0", "processes:-1", "processes:two", "cluster", "ray:4", "ray://host", "ray://:1"],
)
def test_a_place_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(ConfigError) as found:
        read_where(words)
    assert words in found.value.message
    assert found.value.hint.startswith("--on")


def test_places_are_read() -> None:
    assert read_where(None) is None
    assert read_where("processes:3") == Where("processes", count=3)
    everything = read_where("processes")
    assert everything is not None
    assert 1 <= everything.count <= (os.cpu_count() or 1)


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError) as found:
        read_where("ray")
    assert found.value.hint == "pip install 'steelyard[ray]'"


def test_an_address_where_nobody_answers_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        address = f"ray://127.0.0.1:{port}"
        assert read_where(address) == Where("ray", address=address)
    with pytest.raises(ConfigError, match=f"nothing answers at {address}"):
        read_where(address)


@pytest.mark.parametrize("name", ["steelyard", "jax", "backend"])
def test_a_worker_with_another_version_does_not_train(name: str, tmp_path: Path) -> None:
    order = order_of(planted(), "0" * 16, ["ppo"], None, {}, tmp_path)
    order = json.loads(json.dumps({**order, "same": {**circumstances(), name: "other"}}))
    with pytest.raises(ConfigError, match=f"a worker has {name} .*, this run other"):
        Workplace(order, tmp_path)


def test_an_error_travels_with_its_kind_and_hint() -> None:
    error = as_error(json.loads(json.dumps(as_facts(TrainingError("m", hint="h")))))
    assert isinstance(error, TrainingError)
    assert (error.message, error.hint) == ("m", "h")


PROGRAM = """
import os, sys
os.environ["STEELYARD_TEST_RUN"] = str(os.getpid())
from tasks_for_tests import planted
from steelyard import registry
from steelyard.cli import main
from steelyard.evaluation.splits import Rolling
from steelyard.evaluation.training import fit
registry.register("tasks", "planted", planted(assets=3), summary="planted")
rolling = Rolling(train=30, validate=10, trade=30, retrain=False)
rolled = planted(assets=3, rolling=rolling, episode=20, validate=None)
registry.register("tasks", "rolled", rolled, summary="rolled")
sys.exit(main())
"""

MORTAL = """
import os, pathlib
from steelyard.agents.ppo import PPO

def fall(note):
    # once, in the middle of a training, and not in the process of the run
    if os.getpid() != int(os.environ["STEELYARD_TEST_RUN"]) and not note.exists():
        note.touch()
        os.kill(os.getpid(), 9)

class Mortal(PPO):
    def advance(self, *words):
        fall(pathlib.Path(__file__).with_name("fallen"))
        return super().advance(*words)

class Other(PPO):
    pass

settings = dict(envs=16, horizon=16, minibatch=64, epochs=1, hidden=(8,))
mortal = Mortal(**settings)
one = PPO(**settings)
other = Other(**settings, discount=0.5)
"""


class Runs:
    """Runs of the command line, each in a process of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "mine.py").write_text(MORTAL)
        (place / "program.py").write_text(PROGRAM)

    def begin(self, task: str, agents: Sequence[str], out: str, *words: str) -> Any:
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        mine = [f"{self.place / 'mine.py'}:{name}" for name in agents]
        common = ("--steps", "512", "--seeds", "2", "--out", str(self.place / out))
        call = ("run", task, *mine, "hold_cash", *common, *words)
        return subprocess.Popen(
            [sys.executable, str(self.place / "program.py"), *call],
            env={**os.environ, "PYTHONPATH": path, "STEELYARD_HOME": str(self.place / "home")},
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, task: str, agents: Sequence[str], out: str, *words: str) -> str:
        process = self.begin(task, agents, out, *words)
        told = str(process.communicate(timeout=400)[1])
        assert process.returncode == 0, told
        return told

    def score(self, out: str) -> str:
        return (self.place / out / "score.json").read_text()

    @property
    def fallen(self) -> bool:
        return (self.place / "fallen").exists()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    return Runs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["planted", "rolled"])
def test_processes_come_to_the_bytes_of_a_plain_run_though_one_is_killed(
    runs: Runs, task: str
) -> None:
    agents = ("mortal", "other")
    runs(task, agents, "plain")
    told = runs(task, agents, "apart", "--on", "processes:2")
    assert runs.fallen
    assert f"{2 if task == 'planted' else 4} trainings to do" in told
    assert runs.score("plain") == runs.score("apart")


@pytest.mark.slow
def test_what_was_finished_before_ctrl_c_is_not_trained_again(runs: Runs) -> None:
    agents, trainings = ("one", "other"), runs.place / ".out.trainings"
    process = runs.begin("rolled", agents, "out", "--on", "processes:1")
    wait_for_one(trainings, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    kept = {file.name: file.stat().st_mtime_ns for file in trainings.glob("*.safetensors")}
    assert f"{len(kept)} of 4 trainings are kept" in told
    again = runs.begin("rolled", agents, "out", "--on", "processes:2", "--resume")
    told = again.communicate(timeout=200)[1]
    assert f"{4 - len(kept)} trainings to do" in told
    runs("rolled", agents, "plain")
    assert runs.score("out") == runs.score("plain")


@pytest.mark.slow
def test_a_seed_that_was_trained_elsewhere_is_not_trained_again_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, ...]] = []

    def note(agent: Any, env: Any, params: Any, seeds: Sequence[int], **rest: Any) -> Any:
        begun.append(tuple(seeds))
        return fit(agent, env, params, seeds, **rest)

    monkeypatch.setattr(learning, "fit", note)
    rolling = Rolling(train=30, validate=10, trade=30, retrain=False)
    task = planted(assets=3, rolling=rolling, episode=20, validate=None)
    agents = [("quick", replace(QUICK, steps=512, epochs=1))]
    venue, kept = open_venue(task), Checkpoints(tmp_path)
    fresh = evaluate(task, agents, seeds=(0, 1), venue=venue)
    _, second = plan(venue, agents, (0, 1), kept)
    perform(Trainer(venue, checkpoints=kept), venue, agents[0], second, kept)
    assert [one.seeds for one in plan(venue, agents, (0, 1), kept)] == [(0,)]
    joined = evaluate(task, agents, seeds=(0, 1), venue=venue, checkpoints=kept)
    assert begun == [(0, 1), (1,), (0,)]
    for one, other in zip(*(each.rows[0].windows[0].curves for each in (fresh, joined))):
        np.testing.assert_array_equal(one.value, other.value)


@pytest.mark.slow
def test_ray_comes_to_the_bytes_of_a_plain_run_though_a_worker_is_killed(runs: Runs) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'steelyard[ray]'")
    agents = ("mortal", "other")
    runs("planted", agents, "plain")
    runs("planted", agents, "apart", "--on", "ray")
    assert runs.fallen
    assert runs.score("plain") == runs.score("apart")


def wait_for_one(trainings: Path, process: Any) -> None:
    while not list(trainings.glob("*.safetensors")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
