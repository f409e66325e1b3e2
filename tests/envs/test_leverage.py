"""A leverage limit is that of one account: whoever is vectorised beside it changes no order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.envs.constraints import Limits, limit_order
from steelyard.lanes import batch_last
from steelyard.ledger import Account

MANY, ASSETS = 12, 4


def drawn(seed: int) -> tuple[Any, ...]:
    """Orders, accounts and prices in whole numbers, whose sums are exact in any order."""
    random = np.random.default_rng(seed)
    units, order = random.integers(-50, 51, (2, MANY, ASSETS)).astype(np.float32)
    cash = random.integers(0, 5_000, MANY).astype(np.float32)
    ask = random.integers(1, 100, (MANY, ASSETS)).astype(np.float32)
    value = cash + (units * ask).sum(axis=1)
    closed = random.random(MANY) < 0.2
    return order, Account(cash, units), np.abs(value), ask, closed


@batch_last
def limited(order: Any, account: Account, value: Any, ask: Any, closed: Any, limits: Any) -> Any:
    return limit_order(order, account, value, ask, limits, closed=closed)


def by_hand(order: Any, units: Any, value: Any, ask: Any, leverage: float) -> list[float]:
    """One account, asset by asset: exposure that is there or shrinks passes, the rest shares."""
    after = units + order
    adds = abs(after) > abs(units)
    kept = sum(p * abs(u if add else a) for p, u, a, add in zip(ask, units, after, adds))
    added = sum(p * (abs(a) - abs(u)) for p, u, a, add in zip(ask, units, after, adds) if add)
    room = max(leverage * value - kept, 0.0)
    share = min(1.0, np.float32(room) / np.float32(max(added, 1e-9)))
    return [float(np.trunc(o * np.float32(share))) if add else o for o, add in zip(order, adds)]


def careless(order: Any, units: Any, value: Any, ask: Any, leverage: float) -> Any:
    """The planted failure: sums over all accounts, as if they were one."""
    after = np.abs(units + order)
    adds = after > np.abs(units)
    kept = np.where(adds, np.abs(units), after) * ask
    added = np.where(adds, after - np.abs(units), 0) * ask
    room = np.maximum(leverage * value - kept.sum(), 0)
    share = np.minimum(1, room / max(added.sum(), 1e-9))
    return np.where(adds, np.trunc(order * share[:, None]), order)


@given(seed=st.integers(0, 10_000), leverage=st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_a_leverage_limit_cuts_every_account_as_if_it_were_alone(
    seed: int, leverage: float
) -> None:
    limits = Limits(leverage=leverage)
    given_ = drawn(seed)
    together = jax.vmap(lambda *one: limited(*one, limits))(*given_)
    alone = [
        limited(*jax.tree.map(lambda leaf, n=number: jnp.asarray(leaf[n]), given_), limits)
        for number in range(MANY)
    ]
    np.testing.assert_array_equal(together, np.stack(alone))
    order, account, value, ask, _ = given_
    rows = zip(order, account.units, value, ask)
    np.testing.assert_array_equal(together, [by_hand(*row, leverage) for row in rows])


def test_the_accounts_here_tell_a_sum_over_all_of_them_apart() -> None:
    order, account, value, ask, _ = drawn(0)
    one = careless(order, account.units, value, ask, 2.0)
    assert (one != limit_order_of_each(2.0)).any()


def limit_order_of_each(leverage: float) -> Any:
    given_ = drawn(0)
    return np.asarray(jax.vmap(lambda *one: limited(*one, Limits(leverage=leverage)))(*given_))


@pytest.mark.parametrize("limits", [Limits(leverage=1.5), Limits(leverage=1.5, max_weight=0.3)])
def test_a_gate_closes_its_own_account_only(limits: Limits) -> None:
    order, account, value, ask, closed = drawn(3)
    assert closed.any()
    assert not closed.all()
    gated = Limits(gates={"vix": 1.0}, leverage=limits.leverage, max_weight=limits.max_weight)
    cut = jax.vmap(lambda *one: limited(*one, gated))(order, account, value, ask, closed)
    open_ = jax.vmap(lambda *one: limited(*one, limits))(order, account, value, ask, closed)
    np.testing.assert_array_equal(cut, np.where(closed[:, None], -account.units, open_))
