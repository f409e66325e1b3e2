import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets import Script, play, random_panel, whole
from steelyard.envs.constraints import Limits
from steelyard.envs.rewards import DifferentialSharpe, RiskPenalised, ValueChange
from steelyard.envs.stock import StockEnv
from steelyard.market import build_market
from steelyard.rollout import rollout
from steelyard.types import Panel


def panel_of(opens: list[list[float]], closes: list[list[float]]) -> Panel:
    days = np.datetime64("2020-01-01") + np.arange(len(closes))
    fields = {"open": np.array(opens, float), "close": np.array(closes, float)}
    return Panel(days, tuple(f"A{i}" for i in range(len(closes[0]))), fields)


def test_the_worked_example_of_the_paper() -> None:
    # section 3.2: balance 100,000, price 200, 10 shares held; buy 5; price 201: 99,000, 15, +15
    closes = [[200.0], [200.0], [201.0]]
    panel = panel_of(closes, closes)
    actions = np.array([[10.0], [5.0]], np.float32) / 10
    played = play(panel, actions, cash=102_000.0, cost=0.0, max_shares=10.0, fill="same_close",
                  reward=ValueChange(scale=1.0))  # fmt: skip
    assert played.info["cash"].tolist() == [100_000.0, 99_000.0]
    assert played.info["units"][:, 0].tolist() == [10.0, 15.0]
    assert played.reward.tolist() == [0.0, 15.0]


def test_an_order_fills_at_the_next_open_and_is_valued_at_the_next_close() -> None:
    panel = panel_of([[10.0], [11.0], [13.0]], [[10.5], [12.0], [14.0]])
    played = play(
        panel, np.array([[1.0], [-1.0]], np.float32), cash=1_000.0, cost=0.0, max_shares=10
    )
    assert played.info["cash"].tolist() == [1_000.0 - 110.0, 1_000.0 - 110.0 + 130.0]
    assert played.info["value"].tolist() == [890.0 + 120.0, 1_020.0]


def test_rewards_sum_to_the_change_of_value() -> None:
    panel = random_panel(seed=11, rows=60)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 59, 5)).astype(np.float32)
    played = play(panel, actions, cash=50_000.0, reward=ValueChange(scale=1.0))
    profit = np.asarray(played.info["value"])[:, -1] - 50_000.0
    assert np.abs(np.asarray(played.reward).sum(axis=1) - profit).max() < 1e-9 * 50_000


def test_a_gate_sells_everything_and_refuses_buys_exactly_at_its_threshold() -> None:
    panel = random_panel(seed=1, rows=6, assets=2)
    gauge = {"vix": np.array([0.0, 10.0, 29.999, 30.0, 31.0, np.nan])}
    buy = np.ones((5, 2), np.float32)
    played = play(panel, buy, cash=1e6, gauges=gauge, limits=Limits(gates={"vix": 30.0}))
    assert played.info["gated"].tolist() == [False, False, False, True, True]
    assert (np.asarray(played.info["units"])[:3].min(axis=1) > 0).all()
    assert (np.asarray(played.info["units"])[3:] == 0).all()


def test_the_published_gate_cannot_fire_on_the_first_row() -> None:
    panel = random_panel(seed=1, rows=3, assets=2)
    gauge = {"turbulence": np.array([99.0, 99.0, 99.0])}
    limits = Limits(gates={"turbulence": 50.0}, gate_first_row=False)
    played = play(panel, np.ones((2, 2), np.float32), cash=1e6, gauges=gauge, limits=limits)
    assert played.info["gated"].tolist() == [False, True]


def test_the_weight_limit_caps_buys() -> None:
    panel = random_panel(seed=2, rows=20, assets=3)
    played = play(panel, np.ones((19, 3), np.float32), cash=100_000.0, cost=0.0,
                  max_shares=10_000.0, limits=Limits(max_weight=0.2))  # fmt: skip
    closes, opens = panel["close"], panel["open"]
    bought = np.asarray(played.info["units"])[0]
    assert (bought * opens[1] <= 0.2 * 100_000).all()
    assert (bought * opens[1] > 0.2 * 100_000 - closes[0].max() - opens[1].max()).all()


def test_gross_exposure_never_exceeds_the_leverage_limit_when_orders_fill() -> None:
    panel = random_panel(seed=3, rows=30, assets=4)
    actions = np.random.default_rng(5).uniform(-1, 1, (50, 29, 4)).astype(np.float32)
    played = play(panel, actions, cash=100_000.0, max_shares=2_000.0, env=StockEnv(short=True),
                  limits=Limits(leverage=1.0), fill="same_close")  # fmt: skip
    units, value = np.asarray(played.info["units"]), np.asarray(played.info["value"])
    assert (units < 0).any()
    # a fill may not raise exposure above the limit at the prices and the value it was decided on
    before = np.concatenate([np.zeros_like(units[:, :1]), units[:, :-1]], axis=1)
    worth = np.concatenate([np.full((50, 1), 100_000.0), value[:, :-1]], axis=1)
    price = panel["close"][:-1]
    gross, gross_before = (np.abs(u * price).sum(axis=2) for u in (units, before))
    assert (gross <= np.maximum(worth, gross_before) + 1e-6).all()


def test_long_only_sells_are_cut_to_the_holding() -> None:
    panel = random_panel(seed=4, rows=3, assets=2)
    played = play(panel, np.array([[1.0, 0.0], [-1.0, -1.0]], np.float32), max_shares=7.0)
    assert np.asarray(played.info["units"])[-1].tolist() == [0.0, 0.0]


def test_late_listed_assets_are_not_tradable_and_worth_nothing_before() -> None:
    panel = random_panel(seed=6, rows=8, assets=2)
    for name in ("open", "close"):
        panel.fields[name][:4, 1] = np.nan
    played = play(panel, np.ones((7, 2), np.float32), cash=1e6)
    units = np.asarray(played.info["units"])[:, 1]
    # its first close is row 4, so the first order on it is decided there and fills at row 5
    assert units[:4].tolist() == [0.0] * 4
    assert units[4] > 0
    assert np.isfinite(played.info["value"]).all()


def test_a_delisted_asset_keeps_its_last_mark_and_cannot_be_sold() -> None:
    panel = random_panel(seed=8, rows=6, assets=1)
    for name in ("open", "close"):
        panel.fields[name][3:, 0] = np.nan
    actions = np.array([[1.0], [0.0], [-1.0], [-1.0], [-1.0]], np.float32)
    played = play(panel, actions, cash=1e5, max_shares=10.0)
    assert np.asarray(played.info["units"])[:, 0].tolist() == [10.0] * 5
    values = np.asarray(played.info["value"])
    assert (values[2:] == values[1]).all()


def test_the_observation_is_the_account_as_fractions_and_the_row_of_the_table() -> None:
    panel = panel_of([[10.0], [10.0]], [[10.0], [20.0]])
    table = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    env, params = (
        StockEnv(),
        whole(build_market(panel, table), cash=1_000.0, cost=0.0, max_shares=50),
    )
    state, first = env.reset(jax.random.key(0), params)
    assert env.observe(first.obs, params).tolist() == [0.0, 1.0, 0.0, 1.0, 2.0]
    _, second = env.step(jax.random.key(0), state, jnp.array([1.0]), params)
    # 50 shares at 10, worth 1,000 at 20: 500 cash + 1,000
    expected = [np.log(1.5), 500 / 1_500, 1_000 / 1_500, 3.0, 4.0]
    assert env.observe(second.obs, params).tolist() == pytest.approx(expected, rel=1e-6)


def test_episodes_start_at_random_rows_and_never_leave_their_span() -> None:
    env = StockEnv()
    market = build_market(random_panel(seed=9, rows=40, assets=2))
    params = eqx.tree_at(
        lambda p: (p.first, p.last, p.length),
        whole(market),
        (jnp.array(5), jnp.array(30), jnp.array(10)),
    )
    rows = jax.vmap(lambda k: env.reset(k, params)[1].obs.row)(
        jax.random.split(jax.random.key(0), 500)
    )
    assert set(np.asarray(rows).tolist()) == set(range(5, 21))


def test_staggered_episodes_end_at_different_times_and_never_late() -> None:
    env, market = StockEnv(), build_market(random_panel(seed=9, rows=40, assets=2))
    params = eqx.tree_at(lambda p: (p.length, p.stagger), whole(market), (20, 8))
    keys = jax.random.split(jax.random.key(1), 200)
    truncated = jax.jit(
        jax.vmap(lambda k: rollout(k, env, params, Script(jnp.zeros((20, 2))), 20)[1].truncated)
    )(keys)
    ends = np.argmax(np.asarray(truncated), axis=1) + 1
    assert set(ends.tolist()) == set(range(12, 21))


def test_an_episode_is_truncated_at_its_length_and_never_terminated_long_only() -> None:
    panel = random_panel(seed=10, rows=8, assets=2)
    actions = np.random.default_rng(1).uniform(-1, 1, (7, 2)).astype(np.float32)
    played = play(panel, actions)
    assert played.truncated.tolist() == [False] * 6 + [True]
    assert not played.terminated.any()


def test_actions_truncate_towards_zero_in_float32() -> None:
    panel = random_panel(seed=12, rows=3, assets=3)
    played = play(panel, np.array([[0.999, 0.29, 0.0099], [0, 0, 0]], np.float32), cash=1e6)
    assert np.asarray(played.info["order"])[0].tolist() == [99.0, 29.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_the_differential_sharpe_ratio_is_the_derivative_of_the_ratio_of_moving_moments(
    seed: int,
) -> None:
    # S(t) = A / sqrt(B - A^2) with moments moved by rate h; D = dS/dh at h = 0
    returns = np.random.default_rng(seed).normal(0.001, 0.02, 20)
    reward = DifferentialSharpe(rate=0.01)
    memory, value = reward.initial(jnp.float32(100.0)), 100.0
    mean, square = 0.0, reward.variance
    for gain in returns:

        def ratio(
            h: float, mean: float = mean, square: float = square, gain: float = gain
        ) -> float:
            a, b = mean + h * (gain - mean), square + h * (gain**2 - square)
            return a / np.sqrt(b - a * a)

        slope = (ratio(1e-6) - ratio(-1e-6)) / 2e-6
        memory, found = reward(memory, jnp.float32(value), jnp.float32(value * (1 + gain)))
        assert float(found) == pytest.approx(slope, rel=2e-3, abs=2e-3)
        mean, square = mean + 0.01 * (gain - mean), square + 0.01 * (gain**2 - square)
        value *= 1 + gain


def test_the_risk_penalty_is_the_square_of_the_return_and_vanishes_without_aversion() -> None:
    empty = jnp.zeros(0)
    before, after = jnp.float32(1_000.0), jnp.float32(1_100.0)
    assert float(RiskPenalised(1.0, aversion=2.0)(empty, before, after)[1]) == pytest.approx(90.0)
    plain = RiskPenalised(1e-4, aversion=0.0)(empty, before, after)[1]
    assert float(plain) == pytest.approx(float(ValueChange(1e-4)(empty, before, after)[1]))
