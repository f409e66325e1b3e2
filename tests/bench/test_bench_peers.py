"""Against the real peers, installed at their pins: run with `-m peer`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.bench.peer_env import find_peer, interpreter
from steelyard.bench.protocol import Duel, Side
from steelyard.bench.result import Bench
from steelyard.bench.returns import Returns
from steelyard.bench.suites import CASES
from steelyard.bench.synthetic import write_book, write_curves, write_market
from steelyard.bench.worker import Worker

pytestmark = pytest.mark.peer

LESS: dict[str, Any] = {
    "horizon": 4,
    "calls": 1,
    "steps": 8,
    "samples": 16,
    "updates": 1,
    "curves": 20,
    "compared": 20,
}
"""Settings that make every side do little work."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("market")
    write_market(folder, rows=800, assets=5)
    write_curves(folder, curves=20)
    write_book(folder, rows=7_000)
    return Bench(folder, rounds=1)


def lighter(side: Side) -> Side:
    """The last setting of a side, with less work."""
    options = {name: LESS.get(name, value) for name, value in side.candidates[-1].items()}
    settings = options.get("settings", {})
    if settings.get("horizon", 0) > 128:
        options["settings"] = {**settings, "horizon": 128}
    return replace(side, candidates=(options,))


PEER_CASES = [case for case in CASES if isinstance(case, Duel) and case.against]
RETURNS = [case for case in CASES if isinstance(case, Returns)]


@pytest.mark.parametrize("case", PEER_CASES, ids=lambda case: f"{case.suite}: {case.name}")
def test_both_sides_run_the_same_thing_and_give_a_ratio(case: Duel, bench: Bench) -> None:
    row = replace(case, ours=lighter(case.ours), peer=lighter(case.peer)).measure(bench)
    assert row.ratio is not None, row.note
    assert row.ratio > 0


@pytest.mark.parametrize("case", RETURNS, ids=lambda case: case.name)
def test_the_peer_takes_the_settings_of_a_case_and_is_weighed(
    case: Returns, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = case.settings["envs"] * case.settings.get("horizon", 1_100)
    short = replace(case, settings={**case.settings, "steps": steps}, seeds=1)
    python = interpreter(find_peer(case.against))
    monkeypatch.setenv("STEELYARD_HOME", str(bench.folder / "home"))
    monkeypatch.setattr("steelyard.bench.returns.interpreter", lambda environment: python)
    (reached,) = short.peer(bench)
    assert 0 < reached <= 500 if case.problem == "CartPole-v1" else -2_000 < reached < 0


@pytest.mark.parametrize("maker", ["pandas_rollout", "numpy_rollout"])
def test_a_peer_on_which_orders_are_too_small_to_trade_is_caught(maker: str, bench: Bench) -> None:
    case = next(case for case in PEER_CASES if case.peer.maker == maker)
    options = {**lighter(case.peer).candidates[0], "hmax": 0.5}
    with Worker(case.peer.program()) as worker:
        facts = worker.open("0", maker, bench.folder, options)["facts"]
    assert facts["actions_matter"] is False
