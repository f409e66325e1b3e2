"""The declarations, the shared data, and our sides on a small market."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steelyard import bench
from steelyard.bench import (
    ours_device,
    ours_host,
    ours_market,
    ours_orderbook,
    ours_train,
    ours_windows,
)
from steelyard.bench.gauges import Alphas, FirstUpdate, Help, Memory
from steelyard.bench.orderbook_cases import KIT
from steelyard.bench.ours_agent import create, settings_of
from steelyard.bench.protocol import Duel
from steelyard.bench.result import Bench
from steelyard.bench.suites import CASES, METRICS, ONLY_NAMED, SUITES
from steelyard.bench.synthetic import write_book, write_curves, write_market
from steelyard.bench.training_cases import ACCOUNT, SAME_MARKET, TRAIN, WINDOWS
from steelyard.cli.bench import bench as command
from steelyard.errors import BenchError, UnknownNameError

SMALL = {**ACCOUNT, "net": [4], "envs": 2, "horizon": 3, "calls": 2}


def lighter(options: Mapping[str, Any], account: Mapping[str, Any]) -> dict[str, Any]:
    """A training case with little work."""
    settings = dict(options["settings"]) | {"hidden": [4]}
    for name, most in {"horizon": 16, "epochs": 1, "minibatch": 8, "warmup": 16}.items():
        if name in settings:
            settings[name] = min(settings[name], most)
    extra = dict(options["extra"])
    if "horizon" in extra:
        extra["horizon"] = 8
    return {**options, **account, "settings": settings, "extra": extra, "updates": 2}


PEERS = Path(bench.__file__).parent / "peers"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market")
    write_market(path, rows=300, assets=3, features=2)
    write_curves(path, curves=6, returns=300)
    return path


def test_every_suite_has_a_case_and_every_case_a_suite() -> None:
    assert {case.suite for case in CASES} == set(SUITES)
    assert len({(case.suite, case.name) for case in CASES}) == len(CASES)


def test_cases_are_chosen_by_suite_and_by_peer() -> None:
    assert bench.choose() == [case for case in CASES if case.suite not in ONLY_NAMED]
    assert {case.suite for case in bench.choose("train")} == {"train"}
    assert all(case.against == "finrl" for case in bench.choose(against="finrl"))


def test_what_runs_in_the_environment_of_finrl_is_found_by_its_library_too() -> None:
    chosen = bench.choose(against="sb3")
    assert {case.suite for case in chosen} == {"rollout", "train", "orderbook"}
    assert {case.against for case in chosen} == {"finrl"}
    assert {case.suite for case in bench.choose(against="finrl")} > {"features", "metrics"}
    assert {case.suite for case in bench.choose("returns", "sb3")} == {"returns"}


@pytest.mark.parametrize("peer", ["elegantrl", "finrl", "torch"])
def test_every_peer_has_a_case(peer: str) -> None:
    assert {case.against for case in bench.choose(against=peer)} == {peer}


def test_a_suite_for_some_runs_only_where_it_is_named() -> None:
    assert {"leaks", "ratios", "returns"} == ONLY_NAMED
    assert {case.suite for case in bench.choose("returns")} == {"returns"}
    assert not [case for case in bench.choose(against="finrl") if case.suite in ONLY_NAMED]


def test_the_help_names_every_suite() -> None:
    assert [name for name in SUITES if name not in str(command.__doc__)] == []


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean `rollout`"):
        bench.choose("rolout")
    with pytest.raises(UnknownNameError, match="did you mean `finrl`"):
        bench.choose(against="finrll")
    with pytest.raises(BenchError, match="`start` has no case against `finrl`"):
        bench.choose("start", "finrl")


def test_a_case_that_breaks_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(case: FirstUpdate, bench: Bench) -> Any:
        raise BenchError("no clock")

    monkeypatch.setattr(FirstUpdate, "measure", fails)
    monkeypatch.setattr(Help, "measure", lambda case, bench: case.row(ours=0.1))
    rows = bench.run("start", rounds=1)
    assert [row.met for row in rows] == [False, False, False, None]
    assert rows[0].note == "no clock"


def test_the_market_is_the_same_bytes_for_the_same_seed(tmp_path: Path, folder: Path) -> None:
    again = write_market(tmp_path, rows=300, assets=3, features=2).read_bytes()
    assert again == (folder / "market.npz").read_bytes()
    assert again != write_market(tmp_path, rows=300, assets=3, features=2, seed=1).read_bytes()


def test_the_market_is_one_on_which_orders_can_fill(folder: Path) -> None:
    market = np.load(folder / "market.npz")
    assert (market["low"] <= np.minimum(market["open"], market["close"])).all()
    assert (market["high"] >= np.maximum(market["open"], market["close"])).all()
    assert (market["low"] > 0).all()
    ticks = market["close"] * 1e4
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-6)
    # FinRL's environment takes a first feature of exactly 1 for a halted stock
    assert not (market["features"][:, :, 0] == 1).any()


def test_a_feature_of_the_market_is_the_close_over_its_mean(folder: Path) -> None:
    market = np.load(folder / "market.npz")
    expected = market["close"][9] / market["close"][6:10].mean(axis=0) - 1
    np.testing.assert_allclose(market["features"][9, :, 1], expected, rtol=1e-9, atol=1e-12)


def test_our_rollout_reports_what_the_peers_report(folder: Path) -> None:
    work = ours_device.rollout(folder, SMALL)
    assert work.run() == 2 * 2 * 3
    assert work.facts["actions_matter"] is True
    assert work.facts["observation"] == 2 + 3 + 3 + 3 * 2


def test_orders_too_small_to_trade_are_found_to_change_nothing(folder: Path) -> None:
    options = SMALL | {"hmax": 0.5}
    params = ours_device.load_params(folder, options)
    assert ours_device.facts_of(folder, options, params)["actions_matter"] is False


@pytest.mark.parametrize(
    ("agent", "settings", "facts", "steps"),
    [
        (
            "ppo",
            {"envs": 2, "horizon": 8, "minibatch": 4, "epochs": 3},
            {"batch": 4, "steps": 8, "epochs": 3},
            16,
        ),
        ("a2c", {"envs": 2, "horizon": 5}, {"batch": 10, "steps": 5, "epochs": 1}, 10),
        (
            "sac",
            {"envs": 16, "horizon": 32, "collect": 2, "gradient_steps": 4, "minibatch": 8},
            {"batch": 8, "gradients": 1 / 8},
            512,
        ),
    ],
)
def test_what_a_peer_must_share_is_read_from_our_agent(
    agent: str, settings: dict[str, Any], facts: dict[str, Any], steps: int
) -> None:
    assert settings_of(create(agent, settings)) == (facts, steps)


@pytest.mark.slow
@pytest.mark.parametrize("agent", sorted({case.ours.candidates[0]["agent"] for case in TRAIN}))
def test_our_training_makes_whole_updates_and_reports_the_settings(
    agent: str, folder: Path
) -> None:
    case = next(case for case in TRAIN if case.ours.candidates[0]["agent"] == agent)
    options = lighter(case.ours.candidates[0], SMALL)
    work = ours_train.train(folder, options)
    horizon = {**options["settings"], **options["extra"]}["horizon"]
    assert work.run() == work.run() == options["updates"] * options["settings"]["envs"] * horizon
    assert work.facts["actions_matter"] is True
    shared = [name for name in case.agree if name not in SAME_MARKET]
    assert {"batch"} < set(shared)
    assert None not in [work.facts.get(name) for name in shared]


@pytest.mark.slow
def test_both_sides_of_the_batching_rows_train_the_same(folder: Path) -> None:
    options = {**WINDOWS[1].ours.candidates[0], "net": [4], "windows": 2, "days": 10, "programs": 3}
    options["agent"] = {"steps": 32, "envs": 2, "horizon": 8, "epochs": 1, "minibatch": 8}
    together = ours_windows.batched(folder, options)
    alone = ours_windows.separate(folder, options)
    assert (together.run(), alone.run()) == (2 * 2 * 2 * 32, 3 * 32)
    assert len(set(together.facts["values"])) == 3
    assert together.facts["values"] == pytest.approx(alone.facts["values"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("kept", "met"), [(False, True), (True, False)])
def test_a_rollout_that_keeps_the_observation_vectors_is_caught(
    kept: bool, met: bool, tmp_path: Path
) -> None:
    write_market(tmp_path, rows=300)
    gauge = next(case for case in CASES if isinstance(case, Memory))
    row = replace(gauge, options={**gauge.options, "vectors": kept}).measure(Bench(tmp_path))
    assert row.met is met, row


@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_our_market_runs_in_both_kinds_of_money(precision: str, folder: Path) -> None:
    work = ours_market.steps(folder, {**SMALL, "precision": precision})
    assert work.run() == 12
    assert work.facts["actions_matter"] is True


def test_the_books_are_ones_on_which_orders_can_fill(tmp_path: Path) -> None:
    with np.load(write_book(tmp_path, rows=200)) as book:
        assert (book["bid"][:, 0] < book["ask"][:, 0]).all()
        assert (np.diff(book["bid"], axis=1) < 0).all()
        assert (np.diff(book["ask"], axis=1) > 0).all()
        assert book["bid_size"].min() > 0
        assert len(book["factors"]) == 200


@pytest.mark.slow
@pytest.mark.parametrize("maker", ["market", "q_network"])
def test_our_order_book_makes_whole_episodes(maker: str, tmp_path: Path) -> None:
    write_book(tmp_path, rows=600)
    options = {**KIT, "net": [4], "length": 40, "envs": 3, "horizon": 20, "calls": 3}
    work = ours_orderbook.MAKERS[maker](tmp_path, options)
    assert work.run() == work.run() == 3 * 3 * 20
    assert work.facts["actions_matter"] is True
    assert work.facts["observation"] == 11


def test_our_indicators_show_the_values_they_computed(folder: Path) -> None:
    work = ours_host.indicators(folder, {})
    assert work.run() == 900
    close = np.load(folder / "market.npz")["close"]
    shown = dict(zip(work.facts["names"], work.facts["values"], strict=True))
    assert shown["close_30_sma"] == pytest.approx(close[-30:].mean(), rel=1e-12)
    assert "dx_30" not in shown


def test_our_metrics_show_the_values_they_computed(folder: Path) -> None:
    options = {"curves": 6, "compared": 2, "metrics": METRICS}
    work = ours_host.metrics(folder, options)
    assert work.run() == 6
    curves = np.load(folder / "curves.npy")[:2]
    expected = np.mean(curves[:, -1] / curves[:, 0] - 1)
    assert work.facts["values"][0] == pytest.approx(expected, rel=1e-12)


def test_starts_count_from_the_imports_on_and_cold_ones_find_no_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches = []

    def start(gauge: FirstUpdate, bench: Bench, cache: Path) -> tuple[float, float]:
        caches.append(cache.name)
        return 5.0 + len(caches), 1.0 + len(caches)

    monkeypatch.setattr(FirstUpdate, "_start", start)
    whole = FirstUpdate("start", "whole", bar=8.0).measure(Bench(tmp_path, rounds=5))
    # the first of six starts stands apart: 6 s, and 2 s after imports
    assert (whole.ours, whole.first, whole.met) == (9.0, {"ours": 6.0}, False)
    assert whole.note == "5.00 wall seconds after imports"
    assert caches == ["0"] * 6
    caches.clear()
    cold = FirstUpdate("start", "cold", bar=5.0, cold=True, imports=False)
    row = cold.measure(Bench(tmp_path, rounds=5))
    assert (row.ours, row.first, row.met) == (5.0, {"ours": 2.0}, True)
    assert row.note == "9.00 wall seconds as a whole process"
    assert len(set(caches)) == 6


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda path: path.name)
def test_a_program_of_a_peer_imports_nothing_of_ours(path: Path) -> None:
    imported = [
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imports(node)
    ]
    assert not [name for name in imported if name.partition(".")[0] == "steelyard"]


def test_an_import_of_ours_would_be_seen() -> None:
    nodes = ast.walk(ast.parse("from steelyard.types import Panel\nimport steelyard.ledger"))
    assert [name for node in nodes for name in imports(node)] == [
        "steelyard.types",
        "steelyard.ledger",
    ]


def imports(node: ast.AST) -> list[str]:
    """Modules that a statement imports by their full name."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def duels() -> list[Duel]:
    return [case for case in CASES if isinstance(case, Duel)]


def test_both_sides_of_a_market_case_get_the_same_account() -> None:
    for case in duels():
        for side in (case.ours, case.peer):
            for options in side.candidates:
                assert "hmax" not in case.agree or options.items() >= ACCOUNT.items()


def test_the_alphas_are_measured_in_cpu_seconds(folder: Path) -> None:
    row = Alphas("features", "alphas", bar=1e-9, rows=300).measure(Bench(folder))
    assert row.met is False
    assert row.ours is not None
    assert row.ours > 1e-9
    assert row.unit == "CPU seconds"
