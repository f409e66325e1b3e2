"""How likely it is that the best of many backtests is nothing but the luckiest.

The probability of backtest overfitting (PBO) of Bailey, Borwein, Lopez de Prado and Zhu (2017,
"The probability of backtest overfitting", Journal of Computational Finance 20) by combinatorially
symmetric cross-validation: cut time into S chunks, choose the best trial on every half of them, and
see where it ranks among all trials on the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, DataError
from steelyard.metrics.paths import RESOLUTION
from steelyard.types import Facts, Floats

Measure: TypeAlias = Callable[[Floats], float]
"""Returns per bar (t,) of one trial -> what they are worth, higher is better; finite."""

LEVEL = 0.1
"""Share of overfitting from which a choice is rejected."""

MOST_CHUNKS = 20
"""More would make more than 184,756 combinations."""

TIE = 1e-12
"""Values that differ by less than this share of the largest one are equal."""


@dataclass(frozen=True)
class Overfitting:
    """What became of the best trials of all C halves of the time on the other halves.

    Attributes:
        pbo: share of the halves whose best trial is at most the median on the other half.
        logits: (C,) ln(w / (1 - w)) of the ranks w; at most 0 where the choice did not carry over.
        ranks: (C,) relative rank w of the chosen trial outside, rank / (N + 1), in (0, 1).
        chosen: (C,) column of the trial that was best inside.
        inside, outside: (C,) its metric on the half that chose it, and on the other one.
        slope, intercept: degradation, the least-squares line of `outside` over `inside`; slope 0
            where `inside` never changes.
        loss: probability of loss, the share of halves with `outside` below 0.
        trials, rows, chunks: N, the rows that were used, and S.
        metric: its name.
        level: PBO above which the choice is rejected.
    """

    pbo: float
    logits: Floats
    ranks: Floats
    chosen: NDArray[np.int64]
    inside: Floats
    outside: Floats
    slope: float
    intercept: float
    loss: float
    trials: int
    rows: int
    chunks: int
    metric: str
    level: float = LEVEL

    @property
    def rejected(self) -> bool:
        """Whether the chosen settings are as likely luck as skill, at `level`."""
        return self.pbo > self.level

    @property
    def sentence(self) -> str:
        """The finding and the verdict in words."""
        found = (
            f"The probability of backtest overfitting is {100 * self.pbo:.0f} %: in as many of "
            f"{len(self.logits):,} halves of the time the best of {self.trials} trials is no "
            "better than the median on the other half."
        )
        at = f"at {100 * self.level:g} %"
        if self.rejected:
            return f"{found} Rejected {at}: the chosen settings are as likely luck as skill."
        return f"{found} Not rejected {at}."

    def facts(self) -> Facts:
        """The numbers of the finding, ready for JSON; without the C halves themselves."""
        names = ("pbo", "level", "rejected", "slope", "intercept", "loss", "metric")
        counts = ("trials", "rows", "chunks")
        return {
            **{name: getattr(self, name) for name in (*names, *counts)},
            "halves": len(self.logits),
            "sentence": self.sentence,
        }


def backtest_overfitting(
    returns: Any,
    *,
    chunks: int = 14,
    metric: str | Measure = "sharpe_ratio",
    level: float = LEVEL,
) -> Overfitting:
    """The probability that choosing the best of N trials is overfitting.

    All trials stand on the same T rows. The time is cut into `chunks` of equal length; the first
    T mod `chunks` rows are left out. A trial whose returns do not move has a Sharpe ratio of 0. Of
    several trials that are best inside, the first is the chosen one. Outside, equal values share
    the mean of their ranks. A rank in the very middle has logit 0 and counts as overfitting, so
    N trials that are all the same have a PBO of 1: choosing among them finds nothing.

    Args:
        returns: (T, N) simple returns per bar, out of sample, a column per trial; finite.
        chunks: S, even; C(S, S/2) halves of the time are looked at.
        metric: what chooses: the Sharpe ratio per bar (ddof 1, risk-free rate 0), which costs no
            more than the sums of each chunk, or a function of the returns (t,) of a trial, called
            for every half and trial.
        level: PBO above which the choice is rejected, in (0, 1).

    Raises:
        ConfigError: chunks is odd, below 2 or too large, the level lies outside (0, 1), or there
            is no such metric.
        DataError: fewer than two trials, too few rows, or a number that is not finite.
    """
    table = np.asarray(returns, np.float64)
    _require_settings(chunks, metric, level)
    _require_returns(table, chunks)
    table = table[len(table) % chunks :]
    picked = _halves(chunks)
    worth = _sharpe(table, picked) if isinstance(metric, str) else _measured(table, picked, metric)
    # halves stand in lexicographic order, in which the complement of a half is its mirror image
    other = worth[::-1]
    chosen, ranks = _judged(worth, other)
    row = np.arange(len(worth))
    inside, outside = worth[row, chosen], other[row, chosen]
    logits = np.log(ranks / (1 - ranks))
    slope, intercept = _line(inside, outside)
    return Overfitting(
        pbo=float(np.mean(ranks <= 0.5)),
        logits=logits,
        ranks=ranks,
        chosen=chosen,
        inside=inside,
        outside=outside,
        slope=slope,
        intercept=intercept,
        loss=float(np.mean(outside < 0)),
        trials=table.shape[1],
        rows=len(table),
        chunks=chunks,
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "metric"),
        level=level,
    )


def _halves(chunks: int) -> NDArray[np.bool_]:
    """(C, S) whether a chunk is in a half, every half once, in lexicographic order."""
    members = np.array(list(combinations(range(chunks), chunks // 2)))
    picked = np.zeros((len(members), chunks), bool)
    np.put_along_axis(picked, members, values=True, axis=1)
    return picked


def _sharpe(table: Floats, picked: NDArray[np.bool_]) -> Floats:
    """(C, N) Sharpe ratio per bar on every half, from the sums of every chunk alone."""
    pieces = table.reshape(picked.shape[1], -1, table.shape[1])
    bars = pieces.shape[1] * picked.shape[1] // 2
    half = picked.astype(np.float64)
    total = half @ pieces.sum(axis=1)
    squares = half @ np.square(pieces).sum(axis=1)
    deviations = squares - total**2 / bars
    # a ratio beyond a million is a column that does not move: what is left is rounding
    spread = np.sqrt(np.where(deviations > TIE * squares, deviations, 0.0) / (bars - 1))
    moves = spread > RESOLUTION
    return np.where(moves, total / bars / np.where(moves, spread, 1.0), 0.0)


def _measured(table: Floats, picked: NDArray[np.bool_], metric: Measure) -> Floats:
    """(C, N) any metric on every half."""
    rows = np.repeat(picked, len(table) // picked.shape[1], axis=1)
    worth = np.array([[metric(column) for column in table[own].T] for own in rows], np.float64)
    if worth.shape != (len(picked), table.shape[1]) or not np.isfinite(worth).all():
        raise DataError(
            "the metric did not give a finite number for every trial and half",
            hint="give 0 where nothing moves, as the metrics of Steelyard do",
        )
    return worth


def _judged(worth: Floats, other: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The trial that each half chooses, and its relative rank on the other half; both (C,)."""
    near = TIE * np.abs(worth).max()
    chosen = np.argmax(worth >= worth.max(axis=1, keepdims=True) - near, axis=1)
    own = np.take_along_axis(other, chosen[:, None], axis=1)
    below = (other < own - near).sum(axis=1)
    equal = (np.abs(other - own) <= near).sum(axis=1)
    return chosen, (below + (equal + 1) / 2) / (worth.shape[1] + 1)


def _line(inside: Floats, outside: Floats) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    centred = inside - inside.mean()
    squares = float(centred @ centred)
    flat = squares <= len(inside) * (TIE * np.abs(inside).max()) ** 2
    slope = 0.0 if flat else float(centred @ outside) / squares
    return slope, float(outside.mean() - slope * inside.mean())


def _require_settings(chunks: int, metric: str | Measure, level: float) -> None:
    if not 2 <= chunks <= MOST_CHUNKS or chunks % 2:
        raise ConfigError(
            f"chunks must be even, from 2 to {MOST_CHUNKS}, so that halves can be compared; got "
            f"{chunks}",
            hint=f"chunks=14 makes {comb(14, 7):,} halves",
        )
    if isinstance(metric, str) and metric != "sharpe_ratio":
        raise ConfigError(
            f"no metric named `{metric}` works on pieces of time",
            hint="sharpe_ratio, or a function of the returns (t,) of a trial",
        )
    if not 0 < level < 1:
        raise ConfigError(f"level is a share in (0, 1), not {level}", hint="level=0.1 is 10 %")


def _require_returns(table: Floats, chunks: int) -> None:
    if table.ndim != 2:
        raise DataError(f"returns have shape (T, N), a column per trial, not {table.shape}")
    rows, trials = table.shape
    if trials < 2:
        raise DataError(f"the best of {trials} trials was not chosen", hint="give at least two")
    if rows < max(chunks, 4):
        raise DataError(
            f"{rows} rows cannot be cut into {chunks} chunks with two rows in each half",
            hint="use fewer chunks, or a longer period",
        )
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = (int(place) for place in bad[0])
        raise DataError(
            f"the return of trial {column + 1} in row {row + 1} is {table[row, column]}, and "
            f"{len(bad) - 1} more are not finite",
            hint="leave out trials that failed",
        )
