"""A score ends where the account ends: by hand, in random markets, beside a loop that resets."""

from dataclasses import asdict

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from book_markets import panel_of_books, random_books
from markets import random_panel, whole
from probes import Corridor, Uniform
from steelyard.agents.diversity import measure
from steelyard.agents.networks import MLP, Dense
from steelyard.agents.policies import GaussianPolicy
from steelyard.agents.rolling import RollingPolicy
from steelyard.book import build_book
from steelyard.envs.constraints import Limits
from steelyard.envs.orderbook import OrderBookEnv, book_window
from steelyard.envs.stock import StockEnv
from steelyard.evaluation.backtest import Recorded, backtest
from steelyard.evaluation.book_backtest import book_backtest
from steelyard.evaluation.members import sharpe_of
from steelyard.market import build_market
from steelyard.metrics.paths import Paths
from steelyard.rollout import rollout, scored_pass
from steelyard.types import Panel

CASH, SHARES = 10_000.0, 90
CLOSE = (100, 100, 100, 400, 100, 50, 25)
"""90 shares sold short at 100 are 27,000 lost at 400; held on, they would be worth 16,750."""
AFTERWARDS = (-1, 0, 0, 1, 1, 1)
"""Sells at once, waits, and buys as soon as the account is ruined."""
SHORT = StockEnv(short=True)
DAYS = np.datetime64("2024-01-01") + np.arange(64)


def stocks(close=CLOSE, opened=None, precision="exact", gauges=None, **settings):
    """One asset, or (T, N) closes, in whole shares, fills at the close that is known."""
    close = np.asarray(close, float).reshape(len(close), -1)
    opened = close if opened is None else np.asarray(opened, float).reshape(close.shape)
    names = tuple(f"A{number}" for number in range(close.shape[1]))
    data = Panel(DAYS[: len(close)], names, {"open": opened, "close": close})
    settings = {"limits": Limits(leverage=2.0), "cash": CASH, "cost": 0.0} | settings
    with jax.enable_x64(precision == "exact"):
        fill = settings.pop("fill", "same_close")
        market = build_market(data, gauges=gauges, fill=fill, precision=precision)
        return whole(market, max_shares=float(SHARES), **settings)


def recorded(actions):
    """A policy that plays (T,) or (T, N) actions."""
    return Recorded(jnp.asarray(actions, jnp.float32).reshape(len(actions), -1))


def traded(params, policy, env=SHORT):
    return backtest(env, params, policy, DAYS[: params.market.rows])


def books(mids, delay=0):
    """A book of one level, five units deep, a tick from its mid on either side."""
    mid = np.asarray(mids, float)[:, None]
    panel = panel_of_books(mid - 0.01, mid + 0.01, np.full_like(mid, 5.0), np.full_like(mid, 5.0))
    with jax.enable_x64(True):
        market = build_book(panel, precision="exact", lot=1e-3)
        return book_window(
            market, 0, len(mids) - 1, cash=300.0, delay=delay, taker_fee=0.0, max_position=1
        )


def traded_book(params, actions):
    clock = DAYS[: params.market.rows].astype("datetime64[s]")
    policy = recorded(actions)
    return book_backtest(OrderBookEnv(), params, policy, clock, periods_per_year=252.0)


def faults(done, row):
    """What contradicts a ruin at `row` in a backtest."""
    value, step = np.asarray(done.curve.value), row
    claims = {
        "solvent before": (value[:row] > 0).all(),
        "ruined there": value[row] <= 0,
        "flat from there on": (value[row:] == value[row]).all(),
        "no units": not done.units[row:].any() and not done.weights[row:].any(),
        "cash is the value": np.array_equal(done.cash[row:], value[row:]),
        "no trade": not done.traded[step:].any() and not done.costs[step:].any(),
        "no gate": not done.gated[step:].any(),
        "nothing unclosed": np.isclose(done.curve.trades.sum(), value[-1] - value[0], atol=1e-6),
        "as metrics see it": np.array_equal(Paths.of(done.curve).value[0], value),
    }
    return [claim for claim, holds in claims.items() if not holds]


# by hand


@pytest.mark.parametrize("cost", [0.0, 1e-3])
def test_a_short_account_is_closed_at_the_mark_at_which_it_is_ruined(cost):
    done = traded(stocks(cost=cost), recorded(AFTERWARDS))
    paid = SHARES * 100 * cost
    solvent, lost = CASH - paid, CASH - 27_000 - paid
    assert faults(done, 3) == []
    np.testing.assert_allclose(done.curve.value, [CASH, solvent, solvent, *[lost] * 4])
    assert done.units[:, 0].tolist() == [0, -90, -90, 0, 0, 0, 0]
    np.testing.assert_allclose(done.cash, [CASH, *[solvent + 9_000] * 2, *[lost] * 4])
    np.testing.assert_allclose(done.curve.trades, [-27_000 - paid])
    np.testing.assert_allclose(done.traded, [9_000, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(done.costs, [paid, 0, 0, 0, 0, 0])
    assert done.actions[:, 0].tolist() == [-1, 0, 0, 0, 0, 0]


def test_what_a_gate_could_buy_back_is_a_trade_and_the_broker_closes_the_rest():
    """At the open of 400 the cash of 19,000 buys 47 of the 90 shares."""
    params = stocks(
        opened=(100, 100, 100, 400, 100, 50, 25),
        fill="next_open",
        gauges={"vix": np.array([10.0, 10, 90, 90, 90, 90, 90])},
        limits=Limits(gates={"vix": 70.0}),
    )
    done = traded(params, recorded(AFTERWARDS))
    assert faults(done, 3) == []
    assert done.curve.value[3] == CASH - 27_000
    assert done.curve.trades.tolist() == [-47 * 300, -43 * 300]
    assert done.traded.tolist() == [9_000, 0, 47 * 400, 0, 0, 0]
    assert done.gated.tolist() == [False, False, True, False, False, False]


def test_a_ruin_at_the_last_close_is_closed_too():
    done = traded(stocks(CLOSE[:4]), recorded(AFTERWARDS[:3]))
    assert faults(done, 3) == []
    assert done.curve.trades.tolist() == [-27_000]


def test_a_short_position_in_a_book_is_closed_at_the_mid_at_which_it_is_ruined():
    """Twice short from 99.99: closed at 290.01 the first time, ruined at 290 the second."""
    done = traded_book(books([100, 290, 100, 290, 100, 100, 100]), (0, 2, 0, 2, 2, 0))
    assert faults(done, 3) == []
    np.testing.assert_allclose(done.curve.value, [300, 109.99, 109.98, *[-80.03] * 4])
    assert done.units[:, 0].tolist() == [0, -1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(done.curve.trades, [-190.02, -190.01])
    np.testing.assert_allclose(done.traded, [100, 290, 100, 0, 0, 0])
    np.testing.assert_allclose(done.costs, [0.01, 0.01, 0.01, 0, 0, 0], atol=1e-9)
    assert done.actions[:, 0].tolist() == [0, 2, 0, 1, 1, 1]  # 1 does nothing


def test_a_position_in_a_book_that_a_rule_closed_at_the_ruin_is_not_closed_again():
    """Orders fill a row later, and the last decision's closes at 290.01."""
    done = traded_book(books([100, 100, 290, 100, 290], delay=1), (0, 2, 0, 1))
    assert faults(done, 4) == []
    np.testing.assert_allclose(done.curve.trades, [-190.02, -190.02])
    assert done.curve.value[-1] == pytest.approx(300 - 2 * 190.02)


def test_a_rolling_policy_ends_with_the_account_of_the_policy_before_it():
    """The second policy comes into office at row 4 and would buy at every row."""
    stacked = recorded(np.array([AFTERWARDS, (1, 1, 1, 1, 1, 1)]).ravel()).actions
    rolling = RollingPolicy(Recorded(stacked.reshape(2, 6, 1)), jnp.array([0, 4], jnp.int32))
    done, alone = (traded(stocks(), policy) for policy in (rolling, recorded(AFTERWARDS)))
    assert faults(done, 3) == []
    np.testing.assert_array_equal(done.curve.value, alone.curve.value)
    solvent = traded(stocks(np.full(7, 100)), rolling)
    assert solvent.units[:, 0].tolist() == [0, -90, -90, -90, 0, 90, 100]


def members():
    """Two members, of which the second is ruined, and one of another group that never trades."""
    two = np.stack([np.multiply(AFTERWARDS, 0.1), AFTERWARDS])[..., None]
    return Recorded(jnp.asarray(two, jnp.float32)), Recorded(jnp.zeros((1, 6, 1), jnp.float32))


@pytest.mark.parametrize("windows", [False, True])
def test_the_sharpe_ratio_of_a_ruined_member_ends_with_its_account(windows):
    params, groups = stocks(precision="float32"), members()
    if windows:
        params, groups = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (params, groups))
    found = sharpe_of(groups, SHORT, params, CASH, windows=windows)
    small = np.array([1e4, 1e4, 1e4, 7_300, 7_300, 6_850, 6_400])  # 9 shares, not 90
    bars = np.array([np.diff(small) / small[:-1], [0, 0, -2.7, 0, 0, 0]])
    expected = [*bars.mean(axis=1) / bars.std(axis=1, ddof=1), 0]
    np.testing.assert_allclose(found[0] if windows else found, expected, rtol=1e-5)


def test_members_are_compared_as_long_as_both_live():
    """The first two do the same up to row 3, at which the second of them is ruined."""
    found = eqx.filter_jit(measure)(members(), SHORT, stocks(precision="float32"))
    assert found.agreement[0, 1] == 1
    assert found.agreement[1, 2] == pytest.approx(2 / 3)
    assert found.correlation[0, 1] == pytest.approx(1)


# over random markets


def wild(seed, rows=30, assets=3):
    """Prices that double or halve every few rows."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.3, (rows, assets)), axis=0))
    return stocks(np.maximum(close, 1.0)), random.uniform(-1, 1, (rows - 1, assets))


def test_random_accounts_end_with_their_ruin_and_are_replayed_to_the_last_bit():
    ruined = 0
    for seed in range(24):
        params, actions = wild(seed)
        done = traded(params, recorded(actions))
        again = traded(params, Recorded(jnp.asarray(done.actions)))
        np.testing.assert_equal(asdict(again), asdict(done))
        lost = np.asarray(done.curve.value) <= 0
        if lost.any():
            ruined += 1
            assert faults(done, int(np.argmax(lost))) == []
    assert 6 <= ruined <= 18


def test_a_replay_in_a_book_is_the_same_to_the_last_bit():
    params = books([100, 290, 100, 290, 100, 100, 100])
    done = traded_book(params, (0, 2, 0, 2, 2, 0))
    again = traded_book(params, done.actions)
    np.testing.assert_equal(asdict(again), asdict(done))


# beside the loop that resets


def both(env, params, policy, length, *, sample=False):
    """The transitions of a scored pass and of a rollout, drawn from the same key."""

    @eqx.filter_jit
    def run(params, policy):
        key = jax.random.key(3)
        scored = scored_pass(key, env, params, policy, length, sample=sample)
        return scored, rollout(key, env, params, policy, length, sample=sample)[1]

    with jax.enable_x64(getattr(params.market, "exact", False)):
        return jax.tree.map(np.asarray, run(params, policy))


def same_bits(scored, resetting):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, scored, resetting)))


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "exact"])
@pytest.mark.parametrize("policy", ["drawn", "network", "recorded"])
def test_a_pass_without_a_ruin_is_the_rollout_to_the_last_bit(precision, policy):
    panel, random = random_panel(4, 40, 3), np.random.default_rng(4)
    table = random.normal(size=(40, 4)).astype(np.float32)
    weights = jnp.asarray(random.normal(size=(9, 3)), jnp.float32)
    made = {
        "drawn": Uniform(3),
        "network": GaussianPolicy(MLP((Dense(weights, jnp.zeros(3)),)), jnp.zeros(3)),
        "recorded": recorded(random.uniform(-1, 1, (39, 3))),
    }[policy]
    with jax.enable_x64(precision == "exact"):
        params = whole(build_market(panel, table, precision=precision), cash=1e5)
    scored, resetting = both(StockEnv(), params, made, 39, sample=policy == "drawn")
    assert scored.truncated.tolist() == [False] * 38 + [True]
    assert np.abs(scored.info["units"]).sum() > 0
    assert same_bits(scored, resetting)


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "exact"])
def test_a_pass_through_a_book_is_the_rollout_to_the_last_bit(precision):
    with jax.enable_x64(precision == "exact"):
        market = build_book(random_books(6, segments=3), precision=precision, lot=1e-3)
        params = book_window(market, 0, 119, cash=1e3, max_position=3, thin="skip", max_holding=9)
    choices = np.random.default_rng(6).integers(0, 3, int(params.length))
    scored, resetting = both(OrderBookEnv(), params, recorded(choices), len(choices))
    assert np.abs(scored.info["order"]).sum() > 0
    assert same_bits(scored, resetting)


def test_a_pass_made_with_the_loop_that_resets_is_seen_to_trade_on():
    """What scores were made of before: 10,000 again, and short again, right after the ruin."""
    scored, resetting = both(SHORT, stocks(), recorded(AFTERWARDS), 6)
    assert not same_bits(scored, resetting)
    ruin = CASH - 27_000
    assert scored.info["value"].tolist() == [CASH, CASH, ruin, ruin, ruin, ruin]
    assert resetting.info["value"].tolist() == [CASH, CASH, ruin, CASH, CASH, ruin]
    assert scored.action[:, 0].tolist() == [-1, 0, 0, 0, 0, 0]
    assert resetting.action[:, 0].tolist() == [-1, 0, 0, -1, 0, 0]
    assert scored.terminated.tolist() == [False, False, True, True, True, True]
    assert not scored.reward[3:].any()


def test_a_backtest_made_with_the_loop_that_resets_is_caught(monkeypatch):
    @eqx.filter_jit
    def resetting(key, env, params, policy, length, deterministic):
        return rollout(key, env, params, policy, length, sample=not deterministic)[1]

    assert faults(traded(stocks(), recorded(AFTERWARDS)), 3) == []
    monkeypatch.setattr("steelyard.evaluation.backtest._run", resetting)
    found = faults(traded(stocks(), recorded(AFTERWARDS)), 3)
    assert {"flat from there on", "as metrics see it"} <= set(found)


def test_what_stands_behind_the_end_of_an_episode_is_its_end():
    scored = scored_pass(jax.random.key(0), Corridor(length=3), None, Uniform(1), 6, sample=True)
    assert scored.obs[:, 0].tolist() == [0, 1, 2, 3, 3, 3]
    assert scored.next_obs[:, 0].tolist() == [1, 2, 3, 3, 3, 3]
    assert scored.truncated.tolist() == [False, False, True, True, True, True]
    assert np.asarray(scored.action[:3]).all()
    assert not np.asarray(scored.action[3:]).any()


def test_a_policy_is_shown_nothing_behind_the_end_of_its_episode():
    seen = []

    class Watching(Uniform):
        def bind(self, env, params):
            def act(obs, carry):
                jax.debug.callback(lambda row: seen.append(int(row)), obs[0], ordered=True)
                return self, carry

            return act

    scored_pass(jax.random.key(0), Corridor(length=3), None, Watching(1), 6)
    jax.effects_barrier()
    assert seen == [0, 1, 2, 3, 3, 3]
