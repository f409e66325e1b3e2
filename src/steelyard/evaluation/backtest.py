"""One pass over a window on the exact ledger, and what people want to know about it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.agents.distributions import Deterministic
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ConfigError
from steelyard.evaluation.results import Backtest
from steelyard.ledger import MONEY, net_prices
from steelyard.rollout import Act, Env, Params, Policy, Transition, scored_pass
from steelyard.types import EquityCurve, Floats


def backtest(
    env: StockEnv,
    params: StockParams,
    policy: Policy | Recorded,
    timestamps: NDArray[np.datetime64],
    *,
    seed: int = 0,
    periods_per_year: float = 252.0,
    deterministic: bool = True,
) -> Backtest:
    """Trade the window of `params` once, up to its end or the account's.

    A ruined account, worth nothing or less at a close, is closed by the broker at that close's
    mark, without a commission. From that row on it holds no units, its cash is its value, which
    does not move again, and it does not trade.

    Args:
        params: one episode over the rows `first`..`last` of an exact market.
        timestamps: of every row of that market.
        seed: of what is drawn.
        deterministic: always trade the most likely action of `policy`; only policies that draw in
            spite of that (`random`) need a seed then.

    Raises:
        ConfigError: the market is not exact; a score must not depend on rounding.
    """
    first, last = int(params.first), int(params.last)
    steps = one_pass(env, params, policy, last - first, seed, deterministic=deterministic)
    with jax.enable_x64(True):
        return _describe(steps, params, timestamps[first : last + 1], periods_per_year)


def one_pass(
    env: Env,
    params: Params,
    policy: Policy | Recorded,
    length: int,
    seed: int,
    *,
    deterministic: bool,
) -> Transition:
    """The `length` steps of one pass over an exact market; see `scored_pass`.

    Raises:
        ConfigError: the market is not exact.
    """
    require_exact(params.market)
    with jax.enable_x64(True):
        arrays = eqx.tree_at(
            lambda p: (p.first, p.last, p.length),
            params,
            tuple(jnp.asarray(n, jnp.int32) for n in (params.first, params.last, length)),
        )
        return _run(jax.random.key(seed), env, arrays, policy, length, deterministic)


@eqx.filter_jit
def _run(
    key: PRNGKeyArray, env: Env, params: Params, policy: Any, length: int, deterministic: bool
) -> Transition:
    return scored_pass(key, env, params, policy, length, sample=not deterministic)


def require_exact(market: Any) -> None:
    """A score must not depend on rounding.

    Raises:
        ConfigError: the market is not exact.
    """
    if not market.exact:
        raise ConfigError(
            "a backtest runs on the exact ledger",
            hint='build the market with precision="exact"',
        )


class Recorded(eqx.Module):
    """A policy that repeats recorded actions: how a bundle is scored again.

    Attributes:
        actions: (T-1, N) float32 actions, one per step of the episode; N = 1 for numbered choices.
    """

    actions: Float[Array, "T N"]

    def initial_carry(self) -> Int[Array, ""]:
        """The step to repeat."""
        return jnp.zeros((), jnp.int32)

    def bind(self, env: Env, params: Params) -> Act:
        """Actions do not depend on the observation."""
        actions: Array = self.actions
        if env.action_space(params).choices:
            actions = self.actions[:, 0].astype(jnp.int32)
        return lambda obs, step: (Deterministic(actions[step]), step + 1)


def _describe(
    steps: Transition,
    params: StockParams,
    timestamps: NDArray[np.datetime64],
    periods_per_year: float,
) -> Backtest:
    """Everything that follows from the accounts of an exact pass, in float64 on the host."""
    first, last = int(params.first), int(params.last)
    market, solvent = params.market, solvent_rows(steps)
    held = np.vstack([np.zeros(market.assets), np.asarray(steps.info["units"])])
    units = np.where(solvent[:, None], held, 0.0)
    value = np.append(float(params.cash), np.asarray(steps.info["value"]))
    cash = np.append(float(params.cash), np.asarray(steps.info["cash"]))
    mark, bid, ask = (
        np.asarray(prices)[first : last + 1] / MONEY
        for prices in (market.mark, market.bid, market.ask)
    )
    fills = np.diff(held, axis=0)
    price = np.where(fills < 0, bid[:-1], ask[:-1])
    traded = np.abs(fills) * price
    proceeds, paid = (
        np.asarray(side) / MONEY
        for side in net_prices(market.bid, market.ask, params.cost, exact=True)
    )
    net = np.where(fills < 0, proceeds[first:last], paid[first:last])
    trades = closed_trades(*with_the_broker(solvent, fills, net, held, mark))
    return Backtest(
        curve=EquityCurve(timestamps, value, periods_per_year, trades),
        actions=np.asarray(steps.action, np.float32),
        units=units,
        cash=np.where(solvent, cash, value),
        traded=traded.sum(axis=1),
        costs=np.abs(fills * (net - price)).sum(axis=1),
        weights=units * mark / np.where(value > 0, value, 1.0)[:, None],
        gated=np.asarray(steps.info["gated"]) & solvent[:-1],
    )


def solvent_rows(steps: Transition) -> NDArray[np.bool_]:
    """(T,) rows of a scored pass on which the account lives; step t was made if row t is one."""
    return np.append(True, ~np.asarray(steps.terminated))


def with_the_broker(
    solvent: NDArray[np.bool_], fills: Floats, price: Floats, held: Floats, mark: Floats
) -> tuple[Floats, Floats]:
    """Fills (F, N) and their prices up to a ruin, and behind them what the broker closed.

    Args:
        solvent: (T,) see `solvent_rows`.
        fills, price: (T-1, N) as `closed_trades` takes them.
        held, mark: (T, N) units before the broker came, and their prices.
    """
    if solvent.all():
        return fills, price
    ruin = int(np.argmin(solvent))
    closing = slice(ruin, ruin + 1)
    return np.vstack([fills[:ruin], -held[closing]]), np.vstack([price[:ruin], mark[closing]])


def closed_trades(fills: Floats, price: Floats) -> Floats:
    """Realised profit of every sale against the average cost of what was held, after costs.

    Args:
        fills: (T, N) whole units, + bought and - sold.
        price: (T, N) what one unit took or brought, commission included.

    Returns:
        (K,) profits in quote currency, in the order of time and then asset. For short positions a
        buy closes; a fill through zero closes the old position and opens the new one.
    """
    held, average = np.zeros(fills.shape[1]), np.zeros(fills.shape[1])
    profits = []
    for fill, unit_price in zip(fills, price, strict=True):
        closing = np.where(fill * held < 0, np.minimum(np.abs(fill), np.abs(held)), 0.0)
        gain = closing * np.sign(held) * (unit_price - average)
        profits.append(gain[closing > 0])
        left = held - np.sign(held) * closing
        opened = np.sign(fill) * (np.abs(fill) - closing)
        held = left + opened
        basis = np.abs(left) * average + np.abs(opened) * unit_price
        average = np.divide(basis, np.abs(held), out=np.zeros_like(basis), where=held != 0)
    return np.concatenate(profits) if profits else np.zeros(0)
