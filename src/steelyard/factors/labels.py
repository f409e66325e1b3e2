"""What factors learn to foresee: moves of the price over many horizons, coded by quantiles.

With windows w_1, w_2, ... and offsets o_j = w_1 + ... + w_j, the move of horizon j at row t is

    d_j(t) = MA_{w_j}(t + o_j) / MA_5(t) - 1,

where MA_w(t) is the mean of the w prices up to row t: each horizon looks at a stretch of its own
behind the row. The label counts how many upper quantiles a move exceeds and how many lower ones it
falls short of, (mean of 1[d > q], q of `UPPER`) - (mean of 1[d < q], q of `LOWER`): a number in
[-1, 1] that no outlier can blow up. The published kit takes differences of prices and quantiles of
all rows (FinRL contest 2025, task 2); here moves are relative and quantiles are of training rows.

A label needs every price of its two means, on rows of one segment and of one span. Where one is
missing the label is NaN: it is never made from fewer rows, and never moved to another row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, DataError
from steelyard.types import Floats, Panel

UPPER = (0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99)
LOWER = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4)

Rows = tuple[int, int]
"""A span of rows: the first one and the row after the last one."""


@dataclass(frozen=True)
class Horizons:
    """How far labels look ahead.

    Attributes:
        windows: rows of the mean price of each horizon; one label and one factor each.
        base: rows of the mean price up to now that moves are measured from.
    """

    windows: tuple[int, ...] = (10, 20, 30, 60, 80, 100, 200, 400)
    base: int = 5

    def __post_init__(self) -> None:
        if not self.windows or min(*self.windows, self.base) < 1:
            raise ConfigError(
                f"horizons {self.windows} with base {self.base}: all must be at least 1 row",
                hint="Horizons(windows=(10, 20, 30), base=5)",
            )

    @property
    def offsets(self) -> tuple[int, ...]:
        """Rows from now to the last price of each horizon."""
        return tuple(int(offset) for offset in np.cumsum(self.windows))

    @property
    def longest(self) -> int:
        """Rows that a label looks ahead at most."""
        return sum(self.windows)


def price_of(panel: Panel) -> Floats:
    """The close (T,) of a panel with one asset that is observed on every row.

    Raises:
        DataError: it is not.
    """
    if len(panel.assets) != 1:
        raise DataError(
            f"factors are mined for one asset; `{panel.name}` has {len(panel.assets)}",
            hint="panel.select([NAME])",
        )
    close = panel["close"][:, 0]
    if not (np.isfinite(close) & (close > 0)).all():
        row = int(np.argmin(np.isfinite(close) & (close > 0)))
        raise DataError(f"`{panel.name}` has no price above 0 at {panel.timestamps[row]}")
    return close


def segment_of(panel: Panel) -> NDArray[np.int64]:
    """Number (T,) of the stretch without a gap that each row lies in; one where none is given."""
    if "segment" not in panel.context:
        return np.zeros(len(panel), dtype=np.int64)
    return panel["segment"].astype(np.int64)


def moves(price: Floats, segment: NDArray[np.int64], span: Rows, horizons: Horizons) -> Floats:
    """Relative moves (T, H) of every horizon; NaN outside `span` and where it leaves the span.

    Args:
        price: (T,) above 0.
        segment: (T,) see `segment_of`.
        span: rows whose prices may be used, and which have labels.
        horizons: see there.
    """
    start, stop = span
    result = np.full((len(price), len(horizons.windows)), np.nan)
    own, count = price[start:stop], stop - start
    sums = np.concatenate([[0.0], np.cumsum(own - own[0])])  # of differences: digits are kept
    for column, (window, offset) in enumerate(zip(horizons.windows, horizons.offsets, strict=True)):
        now = np.arange(horizons.base - 1, count - offset)
        first, last = start + now - horizons.base + 1, start + now + offset
        now = now[segment[first] == segment[last]]
        ahead = (sums[now + offset + 1] - sums[now + offset + 1 - window]) / window + own[0]
        here = (sums[now + 1] - sums[now + 1 - horizons.base]) / horizons.base + own[0]
        result[start + now, column] = ahead / here - 1.0
    return result


def forward_returns(price: Floats, segment: NDArray[np.int64], horizons: Horizons) -> Floats:
    """Returns (T, H) from each row to the last row of each horizon; NaN across a gap or the end."""
    result = np.full((len(price), len(horizons.offsets)), np.nan)
    for column, offset in enumerate(horizons.offsets):
        now = np.arange(max(len(price) - offset, 0))
        now = now[segment[now] == segment[now + offset]]
        result[now, column] = price[now + offset] / price[now] - 1.0
    return result


def quantiles(training: Floats) -> Floats:
    """Quantiles (H, 18) of training moves (T, H): `LOWER`, then `UPPER`.

    Raises:
        ConfigError: a horizon has no move, so that the training rows are too few.
    """
    empty = ~np.isfinite(training).any(axis=0)
    if empty.any():
        raise ConfigError(
            f"no training row has a move over horizon {int(np.argmax(empty)) + 1}: the span or its "
            "segments are shorter",
            hint="train on more rows, or on shorter windows, as --windows 10,20,30",
        )
    return np.asarray(np.nanquantile(training, [*LOWER, *UPPER], axis=0).T)


def code(values: Floats, levels: Floats) -> NDArray[np.float32]:
    """Labels (T, H) in [-1, 1] of moves, by the quantiles (H, 18) of training rows; NaN stays."""
    labels = np.full(values.shape, np.nan, dtype=np.float32)
    for column, (series, level) in enumerate(zip(values.T, levels, strict=True)):
        known = np.isfinite(series)
        lower, upper = level[: len(LOWER)], level[len(LOWER) :]
        above = np.searchsorted(upper, series[known], side="left") / len(UPPER)
        below = 1.0 - np.searchsorted(lower, series[known], side="right") / len(LOWER)
        labels[known, column] = above - below
    return labels
