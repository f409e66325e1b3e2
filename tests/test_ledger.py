import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integer_ledger import IntegerLedger, replay
from markets import play, random_panel
from steelyard.ledger import (
    MONEY,
    TICK_MONEY,
    Account,
    equity,
    execute,
    fill_buys,
    largest_order,
)


def greedy(wanted: list[int], price: list[int], cash: int) -> list[int]:
    bought = [0] * len(wanted)
    for i in sorted(range(len(wanted)), key=lambda i: (-wanted[i], i)):
        bought[i] = min(wanted[i], cash // price[i])
        cash -= bought[i] * price[i]
    return bought


@pytest.mark.parametrize("assets", [1, 2, 3, 8, 29, 30, 100])
def test_buys_fill_in_order_of_size_and_ties_in_asset_order(assets: int) -> None:
    rng = np.random.default_rng(assets)
    wanted = rng.integers(0, 12, (40, assets))  # few sizes: many ties
    price = rng.integers(10_000, 5_000_000, (40, assets)) * TICK_MONEY
    cash = (rng.uniform(0, 1.5, 40) * (wanted * price).sum(1)).astype(np.int64)
    with jax.enable_x64(True):
        bought, left = jax.jit(jax.vmap(fill_buys))(
            *(jnp.asarray(v, jnp.float64) for v in (wanted, price, cash))
        )
    expected = [
        greedy(w.tolist(), p.tolist(), int(c)) for w, p, c in zip(wanted, price, cash, strict=True)
    ]
    assert np.asarray(bought).astype(int).tolist() == expected
    np.testing.assert_array_equal(left, cash - (np.asarray(bought) * price).sum(1))


def test_an_order_of_the_largest_size_still_fills_exactly() -> None:
    most = largest_order(3, np.float32)
    bought, _ = fill_buys(
        jnp.array([1.0, most, most - 1.0]), jnp.array([1.0, 1.0, 1.0]), jnp.array(2.0 * most)
    )
    assert bought.tolist() == [1.0, most, most - 1.0]


def test_one_buy_worked_by_hand() -> None:
    # 1,000.00 at 0.1 %: a share at 33.00 takes 33.033, so 30 fit and 9.01 are left
    with jax.enable_x64(True):
        price = jnp.array([330_000.0 * TICK_MONEY])
        account = Account(jnp.float64(1_000.0 * MONEY), jnp.zeros(1))
        after = execute(
            account, jnp.array([100.0]), price, price, jnp.array([True]), 1e-3, exact=True
        )
    assert after.units.tolist() == [30.0]
    assert float(after.cash) / MONEY == pytest.approx(9.01, abs=1e-12)


def test_a_commission_below_the_smallest_amount_is_rounded_up() -> None:
    # 0.0001 at 1 ppm is 1e-10; the ledger charges its smallest amount, 1e-7
    with jax.enable_x64(True):
        price = jnp.array([1.0 * TICK_MONEY])
        account = Account(jnp.float64(1e7), jnp.zeros(1))
        after = execute(
            account, jnp.array([1.0]), price, price, jnp.array([True]), 1e-6, exact=True
        )
    assert float(after.cash) == 1e7 - 1_000 - 1


def episodes(count: int, seed: int, rows: int, assets: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.2, 1.2, (count, rows - 1, assets)).astype(np.float32)


@pytest.mark.parametrize(("cost", "parts"), [(1e-3, 1_000), (2.5e-4, 250), (0.0, 0)])
def test_the_exact_ledger_equals_big_integers_over_1000_random_episodes(
    cost: float, parts: int
) -> None:
    count = 1_000 if parts == 1_000 else 100
    panel = random_panel(seed=parts, rows=40, assets=5)
    actions = episodes(1_000, seed=1, rows=40, assets=5)
    played = play(panel, actions, cost=cost, cash=20_000.0, max_shares=60.0, optimised=True)
    opens, closes = (np.round(panel[name] * 10_000).astype(np.int64) for name in ("open", "close"))
    tradable = np.ones((40, 5), bool)
    for episode in range(count):
        history = replay(
            actions[episode],
            opens,
            closes,
            tradable,
            cash=20_000 * 10**7,
            parts=parts,
            max_shares=60,
        )
        for name, position in (("cash", 0), ("units", 1), ("value", 2)):
            money = 1.0 if name == "units" else MONEY
            ours = np.asarray(played.info[name])[episode]
            expected = np.array([row[position] for row in history], dtype=np.float64) / money
            assert np.array_equal(ours, expected), (episode, name)


def test_the_exact_ledger_gives_the_same_bits_in_every_batch_size() -> None:
    panel = random_panel(seed=7, rows=40, assets=5)
    actions = episodes(4_096, seed=2, rows=40, assets=5)
    settings = {"cash": 30_000.0, "cost": 1e-3, "max_shares": 60.0, "optimised": True}
    whole_batch = play(panel, actions, **settings)
    for size in (1, 1_000):
        part = play(panel, actions[:size], **settings)
        for name in ("cash", "units", "value"):
            assert np.array_equal(part.info[name], whole_batch.info[name][:size]), (size, name)


def test_float32_and_float64_markets_agree_while_no_share_count_flips() -> None:
    panel = random_panel(seed=3, rows=50, assets=4)
    actions = episodes(64, seed=4, rows=50, assets=4) * 0.2
    settings = {"cash": 1e6, "cost": 1e-3}
    single = play(panel, actions, "float32", **settings)
    double = play(panel, actions, "float64", **settings)
    same = np.all(np.asarray(single.info["units"]) == np.asarray(double.info["units"]), axis=(1, 2))
    assert same.mean() > 0.5
    relative = np.asarray(single.info["value"])[same] / np.asarray(double.info["value"])[same] - 1
    assert np.abs(relative).max() < 1e-5


money = st.integers(0, 10**12)
ticks = st.integers(1, 5_000_000)


@given(
    cash=money,
    price=st.lists(ticks, min_size=3, max_size=3),
    held=st.lists(st.integers(0, 1_000), min_size=3, max_size=3),
    order=st.lists(st.integers(-2_000, 2_000), min_size=3, max_size=3),
    parts=st.integers(0, 50_000),
)
def test_trading_never_creates_money_nor_debt(
    cash: int, price: list[int], held: list[int], order: list[int], parts: int
) -> None:
    with jax.enable_x64(True):
        prices = jnp.asarray(price, jnp.float64) * TICK_MONEY
        before = Account(jnp.float64(cash), jnp.asarray(held, jnp.float64))
        after = _execute(before, jnp.asarray(order, jnp.float64), prices, parts / 1e6)
        gain = float(equity(after, prices)) - float(equity(before, prices))
        units, left = np.asarray(after.units), float(after.cash)
    assert left >= 0
    assert (units >= 0).all()
    assert gain <= 0
    if parts == 0:
        assert gain == 0
    twin = IntegerLedger(cash, 3, parts)
    twin.units = list(held)
    twin.execute(order, price, [True] * 3)
    assert (left, units.astype(int).tolist()) == (twin.cash, twin.units)


@jax.jit
def _execute(account: Account, order: jax.Array, price: jax.Array, cost: jax.Array) -> Account:
    return execute(account, order, price, price, jnp.ones(3, bool), cost, exact=True)


def test_nothing_fills_where_trading_is_halted() -> None:
    account = Account(jnp.float32(1_000), jnp.array([5.0, 5.0]))
    price = jnp.array([10.0, 10.0])
    after = execute(account, jnp.array([-5.0, 3.0]), price, price, jnp.array([False, True]), 0.0)
    assert after.units.tolist() == [5.0, 8.0]


def test_a_spread_is_paid_on_both_sides() -> None:
    panel = random_panel(seed=5, rows=4, assets=1)
    actions = np.array([[1.0], [-1.0], [0.0]], np.float32)
    free, wide = (play(panel, actions, cost=0.0, max_shares=10.0, spread=s) for s in (0.0, 0.02))
    opens = panel["open"][:, 0]
    paid = 10 * (opens[1] + opens[2]) * 0.01
    lost = float(free.info["cash"][-1] - wide.info["cash"][-1])
    assert lost == pytest.approx(paid, rel=1e-4)
