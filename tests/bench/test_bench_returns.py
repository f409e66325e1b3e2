"""Returns beside a peer's: the row, the interval, and what is kept of an interrupted run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from steelyard.agents.distributions import Deterministic
from steelyard.bench import returns
from steelyard.bench.control import CartPole, ControlParams
from steelyard.bench.ours_agent import create
from steelyard.bench.ours_control import weigh
from steelyard.bench.result import Bench, as_text
from steelyard.bench.returns import Kept, Returns, interval
from steelyard.bench.returns_cases import RETURNS
from steelyard.bench.worker import Program
from steelyard.errors import BenchError, DependencyError

HERE = Path(__file__).resolve().parent
CASE = Returns("returns", "ppo", "CartPole-v1", {"steps": 10}, seeds=4)


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A peer whose agent reaches 10 times its seed; where the folder has `broken`, it fails."""
    monkeypatch.setenv("STEELYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(returns, "interpreter", lambda environment: Path("python"))
    program = Program("sides_for_tests", folder=HERE, pinned=False)
    monkeypatch.setattr(returns, "_peer_program", lambda python: program)
    return tmp_path


def trained(folder: Path) -> list[int]:
    """Seeds that the peer has trained, in order."""
    log = folder / "trained"
    return sorted(int(seed) for seed in log.read_text().split()) if log.exists() else []


def test_the_peer_is_trained_once_per_seed_and_then_remembered(peer: Path) -> None:
    for _ in range(2):
        assert CASE.peer(Bench(peer)) == [0, 10, 20, 30]
    assert trained(peer) == [0, 1, 2, 3]


def test_an_interrupted_run_goes_on_with_the_seeds_that_are_missing(peer: Path) -> None:
    assert replace(CASE, seeds=2).peer(Bench(peer)) == [0, 10]
    (peer / "broken").touch()
    with pytest.raises(BenchError, match="the market is closed"):
        CASE.peer(Bench(peer))
    (peer / "broken").unlink()
    assert CASE.peer(Bench(peer)) == [0, 10, 20, 30]
    assert trained(peer) == [0, 1, 2, 3]


def test_other_settings_and_other_pins_are_not_confused(tmp_path: Path) -> None:
    options: Mapping[str, Any] = {"agent": "ppo", "problem": "P", "settings": {"steps": 1}}
    one = Kept(tmp_path, "pins", options)
    one.add(3, [1.5])
    assert Kept(tmp_path, "pins", options).returns == {3: [1.5]}
    assert Kept(tmp_path, "pins", {**options, "settings": {"steps": 2}}).returns == {}
    assert Kept(tmp_path, "other pins", options).returns == {}
    assert json.loads(one.path.read_text())["settings"] == {"steps": 1}


def test_the_interval_is_that_of_the_mean_over_seeds() -> None:
    assert interval([5.0, 5.0, 5.0]) == (5, 5)
    # the mean of two draws from {0, 1} is 0, 0.5 or 1 with probability 1/4, 1/2, 1/4
    assert interval([0.0, 1.0]) == (0, 1)
    # of nine draws from {0, ..., 8} its variance is 60/9/9, nearly normal: 4 -+ 1.645 * 0.861
    assert interval([float(i) for i in range(9)]) == pytest.approx((2.58, 5.42), abs=0.06)


@pytest.mark.parametrize(
    ("own", "met"), [([9.0, 9.0, 9.0], False), ([9.0, 9.0, 12.0], True), ([30.0] * 3, True)]
)
def test_a_row_is_met_where_our_interval_reaches_the_peers(own: list[float], met: bool) -> None:
    row = replace(CASE, seeds=3).compare(own, [10.0, 10.0, 10.0])
    assert (row.met, row.bar, row.peer) == (met, 10, 10)
    assert row.ours == pytest.approx(sum(own) / 3)
    assert "at least 10 return of an episode" in as_text([row])


def test_without_the_peer_our_figure_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(case: Returns, bench: Bench) -> list[float]:
        raise DependencyError("peer `finrl` could not be installed: no network")

    monkeypatch.setattr(Returns, "ours", lambda case, bench: [1.0, 3.0])
    monkeypatch.setattr(Returns, "peer", missing)
    row = CASE.measure(Bench(tmp_path))
    assert (row.ours, row.bar, row.met) == (2, None, None)
    assert "no network" in row.note


def test_a_setting_that_our_agent_does_not_have_is_refused() -> None:
    with pytest.raises(BenchError, match="agent `ppo` has no setting warmth"):
        create("ppo", {"warmth": 1, "hidden": [4]})


@pytest.mark.parametrize("case", RETURNS, ids=lambda case: case.name)
def test_every_setting_of_a_case_is_one_of_our_agent(case: Returns) -> None:
    agent = create(case.agent, {**case.settings, **case.extra})
    assert agent.steps == case.settings["steps"]


class Always(eqx.Module):
    """Pushes the cart one way."""

    way: jax.Array

    def initial_carry(self) -> None: ...

    def __call__(self, vector: Any, carry: Any) -> tuple[Any, Any]:
        return Deterministic(self.way), carry


def test_an_episode_is_weighed_up_to_its_first_end() -> None:
    # a pole that is pushed one way all the time falls after 8 to 12 steps, again and again
    reached = weigh([Always(jnp.asarray(way)) for way in (0, 1)], CartPole(), ControlParams(50), 16)
    assert reached.shape == (2, 16)
    assert ((reached >= 8) & (reached <= 12)).all()
