"""One pass through an order book on the exact ledger, told as a `Backtest`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.envs.book_rules import THIN
from steelyard.envs.book_settings import decision_rows
from steelyard.envs.orderbook import BookParams, OrderBookEnv
from steelyard.evaluation.backtest import (
    Recorded,
    closed_trades,
    one_pass,
    solvent_rows,
    with_the_broker,
)
from steelyard.evaluation.results import Backtest
from steelyard.rollout import Policy, Transition
from steelyard.types import EquityCurve, Floats


def book_backtest(
    env: OrderBookEnv,
    params: BookParams,
    policy: Policy | Recorded,
    timestamps: NDArray[np.datetime64],
    *,
    seed: int = 0,
    periods_per_year: float,
    deterministic: bool = True,
) -> Backtest:
    """Trade the rows of `params` once; see `backtest`, also for what becomes of a ruined account.

    The curve has a point where the pass starts and one after every decision, valued at the mid.
    `gated` tells decisions at which a rule closed the position or kept an order from filling.

    Args:
        params: one pass, as `book_window` makes it, over an exact market.
        timestamps: of every row of that market.
        periods_per_year: decisions per year.

    Raises:
        ConfigError: the market is not exact.
    """
    steps = one_pass(env, params, policy, int(params.length), seed, deterministic=deterministic)
    return _describe(steps, params, timestamps, periods_per_year)


def clock_of(params: BookParams) -> NDArray[np.int64]:
    """(decisions + 1,) rows on which the account of one pass is valued."""
    return decision_rows(
        params.market,
        int(params.first),
        int(params.last),
        int(params.step_gap),
        int(params.delay),
    )


def _describe(
    steps: Transition,
    params: BookParams,
    timestamps: NDArray[np.datetime64],
    periods_per_year: float,
) -> Backtest:
    """Everything that follows from what the environment told of every step."""
    told = {name: np.asarray(values) for name, values in steps.info.items()}
    rows, market, solvent = clock_of(params), params.market, solvent_rows(steps)
    made = solvent[:-1]
    value = np.append(float(params.cash), told["value"])
    cash = np.where(solvent, np.append(float(params.cash), told["cash"]), value)
    held = np.vstack([np.zeros((1, 1)), told["units"]])
    mark = np.asarray(market.mark)[rows, None] * float(market.lots) / float(market.money)
    order = told["order"]
    price = _net_price(order, told["traded"], told["paid"])
    trades = closed_trades(*with_the_broker(solvent, order, price, held, mark))
    invested = (value - cash)[:, None]
    return Backtest(
        curve=EquityCurve(timestamps[rows], value, periods_per_year, trades),
        actions=np.asarray(steps.action, np.float32)[:, None],
        units=np.where(solvent[:, None], held, 0.0),
        cash=cash,
        traded=np.where(made, told["traded"], 0.0),
        costs=np.where(made, told["paid"], 0.0),
        weights=invested / np.where(value > 0, value, 1.0)[:, None],
        gated=(told["rule"] >= THIN) & made,
    )


def _net_price(order: Floats, traded: Floats, paid: Floats) -> Floats:
    """(T, 1) what one unit took or brought, costs included; 1 where nothing filled."""
    size = np.abs(order[:, 0])
    taken = traded + np.sign(order[:, 0]) * paid
    return np.divide(taken, size, out=np.ones_like(size), where=size > 0)[:, None]
