"""The two ends of the pipe, with real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steelyard.bench.protocol import Duel, Side
from steelyard.bench.result import Bench
from steelyard.bench.worker import Program, Worker, pinned_core
from steelyard.errors import BenchError

HERE = Path(__file__).resolve().parent
PROGRAM = Program("sides_for_tests", folder=HERE)


def test_what_a_side_prints_does_not_reach_the_answers(tmp_path: Path) -> None:
    with Worker(PROGRAM) as worker:
        worker.open("a", "chatty", tmp_path, {})
        assert [worker.run("a")["samples"] for _ in range(3)] == [7, 7, 7]


def test_a_side_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with (
        Worker(PROGRAM) as worker,
        pytest.raises(BenchError, match="ValueError: the market is closed"),
    ):
        worker.open("a", "broken", tmp_path, {})


def test_a_side_that_has_ended_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with Worker(Program("no_such_module", folder=HERE)) as worker:
        for _ in range(2):
            with pytest.raises(BenchError, match="no_such_module"):
                worker.open("a", "turn", tmp_path, {})


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be pinned here")
def test_both_sides_share_one_core_and_one_thread(tmp_path: Path) -> None:
    with Worker(PROGRAM) as worker:
        facts = worker.open("a", "place", tmp_path, {})["facts"]
    assert facts == {"cores": [pinned_core()], "threads": "1"}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be pinned here")
def test_a_free_program_may_use_every_core(tmp_path: Path) -> None:
    with Worker(Program("sides_for_tests", folder=HERE, variables={}, pinned=False)) as worker:
        assert worker.open("a", "place", tmp_path, {})["facts"]["cores"] == sorted(
            os.sched_getaffinity(0)
        )


def test_the_sides_take_turns_and_the_first_one_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Side, "program", lambda side: PROGRAM)
    ours, peer = (Side("", "turn", ({"name": name},)) for name in ("ours", "peer"))
    row = Duel("s", "n", ours, peer, bar=0.0, versus="itself").measure(Bench(tmp_path, rounds=3))
    turns = (tmp_path / "turns").read_text().split()
    assert turns == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert len(row.rounds) == 3
