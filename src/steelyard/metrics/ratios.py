"""What was earned for what was risked.

A ratio is 0 where nothing moved, `LIMIT` where a gain has no loss to be divided by, and never
infinite. The two Sharpe ratios are 0 where the returns have no spread: a spread that the sample
does not show is not a risk of zero.
"""

from __future__ import annotations

import math

import numpy as np

from steelyard.errors import ConfigError
from steelyard.metrics.growth import annual_return
from steelyard.metrics.paths import RESOLUTION, Paths, ratio
from steelyard.metrics.room import metric
from steelyard.types import Floats


@metric(
    better="higher",
    unit="per sqrt(year)",
    formula="sqrt(P) * (mean(r) - f) / std(r)",
    ddof=1,
    source="Sharpe (1994)",
    note="f: rate per bar that compounds to the annual risk_free",
)
def sharpe_ratio(curve: Paths, risk_free: float = 0.0) -> Floats:
    """Annualised mean excess return over its standard deviation (Sharpe, 1994).

    A curve that never moves has ratio 0, not infinity: doing nothing wins nothing.

    Args:
        curve: the curves.
        risk_free: annual rate as a fraction.
    """
    excess = math.sqrt(curve.periods_per_year) * (curve.mean - curve.per_bar(risk_free))
    return ratio(excess, curve.spread(ddof=1), unseen=0.0)


@metric(
    better="higher",
    unit="per sqrt(bar)",
    formula="mean(r) / std(r)",
    ddof=0,
    note="not annualised; the convention of the published index rows",
)
def daily_sharpe_ratio(curve: Paths) -> Floats:
    """Mean return over its population standard deviation, per bar: per day on daily curves."""
    return ratio(curve.mean, curve.spread(ddof=0), unseen=0.0)


@metric(
    better="higher",
    unit="per sqrt(year)",
    formula="sqrt(P) * mean(r - m) / sqrt(mean(min(r - m, 0) ** 2))",
    source="Sortino and van der Meer (1991)",
    note="m: rate per bar that compounds to the annual target; every bar counts in the mean",
)
def sortino_ratio(curve: Paths, target: float = 0.0) -> Floats:
    """Annualised mean return over a target, per downside deviation below that target.

    Args:
        curve: the curves.
        target: annual rate as a fraction.
    """
    per_bar = curve.per_bar(target)
    shortfall = np.minimum(curve.returns - per_bar, 0.0)
    deviation = np.sqrt(np.einsum("bt,bt->b", shortfall, shortfall) / curve.bars)
    return ratio(math.sqrt(curve.periods_per_year) * (curve.mean - per_bar), deviation)


@metric(better="higher", unit="ratio", formula="cumulative_return / |max_drawdown|")
def romad(curve: Paths) -> Floats:
    """Return over maximum drawdown; the sign is that of the return."""
    return ratio(curve.growth - 1.0, -curve.drawdown)


@metric(
    better="higher",
    unit="per year",
    formula="(annual_return - risk_free) / |max_drawdown|",
    source="Young (1991)",
)
def calmar_ratio(curve: Paths, risk_free: float = 0.0) -> Floats:
    """Annual return over the risk-free rate, per maximum drawdown of the whole curve.

    Args:
        curve: the curves.
        risk_free: annual rate as a fraction.
    """
    return ratio(annual_return(curve) - risk_free, -curve.drawdown)


@metric(
    better="higher",
    unit="ratio",
    formula="sum(max(r - m, 0)) / sum(max(m - r, 0))",
    source="Keating and Shadwick (2002)",
    note="m: rate per bar that compounds to the annual threshold",
)
def omega_ratio(curve: Paths, threshold: float = 0.0) -> Floats:
    """Sum of the returns above a threshold over the sum of those below it.

    Args:
        curve: the curves.
        threshold: annual rate as a fraction.
    """
    over = curve.returns - curve.per_bar(threshold)
    gain = np.maximum(over, 0.0).sum(axis=1)
    loss = -np.minimum(over, 0.0).sum(axis=1)
    return ratio(gain, loss)


@metric(
    better="higher",
    unit="ratio",
    formula="mean(r where r >= q(1 - tail)) / -mean(r where r <= q(tail))",
    source="Biglova, Ortobelli, Rachev and Stoyanov (2004)",
    note="q: linearly interpolated sample quantile, tail 5 %",
)
def rachev_ratio(curve: Paths, tail: float = 0.05) -> Floats:
    """Mean of the best returns over the mean loss of the worst.

    The tails hold the returns at or beyond the two quantiles. A lower tail without loss counts as
    no risk seen.

    Args:
        curve: the curves.
        tail: share of the bars in each tail, above 0 and below 0.5.

    Raises:
        ConfigError: `tail` is outside its range.
    """
    if not 0 < tail < 0.5:
        raise ConfigError(f"tail is a share of the bars between 0 and 0.5, not {tail}")
    worst, best = tail_means(curve.returns, tail)
    return ratio(best, -worst)


@metric(
    better="higher",
    unit="ratio",
    formula="winning / losing closed trades",
    note="counts bars instead, where the trades are not known (an index)",
)
def win_loss_ratio(curve: Paths) -> Floats:
    """Number of winning over number of losing closed trades.

    A trade wins where its realised profit is above zero, after costs; zero is neither. Where the
    trades are not known the bars with a gain and with a loss are counted.
    """
    outcome = curve.returns if curve.trades is None else curve.trades
    size = RESOLUTION if curve.trades is None else 0.0
    won = np.count_nonzero(outcome > size, axis=1)
    lost = np.count_nonzero(outcome < -size, axis=1)
    return ratio(won.astype(np.float64), lost.astype(np.float64))


def tail_means(returns: Floats, tail: float) -> tuple[Floats, Floats]:
    """Mean of the returns (B, n) at or below q(tail), and at or above q(1 - tail).

    A partial sort finds the four order statistics around the two quantiles; what lies beyond them
    are then slices, except where a neighbour is the quantile itself, to `RESOLUTION`.
    """
    last = returns.shape[1] - 1
    low, high = int(last * tail), int(last * (1 - tail))
    above_low, above_high = min(low + 1, last), min(high + 1, last)
    placed = np.partition(returns, sorted({low, above_low, high, above_high}), axis=1)
    at_low = _between(placed, low, last * tail - low) + RESOLUTION
    at_high = _between(placed, high, last * (1 - tail) - high) - RESOLUTION

    worst = placed[:, : low + 1].mean(axis=1)
    tied = np.flatnonzero(placed[:, above_low] <= at_low)
    worst[tied] = _mean_where(placed[tied], placed[tied] <= at_low[tied, None])

    best = placed[:, above_high:].mean(axis=1)
    tied = np.flatnonzero(placed[:, high] >= at_high)
    best[tied] = _mean_where(placed[tied], placed[tied] >= at_high[tied, None])
    return worst, best


def _between(placed: Floats, rank: int, share: float) -> Floats:
    """Linear interpolation between order statistic `rank` and the next, as `np.quantile` has it."""
    below = placed[:, rank]
    above = placed[:, min(rank + 1, placed.shape[1] - 1)]
    step = above - below
    return np.asarray(below + step * share if share < 0.5 else above - step * (1 - share))


def _mean_where(values: Floats, chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """Mean of the chosen values of every row; each row has at least one."""
    return np.asarray(np.where(chosen, values, 0.0).sum(axis=1) / chosen.sum(axis=1))
