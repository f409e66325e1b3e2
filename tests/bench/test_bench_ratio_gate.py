"""The gate on ratios, with canned ratios, and once in earnest with a slow path in the step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from steelyard.bench import ours_ratios, ratios, references
from steelyard.bench.ours_device import load_params
from steelyard.bench.protocol import Duel, Side
from steelyard.bench.ratio_cases import RATIOS, ratio_cases
from steelyard.bench.ratios import Planted, Ratio, accept, bar_of, comparable, read_accepted
from steelyard.bench.result import PROTOCOL, Bench, Row
from steelyard.bench.synthetic import write_book, write_market
from steelyard.bench.training_cases import ACCOUNT
from steelyard.cli import main
from steelyard.envs.stock import StockEnv
from steelyard.errors import BenchError

SMALL = {**ACCOUNT, "net": [4], "envs": 3, "horizon": 4, "calls": 2, "assets": 3, "rows": 60}


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Ratios that the next measurements find."""
    found: list[float] = []

    def measure(case: Duel, bench: Bench) -> Row:
        ratio = found.pop(0)
        met = None if case.bar is None else ratio >= case.bar
        return case.row(ratio=ratio, low=ratio, high=ratio, met=met)

    monkeypatch.setattr(Duel, "measure", measure)
    return found


def gate(accepted: float = 4.0) -> Ratio:
    bar = bar_of({"case": accepted}, "case")
    return Ratio("ratios", "case", Side("a", "a"), Side("b", "b"), bar=bar, versus="fixed")


@pytest.mark.parametrize(("found", "met"), [([3.0], True), ([2.99, 2.99], False), ([9.0], True)])
def test_a_loss_of_more_than_a_quarter_fails(
    found: list[float], met: bool, canned: list[float], tmp_path: Path
) -> None:
    canned += found
    assert gate().measure(Bench(tmp_path)).met is met
    assert canned == []


def test_what_fails_is_measured_once_more_before_it_counts(
    canned: list[float], tmp_path: Path
) -> None:
    canned += [2.0, 3.9]
    row = gate().measure(Bench(tmp_path))
    assert (row.ratio, row.met) == (3.9, True)
    assert row.note == "first 2x; measured again"


def test_a_planted_slow_path_has_to_be_caught(canned: list[float], tmp_path: Path) -> None:
    planted = Planted("ratios", "planted", gate())
    canned += [1.0, 1.0]
    assert planted.measure(Bench(tmp_path)).met is True
    canned += [3.5]
    assert planted.measure(Bench(tmp_path)).met is False


def test_what_was_never_accepted_has_no_bar(canned: list[float], tmp_path: Path) -> None:
    canned += [0.1]
    case = replace(gate(), bar=bar_of({}, "case"))
    assert case.measure(Bench(tmp_path)).met is None


def test_accepted_ratios_come_back_as_bars(canned: list[float], tmp_path: Path) -> None:
    canned += [4.0, 1.0, 1.0]
    rows = [gate().measure(Bench(tmp_path)), Planted("r", "p", gate()).measure(Bench(tmp_path))]
    accept(rows, tmp_path / "accepted.json")
    assert read_accepted(tmp_path / "accepted.json") == {"case": 4.0}
    assert "processor" in json.loads((tmp_path / "accepted.json").read_text())["machine"]


def test_ratios_of_another_processor_are_not_judged(canned: list[float], tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    assert not comparable(path)
    canned += [4.0]
    accept([gate().measure(Bench(tmp_path))], path)
    assert comparable(path)
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "machine": {"processor": "another"}}))
    assert not comparable(path)


def test_a_row_without_a_ratio_is_not_accepted(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="case has no ratio to accept: broken"):
        accept([gate().row(note="broken")], tmp_path / "accepted.json")
    assert read_accepted(tmp_path / "accepted.json") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "holds no accepted ratios"),
        ("[]", "holds no accepted ratios"),
        ('{"protocol": 0, "ratios": {}}', f"is of protocol 0, not {PROTOCOL}"),
    ],
)
def test_a_damaged_file_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=reason):
        read_accepted(path)


def test_every_watched_ratio_is_accepted_and_every_accepted_one_watched() -> None:
    accepted = read_accepted()
    assert {case.name for case in ratio_cases(accepted)} == set(accepted)
    assert [case for case in RATIOS if isinstance(case, Planted)]
    assert all(case.bar == 0.75 * accepted[case.name] for case in ratio_cases(accepted))


def test_only_measured_ratios_can_be_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "rollout", "--accept"]) == 2
    assert "steelyard bench ratios --accept" in capsys.readouterr().err


def test_the_slow_path_reaches_the_same_account(tmp_path: Path) -> None:
    write_market(tmp_path, rows=60, assets=3, features=2)
    params = load_params(tmp_path, ACCOUNT)
    action = np.array([0.4, -0.3, 0.9], np.float32)

    @jax.jit
    def both(action: jax.Array, params: Any) -> Any:
        plain, slow = StockEnv(), ours_ratios.SortingEnv()
        key = jax.random.key(0)
        state, _ = plain.reset(key, params)
        return [env.step(key, state, action, params)[0].account for env in (plain, slow)]

    plain, slow = both(action, params)
    assert plain.units.tolist() == slow.units.tolist() == [40, 0, 90]
    assert float(plain.cash) == float(slow.cash)


@pytest.mark.parametrize(
    ("maker", "options", "samples"),
    [
        ("step", {}, 24),
        ("network", {"sizes": [5, 4, 2]}, 24),
        ("gradient", {"sizes": [5, 4, 2], "minibatch": 8, "gradients": 3}, 48),
        ("book_step", {}, 24),
        ("windows", {}, 180),
    ],
)
def test_a_fixed_program_does_what_it_counts(
    maker: str, options: dict[str, Any], samples: int, tmp_path: Path
) -> None:
    write_market(tmp_path, rows=60, assets=3, features=2)
    write_book(tmp_path, rows=60)
    work = references.MAKERS[maker](tmp_path, {**SMALL, **options})
    assert work.run() == work.run() == samples
    assert len(work.facts["data"]) == 64


@pytest.mark.slow
def test_the_gate_passes_what_is_unchanged_and_catches_a_sort_in_the_step(tmp_path: Path) -> None:
    write_market(tmp_path)
    case = ratio_cases({})[0]
    seen = case.measure(Bench(tmp_path)).ratio
    assert seen is not None
    accepted = {case.name: seen}
    assert ratio_cases(accepted)[0].measure(Bench(tmp_path)).met is True
    sorting = {**case.ours.candidates[0], "sorts": True}
    slow = replace(ratio_cases(accepted)[0], ours=replace(case.ours, candidates=(sorting,)))
    assert slow.measure(Bench(tmp_path)).met is False


def test_the_windows_of_the_reference_hold_the_whole_market(tmp_path: Path) -> None:
    write_market(tmp_path, rows=60, assets=3, features=2)
    close = np.load(tmp_path / "market.npz")["close"]
    assert references.windows(tmp_path, {}).run() == close.size
    assert ratios.TOLERANCE == 0.25
