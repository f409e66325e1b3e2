"""How cost grows with a size: rates at a row of sizes in one process in turns, and the fit.

All sizes of a case are opened in one process and measured in turns, round by round, so that what
disturbs the machine disturbs all of them. Cost is the inverse of the rate, CPU seconds per sample.
Its logarithm is fitted by a broken stick in the logarithm of the size: flat up to a knot, the point
of saturation, and a straight line beyond it. The slope is that of least squares on the points from
the knot on, with its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from steelyard.bench.protocol import Side, rate
from steelyard.bench.result import LEAST_ROUNDS, Bench, Curve, Point, Row
from steelyard.bench.worker import Worker
from steelyard.capacity import require_memory
from steelyard.errors import BenchError, DependencyError

ENVIRONMENTS = "environments"
"""The axis along which cost is weighed per sample, and along which `--envs` reaches further."""

LEAST_POINTS = 4
"""Fewer points than this beyond the knot give no slope."""


@dataclass(frozen=True)
class Fit:
    """A broken stick through costs.

    Attributes:
        slope: of log cost over log size from the knot on: 1 = linear.
        error: standard error of the slope.
        knot: the size at which the straight line begins.
    """

    slope: float
    error: float
    knot: float


def fit(sizes: Sequence[float], costs: Sequence[float]) -> Fit:
    """Where cost begins to grow, and how steeply it does from there on.

    Args:
        sizes: ascending and positive, at least `LEAST_POINTS`.
        costs: positive, one for each size.

    Raises:
        BenchError: there are too few points.
    """
    if len(sizes) < LEAST_POINTS:
        raise BenchError(f"a slope needs at least {LEAST_POINTS} sizes, not {len(sizes)}")
    x, y = np.log(np.asarray(sizes, np.float64)), np.log(np.asarray(costs, np.float64))
    left = [_misfit(np.maximum(x - x[k], 0.0), y) for k in range(len(x) - LEAST_POINTS + 1)]
    # sums of squares that rounding alone tells apart are equal: the earliest knot has more points
    knot = next(k for k, one in enumerate(left) if one <= min(left) + 1e-12)
    slope, error = _line(x[knot:], y[knot:])
    return Fit(slope, error, float(sizes[knot]))


def _hint(largest: int) -> str:
    return f"steelyard bench growth --envs {largest}"


def _misfit(x: Any, y: Any) -> float:
    """Sum of squared residuals of the straight line through (x, y)."""
    design = np.column_stack([np.ones_like(x), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(residual @ residual)


def _line(x: Any, y: Any) -> tuple[float, float]:
    """Slope of least squares and its standard error, of n points with n - 2 degrees of freedom."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    residual = y - y.mean() - slope * away
    variance = float(residual @ residual) / (len(x) - 2)
    return slope, float(np.sqrt(variance / (away @ away)))


@dataclass(frozen=True)
class Growth:
    """A case without a ratio between sides: how the cost of one side grows along an axis.

    Attributes:
        side: who is measured; its candidates are not used.
        axis: what grows, in the plural ("environments", "assets").
        label: what is measured, as the line of a plot is called.
        sizes: ascending.
        options: of the maker, from a size.
        bar: a ceiling. Along `ENVIRONMENTS` of the cost per sample at the largest size over the
            best one; along other axes of the slope less its standard error. None = to be known.
        unit: of the rate.
        bytes_of: what a size needs in memory, roughly; None where that is never much.
    """

    suite: str
    name: str
    side: Side
    axis: str
    label: str
    sizes: tuple[int, ...]
    options: Callable[[int], Mapping[str, Any]]
    bar: float | None
    unit: str = "samples per CPU-second"
    bytes_of: Callable[[int], int] | None = None

    @property
    def against(self) -> str:
        """The peer's name, empty where the side is ours."""
        return self.side.peer

    @property
    def law(self) -> Literal["rise", "slope"]:
        """Which figure the row shows and the bar limits."""
        return "rise" if self.axis == ENVIRONMENTS else "slope"

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        unit = "times the best cost per sample" if self.law == "rise" else "log-log slope"
        return Row(
            self.suite, self.name, unit, self.bar, sense="at most", against=self.against, **values
        )

    def grid(self, most: int) -> tuple[int, ...]:
        """The sizes; those of our environments end at `most`, beyond the last one by doubling."""
        if self.axis != ENVIRONMENTS or self.against:
            return self.sizes
        sizes = [size for size in self.sizes if size <= most]
        while sizes[-1] < most:
            sizes.append(min(2 * sizes[-1], most))
        return tuple(sizes)

    def require(self, bench: Bench) -> None:
        """Refuse more environments than fit into memory, before they are tried.

        Raises:
            MemoryLimitError: they do not fit; the hint names the largest number that does.
        """
        if self.bytes_of is not None:
            with Worker(self.side.program()) as worker:
                self._require(worker, bench)

    def _require(self, worker: Worker, bench: Bench) -> None:
        if self.bytes_of is not None:
            free = worker.open("free", "free", bench.folder, {})["facts"]["free"]
            require_memory(self.bytes_of, bench.envs, hint=_hint, free=int(free))

    def measure(self, bench: Bench) -> Row:
        """Rates at all sizes in turns, and the figure of the row."""
        sizes = self.grid(bench.envs)
        try:
            with Worker(self.side.program()) as worker:
                self._require(worker, bench)
                first = sum(self._open(worker, size, bench) for size in sizes)
                rates = self._rates(worker, sizes, bench)
        except DependencyError as error:
            return self.row(note=error.message)
        return self._row(sizes, rates, first, bench.rounds)

    def _open(self, worker: Worker, size: int, bench: Bench) -> float:
        """Prepare one size; wall seconds of its first run."""
        bench.report(f"{self.name}: preparing {size:,} {self.axis}")
        opened = worker.open(str(size), self.side.maker, bench.folder, self.options(size))
        if opened["facts"].get("actions_matter", True) == self.side.ignores_actions:
            said = "change" if self.side.ignores_actions else "do not change"
            raise BenchError(f"{self.name}: actions {said} the outcome")
        return float(opened["first"]["wall_seconds"])

    def _rates(self, worker: Worker, sizes: Sequence[int], bench: Bench) -> list[list[float]]:
        """Per round, the rate at every size; every other round goes from the largest down."""
        rounds = []
        for turn in range(bench.rounds):
            bench.report(f"{self.name}: round {turn + 1} of {bench.rounds}")
            order = sizes[::-1] if turn % 2 else sizes
            found = {size: rate(worker.run(str(size))) for size in order}
            rounds.append([found[size] for size in sizes])
        return rounds

    def _row(
        self, sizes: Sequence[int], rounds: Sequence[Sequence[float]], first: float, count: int
    ) -> Row:
        middle = [median(column) for column in zip(*rounds, strict=True)]
        curve = self.curve(sizes, rounds)
        note = f"slope {curve.slope:.2f} ± {curve.error:.2f} from {curve.knot:,.0f} on"
        if self.law == "rise":
            best = middle.index(max(middle))
            rises = [one[best] / one[-1] for one in rounds]
            ours, low, high = median(rises), min(rises), max(rises)
            limited = ours
            note = f"at {sizes[-1]:,} over {sizes[best]:,}; cost of one step of all: {note}"
        else:
            ours, low, high = curve.slope, curve.slope - curve.error, curve.slope + curve.error
            limited = low
            note = f"cost of a sample: {note}, within its standard error"
        judged = self.bar is not None and count >= LEAST_ROUNDS
        return self.row(
            ours=ours,
            low=low,
            high=high,
            met=limited <= self.bar if judged and self.bar is not None else None,
            note=f"{note}; at best {max(middle):,.0f} {self.unit}",
            first={"peer" if self.against else "ours": first},
            rounds=rounds,
            curve=curve,
        )

    def curve(self, sizes: Sequence[int], rounds: Sequence[Sequence[float]]) -> Curve:
        """The measured points with the fit through their medians.

        Along `ENVIRONMENTS` the fit is through the cost of one step of the whole batch, which is
        flat until the machine is busy; along other axes through the cost of a sample.
        """
        columns = [list(column) for column in zip(*rounds, strict=True)]
        batch = [size if self.law == "rise" else 1 for size in sizes]
        line = fit(sizes, [many / median(one) for many, one in zip(batch, columns, strict=True)])
        points = tuple(
            Point(size, median(one), min(one), max(one))
            for size, one in zip(sizes, columns, strict=True)
        )
        return Curve(self.axis, self.label, self.against, points, line.slope, line.error, line.knot)
