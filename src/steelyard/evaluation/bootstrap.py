"""The stationary bootstrap: bars drawn again in blocks, so that time keeps its memory.

Politis and Romano (1994); the mean block length is chosen from the data by Politis and White (2004)
as corrected by Patton, Politis and White (2009).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError
from steelyard.evaluation.results import Estimate
from steelyard.metrics.paths import RESOLUTION, Paths
from steelyard.types import EquityCurve, Floats

Indices = NDArray[np.int64]

DRAWS = 1 << 21
"""Resampled bars held in memory at a time."""


def block_length(returns: Floats) -> float:
    """Mean block length in bars for the stationary bootstrap of a series (n,), at least 1.

    The automatic choice of Politis and White (2004) as corrected by Patton, Politis and White
    (2009), for the returns and for their squares: volatility clusters where returns do not, and the
    longer of the two keeps both. 1 (independent bars) for fewer than 10 bars or a series that never
    moves; at most 3 sqrt(n) and a third of the series.
    """
    if len(returns) < 10 or np.ptp(returns) <= RESOLUTION:
        return 1.0
    from arch.bootstrap import optimal_block_length

    scaled = (returns - returns.mean()) / returns.std()
    with np.errstate(divide="ignore", invalid="ignore"):  # squares that are all the same
        table = optimal_block_length(np.column_stack([scaled, scaled**2]))
    lengths = table["stationary"].to_numpy(dtype=np.float64)
    return float(np.max(lengths, where=np.isfinite(lengths), initial=1.0))


def stationary_indices(
    rng: np.random.Generator, bars: int, block: float, resamples: int
) -> Indices:
    """Rows to draw, (resamples, bars), each in [0, bars): Politis and Romano (1994), section 2.

    Every draw either goes on to the next row (the last is followed by the first) or, with
    probability `1 / block`, jumps to a row drawn uniformly.
    """
    jump = rng.random((resamples, bars)) < 1.0 / block
    jump[:, 0] = True
    at = np.flatnonzero(jump)
    target = rng.integers(0, bars, size=len(at))
    lengths = np.diff(at, append=jump.size)
    rows = np.repeat(target - at % bars, lengths).reshape(resamples, bars)
    return np.asarray((rows + np.arange(bars)) % bars)


def resampled_bars(series: Floats, resamples: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Resampled rows of `series` (n,), in pieces (R, n) that together have `resamples` rows."""
    return resampled_rows(len(series), block_length(series), resamples, rng)


def resampled_rows(
    bars: int, block: float, resamples: int, rng: np.random.Generator
) -> Iterator[Indices]:
    """Rows to draw of a series of `bars`, in pieces (R, bars) that together have `resamples`."""
    step = max(1, DRAWS // bars)
    for start in range(0, resamples, step):
        yield stationary_indices(rng, bars, block, min(step, resamples - start))


def redrawn(path: Paths, bars: Indices, rng: np.random.Generator) -> Paths:
    """The batch of curves (R, T) made of the `bars` (R, n) of one path (1, T).

    Closed trades, where known, are drawn beside them, independently.
    """
    returns = path.returns[0]
    value = np.empty((len(bars), len(returns) + 1))
    value[:, 0] = path.value[0, 0]
    np.cumprod(1.0 + returns[bars], axis=1, out=value[:, 1:])
    value[:, 1:] *= path.value[0, 0]
    trades = None
    if path.trades is not None:
        closed = path.trades[0][np.isfinite(path.trades[0])]
        pick = rng.integers(0, max(len(closed), 1), size=(len(bars), len(closed)))
        trades = closed[pick] if len(closed) else np.empty((len(bars), 0))
    return Paths.of(EquityCurve(path.timestamps, value, path.periods_per_year, trades))


def require_shares(level: float, resamples: int) -> None:
    """Refuse a level or a number of resamples that makes no interval.

    Raises:
        ConfigError: level is not in (0, 1), or there is no resample.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is a share in (0, 1), not {level}", hint="level=0.9 is 90 %")
    if resamples < 1:
        raise ConfigError(f"resamples must be at least 1, not {resamples}")


def estimate(points: Floats, drawn: Floats, level: float) -> Estimate:
    """The median of `points` (S,) with the quantiles of `drawn` (R,) that enclose `level`."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(float(np.median(points)), float(low), float(high))
