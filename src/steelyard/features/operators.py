"""The operators of formulaic alphas (Kakushadze, 2016, appendix A.2), along time and across assets.

An operator along time takes (T, N) and a window of d rows, the newest included; row t depends on
rows up to t, to the last bit. An operator across assets takes and returns (T, N). No running sum
of floats is ever subtracted from, so a bad tick is forgotten with its window.

**No value.** Nothing is filled. What picks or averages leaves out what has no value: across assets
those assets, along time (`ts_rank`, `ts_min`, `ts_max`, `ts_argmin`, `ts_argmax`, `decay_linear`)
those rows, as long as two rows of the window have one. What adds or compares (`ts_sum`, `product`,
`stddev`, `correlation`, `delta`) has no value where one of its rows has none. A rank needs the
value that is ranked.

**Ties.** Ranks, extremes and comparisons decide by order, so that the last digit of a float could
decide for them: 0.1 + 0.3 and 0.2 + 0.2, or two moves by one tick, are equal on paper only.
Therefore values within 4e-9 of their size (`TIE`) are equal where order decides, a difference below
2^-42 of what is subtracted is 0, and correlations are rounded to 2^-36.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.features.rolling import at_last_row, join_to, rolling_mean, rolling_std, rolling_sum
from steelyard.features.windows import TIE, Best, CoMoments, Products, Weighted
from steelyard.types import Floats

ALONE = 10
"""Rows over which `rank` and `scale` go where there is no cross-section."""

_ROUNDING = 2.0**-42  # a difference below this share of its terms
_ROUNDER = 1.5 * 2.0**16  # adding and subtracting it rounds a small number to 2^-36
_CONSTANT = 1e-13  # a standard deviation below this share of the mean is rounding


def finite(values: Floats) -> Floats:
    """NaN in place of infinities: what a formula divides by zero has no value."""
    np.copyto(values, np.nan, where=np.isinf(values))
    return values


def less(one: Floats | float, other: Floats | float) -> Floats:
    """1 where `one` < `other`, else 0; NaN where either is."""
    smaller = np.asarray(one < _below(other), dtype=np.float64)
    np.copyto(smaller, np.nan, where=np.isnan(one) | np.isnan(other))
    return smaller


def either(one: Floats, other: Floats) -> Floats:
    """1 where one of two conditions holds, else 0; NaN where either is."""
    return np.maximum(one, other)


def where(condition: Floats, chosen: Floats | float, otherwise: Floats | float) -> Floats:
    """`chosen` where the condition holds, `otherwise` where not; NaN where it is unknown."""
    picked: Floats = np.where(condition > 0.0, chosen, otherwise)
    np.copyto(picked, np.nan, where=np.isnan(condition))
    return picked


def signed_power(values: Floats, exponent: Floats | float) -> Floats:
    """sign(x) |x|^a. The paper writes x^a; the name says that the sign stays."""
    return np.sign(values) * power(np.abs(values), exponent)


def subtract(one: Floats | float, other: Floats | float) -> Floats:
    """x - y; 0 where they differ by rounding alone."""
    result = np.asarray(np.subtract(one, other))
    np.copyto(result, 0.0, where=np.abs(result) <= _ROUNDING * np.abs(one))
    return result


@np.errstate(all="ignore")
def divide(one: Floats | float, other: Floats | float) -> Floats:
    """x / y; NaN where y is 0."""
    return finite(np.asarray(np.divide(one, other)))


@np.errstate(all="ignore")
def power(values: Floats, exponent: Floats | float) -> Floats:
    """x^a; NaN where it is not real or not finite, and where the exponent has no value."""
    result = finite(np.asarray(np.power(values, exponent)))
    np.copyto(result, np.nan, where=np.isnan(values) | np.isnan(exponent))  # 1^NaN, NaN^0
    return result


@np.errstate(all="ignore")
def log(values: Floats) -> Floats:
    """Natural logarithm; NaN at 0 and below."""
    return finite(np.log(values))


def delay(values: Floats, d: int) -> Floats:
    """The value d rows ago."""
    result = np.full_like(values, np.nan)
    result[d:] = values[: max(len(values) - d, 0)]
    return result


def delta(values: Floats, d: int) -> Floats:
    """The value less the one d rows ago."""
    return subtract(values, delay(values, d))


def ts_sum(values: Floats, d: int) -> Floats:
    """Sum of the last d rows."""
    return rolling_sum(values, d)


def mean(values: Floats, d: int) -> Floats:
    """Mean of the last d rows."""
    return rolling_mean(values, d)


def stddev(values: Floats, d: int) -> Floats:
    """Sample standard deviation (ddof 1) of the last d rows; 0 where they are all equal."""
    result = rolling_std(values, d)
    constant = result <= _CONSTANT * np.abs(rolling_mean(values, d))
    np.copyto(result, 0.0, where=constant)
    return result


def ts_max(values: Floats, d: int) -> Floats:
    """Largest of the last d rows."""
    return _largest(values, d)


def ts_min(values: Floats, d: int) -> Floats:
    """Smallest of the last d rows."""
    return -_largest(-values, d)


def ts_argmax(values: Floats, d: int) -> Floats:
    """Where in the window its largest value stands, 1 = the oldest row, d = now; first of equals.

    The paper says "which day ts_max(x, d) occurred on"; days are counted forward.
    """
    filled = np.where(np.isnan(values), np.finfo(np.float64).min, values)
    best = join_to(d, Best(1, filled, np.ones_like(filled)))
    return at_last_row(_known(best.position, values, d), values)


def ts_argmin(values: Floats, d: int) -> Floats:
    """Where in the window its smallest value stands, as `ts_argmax`."""
    return ts_argmax(-values, d)


def ts_rank(values: Floats, d: int) -> Floats:
    """Rank of the newest of the last d rows among them, in (0, 1]; equals share their mean rank."""
    newest = values[d - 1 :]
    lowest, highest = _below(newest), -_below(-newest)
    twice = np.full(newest.shape, 2, dtype=np.int16)  # twice the mean rank of equals
    for lag in range(1, d):
        older = values[d - 1 - lag : max(len(values) - lag, 0)]
        twice += older < lowest
        twice += older <= highest
    ranks: Floats = twice / (2.0 * np.maximum(_seen(values, d), 1))
    np.copyto(ranks, np.nan, where=np.isnan(newest))
    return at_last_row(_known(ranks, values, d), values)


def product(values: Floats, d: int) -> Floats:
    """Product of the last d rows."""
    return at_last_row(join_to(d, Products(1, values)).product, values)


@np.errstate(all="ignore")
def decay_linear(values: Floats, d: int) -> Floats:
    """Mean of the last d rows with weights d (now), d - 1, ..., 1, divided by their sum."""
    known = ~np.isnan(values)
    if known.all():
        weighted = join_to(d, Weighted(1, values, values)).weighted
        return at_last_row(weighted / (d * (d + 1) / 2), values)
    filled, weight = np.where(known, values, 0.0), known.astype(np.float64)
    weighted = join_to(d, Weighted(1, filled, filled)).weighted
    weighted /= join_to(d, Weighted(1, weight, weight)).weighted
    return at_last_row(_known(weighted, values, d), values)


@np.errstate(all="ignore")
def correlation(one: Floats, other: Floats, d: int) -> Floats:
    """Pearson correlation of the last d rows; NaN where one of the two does not move in them."""
    window, still = _moving_together(one, other, d)
    result = window.both / (np.sqrt(window.ones) * np.sqrt(window.others))
    result = (np.clip(result, -1.0, 1.0) + _ROUNDER) - _ROUNDER
    np.copyto(result, np.nan, where=still)
    return at_last_row(result, one)


def covariance(one: Floats, other: Floats, d: int) -> Floats:
    """Sample covariance (ddof 1) of the last d rows; 0 where one of the two does not move."""
    window, still = _moving_together(one, other, d)
    size = np.sqrt(window.ones) * np.sqrt(window.others)
    still |= np.abs(window.both) <= _ROUNDING * size
    result = window.both / (d - 1)
    np.copyto(result, 0.0, where=still)
    return at_last_row(result, one)


def rank(values: Floats) -> Floats:
    """Rank among the assets of a row, in (0, 1]; equals share their mean rank."""
    order = np.argsort(values, axis=1, kind="stable")  # NaN last
    ascending = np.take_along_axis(values, order, axis=1)
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    begins = np.ones(values.shape, dtype=bool)
    begins[:, 1:] = ~(ascending[:, :-1] >= _below(ascending[:, 1:]))
    ends = np.ones(values.shape, dtype=bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    last = np.where(ends, place, values.shape[1])[:, ::-1]
    last = np.minimum.accumulate(last, axis=1)[:, ::-1]
    known = ~np.isnan(ascending)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    ranks = np.where(known, (first + last + 2) / (2.0 * count), np.nan)
    result = np.empty_like(ranks)
    np.put_along_axis(result, order, ranks, axis=1)
    return result


@np.errstate(all="ignore")
def scale(values: Floats) -> Floats:
    """x over the sum of |x| across the assets of a row."""
    total = np.nansum(np.abs(values), axis=1, keepdims=True)
    return divide(values, np.broadcast_to(total, values.shape))


def neutralize(values: Floats, groups: Floats | None = None) -> Floats:
    """x less the mean of its group on that row.

    Args:
        values: (T, N).
        groups: (T, N) code of the group of each asset, NaN = no group (and no value); None for one
            group of all.
    """
    codes = np.zeros_like(values) if groups is None else groups
    result = np.full_like(values, np.nan)
    for code in np.unique(codes[np.isfinite(codes)]):
        member = (codes == code) & np.isfinite(values)
        count = np.maximum(member.sum(axis=1, keepdims=True), 1)
        centre = np.where(member, values, 0.0).sum(axis=1, keepdims=True) / count
        np.copyto(result, values - centre, where=member)
    return result


def rank_alone(values: Floats) -> Floats:
    """`rank` without a cross-section: the rank of the newest of the last 10 rows among them."""
    return ts_rank(values, ALONE)


def scale_alone(values: Floats) -> Floats:
    """`scale` without a cross-section: x over the sum of |x| over the last 10 rows."""
    total = rolling_sum(np.where(np.isnan(values), 0.0, np.abs(values)), ALONE)
    _known(total[ALONE - 1 :], values, ALONE)
    return divide(values, total)


def _moving_together(one: Floats, other: Floats, d: int) -> tuple[CoMoments, NDArray[np.bool_]]:
    """Moments of two series over full windows, and where one of the two does not move."""
    zero = np.zeros_like(one)
    window = join_to(d, CoMoments(1, one, other, zero, zero, zero))
    small = _CONSTANT**2 / d
    still = window.ones <= small * np.square(window.one)
    still |= window.others <= small * np.square(window.other)
    return window, still


def _below(values: Floats | float) -> Floats:
    """The lowest number that counts as equal to each value."""
    return np.asarray(values - TIE * np.abs(values))


def _largest(values: Floats, d: int) -> Floats:
    """Largest value of the last d rows, from two windows that overlap."""
    full, size = np.where(np.isnan(values), -np.inf, values), 1
    while size < d:
        step = min(size, d - size)
        full = np.maximum(full[: max(len(full) - step, 0)], full[step:])
        size += step
    return at_last_row(_known(full, values, d), values)


def _known(full: Floats, values: Floats, d: int) -> Floats:
    """Results of full windows, NaN where fewer than two rows of a window have a value."""
    np.copyto(full, np.nan, where=_seen(values, d) < min(2, d))
    return full


def _seen(values: Floats, d: int) -> NDArray[np.intp]:
    """Rows with a value in every full window of d rows."""
    count = np.zeros((len(values) + 1, *values.shape[1:]), dtype=np.intp)
    np.cumsum(~np.isnan(values), axis=0, out=count[1:])
    return count[d:] - count[: max(len(count) - d, 0)]
