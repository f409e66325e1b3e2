"""The words of the host side: `Panel`, `EquityCurve` and the axis letters.

Axis letters, everywhere: T time, N assets, F features, B batch, A actions. The words of the device
side (`Market`, `TimeStep`, `Transition`) live where JAX does: `market.py` and `rollout.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import DataError, MissingDataError

Floats = NDArray[np.float64]
Date = str | np.datetime64
"""A day, or a day and a time of it, as ISO text or as a datetime64."""


@dataclass(frozen=True)
class Panel:
    """Observed market data on the host: row t holds what is known at `timestamps[t]`.

    Attributes:
        timestamps: (T,) datetime64, strictly increasing; the close of each bar.
        assets: N names, the columns of every field.
        fields: name -> (T, N) float64. Stocks have open, high, low, close, volume, adjusted for
            splits and dividends together. NaN = not observed (halted, not listed): never filled.
        context: name -> (T,) float64 series that belong to the whole market (`vix`).
        name: where the data came from, as `load` would be asked for it.
        sha256: digest of the stored source; empty for panels made in memory.
    """

    timestamps: NDArray[np.datetime64]
    assets: tuple[str, ...]
    fields: Mapping[str, Floats]
    context: Mapping[str, Floats] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        rows, columns = len(self.timestamps), len(self.assets)
        if rows and not (np.diff(self.timestamps) > np.timedelta64(0)).all():
            raise DataError(
                f"panel `{self.name}`: timestamps must be strictly increasing",
                hint="sort the rows by date and drop duplicates",
            )
        for name, values in self.fields.items():
            if values.shape != (rows, columns):
                raise DataError(
                    f"field `{name}` has shape {values.shape}, not (T, N) = {(rows, columns)}"
                )
        for name, values in self.context.items():
            if values.shape != (rows,):
                raise DataError(f"context `{name}` has shape {values.shape}, not (T,) = {(rows,)}")

    def __len__(self) -> int:
        return len(self.timestamps)

    def __getitem__(self, name: str) -> Floats:
        """A field (T, N) or a context series (T,) by name."""
        if name in self.fields:
            return self.fields[name]
        if name in self.context:
            return self.context[name]
        known = ", ".join([*self.fields, *self.context])
        raise MissingDataError(
            f"panel `{self.name}` has no field `{name}`", hint=f"it has: {known}"
        )

    def rows(self, start: int, stop: int) -> Panel:
        """Rows `start` to `stop` (exclusive), all fields."""
        cut = slice(start, stop)
        return replace(
            self,
            timestamps=self.timestamps[cut],
            fields={name: values[cut] for name, values in self.fields.items()},
            context={name: values[cut] for name, values in self.context.items()},
        )

    def between(self, start: Date, end: Date) -> Panel:
        """Rows from `start` to `end`, both inclusive."""
        low, high = self.span(start, end)
        return self.rows(low, high + 1)

    def span(self, start: Date, end: Date) -> tuple[int, int]:
        """Index of the first and of the last row within `start`..`end`, both inclusive.

        A plain day is all of it. With a time of day ("2015-05-01T12:00:00") it is that instant:
        the first row is then not before `start`, the last not after `end`.

        Raises:
            MissingDataError: the period lies (partly) outside the data or holds no row.
            DataError: a date that cannot be read, or a time of day where rows are days.
        """
        stamps, one_day = self.timestamps, np.timedelta64(1, "D")
        first, last = (_moment(date, stamps.dtype) for date in (start, end))
        until = last + one_day if _is_day(last) else last
        held = stamps[[0, -1]] if len(stamps) else stamps
        if _is_day(first) and _is_day(last):
            held = held.astype("datetime64[D]")
        outside = len(held) == 0 or (first >= until if _is_day(last) else first > last)
        if not outside:
            begins = stamps[0].astype("datetime64[D]") if _is_day(first) else stamps[0]
            outside = first < begins or last > stamps[-1]
        if outside:
            there = f"{held[0]}..{held[-1]}" if len(held) else "no rows"
            raise MissingDataError(
                f"the period {first}..{last} is not inside the data `{self.name}` ({there})",
                hint="choose dates inside the data, or load a longer set",
            )
        low = int(np.searchsorted(stamps, first, side="left"))
        high = int(np.searchsorted(stamps, until, side="left" if _is_day(last) else "right")) - 1
        if high < low:
            raise MissingDataError(f"no session of `{self.name}` lies in {first}..{last}")
        return low, high

    def select(self, assets: Sequence[str]) -> Panel:
        """The same rows with the columns of `assets`, in that order."""
        unknown = [name for name in assets if name not in self.assets]
        if unknown:
            raise MissingDataError(
                f"panel `{self.name}` has no asset {', '.join(unknown)}",
                hint="it has: " + ", ".join(self.assets),
            )
        columns = [self.assets.index(name) for name in assets]
        return replace(
            self,
            assets=tuple(assets),
            fields={name: values[:, columns] for name, values in self.fields.items()},
        )

    def digest(self) -> str:
        """sha256 over every value, name and timestamp: equal content, equal digest."""
        hasher = hashlib.sha256()
        hasher.update(self.timestamps.astype("datetime64[ns]").astype("<i8").tobytes())
        hasher.update("\x1f".join(self.assets).encode())
        for group in (self.fields, self.context):
            for name in sorted(group):
                hasher.update(name.encode())
                hasher.update(np.ascontiguousarray(group[name], dtype="<f8").tobytes())
        return hasher.hexdigest()


def _moment(date: Date, stamps: np.dtype[Any]) -> np.datetime64:
    """A date in days, or with its time of day where it has one."""
    try:
        moment = np.datetime64(str(date))
    except ValueError:
        moment = np.datetime64("NaT")
    if np.isnat(moment):
        raise DataError(f"cannot read the date `{date}`", hint="write it as 2021-01-04")
    day: np.datetime64 = moment.astype("datetime64[D]")
    if np.datetime_data(moment.dtype)[0] in ("Y", "M", "W", "D"):
        return day
    if np.datetime_data(stamps)[0] != "D":
        return moment
    if day != moment:
        raise DataError(
            f"`{date}` names a time of day, and the rows of the data are days",
            hint=f"write it as {day}",
        )
    return day


def _is_day(moment: np.datetime64) -> bool:
    return np.datetime_data(moment.dtype)[0] == "D"


class Space(NamedTuple):
    """Actions: a box of `shape` in [low, high], or `choices` numbered from 0.

    Of choices, `idle` is the one that does nothing, and the last one buys.
    """

    shape: tuple[int, ...] = ()
    low: float = -1.0
    high: float = 1.0
    choices: int = 0
    idle: int = 0


@dataclass(frozen=True)
class Feature:
    """A causal function of a panel: row t of the result uses rows up to t and nothing else.

    Attributes:
        name: what users type and what tables print.
        function: Panel -> (T, N) float64, or (T,) where `scope` is "market".
        unit: what the number is, so that networks can be fed without knowing it by name. "price"
            (a price level), "price_change" (a difference of prices), "percent" (0..100),
            "ratio" (dimensionless around 0), "level" (anything else).
        warmup: observed rows of an asset that the definition needs before its first value; the
            value is NaN on these, never filled.
        scope: "asset" for one column each from its own asset alone, "cross_section" for one column
            each that compares the assets of a row, "market" for one series for all.
        summary: one line for lists.
    """

    name: str
    function: Callable[[Panel], Floats]
    unit: Literal["price", "price_change", "percent", "ratio", "level"]
    warmup: int
    scope: Literal["asset", "cross_section", "market"] = "asset"
    summary: str = ""

    def __call__(self, panel: Panel) -> Floats:
        """Values (T, N) or (T,), NaN during the warm-up and where the asset was not observed."""
        return self.masked(np.array(self.function(panel), dtype=np.float64), panel)

    def masked(self, values: Floats, panel: Panel) -> Floats:
        """`values` of the function, with NaN written where `__call__` has none."""
        if self.scope == "market":
            values[: self.warmup] = np.nan
            return values
        observed = np.isfinite(panel["close"])
        if observed.all():  # the same mask without counting rows
            values[: self.warmup] = np.nan
            return values
        age = np.cumsum(observed, axis=0)
        values[~observed | (age <= self.warmup)] = np.nan
        return values


@dataclass(frozen=True)
class EquityCurve:
    """The value of an account over time, on one clock.

    Attributes:
        timestamps: (T,) datetime64; row 0 is the close at which the account had its first money.
        value: (T,) or (B, T) float64 account value in quote currency, row 0 = starting capital.
        periods_per_year: bars per year, for annualising (252 for US stock days).
        trades: realised profit of each closed trade in quote currency (a sale against the average
            cost of what was held, after costs); None where fills are not known (an index).
    """

    timestamps: NDArray[np.datetime64]
    value: Floats
    periods_per_year: float = 252.0
    trades: Floats | None = None

    @property
    def returns(self) -> Floats:
        """Simple returns per bar, (T-1,) or (B, T-1)."""
        return np.asarray(self.value[..., 1:] / self.value[..., :-1] - 1.0)


Facts = Mapping[str, Any]
"""Loose facts on a card, ready for JSON."""
