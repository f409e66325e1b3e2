"""Fewer columns out of many, chosen or combined on training rows alone.

`CorrelationSelection` keeps one representative of each group of columns that say the same,
`PrincipalComponents` keeps the directions in which columns vary most. Both are fitted on training
rows, applied to any, and stored as JSON. `missing_rates` says how much of a feature is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, DataError
from steelyard.features import FeatureSet
from steelyard.types import Floats


def missing_rates(features: FeatureSet) -> dict[str, float]:
    """Share of the values of each feature that are not there, its warm-up included; 0 to 1."""
    return {
        name: float(np.isnan(values).mean()) if values.size else 1.0
        for name, values in features.values.items()
    }


@dataclass(frozen=True, eq=False)
class CorrelationSelection:
    """One representative per group of correlated columns. Made by `fit`.

    Attributes:
        columns: names of all columns that it was fitted on.
        groups: representative -> the columns that it stands for, itself first.
        unusable: columns that have no two different values in the training rows.
        threshold: largest |correlation| that two representatives may have.
        rows: the training rows, start and stop (exclusive).
    """

    columns: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    unusable: tuple[str, ...]
    threshold: float
    rows: tuple[int, int]

    @property
    def kept(self) -> tuple[str, ...]:
        """The representatives, in the order of the columns."""
        return tuple(name for name in self.columns if name in self.groups)

    @classmethod
    def fit(
        cls,
        values: Floats,
        rows: tuple[int, int],
        columns: Sequence[str],
        *,
        threshold: float = 0.9,
        label: Floats | None = None,
    ) -> CorrelationSelection:
        """Choose representatives on training rows.

        The best column that is left becomes a representative and takes with it all whose |Pearson
        correlation| with it, on the rows where both have a value, is above the threshold; then the
        next. The best is the one with the highest |information coefficient| (Pearson correlation
        with the label); without a label, the one with the fewest missing values. Equals go by the
        order of the columns.

        Args:
            values: (T, ..., F); NaN = no value.
            rows: first training row and the row after the last one.
            columns: F names.
            threshold: in (0, 1].
            label: (T, ...) what is to be predicted; NaN = unknown.

        Raises:
            ConfigError: rows outside the values, or a threshold outside (0, 1].
            DataError: shapes do not fit, or no column is usable.
        """
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(f"the threshold is {threshold:g}, it must be above 0 and at most 1")
        table = _training(values, rows, columns)
        if label is None:
            quality = np.isfinite(table).mean(axis=0)
        else:
            target = _training(np.asarray(label)[..., None], rows, ("label",))
            if len(target) != len(table):
                raise DataError(f"the label has {len(target)} training values, not {len(table)}")
            quality = np.nan_to_num(np.abs(_correlations(target, table)[0]), nan=-1.0)
        related = np.abs(_correlations(table, table))
        usable = np.isfinite(np.diagonal(related))
        names = [str(name) for name in columns]
        groups: dict[str, tuple[str, ...]] = {}
        left = usable.copy()
        for best in np.argsort(-quality, kind="stable"):
            if left[best]:
                taken = left & (related[best] > threshold)
                taken[best] = False
                left &= ~taken
                left[best] = False
                others = [names[index] for index in np.flatnonzero(taken)]
                groups[names[best]] = (names[best], *others)
        unusable = tuple(name for name, use in zip(names, usable, strict=True) if not use)
        if not groups:
            raise DataError("no column has two different values in the training rows")
        return cls(tuple(names), groups, unusable, float(threshold), _pair(rows))

    def apply(self, values: Floats) -> Floats:
        """The columns of the representatives: (..., F) -> (..., K).

        Raises:
            DataError: another number of columns.
        """
        table = _with_columns(values, len(self.columns))
        chosen: Floats = table[..., [self.columns.index(name) for name in self.kept]]
        return chosen

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "columns": list(self.columns),
            "groups": {name: list(group) for name, group in self.groups.items()},
            "unusable": list(self.unusable),
            "threshold": self.threshold,
            "rows": list(self.rows),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CorrelationSelection:
        """The selection that `to_dict` wrote.

        Raises:
            ConfigError: keys are missing.
        """
        _require(stored, "columns", "groups", "unusable", "threshold", "rows")
        groups = {name: tuple(group) for name, group in stored["groups"].items()}
        return cls(
            tuple(stored["columns"]),
            groups,
            tuple(stored["unusable"]),
            float(stored["threshold"]),
            _pair(stored["rows"]),
        )


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """The first k principal components of standardised columns. Made by `fit`.

    A missing value counts as the training mean of its column, as it does for networks; a row
    without any value has no components (NaN).

    Attributes:
        columns: names of the F columns.
        mean, std: (F,) of the training rows; columns that do not vary there have weight 0.
        weights: (F, k), columns of unit length; the largest entry of each is positive.
        explained: (k,) share of the variance of the training rows.
        rows: the training rows, start and stop (exclusive).
    """

    columns: tuple[str, ...]
    mean: Floats = field(repr=False)
    std: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    explained: Floats
    rows: tuple[int, int]

    @classmethod
    def fit(
        cls, values: Floats, rows: tuple[int, int], columns: Sequence[str], k: int = 10
    ) -> PrincipalComponents:
        """Components of the training rows.

        Args:
            values: (T, ..., F); NaN = no value.
            rows: first training row and the row after the last one.
            columns: F names.
            k: how many, 1 to F.

        Raises:
            ConfigError: rows outside the values, or k outside 1 to the columns that vary.
            DataError: shapes do not fit.
        """
        table = _training(values, rows, columns)
        known = np.isfinite(table)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, table, 0.0).sum(axis=0) / count
        std = np.sqrt(np.square(np.where(known, table - mean, 0.0)).sum(axis=0) / count)
        varies = std > 1e-12 * np.maximum(np.abs(mean), 1e-12)
        if not 1 <= k <= varies.sum():
            raise ConfigError(
                f"{k} components of {varies.sum()} columns that vary in the training rows",
                hint="choose 1 or more, at most as many as there are columns",
            )
        std = np.where(varies, std, 1.0)
        standard = np.where(known & varies, (table - mean) / std, 0.0)
        variance, vectors = np.linalg.eigh(standard.T @ standard / max(len(standard), 1))
        order = np.argsort(-variance, kind="stable")[:k]
        weights = vectors[:, order]
        largest = np.abs(weights).argmax(axis=0)
        weights = weights * np.sign(weights[largest, np.arange(k)])
        names = tuple(str(name) for name in columns)
        return cls(names, mean, std, weights, variance[order] / variance.sum(), _pair(rows))

    def apply(self, values: Floats) -> Floats:
        """Components of any rows: (..., F) -> (..., k).

        Raises:
            DataError: another number of columns.
        """
        table = _with_columns(values, len(self.columns))
        known = np.isfinite(table)
        standard = np.where(known, (table - self.mean) / self.std, 0.0)
        made: Floats = standard @ self.weights
        made[~known.any(axis=-1)] = np.nan
        return made

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "columns": list(self.columns),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "weights": self.weights.tolist(),
            "explained": self.explained.tolist(),
            "rows": list(self.rows),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PrincipalComponents:
        """The components that `to_dict` wrote; equal to the last bit.

        Raises:
            ConfigError: keys are missing.
        """
        _require(stored, "columns", "mean", "std", "weights", "explained", "rows")
        numbers = {
            name: np.array(stored[name], dtype=np.float64)
            for name in ("mean", "std", "weights", "explained")
        }
        return cls(tuple(stored["columns"]), rows=_pair(stored["rows"]), **numbers)


def _training(values: Floats, rows: tuple[int, int], columns: Sequence[str]) -> Floats:
    """The training rows as (rows, F), everything but the columns flattened."""
    start, stop = rows
    if not 0 <= start < stop <= len(values):
        raise ConfigError(
            f"training rows {start}..{stop} are not inside the {len(values)} rows",
            hint="rows are (start, stop) with 0 <= start < stop <= T",
        )
    table = _with_columns(values, len(columns))[start:stop]
    return table.reshape(-1, len(columns))


def _with_columns(values: Floats, columns: int) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 2 or table.shape[-1] != columns:
        raise DataError(f"values of shape {table.shape} do not have {columns} columns")
    return np.where(np.isfinite(table), table, np.nan)


def _correlations(one: Floats, other: Floats) -> Floats:
    """Pearson correlations (F, G) of columns (T, F) and (T, G), over the rows that both have.

    NaN where one of the two does not vary on these rows.
    """
    left, right = _standard(one), _standard(other)
    seen, shown = np.isfinite(left).astype(float), np.isfinite(right).astype(float)
    x, y = np.nan_to_num(left, nan=0.0), np.nan_to_num(right, nan=0.0)
    count = np.maximum(seen.T @ shown, 1.0)
    sum_x, sum_y = x.T @ shown, seen.T @ y
    both = x.T @ y - sum_x * sum_y / count
    square_x = np.square(x).T @ shown - np.square(sum_x) / count
    square_y = seen.T @ np.square(y) - np.square(sum_y) / count
    still: NDArray[np.bool_] = (square_x <= 1e-9 * count) | (square_y <= 1e-9 * count)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.clip(both / np.sqrt(square_x * square_y), -1.0, 1.0)
    result[still] = np.nan
    return result


def _standard(table: Floats) -> Floats:
    """Columns less their mean, over their spread, so that products keep their digits."""
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, table, 0.0).sum(axis=0) / count
    gap = np.where(known, table - mean, np.nan)
    std = np.sqrt(np.nansum(np.square(gap), axis=0) / count)
    varies = std > 1e-12 * np.maximum(np.abs(mean), 1e-12)
    return gap / np.where(varies, std, np.inf)


def _require(stored: Mapping[str, Any], *keys: str) -> None:
    if missing := set(keys) - set(stored):
        raise ConfigError(f"the stored selection lacks {', '.join(sorted(missing))}")


def _pair(rows: Sequence[int]) -> tuple[int, int]:
    start, stop = rows
    return int(start), int(stop)
