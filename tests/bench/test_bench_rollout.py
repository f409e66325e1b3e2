"""The rollout rows: their declarations, the scripts that both sides trade, and the C twin."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steelyard.bench.ours_probe import probe_values
from steelyard.bench.peers import c_twin
from steelyard.bench.peers.stock_probe import ENVS, STEPS, pool_of, probe
from steelyard.bench.protocol import Duel, Side, check_agreement
from steelyard.bench.rollout_cases import ROLLOUT
from steelyard.bench.synthetic import write_market
from steelyard.bench.training_cases import ACCOUNT, TRAIN
from steelyard.errors import BenchError, ConfigError, DependencyError

POOR = {**ACCOUNT, "cash": 20_000}
"""So little that the order of the fills decides what a few stocks come to."""

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, `cc`")

IN_ORDER_OF_SIZE = "rank[j] += keys[k] > keys[j];"
IN_ORDER_OF_ASSETS = """rank[j] += k < j ? (keys[k] >= LANES || keys[j] < LANES)
                             : (keys[k] >= LANES && keys[j] < LANES);"""
"""A buy has a key of at least LANES: the same fills, but for their order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market")
    write_market(path, rows=150, assets=5, features=1)
    return path


@pytest.fixture(scope="module")
def ours(folder: Path) -> Mapping[str, list[float]]:
    return {kind: probe_values(folder, {**POOR, "probe": kind}) for kind in ("float64", "exact")}


def case(name: str) -> Duel:
    return next(case for case in ROLLOUT if case.name.startswith(name))


def test_what_the_rollout_rows_have_to_reach() -> None:
    assert {one.name: one.bar for one in ROLLOUT if one.bar is not None} == {
        "market only, pandas environment": 14_000,
        "market only, ElegantRL repaired, each at its best": 4,
        "market only, ElegantRL repaired, 2,048 environments": 12,
        "market only, against a scalar C twin": 0.5,
        "policy in the loop, pandas environment": 2_000,
        "policy in the loop, NumPy environment": 150,
        "actor in the loop, ElegantRL repaired, 2,048 environments": 6.5,
    }


def test_what_complete_ppo_has_to_reach() -> None:
    bars = {one.name: one.bar for one in TRAIN if one.name.startswith("PPO")}
    assert bars == {
        "PPO, pandas environment": 160,
        "PPO, NumPy environment": 15,
        "PPO, large batch": 2,
    }


def test_rows_of_the_same_rules_compare_what_scripted_orders_come_to() -> None:
    probed = {one.name for one in (*ROLLOUT, *TRAIN) if "probe" in one.peer.candidates[0]}
    same_rules = ("torch", "C twin", "large batch")
    assert probed == {
        one.name for one in (*ROLLOUT, *TRAIN) if any(rule in one.name for rule in same_rules)
    }
    for one in (*ROLLOUT, *TRAIN):
        settings = (*one.ours.candidates, *one.peer.candidates)
        assert len({options.get("probe") for options in settings}) == 1, one.name


def test_only_elegantrl_as_published_is_known_to_ignore_actions() -> None:
    ignoring = [one for one in (*ROLLOUT, *TRAIN) if one.peer.ignores_actions]
    assert [one.name.split(",")[1] for one in ignoring] == [" ElegantRL as is"] * 2
    assert all(one.bar is None and "actions_matter" not in one.agree for one in ignoring)


def test_a_side_that_ignores_actions_has_to_be_known_for_it() -> None:
    ours, deaf = {"actions_matter": True}, {"actions_matter": False}
    known = replace(case("market only, ElegantRL as is"), agree=())
    check_agreement(known, ours, deaf)
    with pytest.raises(BenchError, match="actions do not change the outcome of ours"):
        check_agreement(known, deaf, deaf)
    with pytest.raises(BenchError, match="said to ignore them"):
        check_agreement(known, ours, ours)
    unknown = replace(known, peer=replace(known.peer, ignores_actions=False))
    with pytest.raises(BenchError, match="actions do not change the outcome of the peer"):
        check_agreement(unknown, ours, deaf)


def test_no_bar_is_set_against_a_side_that_ignores_actions() -> None:
    with pytest.raises(ConfigError, match="neither won nor lost"):
        replace(case("market only, ElegantRL as is"), bar=1.0)


def test_a_command_that_is_not_there_is_a_reason_and_no_failure() -> None:
    side = Side("steelyard.bench.peers.c_twin", "steps", command="no-such-compiler")
    with pytest.raises(DependencyError, match="`no-such-compiler` is not on the path"):
        side.program()


def test_the_scripts_hold_equal_orders_and_end_before_the_market_does() -> None:
    scripts = list(probe(150, 5))
    for rows, actions in scripts:
        assert rows.max() + STEPS < 150
        shares = np.trunc(actions * np.float32(100))
        assert actions.shape == (STEPS, ENVS, 5)
        bought = np.sort(np.where(shares > 0, shares, np.nan), axis=2)
        assert (np.diff(bought, axis=2) == 0).any()
    assert not np.array_equal(scripts[0][1], scripts[1][1])


@needs_compiler
def test_the_twin_trades_as_ours_does(folder: Path, ours: Mapping[str, list[float]]) -> None:
    own = ours["float64"]
    assert c_twin.scripted(folder, POOR, "float64") == pytest.approx(own, rel=1e-12)
    assert c_twin.scripted(folder, POOR, "float32") == pytest.approx(own, rel=0.02)


@needs_compiler
def test_the_twin_has_our_exact_money_to_the_last_digit(
    folder: Path, ours: Mapping[str, list[float]]
) -> None:
    assert c_twin.scripted(folder, POOR, "exact") == ours["exact"]


@needs_compiler
@pytest.mark.parametrize("kind", ["float64", "exact"])
def test_a_twin_that_fills_in_asset_order_is_refused(
    kind: str, folder: Path, tmp_path: Path, ours: Mapping[str, list[float]]
) -> None:
    text = Path(c_twin.__file__).with_name("twin.c").read_text(encoding="utf-8")
    assert text.count(IN_ORDER_OF_SIZE) == 1
    other = tmp_path / "other.c"
    other.write_text(text.replace(IN_ORDER_OF_SIZE, IN_ORDER_OF_ASSETS), encoding="utf-8")
    shutil.copy(folder / "market.npz", tmp_path)
    row = case("market only, against" if kind == "float64" else "exact money, against")
    row, own = replace(row, agree=()), {"values": ours[kind]}
    check_agreement(row, own, {"values": c_twin.scripted(folder, POOR, kind)})
    with pytest.raises(BenchError, match="results differ"):
        check_agreement(row, own, {"values": c_twin.scripted(tmp_path, POOR, kind, other)})


@needs_compiler
def test_the_twin_reports_what_ours_must_share_and_counts_its_steps(folder: Path) -> None:
    row = case("market only, against")
    options = {**row.peer.candidates[0], **POOR, "envs": 3, "horizon": 16}
    work = c_twin.steps(folder, options)
    assert work.run() == 3 * 16
    assert [name for name in (*row.agree, "values") if work.facts.get(name) is None] == []
    assert work.facts["actions_matter"] is True


@needs_compiler
def test_an_episode_of_the_twin_ends_with_the_data_and_begins_in_cash(folder: Path) -> None:
    twin = c_twin.Twin(folder, POOR, "float64", 2)
    pool = pool_of(2, 5)
    twin.run(pool, 148)
    assert not twin.ended.any()
    assert (twin.units > 0).any()
    twin.run(pool, 1)
    assert twin.ended.all()
    assert not twin.units.any()
    assert (twin.cash == 20_000).all()
    assert (twin.row == 0).all()


@needs_compiler
def test_a_market_too_wide_for_the_twin_is_refused(tmp_path: Path) -> None:
    write_market(tmp_path, rows=80, assets=33, features=1)
    with pytest.raises(ValueError, match="at most 32 assets, not 33"):
        c_twin.Twin(tmp_path, ACCOUNT, "float64", 1)


@needs_compiler
def test_what_the_compiler_says_is_the_reason(folder: Path, tmp_path: Path) -> None:
    broken: Any = tmp_path / "broken.c"
    broken.write_text("int f( {", encoding="utf-8")
    with pytest.raises(RuntimeError, match="`cc` failed"):
        c_twin.compiled(tmp_path, "float64", broken)
