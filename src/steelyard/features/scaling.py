"""What networks see: features made comparable, on a scale taken from the training rows only.

First by unit: a "price" becomes its distance from that row's close, price / close - 1; a
"price_change" is divided by the close; a "percent" becomes x / 100 - 0.5; "ratio" and "level" stay
as they are. Then every column loses the mean of its training rows, is divided by their standard
deviation and clipped to [-5, 5].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, DataError
from steelyard.features import compute, resolve
from steelyard.types import Feature, Floats, Panel

CLIP = 5.0  # training standard deviations
CONSTANT = 1e-12  # a standard deviation below this share of the mean (or of 1) is rounding


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Scaled features, ready for a network.

    Attributes:
        values: (T, D) float32 in [-5, 5]; 0, the training mean, where `observed` is False.
        observed: (T, D) whether the number was there: False in the warm-up, where the asset was not
            observed, and in columns that the training rows do not know (listed later).
        columns: D names; "macd/AAPL" for an asset, "vix" for the market.
    """

    values: NDArray[np.float32]
    observed: NDArray[np.bool_]
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scaler:
    """Panel -> `FeatureTable`, with means and scales fitted on training rows. Made by `fit`.

    The columns are N of `log_close` (logarithm of the close), then N of each feature of scope
    "asset", then one of each feature of scope "market"; each group in the order given.

    Attributes:
        features: what is computed, in the order of the columns.
        assets: N names; the panel must have the same, in this order.
        mean: (D,) mean of the training rows; NaN where there was none.
        std: (D,) standard deviation (ddof 0) of the training rows; 1 for a constant column.
        rows: the training rows, start and stop (exclusive), that it was fitted on.
    """

    features: tuple[Feature, ...]
    assets: tuple[str, ...]
    mean: Floats = field(repr=False)
    std: Floats = field(repr=False)
    rows: tuple[int, int]

    @property
    def columns(self) -> tuple[str, ...]:
        """The D names of the columns."""
        names = [f"log_close/{asset}" for asset in self.assets]
        for entry in self.features:
            market = entry.scope == "market"
            names += [entry.name] if market else [f"{entry.name}/{a}" for a in self.assets]
        return tuple(names)

    @property
    def warmup(self) -> int:
        """Observed rows until every feature has its first value."""
        return max((entry.warmup for entry in self.features), default=0)

    def __call__(self, panel: Panel) -> FeatureTable:
        """Compute and scale all rows of `panel`.

        Raises:
            DataError: the panel has other assets, or the same in another order.
            MissingDataError: the panel lacks a field that a feature reads.
        """
        if panel.assets != self.assets:
            raise DataError(
                f"the scaler was fitted on the assets {_short(self.assets)}, "
                f"panel `{panel.name}` has {_short(panel.assets)}",
                hint="use panel.select(scaler.assets)",
            )
        return self.scale(_comparable(self.features, panel))

    def scale(self, values: Floats) -> FeatureTable:
        """Scale rows that stand already, (T, D) as `Columns.values` holds them."""
        scaled = (values - self.mean) / self.std
        observed = np.isfinite(scaled)
        clipped = np.where(observed, np.clip(scaled, -CLIP, CLIP), 0.0).astype(np.float32)
        return FeatureTable(clipped, observed, self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; `None` is the mean of a column without training rows."""
        return {
            "features": [entry.name for entry in self.features],
            "assets": list(self.assets),
            "mean": [None if math.isnan(value) else value for value in self.mean.tolist()],
            "std": self.std.tolist(),
            "rows": list(self.rows),
        }

    @classmethod
    def from_dict(
        cls, stored: Mapping[str, Any], features: Sequence[str | Feature] | None = None
    ) -> Scaler:
        """The scaler that `to_dict` wrote; equal to the last bit.

        Args:
            stored: what `to_dict` returned, also after a way through JSON.
            features: the features themselves, where some of them are not registered.

        Raises:
            UnknownNameError: a stored feature is not registered and was not given.
            ConfigError: keys are missing, or sizes or names do not fit together.
        """
        missing = {"features", "assets", "mean", "std", "rows"} - set(stored)
        if missing:
            raise ConfigError(f"the stored scaler lacks {', '.join(sorted(missing))}")
        chosen = tuple(resolve(stored["features"] if features is None else features))
        names = [entry.name for entry in chosen]
        mean = np.array([math.nan if v is None else v for v in stored["mean"]], dtype=np.float64)
        std = np.array(stored["std"], dtype=np.float64)
        start, stop = stored["rows"]
        made = cls(chosen, tuple(stored["assets"]), mean, std, (int(start), int(stop)))
        if names != list(stored["features"]) or not len(made.columns) == len(mean) == len(std):
            raise ConfigError(
                f"the stored scaler has {len(mean)} means and {len(std)} scales of "
                f"{_short(stored['features'])}; {_short(names)} make {len(made.columns)} columns"
            )
        return made


@dataclass(frozen=True, eq=False)
class Columns:
    """Features of a whole panel before scaling, for many scalers at once. Made by `columns`.

    Features are causal, so that a row is the same whatever follows it; a scaler that is fitted on
    rows of this table is the one that `fit` makes of a panel that ends there, up to rounding.

    Attributes:
        features, assets: as in `Scaler`.
        values: (T, D) comparable by unit, not yet standardised; NaN = not observed.
    """

    features: tuple[Feature, ...]
    assets: tuple[str, ...]
    values: Floats = field(repr=False)

    @property
    def warmup(self) -> int:
        """Observed rows until every feature has its first value."""
        return max((entry.warmup for entry in self.features), default=0)

    def fit(self, rows: tuple[int, int]) -> Scaler:
        """The scaler of some training rows: the first one and the row after the last one.

        Raises:
            ConfigError: the rows are empty or outside the panel, or a feature has no value there.
        """
        start, stop = _inside(rows, len(self.values))
        table = self.values[start:stop]
        known = np.isfinite(table)
        count = known.sum(axis=0)
        with np.errstate(invalid="ignore"):
            mean = np.where(known, table, 0.0).sum(axis=0) / count
            std = np.sqrt(np.square(np.where(known, table - mean, 0.0)).sum(axis=0) / count)
            std[~(std > CONSTANT * np.maximum(np.abs(mean), 1.0))] = 1.0
        scaler = Scaler(self.features, self.assets, mean, std, (start, stop))
        _require_values(scaler, count)
        return scaler


def columns(panel: Panel, features: Sequence[str | Feature]) -> Columns:
    """Compute features for all rows of a panel.

    Args:
        panel: the data.
        features: names or objects; asset-wide ones come before market-wide ones in the columns.

    Raises:
        UnknownNameError: no feature has that name.
        MissingDataError: the panel lacks a field that a feature reads.
    """
    chosen = tuple(sorted(resolve(features), key=lambda entry: entry.scope == "market"))
    return Columns(chosen, panel.assets, _comparable(chosen, panel))


def fit(panel: Panel, features: Sequence[str | Feature], rows: tuple[int, int]) -> Scaler:
    """Fit a scaler on training rows.

    The features are computed on a panel that ends with the training rows, so nothing later can
    enter; rows before the training rows serve as history for the warm-up.

    Args:
        panel: the data; may reach beyond the training rows.
        features: as for `columns`.
        rows: first training row and the row after the last one.

    Raises:
        ConfigError: the rows are empty or outside the panel, or a feature has no training value.
        UnknownNameError: no feature has that name.
    """
    _, stop = _inside(rows, len(panel))
    return columns(panel.rows(0, stop), features).fit(rows)


def _inside(rows: tuple[int, int], length: int) -> tuple[int, int]:
    start, stop = rows
    if not 0 <= start < stop <= length:
        raise ConfigError(
            f"training rows {start}..{stop} are not inside the panel of {length} rows",
            hint="rows are (start, stop) with 0 <= start < stop <= len(panel)",
        )
    return start, stop


def _comparable(features: Sequence[Feature], panel: Panel) -> Floats:
    """(T, D) columns as they are before standardising: `log_close`, then every feature by unit."""
    close, made = panel["close"], compute(features, panel)
    with np.errstate(divide="ignore", invalid="ignore"):
        blocks = [np.log(close)]
        for entry in features:
            values = made[entry.name]
            if entry.unit == "price":
                values = values / close - 1.0
            elif entry.unit == "price_change":
                values = values / close
            elif entry.unit == "percent":
                values = values / 100.0 - 0.5
            blocks.append(values.reshape(len(panel), -1))
    table = np.concatenate(blocks, axis=1)
    table[~np.isfinite(table)] = np.nan
    return table


def _require_values(scaler: Scaler, count: NDArray[np.int_]) -> None:
    """Every feature needs a value in the training rows, at least of one asset."""
    empty = {name for name, rows in zip(scaler.columns, count, strict=True) if rows == 0}
    for entry in scaler.features:
        own = [name for name in scaler.columns if name.split("/")[0] == entry.name]
        if empty.issuperset(own):
            start, stop = scaler.rows
            raise ConfigError(
                f"feature `{entry.name}` has no value in the training rows {start}..{stop}: "
                f"it needs {entry.warmup} rows of warm-up",
                hint="train on later or on more rows, or leave the feature out",
            )


def _short(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")
