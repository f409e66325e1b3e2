"""Which basket to hold: host-side functions of the prices so far, in NumPy.

A *basket* (T, N) says how many units of each asset to hold, in proportion to each other; its scale
means nothing. Row t of every basket here uses rows up to t and nothing else.
"""

from __future__ import annotations

import hashlib
import math
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

MOST_SOLVED = 256
"""Answers of the solver that are remembered; the oldest one is forgotten first."""

_solved: dict[tuple[bytes, tuple[int, ...], float, str], Floats] = {}


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
    require_rows(first, shortest, f"the window of rows {first}..{last}")
    weights = np.zeros(mark.shape)
    for row in range(first, last + 1, every):
        seen = mark[max(row - lookback, 0) : row + 1]
        found = estimated(seen, member[row], allocate, cap)
        if found is None and row == first:
            raise too_few(seen, member[row], cap)
        weights[row : row + every] = weights[row - 1] if found is None else found
    return weights


def estimated(
    mark: Floats, member: Booleans, allocate: Allocate, cap: float = 1.0
) -> Floats | None:
    """Weights (N,) at the last of some rows; see `re_estimated`.

    Args:
        mark: (R, N) the rows of the estimate.
        member: (N,) as from `active`, at the last of them.

    Returns:
        None where too few assets are left for weights under the cap to add up to 1.
    """
    kept = _kept(mark, member)
    if kept.sum() * cap < 1:
        return None
    prices, weights = mark[:, kept], np.zeros(mark.shape[1])
    weights[kept] = allocate(prices[1:] / prices[:-1] - 1)
    return weights


def require_rows(before: int, shortest: int, what: str) -> None:
    """Refuse to estimate from fewer rows than there must be.

    Args:
        before: rows before the first decision.
        what: whose rows they are, as people call it.

    Raises:
        ConfigError: there are fewer than `shortest`.
    """
    if before < shortest:
        raise ConfigError(
            f"{what} has {before} rows before it; the first estimate needs {shortest}",
            hint=f"start the window at row {shortest} or later, or load an earlier start",
        )


def too_few(mark: Floats, member: Booleans, cap: float) -> ConfigError:
    """The error of a first estimate for which too few assets are there; see `estimated`."""
    count, rows = int(_kept(mark, member).sum()), len(mark) - 1
    enough = math.ceil(100 / count) / 100 if count else 1.0
    return ConfigError(
        f"{count} assets are observed over the {rows} rows of the first estimate; under a cap of "
        f"{cap:g} their weights cannot add up to 1",
        hint=f"--set mean_variance.cap={enough:g}" if count else "add assets, or start later",
    )


def _kept(mark: Floats, member: Booleans) -> Booleans:
    """(N,) assets of which an estimate can be made."""
    kept: Booleans = (mark > 0).all(axis=0) & member & (np.ptp(mark, axis=0) > 0)
    return kept


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
    """The solver's weights; the same question is answered from memory.

    The search for leaks prepares an agent on several futures whose past is the same.
    """
    if returns.shape[1] == 1:
        return np.ones(1)
    content = hashlib.sha256(returns.tobytes()).digest()
    asked = (content, returns.shape, cap, objective)
    weights = _solved.get(asked)
    if weights is None:
        if len(_solved) >= MOST_SOLVED:
            _solved.pop(next(iter(_solved)), None)
        weights = _solved[asked] = _solve(returns, cap, objective)
    return weights.copy()


def _solve(returns: Floats, cap: float, objective: str) -> Floats:
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
