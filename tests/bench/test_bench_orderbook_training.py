"""The two sides of training in the order book trade on the same market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

from steelyard.bench import ours_orderbook_train as ours
from steelyard.bench.orderbook_cases import BATCHED_DQN, MID, ORDERBOOK, SB3_DQN
from steelyard.bench.peers import numpy_orderbook as peer
from steelyard.bench.protocol import Duel, check_agreement
from steelyard.bench.synthetic import write_book
from steelyard.envs.book_rules import AGENT, CAPITAL, END, LIMIT, STOP, TIME_OUT
from steelyard.errors import BenchError

TRAINING = [case for case in ORDERBOOK if case.ours.maker == "train"]

STRICT = {
    **MID,
    "step_gap": 3,
    "delay": 2,
    "length": 90,
    "max_position": 3,
    "max_holding": 12,
    "stop_loss": 1e-4,
    "slippage": 7e-5,
}
"""Settings by which every rule speaks in a few episodes, if the capital is small as well."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("books")
    write_book(path, rows=700)
    return path


def played(
    folder: Path, options: Mapping[str, Any], rows: NDArray[np.int32], actions: NDArray[np.int32]
) -> tuple[NDArray[np.float64], ...]:
    """What the peer's environment answers: rewards, observations, cash, position, ended."""
    env, told = peer.OrderBook(peer.load(folder), options), []
    for row, chosen in zip(rows, actions.T, strict=True):
        env.reset(options={"row": int(row)})
        for action in chosen:
            vector, reward, ruined, ended, _ = env.step(action)
            told.append((reward, vector, env.cash, env.position, ended or ruined))
    shape = actions.T.shape
    return tuple(
        np.array(part).reshape(*shape, *np.shape(part[0])) for part in zip(*told, strict=True)
    )


def test_the_environment_of_the_peer_is_ours_filled_at_the_mid(folder: Path) -> None:
    dearest = STRICT["max_position"] * max(peer.load(folder).mid)
    options, generator = {**STRICT, "cash": dearest + 1}, np.random.default_rng(3)
    rows = np.arange(12, dtype=np.int32) * 35
    # each episode leans to one side, so that the limits of both are reached
    lean = np.linspace(0.1, 0.9, len(rows))
    drawn = generator.random((STRICT["length"], len(rows)))
    actions = np.where(drawn < lean, 2, generator.integers(0, 2, drawn.shape)).astype(np.int32)
    with jax.enable_x64(True):
        params = ours.load_params(folder, options, "float64")
        reward, (info, own) = ours.scripted(params, rows, actions)
    assert {AGENT, LIMIT, CAPITAL, TIME_OUT, STOP, END} <= set(np.unique(info["rule"]))
    reward_there, vector, cash, position, ended = played(folder, options, rows, actions)
    np.testing.assert_allclose(reward, reward_there, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(info["cash"], cash, rtol=1e-12)
    np.testing.assert_array_equal(info["units"][..., 0], position)
    np.testing.assert_allclose(own, vector[..., :3], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(vector[..., 3:], params.market.table[info["row"]])
    assert ended[:, -1].all()
    assert not ended[:, :-1].any()


def test_the_peer_starts_anywhere_from_which_a_whole_episode_fits(folder: Path) -> None:
    env = peer.OrderBook(peer.load(folder), {**STRICT, "length": 231})
    starts = set()
    for seed in range(100):
        env.reset(seed=seed)
        starts.add(env.row)
    assert starts == set(range(700 - 231 * 3))


def test_another_market_at_the_peer_is_not_timed(folder: Path) -> None:
    options = {**MID, "length": 30}
    case = replace(TRAINING[0], agree=("data", *MID, "observation"))
    own = ours.facts_of(folder, options, ours.load_params(folder, options))
    check_agreement(case, own, peer.facts_of(folder, options))
    # the settings are reported alike, but the rewards tell
    dearer = peer.facts_of(folder, {**options, "slippage": 2e-6})
    with pytest.raises(BenchError, match="results differ"):
        check_agreement(case, own, {**dearer, "slippage": options["slippage"]})


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINING, ids=lambda case: case.name)
def test_our_side_makes_whole_updates_and_reports_what_the_peer_must_share(
    case: Duel, folder: Path
) -> None:
    given = case.ours.candidates[0]
    settings = {
        **given["settings"],
        "hidden": [4],
        "minibatch": 8,
        "warmup": 640,
        "capacity": 2_048,
    }
    options = {**given, "length": 30, "settings": settings, "updates": 2}
    options["extra"] = {"horizon": 8, "steps": 4_000}
    work = ours.train(folder, options)
    assert work.run() == work.run() == 2 * 8 * settings["envs"]
    assert [name for name in case.agree if work.facts.get(name) is None] == []
    assert work.facts["gradients"] == settings["gradient_steps"] / (
        settings["collect"] * settings["envs"]
    )


def test_only_the_setting_of_large_minibatches_goes_without_a_bar() -> None:
    bars = [(case.peer.candidates[0]["settings"], case.bar) for case in TRAINING]
    assert bars == [(SB3_DQN, 10), (BATCHED_DQN, None)]
    assert "matrix products" in TRAINING[1].note
