"""The rows about the doors: what they compare, and that both sides step what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steelyard.bench import door_cases, ours_doors
from steelyard.bench.door_cases import DOORS, Pace, Visitor
from steelyard.bench.protocol import Duel, Side
from steelyard.bench.result import Bench
from steelyard.bench.synthetic import write_market
from steelyard.bench.training_cases import ACCOUNT
from steelyard.errors import BenchError, DependencyError

SMALL = {**ACCOUNT, "net": [4], "envs": 3, "samples": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market")
    write_market(path, rows=80, assets=3, features=2)
    return path


def test_every_door_is_compared_with_the_environment_of_a_peer() -> None:
    duels = [case for case in DOORS if isinstance(case, Duel)]
    assert {case.against for case in duels} == {"finrl"}
    assert {case.ours.maker for case in duels} == set(ours_doors.MAKERS)


def test_the_bars_are_those_of_the_order() -> None:
    bars = {case.name: case.bar for case in DOORS if getattr(case, "bar", None) is not None}
    assert bars == {
        "Gymnasium, one environment": 2.5,
        "Gymnasium, steps of 1,024 environments": 1e6,
    }


@pytest.mark.parametrize("maker", ["gym_single", "gym_vector"])
def test_our_sides_step_what_they_count(maker: str, folder: Path) -> None:
    """Also through the end of the data, where an episode is followed by the next."""
    options = SMALL | {"envs": 1 if maker == "gym_single" else 3, "samples": 90}
    work = ours_doors.MAKERS[maker](folder, options)
    assert work.run() == work.run() == 90
    assert work.facts["actions_matter"] is True


class Fake:
    """A worker whose rounds take the CPU seconds that it is given."""

    seconds = 0.5
    matter = True

    def __init__(self, program: Any) -> None:
        pass

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def open(self, *case: Any) -> dict[str, Any]:
        return {"facts": {"actions_matter": self.matter}, "first": {"wall_seconds": 1.0}}

    def run(self, key: str) -> dict[str, float]:
        return {"samples": 10.0, "cpu_seconds": self.seconds, "wall_seconds": 1.0}


@pytest.mark.parametrize(("bar", "met"), [(20.0, True), (21.0, False)])
def test_a_pace_is_met_from_its_bar_upwards(
    bar: float, met: bool, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(door_cases, "Worker", Fake)
    case = Pace("doors", "pace", bar=bar, maker="gym_vector", options=SMALL)
    row = case.measure(Bench(folder))
    assert (row.ours, row.met, row.sense) == (20.0, met, "at least")
    assert case.measure(Bench(folder, rounds=1)).met is None


def test_a_pace_of_steps_that_change_nothing_is_none(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(door_cases, "Worker", type("Idle", (Fake,), {"matter": False}))
    with pytest.raises(BenchError, match="do not change the outcome"):
        Pace("doors", "pace", bar=1.0, maker="gym_vector", options=SMALL).measure(Bench(folder))


def test_a_host_that_cannot_be_installed_leaves_a_row_that_says_why(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def fails(peer: Any) -> Path:
        raise DependencyError(f"peer `{peer.name}` could not be installed: no network")

    monkeypatch.setattr(door_cases, "interpreter", fails)
    case = next(case for case in DOORS if isinstance(case, Duel) and case.ours.maker == "sb3_train")
    row = case.measure(Bench(folder))
    assert row.met is False
    assert "`doors` could not be installed" in row.note


@pytest.mark.peer
@pytest.mark.parametrize("case", [case for case in DOORS if isinstance(case, Duel)])
def test_both_sides_of_a_door_run_on_a_small_market(case: Duel, folder: Path) -> None:
    def lighter(side: Side) -> Side:
        options = dict(side.candidates[0]) | {"net": [4], "samples": 12}
        if "settings" in options:
            settings = {"envs": 2, "horizon": 8, "epochs": 1, "minibatch": 8, "hidden": [4]}
            options |= {"settings": settings, "samples": 32, "first": 16}
        else:
            options["envs"] = min(options["envs"], 3)
        return replace(side, candidates=(options,))

    small = replace(case, ours=lighter(case.ours), peer=lighter(case.peer))
    row = small.measure(Bench(folder, rounds=1))
    assert row.ratio is not None, row.note
    assert isinstance(case.ours, Visitor) is (case.ours.maker not in ("gym_single", "gym_vector"))
