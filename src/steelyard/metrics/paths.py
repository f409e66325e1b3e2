"""What every metric starts from: checked curves, their returns, and division that stays finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from steelyard.errors import DataError
from steelyard.types import EquityCurve, Floats

RESOLUTION = 1e-13
"""Returns and spreads of at most this size are rounding of float64, not movement."""

LIMIT = 1e6
"""No ratio and no annual return is larger; a gain without any loss to divide by has this value."""

LARGEST = 1e100
"""Money beyond this is a mistake, and its squares would overflow."""


@dataclass(frozen=True)
class Paths(EquityCurve):
    """A batch of curves (B, T), checked, on which metrics share what they have in common.

    A curve is closed at its first row with nothing left (a value of at most `RESOLUTION` of the
    starting capital, or a debt): a bust account cannot trade its way back, so later rows count as
    that row. A curve of one row is one bar on which nothing moved.

    Attributes:
        value: (B, T) float64, of size below 1e100, first column positive.
        trades: (B, K) realised profits, NaN where a curve has fewer; None where not known.
    """

    @classmethod
    def of(cls, curve: EquityCurve) -> Paths:
        """Check `curve` (T,) or (B, T); a `Paths` is returned as it is.

        Raises:
            DataError: no rows, more than two axes, a value that is not finite, a starting capital
                or number of bars per year that is not positive, trades of another batch.
        """
        if isinstance(curve, Paths):
            return curve
        value = np.atleast_2d(np.asarray(curve.value, dtype=np.float64))
        if value.ndim != 2 or value.shape[1] == 0:
            raise DataError(
                f"an equity curve has shape (T,) or (B, T) with T >= 1, not {np.shape(curve.value)}"
            )
        extremes = np.array([value.min(), value.max()])
        if not (np.abs(extremes) < LARGEST).all():
            raise DataError(
                f"an equity curve holds a value that is not a sum of money: {extremes}",
                hint="mark halted assets at their last price; drop rows before the first one",
            )
        if not (value[:, 0] > 1 / LARGEST).all():
            raise DataError(
                f"an equity curve starts with capital {value[:, 0].min():g}, not above zero"
            )
        if not 0 < curve.periods_per_year < math.inf:
            raise DataError(f"periods_per_year is {curve.periods_per_year:g}, not above zero")
        trades = _trades(curve, len(value))
        return cls(curve.timestamps, _closed(value), curve.periods_per_year, trades)

    def take(self, start: int, stop: int) -> Paths:
        """The curves `start` to `stop` (exclusive) of the batch."""
        trades = None if self.trades is None else self.trades[start:stop]
        return Paths(self.timestamps, self.value[start:stop], self.periods_per_year, trades)

    @property
    def bars(self) -> int:
        """Returns per curve: T - 1, and 1 where T is 1."""
        return max(int(self.value.shape[1]) - 1, 1)

    @cached_property
    def returns(self) -> Floats:
        """(B, bars) simple returns per bar; 0 on every bar after a ruin."""
        if self.value.shape[1] == 1:
            return np.zeros_like(self.value)
        before = self.value[:, :-1]
        if (self.value[:, -1] == 0).any():
            gone = before == 0  # and so is the row after it
            return np.where(gone, 0.0, self.value[:, 1:] / np.where(gone, 1.0, before) - 1.0)
        returns = self.value[:, 1:] / before
        returns -= 1.0
        return returns

    @cached_property
    def growth(self) -> Floats:
        """(B,) final value over starting capital; zero or less after a ruin."""
        return np.asarray(self.value[:, -1] / self.value[:, 0])

    @cached_property
    def mean(self) -> Floats:
        """(B,) arithmetic mean of the returns."""
        return np.asarray(self.returns.mean(axis=1))

    @cached_property
    def squares(self) -> Floats:
        """(B,) sum of squared deviations of the returns from their mean."""
        deviation = self.returns - self.mean[:, None]
        return np.asarray(np.einsum("bt,bt->b", deviation, deviation))

    def spread(self, ddof: int) -> Floats:
        """(B,) standard deviation of the returns; 0 where there are not more than `ddof`."""
        if self.bars <= ddof:
            return np.zeros(len(self.value))
        return np.asarray(np.sqrt(self.squares / (self.bars - ddof)))

    @cached_property
    def drawdown(self) -> Floats:
        """(B,) lowest value over the peak before it, minus 1; the starting capital is a peak."""
        peak = np.maximum.accumulate(self.value, axis=1)
        np.divide(self.value, peak, out=peak)
        return np.asarray(peak.min(axis=1) - 1.0)

    def per_bar(self, annual_rate: float) -> float:
        """The rate per bar that compounds to `annual_rate` over a year.

        Raises:
            DataError: the annual rate is not a finite number above -1.
        """
        if not -1 < annual_rate < math.inf:
            raise DataError(f"an annual rate is a fraction above -1, not {annual_rate}")
        return math.expm1(math.log1p(annual_rate) / self.periods_per_year)


def ratio(gain: Floats, risk: Floats, *, unseen: float = LIMIT) -> Floats:
    """`gain / risk` (B,), finite whatever comes and cut at +-`LIMIT`.

    Args:
        gain: what was earned, of either sign.
        risk: what it is divided by; at most `RESOLUTION` means that no risk was seen.
        unseen: the value of a positive gain where no risk was seen. Without a gain it is 0: doing
            nothing wins nothing.
    """
    seen = risk > RESOLUTION
    quotient = np.clip(gain / np.where(seen, risk, 1.0), -LIMIT, LIMIT)
    return np.where(seen, quotient, np.where(gain > RESOLUTION, unseen, 0.0))


def _closed(value: Floats) -> Floats:
    """`value` (B, T) with the rows after a ruin held at the first row of it."""
    floor = RESOLUTION * value[:, 0]
    ruined = np.flatnonzero(value.min(axis=1) <= floor)
    if len(ruined) == 0:
        return value
    value = value.copy()
    for row in ruined:
        first = int(np.argmax(value[row] <= floor[row]))
        value[row, first:] = value[row, first]
    return value


def _trades(curve: EquityCurve, curves: int) -> Floats | None:
    """The closed trades of the batch as (B, K), or None."""
    if curve.trades is None:
        return None
    trades = np.atleast_2d(np.asarray(curve.trades, dtype=np.float64))
    if trades.ndim != 2 or len(trades) != curves:
        raise DataError(
            f"trades have shape {np.shape(curve.trades)}, for {curves} curves",
            hint="give (K,) for one curve, (B, K) padded with NaN for a batch",
        )
    return trades
