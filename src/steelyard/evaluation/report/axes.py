"""From values to places in a plot: ranges, ticks, paths.

Plots have the size 10,000 x 10,000 and are stretched to the width of the page; what is text stands
beside them as HTML, so that it keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from steelyard.types import Floats

SIZE = 10_000
"""Units of a plot in both directions."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Range:
    """The values that a plot shows, from its lower to its upper edge."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[Floats], *, zero: bool = False, pad: float = 0.04) -> Range:
        """What holds all finite values, with some room; `zero` keeps 0 inside."""
        pieces = [np.asarray(one, np.float64).ravel() for one in values]
        every = (
            np.concatenate([*pieces, np.zeros(1)]) if zero or not pieces else np.concatenate(pieces)
        )
        every = every[np.isfinite(every)]
        low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
        if not high > low:
            low, high = low - max(abs(low), 1e-3) / 2, high + max(abs(high), 1e-3) / 2
        room = pad * (high - low)
        return cls(low - room, high + room)

    def fraction(self, value: float) -> float:
        """Place between the lower edge (0) and the upper edge (1), cut at both."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def places(self, values: Floats) -> Rows:
        """Rows of the plot, downwards as in SVG; values that are not finite lie on the edge."""
        held = np.nan_to_num(values, nan=self.low, posinf=self.high, neginf=self.low)
        place = np.clip((self.high - held) / (self.high - self.low), 0.0, 1.0)
        return np.rint(SIZE * place).astype(np.int64)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the range: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = min((1, 2, 5, 10), key=lambda unit: abs(math.log(unit * power / rough))) * power
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * multiple for multiple in range(first, last + 1)]


def decimals(ticks: Sequence[float]) -> int:
    """Decimals that tell neighbouring ticks apart."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    return max(0, -math.floor(math.log10(step) + 1e-9))


@dataclass(frozen=True)
class Tick:
    """A label on the time axis; minor ones give way on narrow screens."""

    row: int
    label: str
    major: bool


def time_ticks(timestamps: NDArray[np.datetime64], most: int = 13) -> list[Tick]:
    """About four to `most` ticks: years, quarters, months, weeks, days or times of day."""
    for unit in ("Y", "3M", "M", "W", "D"):
        rows = _starts(timestamps, unit)
        if len(rows) >= 4:
            chosen = rows[:: math.ceil(len(rows) / most)]
            return [
                Tick(int(row), _label(timestamps[row], unit), _major(timestamps[row], unit, n))
                for n, row in enumerate(chosen)
            ]
    last = len(timestamps) - 1
    even = sorted({round(last * n / 5) for n in range(6)})
    return [Tick(row, _moment(timestamps[row]), n % 2 == 0) for n, row in enumerate(even)]


def rows_to_draw(count: int, keep: int, must: Sequence[Floats] = ()) -> Rows:
    """Rows to draw of a long series: evenly spaced, both ends, and the extremes of each of `must`.

    Returns:
        Sorted unique rows in [0, count); all of them where `count <= keep`.
    """
    if count <= keep:
        return np.arange(count)
    even = np.rint(np.linspace(0, count - 1, keep)).astype(np.int64)
    extremes = [row for one in must for row in (int(np.argmin(one)), int(np.argmax(one)))]
    return np.unique(np.concatenate([even, np.array(extremes, np.int64)]))


def across(rows: Rows, count: int) -> Rows:
    """Columns of the plot for rows of a series of `count`."""
    return np.asarray(np.rint(rows * (SIZE / max(count - 1, 1))), np.int64)


def line(columns: Rows, places: Rows) -> str:
    """A path through the points, in whole relative steps: short and exact to 1/10,000."""
    steps = np.column_stack([np.diff(columns), np.diff(places)])
    return f"M{columns[0]} {places[0]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps.tolist())


def ribbon(columns: Rows, upper: Rows, lower: Rows) -> str:
    """A closed path between two lines."""
    return line(np.append(columns, columns[::-1]), np.append(upper, lower[::-1])) + "z"


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Places of labels in [0, 1], moved as little as needed to keep `gap` between neighbours."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    gap = min(gap, 1.0 / max(len(places) - 1, 1))
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    limit = 1.0
    for index in reversed(order):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - gap
    return moved


def _starts(timestamps: NDArray[np.datetime64], unit: str) -> Rows:
    """First row of every period; the first row counts where its period has room for a label."""
    days = timestamps.astype("datetime64[D]")
    if unit == "W":
        key = (days.astype(np.int64) + 3) // 7  # weeks begin on Monday
    else:
        key = days.astype(f"datetime64[{unit}]").astype(np.int64)
    starts = np.flatnonzero(np.diff(key)) + 1
    if len(starts) == 0 or starts[0] >= 0.06 * len(timestamps) or unit == "D":
        starts = np.append(0, starts)
    return starts


def _label(moment: np.datetime64, unit: str) -> str:
    day = moment.astype("datetime64[D]").item()
    if unit == "Y":
        return str(day.year)
    if unit in ("3M", "M"):
        return str(day.year) if day.month == 1 else f"{day:%b}"
    return f"{day.day} {day:%b}"


def _major(moment: np.datetime64, unit: str, position: int) -> bool:
    if unit in ("3M", "M"):
        return bool(moment.astype("datetime64[D]").item().month == 1)
    return position % 2 == 0


def _moment(moment: np.datetime64) -> str:
    """A time of day, or the day where the series has no finer unit."""
    if np.datetime_data(moment.dtype)[0] in ("D", "W", "M", "Y"):
        return _label(moment, "D")
    return f"{moment.astype('datetime64[s]').item():%H:%M}"
