"""Small markets, and one pass of an agent of the house over them."""

import equinox as eqx
import jax
import numpy as np

from book_markets import random_books
from steelyard.book import build_book
from steelyard.envs.orderbook import OrderBookEnv, book_window
from steelyard.envs.stock import StockEnv, StockParams, whole_window
from steelyard.market import build_market
from steelyard.rollout import rollout
from steelyard.types import Panel

KEY = jax.random.key(0)
ENV = StockEnv()
BOOK = OrderBookEnv()


def panel(close, opened=None):
    close = np.asarray(close, dtype=np.float64)
    opened = close if opened is None else np.asarray(opened, dtype=np.float64)
    days = np.arange(len(close)) + np.datetime64("2020-01-01")
    names = tuple(f"A{i}" for i in range(close.shape[1]))
    return Panel(days, names, {"open": opened, "close": close})


def window(close, *, first=0, max_shares=1e6, cost=0.0, cash=1e6, **market):
    built = build_market(panel(close), **{"fill": "same_close", **market})
    last = len(close) - 1
    return StockParams(
        built,
        first=first,
        last=last,
        length=last - first,
        cash=cash,
        cost=cost,
        max_shares=max_shares,
    )


@eqx.filter_jit
def play_policy(policy, params, steps):
    return rollout(KEY, ENV, params, policy, steps, sample=False)[1]


def play(agent, params, steps=None):
    """Units held after each step of one pass, and the transitions."""
    policy, log = agent.prepare(KEY, ENV, params)
    assert log == {}
    lived = play_policy(policy, params, params.last - params.first if steps is None else steps)
    return np.asarray(lived.info["units"]), lived


def walk(rows, assets, seed=0, drift=0.0):
    random = np.random.default_rng(seed)
    return 50 * np.exp(np.cumsum(random.normal(drift, 0.02, (rows, assets)), axis=0))


def eventful_panel():
    """24 assets over 118 rows; one lists late, one is halted for a day, one for good."""
    close = walk(118, 24)
    opened = close * np.exp(np.random.default_rng(1).normal(0, 0.01, close.shape))
    close[:90, 3] = opened[:90, 3] = np.nan
    close[95, 5] = opened[95, 5] = np.nan
    close[100:, 7] = opened[100:, 7] = np.nan
    return panel(close, opened)


def eventful(precision="float32", last=117):
    """The window from row 70 to `last` of these assets, with five columns and a gauge."""
    random = np.random.default_rng(2)
    table = random.normal(size=(118, 5)).astype(np.float32)
    gauges = {"vix": random.normal(20, 5, 118)}
    market = build_market(eventful_panel(), table, gauges, first=70, precision=precision)
    return whole_window(market, 70, last, cash=1e6, cost=1e-3)


def books(rows=90):
    """A window of a small order book; one number is observed of each row."""
    panel = random_books(3, rows=rows)
    table = np.random.default_rng(4).normal(size=(rows, 1)).astype(np.float32)
    return book_window(build_book(panel, table), 5, rows - 20, taker_fee=1e-4)
