"""How sure a number is: intervals over bars and seeds, and Sharpe ratios among many tries.

One backtest is one draw. The stationary bootstrap draws the bars of a curve again in blocks of
random length, so that what hangs together in time stays together (`bootstrap.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from steelyard.errors import ConfigError, DataError
from steelyard.evaluation.bootstrap import resampled_bars
from steelyard.evaluation.results import Estimate
from steelyard.metrics import Paths, summary
from steelyard.types import EquityCurve, Floats

Curves = EquityCurve | Sequence[EquityCurve]

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
    paths = _paths(curves)
    _check(level, resamples)
    chosen = None if names is None else list(names)
    points = [summary(path, chosen) for path in paths]
    drawn = [
        summary(resampled, chosen)
        for path, share, rng in _shares(paths, resamples, seed)
        for resampled in _resample(path, share, rng)
    ]
    return {
        name: _estimate(
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
    paths = _paths(curves)
    _check(level, resamples)
    if np.ndim(benchmark.value) != 1:
        raise DataError(f"a benchmark is one curve (T,), not {np.shape(benchmark.value)}")
    other = Paths.of(benchmark)
    _check_same_rows([*paths, other])
    points: list[float] = []
    drawn: list[Floats] = []
    for path, share, rng in _shares(paths, resamples, seed):
        excess = (path.returns - other.returns)[0] * path.periods_per_year
        points.append(float(excess.mean()))
        drawn += [excess[bars].mean(axis=1) for bars in resampled_bars(excess, share, rng)]
    return _estimate(np.array(points), np.concatenate(drawn), level)


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


def _paths(curves: Curves) -> list[Paths]:
    """One checked path (1, T) per seed."""
    batches = [Paths.of(c) for c in ([curves] if isinstance(curves, EquityCurve) else curves)]
    paths = [batch.take(row, row + 1) for batch in batches for row in range(len(batch.value))]
    if not paths:
        raise DataError("no curves to take an interval of")
    _check_same_rows(paths)
    return paths


def _check_same_rows(paths: Sequence[Paths]) -> None:
    for one, two in pairwise(paths):
        if one.value.shape != two.value.shape or not np.array_equal(one.timestamps, two.timestamps):
            raise DataError(
                f"curves lie on different rows: {_span(one)} and {_span(two)}",
                hint="evaluate both over the same window",
            )
        if one.periods_per_year != two.periods_per_year:
            raise DataError(
                "curves have different bars per year: "
                f"{one.periods_per_year:g} and {two.periods_per_year:g}"
            )


def _span(path: Paths) -> str:
    times = path.timestamps
    ends = f"{times[0]}..{times[-1]}, " if len(times) else ""
    return f"{ends}{path.value.shape[1]} rows"


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level is a share in (0, 1), not {level}", hint="level=0.9 is 90 %")
    if resamples < 1:
        raise ConfigError(f"resamples must be at least 1, not {resamples}")


def _shares(
    paths: Sequence[Paths], resamples: int, seed: int
) -> Iterator[tuple[Paths, int, np.random.Generator]]:
    """Every seed's path with its number of resamples and its own stream of randomness."""
    streams = np.random.default_rng(seed).spawn(len(paths))
    share = math.ceil(resamples / len(paths))
    for path, rng in zip(paths, streams, strict=True):
        yield path, share, rng


def _resample(path: Paths, resamples: int, rng: np.random.Generator) -> Iterator[Paths]:
    """Batches of curves made of the bars of one path (1, T), closed trades drawn beside them."""
    returns = path.returns[0]
    for bars in resampled_bars(returns, resamples, rng):
        value = np.empty((len(bars), len(returns) + 1))
        value[:, 0] = path.value[0, 0]
        np.cumprod(1.0 + returns[bars], axis=1, out=value[:, 1:])
        value[:, 1:] *= path.value[0, 0]
        trades = None
        if path.trades is not None:
            closed = path.trades[0][np.isfinite(path.trades[0])]
            pick = rng.integers(0, max(len(closed), 1), size=(len(bars), len(closed)))
            trades = closed[pick] if len(closed) else np.empty((len(bars), 0))
        curve = EquityCurve(path.timestamps, value, path.periods_per_year, trades)
        yield Paths.of(curve)


def _estimate(points: Floats, drawn: Floats, level: float) -> Estimate:
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(float(np.median(points)), float(low), float(high))
