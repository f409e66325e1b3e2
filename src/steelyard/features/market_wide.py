"""Features of the whole market: one series (T,) for all assets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from steelyard.features import feature
from steelyard.types import Floats, Panel

WINDOW = 252  # returns in the history of turbulence: one year of days
BLOCK = 32  # windows whose covariances are computed and held at once
SINGULAR = 1e-12  # eigenvalues below this share of the largest count as zero in a pseudo-inverse
SAFE_PIVOT = 1e-9  # smallest share of variance left by the other assets for which Cholesky is used


@feature(unit="level", warmup=0, scope="market")
def vix(panel: Panel) -> Floats:
    """Cboe volatility index at the close, in per cent per year."""
    return panel["vix"]


@feature(unit="level", warmup=WINDOW, scope="market")
def turbulence(panel: Panel) -> Floats:
    """Squared Mahalanobis distance of today's returns from the past year (Kritzman & Li, 2010).

    d_t = (y_t - mean) pinv(cov) (y_t - mean)' (their eq. 1), with y_t the simple returns of row t
    and mean and cov (ddof 1) those of the 252 rows before it (251 for the first value, as row 0
    has no return). Assets that lack a return anywhere in these 253 rows are left out of row t.
    Around the number of assets in calm markets; NaN where no asset has a full year.
    """
    return _turbulence(panel["close"])


def turbulence_as_published(panel: Panel) -> Floats:
    """`turbulence` as FinRL publishes it: the warm-up and the first two positive values are 0."""
    values = _turbulence(panel["close"])
    values[np.isnan(values)] = 0.0
    values[np.flatnonzero(values > 0.0)[:2]] = 0.0
    return values


def _turbulence(close: Floats) -> Floats:
    """(T, N) closes -> (T,), NaN where there is no value."""
    result = np.full(len(close), np.nan)
    traded = np.isfinite(close).any(axis=1)
    if not traded.any():
        return result
    first = int(np.argmax(traded))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        returns = close[first + 1 :] / close[first:-1] - 1.0
    for start, stop, window, columns in _blocks(np.isfinite(returns)):
        rows = returns[start - window : stop, columns]
        # row r of the returns belongs to row first + 1 + r of the closes
        result[first + 1 + start : first + 1 + stop] = _distances(rows, window)
    return result


def _blocks(observed: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, NDArray[np.intp]]]:
    """Runs of up to `BLOCK` rows that have the same assets: start, stop, window, their columns.

    Where a run starts depends on rows up to that start alone, so that no digit of a value depends
    on what comes later.
    """
    rows = len(observed)
    if rows < WINDOW:
        return
    missing = np.concatenate([np.zeros((1, observed.shape[1]), int), np.cumsum(~observed, axis=0)])
    ends = np.arange(WINDOW - 1, rows)
    starts = np.maximum(ends - WINDOW, 0)
    complete = missing[ends + 1] == missing[starts]
    begins = np.zeros(len(ends), dtype=bool)
    begins[0] = True  # the only window that is one return short
    begins[1::BLOCK] = True
    begins[1:] |= (complete[1:] != complete[:-1]).any(axis=1)
    edges = [*np.flatnonzero(begins).tolist(), len(ends)]
    for low, high in pairwise(edges):
        columns = np.flatnonzero(complete[low])
        if len(columns):
            start, stop = int(ends[low]), int(ends[low]) + high - low
            yield start, stop, min(WINDOW, start), columns


def _distances(rows: Floats, window: int) -> Floats:
    """Squared Mahalanobis distance of each row from the `window` rows before it.

    Args:
        rows: (window + B, N) returns without gaps, B <= `BLOCK`.
        window: rows in each history.

    Returns:
        (B,) for the last B rows.
    """
    # the rows that all windows share; how they are chosen does not depend on B
    shared = rows[BLOCK:window]
    centred = rows - shared.mean(axis=0)
    moments = _moments(np.column_stack([centred, np.ones(len(rows))]), window)
    mean = moments[:, :-1, -1] / window
    scatter = moments[:, :-1, :-1] - window * mean[:, :, None] * mean[:, None, :]
    return _quadratic_forms(scatter / (window - 1), centred[window:] - mean)


def _moments(rows: Floats, window: int) -> Floats:
    """Sum of the outer products of the `window` rows before each of the last B rows, (B, K, K).

    Built by addition only: the tail of the rows that leave + the shared rows + the head of the rows
    that enter. Sums that subtract what leaves would carry the rounding of a bad tick for ever.
    """
    count = len(rows) - window
    leaving, entering = rows[:BLOCK], rows[window:-1]
    shared = rows[BLOCK:window]
    total = np.cumsum((leaving[:, :, None] * leaving[:, None, :])[::-1], axis=0)[::-1][:count]
    total = total + shared.T @ shared
    total[1:] += np.cumsum(entering[:, :, None] * entering[:, None, :], axis=0)
    return total


def _quadratic_forms(covariance: Floats, deviation: Floats) -> Floats:
    """d pinv(C) d' for B matrices (B, N, N) and vectors (B, N); by Cholesky where C is regular."""
    count, size = deviation.shape
    bordered = np.empty((count, size + 1, size + 1))
    bordered[:, :size, :size] = covariance
    bordered[:, size, :size] = bordered[:, :size, size] = deviation
    bordered[:, size, size] = 1e300  # only has to exceed the result, so that a root exists
    try:
        factor = np.linalg.cholesky(bordered)
    except np.linalg.LinAlgError:
        if count == 1:
            return _pseudo_inverse_forms(covariance, deviation)
        # one by one: the way a window is computed must not depend on the later ones beside it
        single = [slice(row, row + 1) for row in range(count)]
        return np.concatenate([_quadratic_forms(covariance[k], deviation[k]) for k in single])
    # with C = L L', the last row of the factor is the solution z of L z = d, and d inv(C) d' = z z'
    result: Floats = np.square(factor[:, size, :size]).sum(axis=1)
    pivots = np.square(np.diagonal(factor[:, :size, :size], axis1=1, axis2=2))
    variances = np.diagonal(covariance, axis1=1, axis2=2)
    spread = variances.min(axis=1) / variances.max(axis=1)
    weak = ((pivots / variances).min(axis=1) < SAFE_PIVOT) | (spread < SAFE_PIVOT)
    if weak.any():
        result[weak] = _pseudo_inverse_forms(covariance[weak], deviation[weak])
    return result


def _pseudo_inverse_forms(covariance: Floats, deviation: Floats) -> Floats:
    inverse = np.linalg.pinv(covariance, rcond=SINGULAR, hermitian=True)
    forms: Floats = np.einsum("bi,bij,bj->b", deviation, inverse, deviation)
    return forms
