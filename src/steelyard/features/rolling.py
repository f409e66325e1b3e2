"""Operators along time for all assets at once: what the indicators are made of.

Every operator takes (T, N) float64 without gaps and returns (T, N); row t depends on rows up to t,
to the last bit. A rolling operator has its first value where its window is full, on row n-1, and
subtracts nothing that it has added before (no running sums): a bad tick is forgotten with its
window, and small spreads on high prices keep their digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from steelyard.types import Floats

CHUNK = 2**14  # values computed at once: intermediate arrays stay in the cache


def per_asset(function: Callable[..., Floats], *inputs: Floats) -> Floats:
    """Apply `function` to the observed rows of each asset, as if the others did not exist.

    Args:
        function: gap-free (T, N) arrays -> (T, N); causal, each column from its own column alone.
        inputs: (T, N) each. A row of an asset is observed where all inputs are finite.

    Returns:
        (T, N): asset by asset the values on its observed rows taken one after the other, at their
        places; NaN where the asset is not observed and where the formula has no value (0/0).
    """
    rows, assets = inputs[0].shape
    result = np.empty((assets, rows)).T  # each asset's rows side by side in memory, as in the parts
    width = max(CHUNK // max(rows, 1), 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for start in range(0, assets, width):
            columns = slice(start, start + width)
            parts = [np.asfortranarray(values[:, columns]) for values in inputs]
            result[:, columns] = _on_observed(function, parts)
    np.copyto(result, np.nan, where=np.isinf(result))
    return result


def _on_observed(function: Callable[..., Floats], inputs: list[Floats]) -> Floats:
    observed = np.logical_and.reduce([np.isfinite(values) for values in inputs])
    if observed.all():
        return function(*inputs)
    # observed rows move to the top in their order; what is behind them is never read back
    order = np.argsort(~observed, axis=0, kind="stable")
    packed = [
        np.take_along_axis(np.where(observed, values, 1.0), order, axis=0) for values in inputs
    ]
    result = np.empty_like(packed[0])
    np.put_along_axis(result, order, function(*packed), axis=0)
    np.copyto(result, np.nan, where=~observed)
    return result


def previous(values: Floats) -> Floats:
    """The row before; row 0 is its own predecessor, so that its change is zero."""
    return np.concatenate([values[:1], values[:-1]])


def exponential_mean(values: Floats, alpha: float) -> Floats:
    """Adjusted exponential mean: weights (1-alpha)^k of the row k bars ago, divided by their sum.

    Equal to `pandas.DataFrame.ewm(alpha=alpha, adjust=True).mean()`.

    Args:
        values: (T, N).
        alpha: weight of the newest row before adjustment, in (0, 1); 2/(n+1) for a span of n.
    """
    rows = np.arange(1, len(values) + 1)[:, None]
    weight: Floats = -np.expm1(rows * math.log1p(-alpha)) / alpha
    return exponential_sum(values, alpha) / weight


def exponential_sum(values: Floats, alpha: float) -> Floats:
    """y[t] = values[t] + (1-alpha) * y[t-1] from y[-1] = 0: the mean before its division.

    Enough where two of them are divided by each other. Computed by doubling: once a row holds its
    last `width` rows, the row `width` before it holds those that come next.
    """
    total, scratch, width = np.copy(values), np.empty_like(values), 1
    while width < len(values):
        older = np.multiply(total[:-width], (1.0 - alpha) ** width, out=scratch[width:])
        total[width:] += older
        width *= 2
    return total


def rows_to_forget(alpha: float, share: float = 0.01) -> int:
    """Rows until the history before an exponential mean's first row has lost its influence.

    The adjusted mean has a value from its first row on. The share of the weight that an infinitely
    long history would have had before the last n rows is (1-alpha)^n: the smallest n that makes it
    at most `share`. Exponential indicators state this as their warm-up.
    """
    return math.ceil(math.log(share) / math.log1p(-alpha))


def rolling_sum(values: Floats, n: int) -> Floats:
    """Sum of the last n rows."""
    return at_last_row(join_to(n, _Sums(1, values)).total, values)


def rolling_mean(values: Floats, n: int) -> Floats:
    """Mean of the last n rows."""
    return at_last_row(join_to(n, _Sums(1, values)).total / n, values)


def rolling_std(values: Floats, n: int) -> Floats:
    """Sample standard deviation (ddof 1) of the last n rows, n >= 2."""
    moments = join_to(n, _Moments(1, values, np.zeros_like(values)))
    return at_last_row(np.sqrt(moments.squares / (n - 1)), values)


def rolling_deviation(values: Floats, n: int) -> Floats:
    """Mean absolute deviation of the last n rows from their own mean."""
    mean = join_to(n, _Sums(1, values)).total / n
    total, scratch = np.zeros_like(mean), np.empty_like(mean)
    for lag in range(n):
        np.subtract(values[lag : lag + len(mean)], mean, out=scratch)
        total += np.abs(scratch, out=scratch)
    return at_last_row(total / n, values)


class _Sums(NamedTuple):
    """Sums of all full windows of `size` rows: entry k belongs to rows k..k+size-1."""

    size: int
    total: Floats

    def then(self, newer: _Sums) -> _Sums:
        """Windows in which the rows of `newer` follow those of this one."""
        count = max(len(newer.total) - self.size, 0)
        return _Sums(self.size + newer.size, self.total[:count] + newer.total[self.size :])


class _Moments(NamedTuple):
    """Like `_Sums`, with the sum of squared distances from each window's own mean."""

    size: int
    total: Floats
    squares: Floats

    def then(self, newer: _Moments) -> _Moments:
        """Joined as by Chan, Golub & LeVeque (1983, eq. 2.1): only squares are added."""
        size, count = self.size + newer.size, max(len(newer.total) - self.size, 0)
        first, last = self.total[:count], newer.total[self.size :]
        gap = first * (newer.size / self.size) - last
        squares = self.squares[:count] + newer.squares[self.size :]
        squares += np.square(gap, out=gap) * (self.size / (newer.size * size))
        return _Moments(size, first + last, squares)


class Windows(Protocol):
    """What is known of all full windows of `size` rows, at the first row of each."""

    @property
    def size(self) -> int:
        """Rows in each window."""

    def then(self: AnyWindows, newer: AnyWindows) -> AnyWindows:
        """Windows in which the rows of `newer` follow those of this one."""


AnyWindows = TypeVar("AnyWindows", bound=Windows)


def join_to(n: int, single: AnyWindows) -> AnyWindows:
    """Windows of n rows from those of one row, by doubling."""
    powers = [single]
    while 2 * powers[-1].size <= n:
        powers.append(powers[-1].then(powers[-1]))
    parts = [power for power in powers if n & power.size]
    return reduce(lambda newer, older: older.then(newer), parts)


def at_last_row(full: Floats, values: Floats) -> Floats:
    """Values of full windows at the last row of each; NaN on the rows before."""
    result = np.full_like(values, np.nan)
    result[len(values) - len(full) :] = full
    return result
