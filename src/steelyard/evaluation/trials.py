"""What a search for hyper-parameters found: its trials, the best of them, and how lucky that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from steelyard.evaluation.bootstrap import estimate
from steelyard.evaluation.combinatorial import Combinatorial
from steelyard.evaluation.documents import plain_json
from steelyard.evaluation.overfitting import Overfitting, backtest_overfitting
from steelyard.evaluation.results import Estimate
from steelyard.evaluation.statistics import deflated_sharpe, interval
from steelyard.types import EquityCurve, Facts, Floats

SCHEMA = 1
"""Version of best.json."""

CHUNKS = 14
"""Pieces of time of the probability of overfitting, which make 3,432 halves."""


@dataclass(frozen=True)
class Moments:
    """The returns of one curve, per bar, as far as a deflated Sharpe ratio needs them.

    Attributes:
        sharpe: not annualised.
        skewness, kurtosis: 0 and 3 for a normal distribution, and for a curve that never moves.
        bars: returns.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    bars: int

    @classmethod
    def of(cls, curve: EquityCurve) -> Moments:
        """Those of a curve (T,)."""
        return cls.of_returns(np.asarray(curve.returns, np.float64))

    @classmethod
    def of_returns(cls, returns: Floats) -> Moments:
        """Those of returns per bar (T,)."""
        spread = float(returns.std())
        if spread <= 1e-12:
            return cls(0.0, 0.0, 3.0, len(returns))
        scores = (returns - returns.mean()) / spread
        sharpe = float(returns.mean() / returns.std(ddof=1))
        return cls(sharpe, float((scores**3).mean()), float((scores**4).mean()), len(returns))


@dataclass(frozen=True)
class Trial:
    """One choice of settings and what it came to.

    Attributes:
        settings: the searched ones.
        value: the metric on the validation rows, median over seeds with its 90 % interval; None
            where the trial failed.
        moments: of the seed in the middle; None where the trial failed.
        note: why it failed; empty if it did not.
        returns: (T,) per bar and out of sample, mean over seeds and paths of a cross-validation;
            None without one.
    """

    settings: Facts
    value: Estimate | None = None
    moments: Moments | None = None
    note: str = ""
    returns: Floats | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, settings: Facts, curves: Sequence[EquityCurve], metric: str) -> Trial:
        """A trial that ended well, with a curve per seed."""
        value = interval(curves, names=[metric])[metric]
        moments = sorted((Moments.of(one) for one in curves), key=lambda one: one.sharpe)
        return cls(settings, value, moments[(len(moments) - 1) // 2])

    @classmethod
    def across(cls, settings: Facts, worth: Floats, returns: Floats) -> Trial:
        """A trial that ended well in a cross-validation.

        Args:
            settings: the searched ones.
            worth: (S, C) the metric of every seed on the held-out rows of every split. The value
                is the median over seeds of the mean over splits; its interval holds the middle
                90 % of all of them, which share rows: it tells how much splits differ, not how
                well the mean is known.
            returns: (T,) see `Trial`.
        """
        value = estimate(worth.mean(axis=1), worth.ravel(), 0.9)
        return cls(settings, value, Moments.of_returns(returns), returns=returns)


@dataclass(frozen=True)
class Search:
    """Everything about a search, the trials in the order in which they ended.

    Attributes:
        task, fingerprint: what was searched on; the fingerprint is that of the task as the search
            sees it, without the rows behind its validation period.
        agent: its name.
        settings: its settings, of which the trials change the searched ones.
        metric, better: what was looked at, and which direction is better.
        period: (first day, last day) of the rows that chose.
        seeds: trainings per trial.
        asked: trials that were asked for.
        space: setting -> where it was searched.
        trials: those that ended.
        default: whether the first trial is the agent as it was given.
        notes: what a reader must know.
        seconds: wall time of this call.
        cross_validation: how these rows were held out; None where they were not learned from.
        overfitting: how likely it is that the best trial is luck; None without cross-validation,
            or with too few trials.
    """

    task: str
    fingerprint: str
    agent: str
    settings: Facts
    metric: str
    better: str
    period: tuple[str, str]
    seeds: int
    asked: int
    space: Mapping[str, str]
    trials: Sequence[Trial]
    default: bool = False
    notes: Sequence[str] = ()
    seconds: float = 0.0
    cross_validation: Combinatorial | None = None
    overfitting: Overfitting | None = None

    @property
    def best(self) -> int | None:
        """Position of the best trial; None where all failed."""
        return best_of(self.trials, self.better)

    @property
    def failed(self) -> int:
        """Trials that failed."""
        return sum(one.value is None for one in self.trials)

    @property
    def chosen(self) -> Trial:
        """The best trial; only where not all failed."""
        assert self.best is not None
        return self.trials[self.best]

    @property
    def start(self) -> Trial | None:
        """The trial of the agent as it was given, if it was tried and did not fail."""
        first = self.trials[0] if self.default and self.trials else None
        return first if first is not None and first.value is not None else None


def written(value: Any) -> str:
    """A setting as people type it: `0.001`, `64x32`, `true`."""
    if isinstance(value, (tuple, list)):
        return "x".join(written(one) for one in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def short(value: Any) -> str:
    """A setting as people read it, in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else written(value)


def best_of(trials: Sequence[Trial], better: str) -> int | None:
    """Position of the best trial, the earliest of equals; None where all failed."""
    sign = 1.0 if better == "higher" else -1.0
    values = [-np.inf if one.value is None else sign * one.value.value for one in trials]
    return int(np.argmax(values)) if any(one.value is not None for one in trials) else None


def deflated(search: Search) -> float:
    """Probability that the Sharpe ratio of the best trial is more than the luck of so many tries.

    See `deflated_sharpe`; the spread is that of the Sharpe ratios of the trials. Where another
    metric chose the best trial, the probability is too low rather than too high. Trials of a search
    resemble each other, which has the same effect.
    """
    ratios = [one.moments.sharpe for one in search.trials if one.moments is not None]
    found = search.chosen.moments
    assert found is not None
    if found.bars < 2:
        return 0.5
    return deflated_sharpe(
        found.sharpe,
        len(ratios),
        found.bars,
        spread=float(np.std(ratios, ddof=1)) if len(ratios) > 1 else None,
        skewness=found.skewness,
        kurtosis=max(found.kurtosis, 1 + found.skewness**2),
    )


def overfitting_of(trials: Sequence[Trial]) -> Overfitting | None:
    """How likely it is that the best of these trials is luck; None where nothing can be said.

    That is the case for fewer than two trials that did not fail, and for less than two bars in a
    chunk. Whatever chose the best trial, it is judged by Sharpe ratios.
    """
    columns = [one.returns for one in trials if one.returns is not None]
    if len(columns) < 2 or len(columns[0]) < 2 * CHUNKS:
        return None
    return backtest_overfitting(np.stack(columns, axis=1), chunks=CHUNKS)


def best_json(search: Search) -> dict[str, Any]:
    """The best settings as `steelyard run --settings` takes them, and what speaks for them."""
    best, start = search.chosen, search.start
    cross, found = search.cross_validation, search.overfitting
    document = {
        "schema": SCHEMA,
        "agent": search.agent,
        "settings": {**search.settings, **best.settings},
        "searched": dict(best.settings),
        "task": search.task,
        "fingerprint": search.fingerprint,
        "validation": {"start": search.period[0], "end": search.period[1]},
        "cross_validation": cross and asdict(cross) | {"splits": cross.count},
        "metric": search.metric,
        **_estimate(best),
        "deflated_sharpe": deflated(search),
        "overfitting": found and found.facts(),
        "as_given": None if start is None else _estimate(start),
        "trials": len(search.trials),
        "failed": search.failed,
        "seeds": search.seeds,
    }
    return dict(plain_json(document))


def search_json(search: Search, out: str, report: str, best: str) -> dict[str, Any]:
    """What `steelyard tune --json` prints; every number finite or null.

    Args:
        out, report, best: where the study, the report and best.json are.
    """
    document = {
        "task": search.task,
        "fingerprint": search.fingerprint,
        "agent": search.agent,
        "metric": search.metric,
        "better": search.better,
        "space": dict(search.space),
        "seeds": search.seeds,
        "asked": search.asked,
        "best": best_json(search) | {"trial": (search.best or 0) + 1},
        "trials": [_row(number, one) for number, one in enumerate(search.trials, 1)],
        "out": out,
        "report": report,
        "settings_file": best,
        "seconds": search.seconds,
        "notes": list(search.notes),
    }
    return dict(plain_json(document))


def _row(number: int, trial: Trial) -> dict[str, Any]:
    value: dict[str, Any] = dict.fromkeys(("value", "low", "high"))
    return {
        "trial": number,
        "settings": dict(trial.settings),
        **(value if trial.value is None else _estimate(trial)),
        "note": trial.note,
    }


def _estimate(trial: Trial) -> dict[str, float]:
    assert trial.value is not None
    return asdict(trial.value)
