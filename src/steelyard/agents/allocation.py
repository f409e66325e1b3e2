"""Which basket to hold: host-side functions of the prices so far, in NumPy.

A *basket* (T, N) says how many units of each asset to hold, in proportion to each other; its scale
means nothing. Row t of every basket here uses rows up to t and nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError
from steelyard.types import Floats

Booleans: TypeAlias = NDArray[np.bool_]
Prices: TypeAlias = Floats | Sequence[float]
Allocate: TypeAlias = Callable[[Floats], Floats]
"""Simple returns (R, n) -> weights (n,) that are >= 0 and add up to 1."""


def active(mark: Floats, tradable: Booleans) -> Booleans:
    """(T, N) whether an asset is listed at row t and its latest order could fill.

    Args:
        mark: price at the close, 0 before the listing.
        tradable: whether an order decided at a row fills. Row t is known only at the fill, so the
            row before it is read; an asset counts from its first close.
    """
    listed = mark > 0
    refused = np.zeros(mark.shape, bool)
    refused[1:] = listed[:-1] & ~tradable[:-1]
    return listed & ~refused


def equal_money(mark: Floats, member: Booleans) -> Floats:
    """The basket that puts the same money into every member."""
    return money_basket(mark, member.astype(np.float64))


def money_basket(mark: Floats, weights: Floats) -> Floats:
    """The basket that puts money in proportion to `weights` (T, N) at the prices `mark`."""
    return np.divide(weights, mark, out=np.zeros(mark.shape), where=mark > 0)


def price_weighted(prices: Prices, divisor: float) -> float:
    """Level of a price-weighted index: the sum of its members' prices over the divisor.

    The method of the Dow Jones averages: who holds one unit of each member holds `divisor` times
    the index.

    Args:
        prices: (n,) one per member, in quote currency.
        divisor: > 0.

    Raises:
        ConfigError: the divisor or a price is not positive.
    """
    _require_positive("divisor", divisor)
    _require_positive("price", *prices)
    return float(np.sum(prices)) / divisor


def chain_divisor(divisor: float, before: Prices, after: Prices) -> float:
    """The divisor that keeps a price-weighted index continuous when its members change.

    Args:
        divisor: until now.
        before: (n,) prices of the members until now.
        after: (m,) prices, at the same moment, of the members from now on; a split counts as a
            change of members, with the price after the split.

    Returns:
        The divisor `d` for which `price_weighted(after, d) == price_weighted(before, divisor)`.

    Raises:
        ConfigError: the divisor or a price is not positive.
    """
    _require_positive("divisor", divisor)
    _require_positive("price", *before, *after)
    return divisor * float(np.sum(after)) / float(np.sum(before))


def re_estimated(
    mark: Floats,
    member: Booleans,
    window: tuple[int, int],
    allocate: Allocate,
    *,
    every: int,
    lookback: int,
    shortest: int,
    cap: float = 1.0,
) -> Floats:
    """Weights (T, N) estimated every `every` rows of a window, each from the rows before it.

    Args:
        mark: price at the close, 0 before the listing.
        member: as from `active`. An asset that was not listed on every row of an estimate, does
            not trade at its last, or never changed its price in it, gets weight 0.
        window: first and last row, both inclusive.
        allocate: simple returns per row of the n assets left -> their weights.
        lookback: rows of returns in an estimate; fewer at the start of the data.
        shortest: fewest rows of returns that make an estimate.
        cap: largest weight of one asset. Where too few assets are left for weights under it to
            add up to 1, the weights stay as they were.

    Raises:
        ConfigError: the data start too shortly before the window, or too few assets are left for
            the first estimate.
    """
    first, last = window
    if first < shortest:
        raise ConfigError(
            f"the window of rows {first}..{last} has {first} rows before it; the first estimate "
            f"needs {shortest}",
            hint=f"start the window at row {shortest} or later, or load an earlier start",
        )
    weights = np.zeros(mark.shape)
    for row in range(first, last + 1, every):
        past = slice(max(row - lookback, 0), row + 1)
        kept = (mark[past] > 0).all(axis=0) & member[row] & (np.ptp(mark[past], axis=0) > 0)
        if kept.sum() * cap < 1 and row > first:
            weights[row : row + every] = weights[row - 1]
            continue
        if kept.sum() * cap < 1:
            raise ConfigError(
                f"at row {row} {kept.sum()} assets are observed over the {row - past.start} rows "
                f"of the estimate; under a cap of {cap:g} their weights cannot add up to 1",
                hint=f"raise the cap to {1 / max(kept.sum(), 1):.3g} or more, or add assets",
            )
        prices = mark[past][:, kept]
        weights[row : row + every, kept] = allocate(prices[1:] / prices[:-1] - 1)
    return weights


def minimum_variance(returns: Floats, cap: float = 1.0) -> Floats:
    """Long-only weights of the smallest sample variance (Markowitz, 1952).

    Args:
        returns: (R, n) simple returns.
        cap: largest weight of one asset, `n * cap >= 1`.

    Returns:
        (n,) weights in whole millionths, below which a solver's answer means nothing.
    """
    return _mean_risk(returns, cap, "MINIMIZE_RISK")


def maximum_ratio(returns: Floats, cap: float = 1.0) -> Floats:
    """Long-only weights of the largest mean return over its standard deviation (Sharpe, 1966).

    Where no portfolio under the cap has a positive mean, the largest ratio is that of the largest
    risk; the weights are then those of `minimum_variance`.
    """
    means = np.sort(returns.mean(axis=0))[::-1]
    largest = np.clip(1 - cap * np.arange(len(means)), 0, cap)
    if means @ largest <= 0:
        return minimum_variance(returns, cap)
    return _mean_risk(returns, cap, "MAXIMIZE_RATIO")


def _mean_risk(returns: Floats, cap: float, objective: str) -> Floats:
    if returns.shape[1] == 1:
        return np.ones(1)
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    model = MeanRisk(
        objective_function=ObjectiveFunction[objective],
        risk_measure=RiskMeasure.VARIANCE,
        max_weights=cap,
    )
    with warnings.catch_warnings():
        # more assets than rows: the library takes the nearest positive definite matrix
        warnings.filterwarnings("ignore", message="The covariance matrix is not positive definite")
        # in percent, because the tolerances of a solver are absolute
        weights = np.asarray(model.fit(100 * returns).weights_, dtype=np.float64)
    rounded = np.round(weights, 6)
    return np.asarray(rounded / rounded.sum())


def _require_positive(what: str, *values: float) -> None:
    for value in values:
        if not value > 0:
            raise ConfigError(f"a {what} of a price-weighted index must be positive, got {value}")
