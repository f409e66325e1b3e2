"""How sure a number is: intervals over bars and seeds, and Sharpe ratios among many tries.

One backtest is one draw. The stationary bootstrap draws the bars of a curve again in blocks of
random length, so that what hangs together in time stays together (`bootstrap.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import NormalDist

import numpy as np

from steelyard.errors import ConfigError, DataError
from steelyard.evaluation.bootstrap import estimate, redrawn, require_shares, resampled_bars
from steelyard.evaluation.curves import Curves, paths_of, require_same_rows
from steelyard.evaluation.paired import resample_together
from steelyard.evaluation.results import Estimate
from steelyard.metrics import Paths, summary
from steelyard.types import EquityCurve, Floats

EULER_MASCHERONI = 0.5772156649015329


def interval(
    curves: Curves,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    names: Iterable[str] | None = None,
) -> dict[str, Estimate]:
    """Median over seeds and interval of every metric, for the curves of one agent.

    The interval answers: which values would one run of this agent show, over bars like these? Its
    ends are quantiles of the resampled metrics of all seeds together, every seed with an equal
    share, so that it covers what differs between seeds and what the market dealt. All metrics of
    one resample see the same bars. Closed trades, where known, are drawn independently. The
    percentiles are not shifted: where resampling in blocks breaks what made a number, as with the
    long fall behind a drawdown, the value can lie near an end or outside.

    Args:
        curves: one curve (T,), a batch (S, T), or a curve per seed on identical rows.
        level: share of the resamples that the interval holds, in (0, 1).
        resamples: draws over all seeds together.
        seed: of the draws; same input, same interval.
        names: which metrics; all of the room where None.

    Raises:
        ConfigError: level or resamples are out of range.
        DataError: no curves, or curves that do not lie on identical rows.
    """
    paths = paths_of(curves)
    require_shares(level, resamples)
    chosen = None if names is None else list(names)
    points = [summary(path, chosen) for path in paths]
    drawn = [
        summary(redrawn(path, bars, rng), chosen)
        for path, share, rng in _shares(paths, resamples, seed)
        for bars in resampled_bars(path.returns[0], share, rng)
    ]
    return {
        name: estimate(
            np.concatenate([point[name] for point in points]),
            np.concatenate([draw[name] for draw in drawn]),
            level,
        )
        for name in points[0]
    }


def excess_interval(
    curves: Curves,
    benchmark: EquityCurve,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean return per year in excess of a benchmark on identical rows, with its interval.

    Arithmetic: the mean difference of the returns per bar, times the bars per year. Paired: agent
    and benchmark are resampled with the same bars, so what the market did to both cancels. An
    interval that covers zero shows no skill.

    Args:
        curves: as for `interval`.
        benchmark: one curve (T,) on the same rows.
        level, resamples, seed: as for `interval`.

    Raises:
        ConfigError: level or resamples are out of range.
        DataError: the benchmark is a batch or lies on other rows.
    """
    paths = paths_of(curves)
    require_shares(level, resamples)
    if np.ndim(benchmark.value) != 1:
        raise DataError(f"a benchmark is one curve (T,), not {np.shape(benchmark.value)}")
    other = Paths.of(benchmark)
    require_same_rows([*paths, other])
    points: list[float] = []
    drawn: list[Floats] = []
    for path, share, rng in _shares(paths, resamples, seed):
        excess = (path.returns - other.returns)[0] * path.periods_per_year
        points.append(float(excess.mean()))
        drawn += [excess[bars].mean(axis=1) for bars in resampled_bars(excess, share, rng)]
    return estimate(np.array(points), np.concatenate(drawn), level)


def difference_interval(
    curves: Curves,
    others: Curves,
    names: Iterable[str] | None = None,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """By how much one agent's metrics differ from another's on identical rows, with intervals.

    Paired twice. Both agents are resampled with the same blocks of bars, so what the market did to
    both cancels; and run s compares seed s of the one with seed s of the other (an agent with fewer
    seeds is taken again from its first). The value is the median of the differences of the runs.
    The interval holds the middle of the resampled differences of all runs together: what one more
    run of both over bars like these may show. With one run it covers the true difference about as
    often as it says, with several that differ more often.

    A maximum drawdown is the work of one long stretch, and blocks break long stretches. Its
    interval tells which differences paths made of such blocks show, and is wider than it says:
    between two agents of equal skill over three years of days it covered zero 95 to 99 times in
    100, where that of the Sharpe ratio did so 88 to 90 times. So a drawdown difference that
    excludes zero means something, and one that does not may only be too rare an event to repeat.
    The observed value can lie near an end or outside.

    Args:
        curves: of the one agent, as for `interval`.
        others: of the other, on the same rows.
        names: which metrics; all of the room where None.
        level, resamples, seed: as for `interval`.

    Returns:
        Metric -> the one's value minus the other's, in the unit of the metric.

    Raises:
        ConfigError: level or resamples are out of range.
        DataError: no curves, or curves that do not lie on identical rows.
    """
    require_shares(level, resamples)
    both = resample_together([curves, others], names, resamples=resamples, seed=seed)
    return {name: both.difference(name, [0], [1], level) for name in both.points}


def expected_best_sharpe(trials: int, spread: float) -> float:
    """Sharpe ratio that the best of `trials` tries without skill is expected to show.

    Bailey and Lopez de Prado (2014), the expected maximum of independent normal draws around zero.

    Args:
        trials: independent tries, at least 1; the best of one is 0.
        spread: standard deviation of the Sharpe ratio over the tries, in its unit.

    Raises:
        ConfigError: trials or spread are out of range.
    """
    if trials < 1 or not 0 <= spread < math.inf:
        raise ConfigError(f"needs trials >= 1 and spread >= 0, not {trials} and {spread}")
    if trials == 1:
        return 0.0
    normal = NormalDist()
    first = normal.inv_cdf(1 - 1 / trials)
    second = normal.inv_cdf(1 - 1 / (trials * math.e))
    return spread * ((1 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def deflated_sharpe(
    sharpe: float,
    trials: int,
    bars: int,
    *,
    spread: float | None = None,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that a Sharpe ratio found as the best of many tries is more than luck.

    The deflated Sharpe ratio of Bailey and Lopez de Prado (2014), eq. 2: the probabilistic Sharpe
    ratio against `expected_best_sharpe`. Near 0.5 for the winner among agents without skill.

    Args:
        sharpe: per bar, not annualised (`daily_sharpe_ratio`).
        trials: independent tries among which it was the best.
        bars: returns that it was measured on, at least 2.
        spread: standard deviation of the Sharpe ratio over the tries, per bar; that of tries
            without skill, `1 / sqrt(bars - 1)`, where None.
        skewness: of the returns.
        kurtosis: of the returns, 3 for a normal distribution.

    Raises:
        ConfigError: an argument is out of range, or no returns have this skewness and kurtosis.
    """
    if bars < 2:
        raise ConfigError(f"a Sharpe ratio needs at least 2 bars, not {bars}")
    if not kurtosis >= 1 + skewness**2:
        raise ConfigError(
            f"no returns have skewness {skewness:g} and kurtosis {kurtosis:g}",
            hint="give the kurtosis itself (3 for a normal distribution), not the excess over 3",
        )
    if spread is None:
        spread = 1 / math.sqrt(bars - 1)
    excess = sharpe - expected_best_sharpe(trials, spread)
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if variance <= 0:  # two-point returns with the whole spread on one side
        return float(excess > 0)
    return NormalDist().cdf(excess * math.sqrt((bars - 1) / variance))


def _shares(
    paths: Sequence[Paths], resamples: int, seed: int
) -> Iterator[tuple[Paths, int, np.random.Generator]]:
    """Every seed's path with its number of resamples and its own stream of randomness."""
    streams = np.random.default_rng(seed).spawn(len(paths))
    share = math.ceil(resamples / len(paths))
    for path, rng in zip(paths, streams, strict=True):
        yield path, share, rng
