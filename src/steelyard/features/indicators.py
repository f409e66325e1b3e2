"""Technical indicators of one asset's own prices, all assets at once.

The definitions are those that the FinRL contests publish (FinRL with stockstats up to 0.5.4), in
double precision, without their fills: what is not defined is NaN. Windows of n rows state n-1 rows
of warm-up. Exponential means have no last row; their warm-up is the number of rows after which at
most one per cent of the weight of an infinitely long history is missing (`rows_to_forget`).

A price that has never moved has no relative strength, no channel index and no direction: 0/0, NaN.
"""

from __future__ import annotations

import numpy as np

from steelyard.features import feature
from steelyard.features.rolling import (
    exponential_mean,
    exponential_sum,
    per_asset,
    previous,
    rolling_deviation,
    rolling_mean,
    rolling_std,
    rolling_sum,
    rows_to_forget,
)
from steelyard.types import Floats, Panel


@feature(unit="ratio", warmup=1)
def return_1(panel: Panel) -> Floats:
    """Log return since the asset's last observed bar: log(close / previous close)."""
    return per_asset(lambda close: np.log(close / previous(close)), panel["close"])


@feature(unit="price_change", warmup=rows_to_forget(2 / 27) - 1)
def macd(panel: Panel) -> Floats:
    """Moving average convergence divergence: exponential means of 12 and of 26 rows, difference.

    EMA_12(close) - EMA_26(close), spans as in Appel (2005), adjusted weights; no signal line.
    """
    return per_asset(
        lambda close: exponential_mean(close, 2 / 13) - exponential_mean(close, 2 / 27),
        panel["close"],
    )


@feature(unit="price", warmup=19)
def boll_ub(panel: Panel) -> Floats:
    """Upper Bollinger band: mean + 2 sample standard deviations of 20 closes (Bollinger, 2001)."""
    return per_asset(lambda close: _bollinger_band(close, 2.0), panel["close"])


@feature(unit="price", warmup=19)
def boll_lb(panel: Panel) -> Floats:
    """Lower Bollinger band: mean - 2 sample standard deviations of 20 closes (Bollinger, 2001)."""
    return per_asset(lambda close: _bollinger_band(close, -2.0), panel["close"])


@feature(unit="percent", warmup=rows_to_forget(1 / 30))
def rsi_30(panel: Panel) -> Floats:
    """Relative strength index: share of rises in all movement, 0..100 (Wilder, 1978).

    100 U / (U + D) with U and D the smoothed means (alpha = 1/30) of rises and of falls.
    """
    return per_asset(_relative_strength, panel["close"])


@feature(unit="level", warmup=29)
def cci_30(panel: Panel) -> Floats:
    """Commodity channel index: distance of the typical price from its mean (Lambert, 1980).

    (P - mean P) / (0.015 mean |P - mean P|) over 30 rows with P = (high + low + close) / 3.
    """
    return per_asset(_commodity_channel, panel["high"], panel["low"], panel["close"])


@feature(unit="percent", warmup=rows_to_forget(2 / 31))
def dx_30(panel: Panel) -> Floats:
    """Directional movement index: strength of a trend either way, 0..100 (after Wilder, 1978).

    100 |P - M| / (P + M) with P and M the exponential means (span 30) of upward and of downward
    movement. Both would be divided by the same average true range, which cancels. stockstats from
    0.6 on smooths with alpha = 1/30 as Wilder did and differs by up to 30 points.
    """
    return per_asset(_directional_movement, panel["high"], panel["low"], panel["close"])


@feature(unit="price", warmup=29)
def close_30_sma(panel: Panel) -> Floats:
    """Mean of the last 30 closes."""
    return per_asset(lambda close: rolling_mean(close, 30), panel["close"])


@feature(unit="price", warmup=59)
def close_60_sma(panel: Panel) -> Floats:
    """Mean of the last 60 closes."""
    return per_asset(lambda close: rolling_mean(close, 60), panel["close"])


def _bollinger_band(close: Floats, deviations: float) -> Floats:
    return rolling_mean(close, 20) + deviations * rolling_std(close, 20)


def _relative_strength(close: Floats) -> Floats:
    change = close - previous(close)
    rise, movement = np.maximum(change, 0.0), np.abs(change)
    return 100.0 * exponential_sum(rise, 1 / 30) / exponential_sum(movement, 1 / 30)


def _commodity_channel(high: Floats, low: Floats, close: Floats) -> Floats:
    price = (high + low + close) / 3.0
    index = (price - rolling_mean(price, 30)) / (0.015 * rolling_deviation(price, 30))
    # the mean of equal prices may differ from them in the last digit: what never moved is 0/0
    path = rolling_sum(np.abs(price - previous(price)), 29)
    return np.where(path > 0.0, index, np.nan)


def _directional_movement(high: Floats, low: Floats, close: Floats) -> Floats:
    del close  # read so that a row counts only where the whole bar is observed
    rise = np.maximum(high - previous(high), 0.0)
    fall = np.maximum(previous(low) - low, 0.0)
    upward, downward = np.where(rise > fall, rise, 0.0), np.where(fall > rise, fall, 0.0)
    plus, minus = exponential_sum(upward, 2 / 31), exponential_sum(downward, 2 / 31)
    return 100.0 * np.abs(plus - minus) / (plus + minus)
