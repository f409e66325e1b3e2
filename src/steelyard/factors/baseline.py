"""What factors are held against: ridge regression on everything that they were distilled from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steelyard.errors import ConfigError
from steelyard.factors.information import Coefficient, gained, information_coefficient
from steelyard.types import Floats

PENALTIES = tuple(float(value) for value in np.logspace(-6.0, 1.0, 15))
"""Tried on the validation rows, in multiples of the mean variance of a column."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear score of each target.

    Attributes:
        weight: (D, H).
        offset: (H,).
        penalty: (H,) chosen for each target, a key of `PENALTIES`; 0 without one.
    """

    weight: Floats
    offset: Floats
    penalty: Floats

    def __call__(self, inputs: Floats) -> Floats:
        """Scores (T, H) of inputs (T, D)."""
        return np.asarray(inputs @ self.weight + self.offset)


@dataclass(frozen=True)
class Comparison:
    """Factors against ridge regression, over one horizon.

    Attributes:
        horizon: rows ahead.
        factors: the best linear readout of the factors.
        ridge: ridge regression on all features.
        difference: the first less the second, drawn together.
    """

    horizon: int
    factors: Coefficient
    ridge: Coefficient
    difference: Coefficient


def ridge(
    inputs: Floats,
    targets: Floats,
    validation_inputs: Floats,
    validation_targets: Floats,
    penalties: Sequence[float] = PENALTIES,
) -> Linear:
    """Ridge regression (Hoerl & Kennard, 1970), the penalty of each target chosen on other rows.

    Args:
        inputs: (T, D) training rows without NaN.
        targets: (T, H); rows where one is NaN do not count for it.
        validation_inputs, validation_targets: (V, D) and (V, H): rows that choose the penalty by
            their squared error.
        penalties: multiples of the mean variance of a column, each above 0.

    Raises:
        ConfigError: a target has no training row or no validation row, or a penalty is not above 0.
    """
    if not penalties or min(penalties) <= 0.0:
        raise ConfigError(f"penalties must lie above 0, got {list(penalties)}", hint="(1e-3, 1.0)")
    fits = [
        _one(inputs, target, penalties, validation_inputs, validation)
        for target, validation in zip(targets.T, validation_targets.T, strict=True)
    ]
    weight, offset, penalty = (np.stack(parts) for parts in zip(*fits, strict=True))
    return Linear(weight.T, offset, penalty)


def readout(inputs: Floats, targets: Floats) -> Linear:
    """Least squares of every target (T, H) on `inputs` (T, D); rows with a NaN do not count."""
    weights, offsets = [], []
    for target in targets.T:
        known = np.isfinite(target) & np.isfinite(inputs).all(axis=1)
        x, y, mean, level = _centred(inputs[known], target[known])
        weight = np.linalg.lstsq(x, y, rcond=1e-10)[0]
        weights.append(weight)
        offsets.append(level - mean @ weight)
    return Linear(np.stack(weights).T, np.array(offsets), np.zeros(len(weights)))


def compare(
    factors: Floats, baseline: Floats, future: Floats, horizons: Sequence[int], seed: int = 0
) -> list[Comparison]:
    """Scores (T, H) of the factors' readout and of ridge regression against what follows (T, H)."""
    found = []
    for column, horizon in enumerate(horizons):
        one, after = factors[:, column], future[:, column]
        two = np.where(np.isfinite(one), baseline[:, column], np.nan)  # the same rows
        how = {"block": 2 * horizon, "seed": seed}
        found.append(
            Comparison(
                horizon,
                information_coefficient(one, after, **how),
                information_coefficient(two, after, **how),
                gained(one, two, after, **how),
            )
        )
    return found


def _one(
    inputs: Floats,
    target: Floats,
    penalties: Sequence[float],
    validation_inputs: Floats,
    validation: Floats,
) -> tuple[Floats, float, float]:
    """Weight (D,), offset and penalty of one target: one decomposition serves all penalties."""
    known, judged = np.isfinite(target), np.isfinite(validation)
    if not known.any() or not judged.any():
        raise ConfigError(
            f"ridge regression has {known.sum()} training and {judged.sum()} validation rows with "
            "a target",
            hint="longer spans, or shorter horizons",
        )
    x, y, mean, level = _centred(inputs[known], target[known])
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    along = vectors.T @ (x.T @ y / len(x))
    scale = max(float(values.mean()), 1e-12)
    weights = np.stack(
        [vectors @ (along / (np.maximum(values, 0.0) + each * scale)) for each in penalties], axis=1
    )
    missed = (validation_inputs[judged] - mean) @ weights + level - validation[judged, None]
    best = int(np.argmin((missed**2).mean(axis=0)))
    return weights[:, best], float(level - mean @ weights[:, best]), penalties[best]


def _centred(inputs: Floats, target: Floats) -> tuple[Floats, Floats, Floats, float]:
    mean, level = inputs.mean(axis=0), float(target.mean())
    return inputs - mean, target - level, mean, level
