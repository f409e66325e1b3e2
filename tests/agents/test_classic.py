"""Agents without learning, with numbers worked by hand, and their look-ahead check."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stock_windows import ENV, KEY, eventful, play, play_policy, walk, window

from steelyard.agents.allocation import active, chain_divisor, price_weighted
from steelyard.agents.baskets import action_for, affordable_units
from steelyard.agents.check import check_agent
from steelyard.agents.classic import (
    BuyAndHold,
    EqualWeight,
    HoldCash,
    Index,
    MeanVariance,
    MinVariance,
    Random,
)
from steelyard.agents.distributions import Deterministic, Normal
from steelyard.agents.timed import FixedTimeExit, Timed
from steelyard.envs.stock import whole_shares
from steelyard.errors import ConfigError, ContractError
from steelyard.registry import members
from steelyard.types import Space

CLASSIC = {n: m for n, m in members("agents").items() if getattr(m.value, "learns", True) is False}


# what every agent without learning promises


@pytest.mark.parametrize("name", CLASSIC)
def test_no_agent_looks_ahead(name):
    check_agent(CLASSIC[name].value(), ENV, eventful("float32"), steps=46)


def test_no_agent_looks_ahead_on_the_exact_ledger():
    check_agent(EqualWeight(), ENV, eventful("exact"), steps=46)


def test_the_room_has_all_agents_without_learning():
    assert set(CLASSIC) >= {
        "hold_cash",
        "random",
        "buy_and_hold",
        "equal_weight",
        "index",
        "min_variance",
        "mean_variance",
    }


# from units to actions


@given(
    order=st.integers(-3_000_000, 3_000_000),
    max_shares=st.integers(1, 2_000_000),
)
def test_an_action_orders_exactly_the_shares_that_are_wanted(order, max_shares):
    wanted = np.clip(order, -max_shares, max_shares)
    action = action_for(jnp.array([float(order)]), float(max_shares))
    assert whole_shares(action, float(max_shares))[0] == wanted


def test_without_the_half_share_an_order_would_lose_one():
    orders = np.arange(1, 100, dtype=np.float32)
    naive = whole_shares(jnp.asarray(orders) / jnp.float32(100), 100.0)
    assert (np.asarray(naive) != orders).any()  # why `action_for` exists


@given(
    price=st.lists(st.floats(0.5, 5_000), min_size=1, max_size=8),
    value=st.floats(100, 1e7),
    seed=st.integers(0, 99),
)
def test_the_units_chosen_cost_no_more_than_the_account_is_worth(price, value, seed):
    basket = np.random.default_rng(seed).random(len(price)).astype(np.float32)
    units = np.asarray(
        affordable_units(jnp.asarray(basket), jnp.float32(value), jnp.asarray(price, jnp.float32))
    )
    assert (units >= 0).all()
    assert units @ np.asarray(price) <= value * (1 + 1e-5)


# the agents, one by one


def test_hold_cash_never_trades():
    units, lived = play(HoldCash(), window(walk(30, 3)))
    assert (units == 0).all()
    assert (lived.reward == 0).all()


def test_buy_and_hold_puts_equal_money_in_every_asset_and_leaves_room_for_costs():
    close = np.tile([100.0, 50.0], (12, 1))
    close[8:] = [300.0, 10.0]
    params = window(close, cash=10_000.0, cost=1e-3, max_shares=20.0)
    units, _ = play(BuyAndHold(), params)
    # 5,000 buys 49 at 100.10 and 99 at 50.05; at most 20 a day
    np.testing.assert_array_equal(units[0], [20, 20])
    np.testing.assert_array_equal(units[4], [49, 99])
    np.testing.assert_array_equal(units[-1], [49, 99])


def test_a_whole_number_of_affordable_shares_is_bought_whole():
    close = np.tile([100.0, 25.0, 12.5, 10.0], (3, 1))
    for precision in ("float32", "float64", "exact"):
        with jax.enable_x64(precision != "float32"):
            units, _ = play(BuyAndHold(), window(close, cash=40_000.0, precision=precision))
        np.testing.assert_array_equal(units[0], [100, 400, 800, 1000])


def test_buy_and_hold_ignores_an_asset_that_lists_later():
    close = np.full((12, 2), 100.0)
    close[:5, 1] = np.nan
    units, _ = play(BuyAndHold(), window(close, cash=10_000.0))
    np.testing.assert_array_equal(units, np.tile([100, 0], (11, 1)))


def test_equal_weight_is_back_at_equal_money_after_every_rebalancing():
    close = walk(70, 5)
    units, lived = play(EqualWeight(), window(close))
    for row in (0, 21, 42, 63):
        money = units[row] * close[row]
        assert np.ptp(money) <= 2 * close[row].max()
        assert lived.info["cash"][row] <= 5 * close[row].max()
    between = np.delete(np.arange(69), [0, 21, 42, 63])
    assert (units[between] == units[between - 1]).all()


def test_an_order_cut_by_max_shares_goes_on_until_it_is_done():
    close = np.tile([10.0, 20.0], (30, 1))
    units, _ = play(EqualWeight(), window(close, cash=10_000.0, max_shares=100.0))
    # 5,000 buys 500 at 10 in five days and 250 at 20 in three
    np.testing.assert_array_equal(units[:6, 0], [100, 200, 300, 400, 500, 500])
    np.testing.assert_array_equal(units[:4, 1], [100, 200, 250, 250])


def test_what_does_not_trade_is_left_as_it_is_and_the_rest_is_shared_among_the_others():
    close = np.tile([10.0, 20.0, 50.0], (50, 1))
    close[15:, 0] = np.nan  # delisted
    close[18:, 2] = 100.0  # the others are worth 6,000 now
    units, lived = play(EqualWeight(), window(close, cash=6_000.0))
    np.testing.assert_array_equal(units[20], [200, 100, 40])
    np.testing.assert_array_equal(units[21], [200, 150, 30])
    assert (np.asarray(lived.info["order"])[22:] == 0).all()


def test_the_index_holds_the_same_number_of_shares_of_each_member():
    close = np.tile([10.0, 20.0, 70.0, 25.0], (9, 1))
    close[:4, 3] = np.nan
    units, _ = play(Index(), window(close, cash=10_000.0))
    np.testing.assert_array_equal(units[3], [100, 100, 100, 0])  # 10,000 / 100
    np.testing.assert_array_equal(units[4], [80, 80, 80, 80])  # 10,000 / 125


def test_the_index_agent_grows_as_the_chained_index_does():
    close = walk(60, 4, seed=3)
    close[:30, 2] = np.nan
    with jax.enable_x64(True):
        params = window(close, cash=1e9, max_shares=1e9, precision="float64")
        _, lived = play(Index(), params)
        value = np.append(1e9, lived.info["value"])
    divisor, level = 1.0, []
    for row in range(60):
        member = np.isfinite(close[row])
        if row == 30:
            stayed = np.isfinite(close[29])
            divisor = chain_divisor(divisor, close[row, stayed], close[row, member])
        level.append(price_weighted(close[row, member], divisor))
    np.testing.assert_allclose(value / value[0], np.array(level) / level[0], rtol=1e-5)


def test_a_price_weighted_index_is_continuous_through_a_split_and_a_change_of_members():
    assert price_weighted(np.array([10.0, 20.0, 30.0]), 3.0) == 20.0
    # the share at 30 splits two for one: 60 / 3 = 45 / 2.25
    divisor = chain_divisor(3.0, np.array([10.0, 20.0, 30.0]), np.array([10.0, 20.0, 15.0]))
    assert divisor == 2.25
    # the share at 10 leaves for one at 100: 45 / 2.25 = 135 / 6.75
    divisor = chain_divisor(divisor, np.array([10.0, 20.0, 15.0]), np.array([100.0, 20.0, 15.0]))
    assert divisor == 6.75
    assert price_weighted(np.array([100.0, 20.0, 15.0]), divisor) == 20.0


def test_an_index_without_a_positive_divisor_or_price_is_refused():
    with pytest.raises(ConfigError, match="divisor"):
        price_weighted(np.array([10.0]), 0.0)
    with pytest.raises(ConfigError, match="price"):
        chain_divisor(1.0, np.array([10.0]), np.array([np.nan]))


def test_random_draws_follow_the_seed_and_fill_the_box():
    params = window(walk(200, 4), cash=1e5, max_shares=10.0)
    policy, _ = Random().train(KEY, ENV, params)
    one, again = (np.asarray(play_policy(policy, params, 199).action) for _ in range(2))
    other = play_policy(Random().train(jax.random.key(1), ENV, params)[0], params, 199).action
    np.testing.assert_array_equal(one, again)
    assert (one != np.asarray(other)).all()
    assert -1 <= one.min() < -0.95
    assert 0.95 < one.max() <= 1
    assert abs(one.mean()) < 4 / np.sqrt(3 * one.size)  # four standard errors


def test_random_draws_every_choice_of_a_discrete_environment():
    class Choices:
        def action_space(self, params):
            return Space(choices=3)

    policy, _ = Random().train(KEY, Choices(), None)
    carry, seen = policy.initial_carry(), set()
    for _ in range(40):
        distribution, carry = policy(jnp.zeros(1), carry)
        seen.add(int(distribution.mode()))
    assert seen == {0, 1, 2}


def test_minimum_variance_agents_work_through_their_window():
    close = walk(110, 3, seed=5)
    close[:, 0] = 50 * (close[:, 0] / 50) ** 0.2  # by far the calmest
    units, _ = play(MinVariance(), window(close, first=65))
    worth = units[0] * close[65]
    assert worth[0] > 0.7 * worth.sum()


def test_mean_variance_holds_no_more_than_its_cap_of_any_asset():
    close = walk(120, 24, seed=6, drift=0.001)
    units, _ = play(MeanVariance(), window(close, first=70))
    worth = units[0] * close[70]
    assert worth.max() <= 0.05 * 1e6 * (1 + 1e-4)
    assert worth.sum() > 0.98 * 1e6


# point mass


def test_a_deterministic_answer_is_a_point_mass():
    sure = Deterministic(jnp.array([0.5, -1.0]))
    np.testing.assert_array_equal(sure.sample(KEY), sure.mode())
    assert sure.log_prob(jnp.array([0.5, -1.0])) == 0
    assert sure.log_prob(jnp.array([0.5, 1.0])) == -jnp.inf
    assert sure.entropy() == 0
    assert sure.kl(sure) == 0
    assert sure.kl(Deterministic(jnp.zeros(2))) == jnp.inf
    wide = Normal(jnp.zeros(2), jnp.zeros(2))
    assert sure.kl(wide) == -wide.log_prob(sure.action)


# what is known when


def test_an_asset_is_active_from_its_listing_and_not_after_an_order_that_could_not_fill():
    mark = np.array([[1.0, 0, 2], [1, 0, 2], [1, 3, 2], [1, 3, 2]])
    tradable = np.array([[True, False, True], [True, False, False], [True] * 3, [False] * 3])
    np.testing.assert_array_equal(
        active(mark, tradable),
        [[True, False, True], [True, False, True], [True, True, False], [True, True, True]],
    )


# what is refused


def test_an_agent_prepared_elsewhere_is_refused():
    policy, _ = BuyAndHold().prepare(KEY, ENV, window(walk(30, 3)))
    with pytest.raises(ConfigError, match="prepared on a market of shape"):
        play_policy(policy, window(walk(40, 3)), 5)


def test_preparing_inside_a_traced_function_is_refused():
    with pytest.raises(ConfigError, match="on the host"):
        jax.jit(lambda params: EqualWeight().prepare(KEY, ENV, params)[0])(window(walk(30, 3)))


def test_the_vector_of_an_observation_is_not_enough():
    policy, _ = BuyAndHold().prepare(KEY, ENV, window(walk(30, 3)))
    with pytest.raises(ContractError, match="not on its vector"):
        policy(jnp.zeros(5), policy.initial_carry())


@pytest.mark.parametrize("way", ["train", "prepare"])
def test_an_environment_without_shares_is_refused(way):
    with pytest.raises(ConfigError, match="does not"):
        getattr(EqualWeight(), way)(KEY, ENV, object())


def test_a_clock_enters_waits_leaves_and_begins_again():
    for space, told in (
        (Space(choices=3, idle=1), [2, 1, 0, 2, 1, 0]),
        (Space((2,), -1.0, 1.0), [1, 0, -1, 1, 0, -1]),
    ):
        policy, carry, seen = Timed(space, 2), Timed(space, 2).initial_carry(), []
        for _ in told:
            distribution, carry = policy(jnp.zeros(1), carry)
            seen.append(np.asarray(distribution.mode()).flat[0])
        assert seen == told
    short = Timed(Space(choices=3, idle=1), 1, column=0)
    first, carry = short(jnp.asarray([-0.3]), short.initial_carry())
    assert int(first.mode()) == 0  # the direction of the entry holds until the exit
    assert int(short(jnp.asarray([0.3]), carry)[0].mode()) == 2
    with pytest.raises(ConfigError, match="no column `nope`"):
        FixedTimeExit(signal="nope").train(KEY, ENV, window(walk(30, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: EqualWeight(every=0),
        lambda: MinVariance(lookback=30, shortest=60),
        lambda: MeanVariance(cap=0.0),
        lambda: MeanVariance(cap=1.5),
    ],
)
def test_settings_that_cannot_hold_are_refused(make):
    with pytest.raises(ConfigError):
        make()
