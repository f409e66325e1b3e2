"""What the search for leaks costs is a median of ratios, taken in turns, under a ceiling of 1.3."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steelyard import bench
from steelyard.bench import hunting
from steelyard.bench.hunting import Hunt
from steelyard.bench.result import LEAST_ROUNDS, Bench, Row
from steelyard.bench.suites import CASES
from steelyard.errors import BenchError

(CASE,) = [case for case in CASES if case.suite == "leaks"]
TRUSTED = 10.0


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Which runs were made, trusted or not; each takes as long as `searched` says."""
    made: list[bool] = []

    def seconds(case: Hunt, place: Path, trust: bool) -> float:
        made.append(trust)
        return TRUSTED if trust else next(taken)

    taken: Iterator[float] = iter([99.0, *RATIOS])
    taken = (TRUSTED * one for one in taken)
    monkeypatch.setattr(Hunt, "_seconds", seconds)
    return made


RATIOS = [1.2, 1.5, 1.1, 1.3, 1.4]


def measured(rounds: int, **settings: Any) -> Row:
    case = Hunt("leaks", "planted", **{"bar": 1.3, **settings})
    return case.measure(Bench(Path(), rounds=rounds))


def test_the_row_is_the_median_of_ratios_and_the_first_run_of_each_side_stands_apart(
    turns: list[bool],
) -> None:
    row = measured(LEAST_ROUNDS)
    assert (row.ratio, row.low, row.high) == (1.3, 1.1, 1.5)
    assert (row.ours, row.peer) == (13.0, TRUSTED)
    assert row.first == {"ours": 990.0, "peer": TRUSTED}
    assert row.rounds == [[10 * one, TRUSTED] for one in RATIOS]
    assert (row.bar, row.sense, row.met) == (1.3, "at most", True)
    assert "--trust" in row.versus


def test_rounds_are_taken_in_turns(turns: list[bool]) -> None:
    measured(LEAST_ROUNDS)
    searched_first = [False, True]
    assert turns == [*searched_first, *(searched_first + searched_first[::-1]) * 2, *searched_first]


def test_a_ratio_above_the_bar_is_not_met_and_few_rounds_decide_nothing(turns: list[bool]) -> None:
    assert measured(2).met is None
    assert CASE.bar == 1.3


@pytest.mark.usefixtures("turns")
def test_a_search_that_costs_more_than_the_bar_fails_the_bench() -> None:
    assert measured(LEAST_ROUNDS, bar=1.29).met is False


def test_the_suite_runs_what_people_run_by_default() -> None:
    assert isinstance(CASE, Hunt)
    assert tuple(CASE.words) == ("run", "stock-dow30", "ppo")
    assert [case.suite for case in bench.choose("leaks")] == ["leaks"]


def test_cpu_seconds_of_a_run_count_what_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spent = "sum(range(3_000_000))"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spent!r}])"
    words: list[list[str]] = []
    run = subprocess.run

    def instead(command: list[str], **rest: Any) -> Any:
        words.append(command)
        return run([sys.executable, "-c", nested], **rest)

    monkeypatch.setattr(hunting.subprocess, "run", instead)
    case = Hunt("leaks", "planted", bar=1.3)
    assert case._seconds(tmp_path, trust=True) > 0.02
    case._seconds(tmp_path, trust=False)
    assert ["--trust" in one for one in words] == [True, False]
    assert len({one[one.index("--out") + 1] for one in words}) == 2


def test_a_run_that_fails_is_no_measurement_and_says_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"`steelyard run nowhere.*` failed: .*stock-"):
        Hunt("leaks", "planted", bar=1.3, words=("run", "nowhere"))._seconds(tmp_path, trust=True)
