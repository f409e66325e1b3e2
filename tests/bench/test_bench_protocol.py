"""The protocol with canned timings: every figure of a row is worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steelyard.bench import protocol
from steelyard.bench.gauges import Memory
from steelyard.bench.protocol import Duel, Side, check_agreement, rate
from steelyard.bench.result import Bench, Row, as_text, document
from steelyard.bench.worker import Program
from steelyard.errors import BenchError, ConfigError, DependencyError

FACTS = {"data": "abc", "actions_matter": True, "values": [1.0, 2.0]}


class CannedWorker:
    """Answers with the CPU seconds written down for its module and setting."""

    facts: dict[str, dict[str, Any]]
    seconds: dict[str, list[float]]

    def __init__(self, program: Program) -> None:
        self.module = program.module
        self.left = {key: list(values) for key, values in self.seconds.items()}
        self.opened: dict[str, str] = {}

    def __enter__(self) -> CannedWorker:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def open(self, key: str, maker: str, folder: Path, options: dict[str, Any]) -> Any:
        self.opened[key] = options.get("script", self.module)
        return {"facts": self.facts[self.module], "first": {"wall_seconds": 9.0}}

    def run(self, key: str) -> Any:
        return {"samples": 60, "cpu_seconds": self.left[self.opened[key]].pop(0)}


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> type[CannedWorker]:
    CannedWorker.facts = {"ours": dict(FACTS), "peer": dict(FACTS)}
    CannedWorker.seconds = {"ours": [1.0, 2.0, 3.0, 1.0, 1.0], "peer": [10.0, 10.0, 60.0, 20, 30]}
    monkeypatch.setattr(protocol, "Worker", CannedWorker)
    return CannedWorker


def duel(bar: float = 15.0, **settings: Any) -> Duel:
    ours = Side("ours", "maker", settings.pop("candidates", ({},)))
    return Duel("suite", "case", ours, Side("peer", "maker"), bar=bar, versus="peer", **settings)


def test_the_ratio_is_the_median_of_the_ratios_of_the_rounds(
    canned: type[CannedWorker], tmp_path: Path
) -> None:
    row = duel().measure(Bench(tmp_path, rounds=5))
    # seconds of the peer over ours, round by round: 10, 5, 20, 20, 30
    assert (row.ratio, row.low, row.high) == pytest.approx((20, 5, 30))
    # 60 samples in a median of 1 s, and in a median of 20 s
    assert (row.ours, row.peer) == pytest.approx((60, 3))
    assert row.first == {"ours": 9.0, "peer": 9.0}


@pytest.mark.parametrize(("bar", "met"), [(20.0, True), (20.1, False)])
def test_a_bar_is_met_by_the_median_and_by_nothing_less(
    bar: float, met: bool, canned: type[CannedWorker], tmp_path: Path
) -> None:
    assert duel(bar).measure(Bench(tmp_path, rounds=5)).met is met


def test_fewer_than_five_rounds_meet_nothing(canned: type[CannedWorker], tmp_path: Path) -> None:
    assert duel(0.0).measure(Bench(tmp_path, rounds=4)).met is None


def test_the_fastest_setting_of_a_side_is_measured(
    canned: type[CannedWorker], tmp_path: Path
) -> None:
    canned.seconds |= {"slow": [4.0] * 9, "fast": [2.0] * 9}
    candidates = ({"script": "slow", "envs": 1}, {"script": "fast", "envs": 8})
    row = duel(candidates=candidates).measure(Bench(tmp_path, rounds=5))
    assert row.ours == pytest.approx(30)
    assert "ours: envs 8" in row.note


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "other"}, "`data` is abc here and other at the peer"),
        ({"data": None}, "`data`"),
        ({"actions_matter": False}, "actions do not change the outcome of the peer"),
        ({"values": [1.0, 2.1]}, "results differ"),
        ({"values": [1.0]}, "results differ"),
        ({"values": [1.0, float("nan")]}, "results differ"),
    ],
)
def test_sides_that_do_not_run_the_same_thing_are_not_timed(
    change: dict[str, Any], reason: str, canned: type[CannedWorker], tmp_path: Path
) -> None:
    canned.facts["peer"] = FACTS | change
    row = duel(0.0).measure(Bench(tmp_path, rounds=5))
    assert row.met is False
    assert row.ratio is None
    assert reason in row.note


def test_actions_that_do_nothing_on_our_side_are_caught_too() -> None:
    with pytest.raises(BenchError, match="outcome of ours"):
        check_agreement(duel(), FACTS | {"actions_matter": False}, FACTS)


def test_a_peer_that_cannot_be_installed_leaves_our_figure_and_its_reason(
    canned: type[CannedWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(side: Side) -> Program:
        if side.module == "peer":
            raise DependencyError("peer `peer` could not be installed: no such version")
        return Program(side.module)

    monkeypatch.setattr(Side, "program", program)
    row = duel().measure(Bench(tmp_path, rounds=5))
    assert row.ours == pytest.approx(60)
    assert (row.peer, row.ratio, row.met) == (None, None, None)
    assert "could not be installed: no such version" in row.note


@pytest.mark.parametrize("timing", [{"samples": 5, "cpu_seconds": 0.0}, {"samples": 0}])
def test_a_round_too_short_for_the_clock_is_an_error(timing: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="measured nothing"):
        rate({"cpu_seconds": 1.0, **timing})


def test_no_rounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        Bench(tmp_path, rounds=0)


@pytest.mark.parametrize(("more", "met"), [(60, True), (160, False)])
def test_memory_is_measured_in_units_of_the_stored_observations(
    more: int, met: bool, canned: type[CannedWorker], tmp_path: Path, monkeypatch: Any
) -> None:
    # 2 x 5 steps of 30 assets with 8 more features of 4 bytes: 9,600 bytes
    peaks = iter([1_000, 1_000 + more * 10])
    monkeypatch.setattr(CannedWorker, "open", lambda *arguments: {"facts": {"peak": next(peaks)}})
    monkeypatch.setattr("steelyard.bench.gauges.Worker", CannedWorker)
    gauge = Memory("memory", "m", bar=0.1, options={"envs": 2, "horizon": 5}, more=2)
    row = gauge.measure(Bench(tmp_path))
    assert row.ours == pytest.approx(more * 10 / 9_600)
    assert row.met is met


def test_a_row_survives_json_and_shows_every_figure() -> None:
    row = Row("rollout", "case", "samples", 100.0, 2_000.0, 10.0, 200.0, 150.0, 250.0, met=True)
    assert json.loads(json.dumps(document([row])))["rows"][0]["ratio"] == 200.0
    blank = Row("start", "help", "wall seconds", 0.5, sense="at most", note="no peer")
    text = as_text([row, blank])
    assert "200x (150..250)" in text
    assert "at most 0.5 wall seconds" in text
    assert "not measured" in text
    assert text.endswith("start: help: no peer")
