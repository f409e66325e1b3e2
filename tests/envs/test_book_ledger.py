"""Walking a book and settling what it cost: properties, a slow twin, amounts worked by hand."""

from fractions import Fraction
from math import ceil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets import OPTIMISED
from steelyard.ledger import BOOK_PARTS, divide_whole, share_of, trade, walk

LEVELS = 4


def walked(order, mid, bids, asks):
    """Whole numbers: what an order costs against the mid, and whether the levels hold it."""
    cost, left, deepest = 0, abs(order), None
    for price, size in asks if order > 0 else bids:
        taken = min(left, size)
        cost += taken * abs(price - mid)
        left -= taken
        deepest = abs(price - mid) if size or deepest is None else deepest
    return cost + left * deepest, left == 0


level = st.tuples(st.integers(0, 500), st.integers(0, 10**7))
"""How much further away than the level before, and its size."""
books = st.tuples(
    st.integers(10**6, 2 * 10**7),
    st.lists(level, min_size=LEVELS, max_size=LEVELS),
    st.lists(level, min_size=LEVELS, max_size=LEVELS),
)


def sides(book):
    mid, below, above = book
    bids, asks = [], []
    for levels, side, sign in ((below, bids, -1), (above, asks, 1)):
        price = mid
        for step, size in levels:
            price += sign * step
            side.append((price, size))
    return mid, bids, asks


@jax.jit
def _walk(order, mid, book):
    return walk(order, mid, *book)


@given(book=books, order=st.integers(-(10**7), 10**7))
def test_a_walk_equals_whole_numbers_and_never_pays(book, order):
    mid, bids, asks = sides(book)
    with jax.enable_x64(True):
        columns = [[p for p, _ in bids], [p for p, _ in asks], [s for _, s in bids],
                   [s for _, s in asks]]  # fmt: skip
        arrays = [jnp.asarray(column, jnp.float64) for column in columns]
        cost, fits = _walk(jnp.float64(order), jnp.float64(mid), arrays)
        cost, fits = int(cost), bool(fits)
    assert (cost, fits) == walked(order, mid, bids, asks)
    assert cost >= 0


def test_what_the_levels_do_not_hold_pays_the_deepest_price():
    bid, ask = jnp.array([99.0, 98.0, 0.0]), jnp.array([101.0, 103.0, 9e9])
    size = jnp.array([1.0, 2.0, 0.0])
    cost, fits = walk(jnp.float32(5), jnp.float32(100), bid, ask, size, size)
    assert (float(cost), bool(fits)) == (1 + 2 * 3 + 2 * 3, False)
    cost, fits = walk(jnp.float32(-3), jnp.float32(100), bid, ask, size, size)
    assert (float(cost), bool(fits)) == (1 + 2 * 2, True)


def test_a_walk_over_no_size_at_all_pays_the_best_price():
    bid, ask, nothing = jnp.array([99.0, 98.0]), jnp.array([101.0, 103.0]), jnp.zeros(2)
    cost, fits = walk(jnp.float32(2), jnp.float32(100), bid, ask, nothing, nothing)
    assert (float(cost), bool(fits)) == (2.0, False)


def hard_amounts():
    """Amounts around the multiples where a division by a constant goes wrong."""
    random = np.random.default_rng(0)
    times = random.integers(0, 2**53 // BOOK_PARTS - 1, 2_000)
    near = times[:, None] * BOOK_PARTS + np.array([-1, 0, 1])
    return np.concatenate([np.maximum(near, 0).ravel(), random.integers(0, 2**53, 2_000)])


def test_fees_are_rounded_up_exactly_whatever_the_compiler_does_to_a_division():
    amounts = hard_amounts()
    parts = np.random.default_rng(1).integers(0, 10**6, len(amounts))
    with jax.enable_x64(True):
        values, fees = jnp.asarray(amounts, jnp.float64), jnp.asarray(parts / BOOK_PARTS)
        compiled = jax.jit(
            jax.vmap(lambda v, f: (share_of(v, f, exact=True), *divide_whole(v, BOOK_PARTS))),
            compiler_options=OPTIMISED,
        )
        share, quotient, rest = (np.asarray(one) for one in compiled(values, fees))
    for i, (amount, part) in enumerate(zip(amounts.tolist(), parts.tolist(), strict=True)):
        assert (int(quotient[i]), int(rest[i])) == divmod(amount, BOOK_PARTS)
        assert int(share[i]) == ceil(Fraction(amount * part, BOOK_PARTS))


@jax.jit
def _trade(cash, units, order, mark, depth, fee):
    return trade(cash, units, order, mark, depth, fee, exact=True)


@given(
    cash=st.integers(0, 10**13),
    units=st.integers(-1_000, 1_000),
    order=st.integers(-2_000, 2_000),
    mark=st.integers(1, 10**8),
    depth=st.integers(0, 10**9),
    parts=st.integers(0, 10**7),
)
def test_a_trade_loses_what_it_paid_and_nothing_else(cash, units, order, mark, depth, parts):
    with jax.enable_x64(True):
        done = _trade(
            *(jnp.float64(number) for number in (cash, units, order, mark, depth)),
            jnp.float64(parts / BOOK_PARTS),
        )
        after, filled, paid = (int(number) for number in done)
    held = units + filled
    assert filled in (0, order)
    assert paid >= 0
    assert after + held * mark == cash + units * mark - paid
    if abs(held) > abs(units):
        assert abs(held) * mark <= after + held * mark
    if abs(units + order) <= abs(units):
        assert filled == order


@pytest.mark.parametrize(
    ("cash", "order", "fills"),
    [(1_000, 10, True), (999, 10, False), (1_000, -10, True), (999, -10, False)],
)
def test_a_position_is_worth_no_more_than_the_account(cash, order, fills):
    done = trade(*(jnp.float32(n) for n in (cash, 0, order, 100, 0)), 0.0)
    assert bool(done.order) is fills
    free = trade(*(jnp.float32(n) for n in (cash, 0, order, 100, 0)), 0.0, collateral=False)
    assert float(free.order) == order
