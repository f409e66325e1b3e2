"""The best in hindsight: nobody can do better, and somebody can do as well."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.timed import FixedTimeExit
from steelyard.book import build_book
from steelyard.envs.orderbook import BookParams, OrderBookEnv, book_window
from steelyard.errors import ConfigError
from steelyard.evaluation.backtest import Recorded
from steelyard.evaluation.book_backtest import book_backtest, clock_of
from steelyard.evaluation.hindsight import hindsight
from steelyard.rollout import rollout
from steelyard.types import Panel

ROWS, CASH = 10, 10_000.0
CLOCK = np.datetime64("2024-01-01T00:00:00") + np.arange(ROWS) * np.timedelta64(1, "s")


def books(seed: int, gap: int | None = None) -> Panel:
    """Ten books of two levels whose mid moves by up to three ticks."""
    random = np.random.default_rng(seed)
    mid = 100 + 0.05 * np.cumsum(random.integers(-3, 4, ROWS))[:, None]
    fields = {"close": mid}
    for level in (1, 2):
        fields |= {f"bid_{level}": mid - 0.01 * level, f"ask_{level}": mid + 0.01 * level}
        fields |= {f"{side}_size_{level}": random.uniform(0.5, 2, (ROWS, 1)) for side in SIDES}
    context = {} if gap is None else {"segment": (np.arange(ROWS) >= gap).astype(float)}
    return Panel(CLOCK, ("BTC",), fields, context)


SIDES = ("bid", "ask")


def window(panel: Panel, **settings: Any) -> BookParams:
    with jax.enable_x64(True):
        market = build_book(panel, precision="exact")
        rules = {"unit": 0.5, "max_position": 2, "taker_fee": 1e-5, "cash": CASH, "thin": "skip"}
        return book_window(market, 0, ROWS - 1, **(rules | settings))


@pytest.fixture(scope="module")
def best_of_all() -> Callable[[BookParams], float]:
    """The profit of the best of all sequences of choices, tried one by one."""

    @eqx.filter_jit
    def final(params: BookParams, actions: Any, length: int) -> Any:
        def one(choices: Any) -> Any:
            policy, key = Recorded(choices), jax.random.key(0)
            steps = rollout(key, OrderBookEnv(), params, policy, length, sample=False)[1]
            return steps.info["value"][-1]

        return jax.vmap(one)(actions)

    def profit(params: BookParams) -> float:
        length = int(params.length)
        free = min(length, 8)  # the last decision closes whatever was chosen
        every = np.array(list(itertools.product((0.0, 1.0, 2.0), repeat=free)), np.float32)
        every = np.pad(every, ((0, 0), (0, length - free)), constant_values=1)
        with jax.enable_x64(True):
            return float(np.max(final(params, jnp.asarray(every[:, :, None]), length))) - CASH

    return profit


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_of_all_sequences_of_choices(
    best_of_all: Callable[[BookParams], float], seed: int
) -> None:
    params = window(books(seed))
    best = hindsight(params, CLOCK, 1.0)
    assert best.profit == pytest.approx(best_of_all(params), abs=1e-9)
    assert best.profit > 0
    assert best.curve.value[-1] - best.curve.value[0] == pytest.approx(best.profit, abs=1e-9)


def test_nothing_is_held_over_a_gap_or_at_the_end(
    best_of_all: Callable[[BookParams], float],
) -> None:
    params = window(books(1, gap=5))
    best = hindsight(params, CLOCK, 1.0)
    rows = clock_of(params)
    assert 5 in rows
    assert best.position[list(rows).index(5) - 1] == 0
    assert best.position[-1] == 0
    assert best.profit == pytest.approx(best_of_all(params), abs=1e-9)


def test_a_stop_loss_can_only_lower_what_an_agent_earns_and_never_below_zero_in_hindsight() -> None:
    free = hindsight(window(books(2)), CLOCK, 1.0).profit
    stopped = hindsight(window(books(2), stop_loss=1e-4), CLOCK, 1.0).profit
    assert stopped >= free > 0  # being closed is an offer to the optimum, not a duty
    assert hindsight(window(books(2), taker_fee=0.5), CLOCK, 1.0).profit == 0


def test_a_backtest_tells_what_the_environment_did() -> None:
    params = window(books(3))
    with jax.enable_x64(True):
        policy, _ = FixedTimeExit(hold=2).train(jax.random.key(0), OrderBookEnv(), params)
    done = book_backtest(OrderBookEnv(), params, policy, CLOCK, periods_per_year=1.0)
    value = done.cash + done.units[:, 0] * books(3)["close"][clock_of(params), 0]
    np.testing.assert_allclose(done.curve.value, value, atol=1e-9)
    assert done.actions[:4, 0].tolist() == [2, 1, 0, 2]
    assert done.curve.trades is not None
    assert done.curve.trades.sum() == pytest.approx(done.curve.value[-1] - CASH, abs=1e-6)
    again = book_backtest(
        OrderBookEnv(), params, Recorded(jnp.asarray(done.actions)), CLOCK, periods_per_year=1.0
    )
    np.testing.assert_array_equal(again.curve.value, done.curve.value)
    assert done.curve.value[-1] - CASH <= hindsight(params, CLOCK, 1.0).profit


def test_hindsight_and_backtests_run_on_exact_money() -> None:
    market = build_book(books(0))
    params = book_window(market, 0, ROWS - 1, unit=0.5, cash=CASH)
    with pytest.raises(ConfigError, match="exact ledger"):
        hindsight(params, CLOCK, 1.0)
