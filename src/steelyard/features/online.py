"""Price predictions of online portfolio selection, as ratios to the close.

What a price is compared with before one asset is preferred to another: the highest, the lowest, the
mean and the exponential mean of its last six closes (Li & Hoi, 2014, "Online portfolio selection: a
survey", section 3.3). Each is divided by the close, so that it says by how much the price would
change if it went there, and does not depend on the scale of the price.

These are the families of features between which PPO-Switch chooses (`agents.switch`); a fifth one,
the price itself, is `log_close`, which every table of observations has.
"""

from __future__ import annotations

import numpy as np

from steelyard.features import feature
from steelyard.features.rolling import per_asset, rolling_mean
from steelyard.types import Floats, Panel

WINDOW = 6
"""Closes that count, the newest included."""

BETA = 2 / 7
"""Weight of the newest close in the exponential mean."""


@feature(unit="ratio", warmup=WINDOW - 1)
def price_max_6(panel: Panel) -> Floats:
    """Highest of the last 6 closes over the close, minus 1; 0 or above."""
    return per_asset(lambda close: _highest(close) / close - 1.0, panel["close"])


@feature(unit="ratio", warmup=WINDOW - 1)
def price_min_6(panel: Panel) -> Floats:
    """Lowest of the last 6 closes over the close, minus 1; 0 or below."""
    return per_asset(lambda close: -_highest(-close) / close - 1.0, panel["close"])


@feature(unit="ratio", warmup=WINDOW - 1)
def price_mean_6(panel: Panel) -> Floats:
    """Mean of the last 6 closes over the close, minus 1 (Li & Hoi, 2012, eq. 1)."""
    return per_asset(lambda close: rolling_mean(close, WINDOW) / close - 1.0, panel["close"])


@feature(unit="ratio", warmup=WINDOW - 1)
def price_ema_6(panel: Panel) -> Floats:
    """Exponential mean of the last 6 closes over the close, minus 1.

    The close k bars ago has weight b (1 - b)^k with b = 2/7. The weights are divided by their sum,
    0.867, so that a price that stands still has the value 0; a network sees no difference.
    """
    return per_asset(lambda close: _exponential(close) / close - 1.0, panel["close"])


def _highest(close: Floats) -> Floats:
    """Maximum of full windows, NaN before the first."""
    result = np.full_like(close, np.nan)
    count = max(len(close) - WINDOW + 1, 0)
    if count:
        result[WINDOW - 1 :] = np.maximum.reduce([close[k : k + count] for k in range(WINDOW)])
    return result


def _exponential(close: Floats) -> Floats:
    """Weighted mean of full windows, NaN before the first."""
    result = np.full_like(close, np.nan)
    count = max(len(close) - WINDOW + 1, 0)
    if count:
        weights = BETA * (1.0 - BETA) ** np.arange(WINDOW)
        weights /= weights.sum()
        newest = WINDOW - 1
        lagged = [w * close[newest - k : newest - k + count] for k, w in enumerate(weights)]
        result[newest:] = np.add.reduce(lagged)
    return result
