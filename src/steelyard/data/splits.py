"""Splits that a source forgot to adjust for.

A split shows as an overnight ratio near a small whole number, on a day that is quiet otherwise. A
crash can come near such a ratio too, but not quietly: far more shares change hands, for far more
money, and the price swings within the day.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.types import Floats, Panel

FACTORS = (1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 100)
"""New shares for an old one, or old ones for a new one."""

_BARS = ("open", "high", "low", "close")
_WINDOW = 20  # rows before and after that say what is usual
_NEAR = 0.05  # largest distance of the log ratio from that of a factor
_LIVELY = 2.5  # multiple of the usual volume, or range, from which a day is not quiet


def unadjusted_splits(panel: Panel) -> NDArray[np.bool_]:
    """(T, N) whether the bar looks like the first after a split that prices were not adjusted for.

    Three signs must come together: open over the previous close lies within 5 % of a factor or of
    its inverse; the range from low to high is at most 2.5 times what is usual in the 20 rows before
    and after; and volume is at most 2.5 times the usual, in shares or in money (a split alone
    changes one of the two). A panel without volume, such as an index level, has no splits.
    """
    flagged = np.zeros((len(panel), len(panel.assets)), dtype=bool)
    if not all(name in panel.fields for name in (*_BARS, "volume")):
        return flagged
    for column in range(len(panel.assets)):
        bars = {name: panel[name][:, column] for name in (*_BARS, "volume")}
        rows = np.flatnonzero(np.all([bars[name] > 0 for name in _BARS], axis=0))
        bars = {name: values[rows] for name, values in bars.items()}
        for row in _candidates(bars["open"], bars["close"]):
            flagged[rows[row], column] = _quiet(row, bars)
    return flagged


def _candidates(opened: Floats, close: Floats) -> NDArray[np.int64]:
    """Rows whose open over the previous close is near a factor."""
    ratio = np.abs(np.log(opened[1:] / close[:-1]))
    distance = np.abs(ratio[:, None] - np.log(FACTORS))
    return np.flatnonzero((distance <= _NEAR).any(axis=1)) + 1


def _quiet(row: int, bars: dict[str, Floats]) -> bool:
    """Whether range and turnover of a row are like those around it."""
    window = slice(max(0, row - _WINDOW), row + _WINDOW + 1)
    here = min(row, _WINDOW)
    spread = np.log(bars["high"][window] / bars["low"][window])
    shares = bars["volume"][window]
    money = shares * bars["close"][window]
    spread_usual, shares_usual, money_usual = (
        float(np.median(np.delete(values, here))) for values in (spread, shares, money)
    )
    if spread[here] > _LIVELY * spread_usual:
        return False
    return bool(shares[here] <= _LIVELY * shares_usual or money[here] <= _LIVELY * money_usual)
