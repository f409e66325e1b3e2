"""How much a score knows of what comes: the information coefficient, with an interval.

The information coefficient is the rank correlation of a score with the return that follows
(Grinold & Kahn, 1999, chapter 6, with Spearman's ranks). Returns over a horizon overlap, so rows
are far from independent: the interval draws blocks of rows, not rows (Carlstein, 1986).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError
from steelyard.types import Floats

RESAMPLES = 1_000
FEWEST = 8
"""Blocks below which there is no interval."""


@dataclass(frozen=True)
class Coefficient:
    """A rank correlation in [-1, 1].

    Attributes:
        value: NaN where the score or the return never changes, or there are fewer than 3 rows.
        low, high: 90 % interval; NaN where the rows make fewer than 8 blocks.
        rows: that have both a score and a return.
    """

    value: float
    low: float
    high: float
    rows: int


def information_coefficient(
    score: Floats, future: Floats, *, block: int, seed: int = 0, level: float = 0.9
) -> Coefficient:
    """Rank correlation of a score with what follows.

    Ranks are taken once, over all rows; the interval resamples blocks of ranks.

    Args:
        score: (T,) known at each row; NaN = none.
        future: (T,) what comes after the row; NaN = not known.
        block: rows of a block; at least twice the horizon of `future`.
        seed: of the draws.
        level: share of the draws that the interval encloses, in (0, 1).

    Raises:
        ConfigError: shapes differ, or block or level is outside its range.
    """
    known = _known(block, level, score, future)
    drawn = _drawn(score[known], future[known], block, np.random.default_rng(seed))
    return _estimate(drawn, int(known.sum()), level)


def gained(
    score: Floats, other: Floats, future: Floats, *, block: int, seed: int = 0, level: float = 0.9
) -> Coefficient:
    """Coefficient of `score` less that of `other`, on the same rows and the same draws."""
    known = _known(block, level, score, other, future)
    one, two = (
        _drawn(values[known], future[known], block, np.random.default_rng(seed))
        for values in (score, other)
    )
    return _estimate(one - two, int(known.sum()), level)


def ranks(values: Floats) -> Floats:
    """Ranks (n,) from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2.0)[place])


def _known(block: int, level: float, *series: Floats) -> NDArray[np.bool_]:
    if len({values.shape for values in series}) != 1 or series[0].ndim != 1:
        raise ConfigError(f"scores and returns must be (T,), got {[v.shape for v in series]}")
    if block < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            f"block {block} must be at least 1, and level {level} in (0, 1)",
            hint="block=2 * horizon, level=0.9",
        )
    known: NDArray[np.bool_] = np.logical_and.reduce([np.isfinite(values) for values in series])
    return known


def _drawn(score: Floats, future: Floats, block: int, random: np.random.Generator) -> Floats:
    """The coefficient, followed by those of resampled blocks where there are enough."""
    rows = len(score)
    if rows < 3:
        return np.array([np.nan])
    x, y = (ranks(values) - (rows + 1) / 2.0 for values in (score, future))
    products = np.stack([x, y, x * y, x * x, y * y, np.ones(rows)], axis=1)
    blocks = rows // block
    totals = products.sum(axis=0)[None]
    if blocks >= FEWEST:
        pieces = products[: blocks * block].reshape(blocks, block, -1).sum(axis=1)
        times = random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES)
        totals = np.concatenate([totals, times @ pieces])
    means = totals[:, :5] / totals[:, 5:]
    spread = (means[:, 3] - means[:, 0] ** 2) * (means[:, 4] - means[:, 1] ** 2)
    spread[spread <= 1e-12 * rows**4] = np.nan  # one of them never changes
    return np.asarray((means[:, 2] - means[:, 0] * means[:, 1]) / np.sqrt(spread))


def _estimate(drawn: Floats, rows: int, level: float) -> Coefficient:
    if len(drawn) == 1 or not np.isfinite(drawn).any():
        return Coefficient(float(drawn[0]), np.nan, np.nan, rows)
    low, high = np.nanquantile(drawn[1:], [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Coefficient(float(drawn[0]), float(low), float(high), rows)
