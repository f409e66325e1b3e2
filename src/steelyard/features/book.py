"""Features of an order book: the eight that the winner of FinRL AlphaSeek 2025 names.

The report names them and gives no formulas ("imbalance", "noise-to-signal", ...). Where a formula
has a source it is cited; where not, it says that it is our reading. Prices and sizes are those of
a book panel (`data.books`); mid is its `close`. Windows count rows: 60 are a minute of seconds.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from steelyard.features import feature
from steelyard.features.operators import subtract
from steelyard.features.rolling import per_asset, previous, rolling_sum
from steelyard.types import Floats, Panel

FLOW = 10
"""Rows over which the flow of orders at the best prices is added up."""

WINDOW = 60
"""Rows of all other windows."""


@feature(unit="ratio", warmup=0)
def imbalance(panel: Panel) -> Floats:
    """Size on the bid side less the ask side, over both; -1 to 1, all levels.

    (sum of bid sizes - sum of ask sizes) / (sum of both), as Cartea, Jaimungal & Penalva (2015,
    section 10.4) over more than the best level. A level that is not there holds nothing.
    """
    bid, ask = (_total(panel, f"{side}_size", absent=0.0) for side in ("bid", "ask"))
    return per_asset(lambda bid, ask, _: (bid - ask) / (bid + ask), bid, ask, panel["close"])


@feature(unit="ratio", warmup=0)
def spread_liquidity(panel: Panel) -> Floats:
    """Quoted spread over the mid: what a round trip of a small order costs.

    (best ask - best bid) / mid, the usual measure of illiquidity (Amihud & Mendelson, 1986).
    """
    return per_asset(
        lambda bid, ask, mid: (ask - bid) / mid, panel["bid_1"], panel["ask_1"], panel["close"]
    )


@feature(unit="ratio", warmup=FLOW)
def order_flow_imbalance(panel: Panel) -> Floats:
    """Net size that came to the best bid or left the best ask in 10 rows, over the mean size there.

    The sum of e_n of Cont, Kukanov & Stoikov (2014, eq. 1-2) over 10 changes: a bid that rises
    counts with its new size, one that falls with the old size lost, one that stays with the change;
    asks the other way. Divided by the mean size at a best price in these rows (their depth).
    """
    names = ("bid_1", "bid_size_1", "ask_1", "ask_size_1")
    return per_asset(_order_flow, *(panel[name] for name in names), panel["close"])


@feature(unit="ratio", warmup=WINDOW)
def price_impact(panel: Panel) -> Floats:
    """Log return of the mid per typical traded value on one side, over 60 rows.

    Slope through the origin of log returns on signed value (buys - sells), as Kyle's lambda is
    estimated (Hasbrouck, 2007, section 7.2), times the mean value traded per row in the window, so
    that it has no currency. Our reading of "trade price impact". NaN where nothing was traded.
    """
    return per_asset(_price_impact, panel["close"], panel["buys"], panel["sells"])


@feature(unit="ratio", warmup=WINDOW - 1)
def market_to_limit(panel: Panel) -> Floats:
    """Value of market orders over value of limit orders in 60 rows, all levels of both sides.

    Our reading of "market-to-limit ratio". NaN where no limit order came.
    """
    market = _total(panel, "bid_market") + _total(panel, "ask_market")
    limit = _total(panel, "bid_limit") + _total(panel, "ask_limit")
    return per_asset(
        lambda market, limit, _: rolling_sum(market, WINDOW) / rolling_sum(limit, WINDOW),
        market,
        limit,
        panel["close"],
    )


@feature(unit="ratio", warmup=WINDOW)
def intraday_volatility(panel: Panel) -> Floats:
    """Realised volatility of the mid over 60 rows: root of the sum of squared log returns.

    Andersen & Bollerslev (1998); not annualised.
    """
    return per_asset(
        lambda mid: np.sqrt(rolling_sum(np.square(_log_change(mid)), WINDOW)), panel["close"]
    )


@feature(unit="ratio", warmup=WINDOW)
def momentum(panel: Panel) -> Floats:
    """Log return of the mid over 60 rows."""
    return per_asset(lambda mid: _change(np.log(mid)), panel["close"])


@feature(unit="ratio", warmup=WINDOW)
def noise_to_signal(panel: Panel) -> Floats:
    """Share of the path of the mid over 60 rows that led nowhere; 0 to 1.

    1 - |change over 60 rows| / sum of |changes of one row|: one less Kaufman's (1995) efficiency
    ratio. Our reading of "noise-to-signal", bounded where the mid comes back to where it was. NaN
    where it never moved.
    """
    return per_asset(_noise, panel["close"])


def _total(panel: Panel, name: str, absent: float = np.nan) -> Floats:
    """Sum of a field over all levels; level 1 must be there, `absent` counts for others."""
    values, level = [panel[f"{name}_1"]], 2
    while f"{name}_{level}" in panel.fields:
        values.append(np.nan_to_num(panel[f"{name}_{level}"], nan=absent))
        level += 1
    return reduce(np.add, values)


def _order_flow(
    bid: Floats, bid_size: Floats, ask: Floats, ask_size: Floats, mid: Floats
) -> Floats:
    del mid  # read so that a row counts only where the book is observed
    bid_before, ask_before = previous(bid), previous(ask)
    came = np.where(bid >= bid_before, bid_size, 0.0) - np.where(ask <= ask_before, ask_size, 0.0)
    left = np.where(bid <= bid_before, previous(bid_size), 0.0)
    left -= np.where(ask >= ask_before, previous(ask_size), 0.0)
    depth = (bid_size + ask_size) / 2.0
    return rolling_sum(came - left, FLOW) / (rolling_sum(depth, FLOW) / FLOW)


def _price_impact(mid: Floats, buys: Floats, sells: Floats) -> Floats:
    signed, traded = buys - sells, buys + sells
    slope = rolling_sum(_log_change(mid) * signed, WINDOW) / rolling_sum(np.square(signed), WINDOW)
    return slope * rolling_sum(traded, WINDOW) / WINDOW


def _noise(mid: Floats) -> Floats:
    path = rolling_sum(np.abs(subtract(mid, previous(mid))), WINDOW)
    return np.maximum(1.0 - np.abs(_change(mid)) / path, 0.0)


def _log_change(values: Floats) -> Floats:
    logs = np.log(values)
    return logs - previous(logs)


def _change(values: Floats) -> Floats:
    """Change over the window; NaN before it is full."""
    result = np.full_like(values, np.nan)
    result[WINDOW:] = subtract(values[WINDOW:], values[: max(len(values) - WINDOW, 0)])
    return result
