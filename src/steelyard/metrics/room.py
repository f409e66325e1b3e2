"""The room of the metrics: how one joins, what its card says, and all of them in one pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, Protocol

import numpy as np

from steelyard.metrics.paths import LIMIT, Paths
from steelyard.registry import card, find, members, register
from steelyard.types import EquityCurve, Floats

P = ParamSpec("P")
Function = Callable[Concatenate[Paths, P], Floats]


class Metric(Protocol[P]):
    """What the room holds: a number per curve."""

    def __call__(self, curve: EquityCurve, *args: P.args, **options: P.kwargs) -> Any:
        """A float for a curve (T,), an array (B,) for a batch (B, T)."""


CHUNK = 1 << 20
"""Bytes of curves that `summary` measures at a time, so that they stay in the cache of a core."""


def metric(
    *, better: Literal["higher", "lower"], unit: str, formula: str, **facts: Any
) -> Callable[[Function[P]], Metric[P]]:
    """Register a function of a `Paths` (B, T) -> (B,) as a metric of curves.

    What is registered and returned takes any `EquityCurve`: a float for a curve (T,), an array (B,)
    for a batch (B, T). It must be total: a finite number for every path, 0 where nothing moved.

    Args:
        better: the direction in which a leaderboard sorts.
        unit: what the number is per ("fraction", "per sqrt(year)").
        formula: one line for the card; r returns, n bars, P bars per year, V values.
        facts: what else the card should say, ready for JSON (`ddof`, `source`, `note`).
    """

    def mark(function: Function[P]) -> Metric[P]:
        @wraps(function)
        def measure(curve: EquityCurve, *args: P.args, **options: P.kwargs) -> Any:
            values = function(Paths.of(curve), *args, **options)
            return float(values[0]) if np.ndim(curve.value) == 1 else values

        return register(
            "metrics",
            function.__name__,
            measure,
            better=better,
            unit=unit,
            formula=formula,
            **facts,
        )

    return mark


def summary(curve: EquityCurve, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Every metric of a curve (T,) as floats, or of a batch (B, T) as arrays (B,).

    Returns, drawdown and moments are computed once and shared; the batch goes through in pieces
    that fit in the cache.

    Args:
        curve: finite values, first one positive.
        names: which metrics, in this order; all of the room where None.

    Raises:
        UnknownNameError: no metric has that name.
        DataError: the curve is not one (see `Paths.of`).
    """
    names = members("metrics") if names is None else names
    chosen = {name: find("metrics", name) for name in names}
    path = Paths.of(curve)
    batch, bars = path.value.shape
    table = {name: np.empty(batch) for name in chosen}
    step = max(1, CHUNK // (8 * bars))
    if step < batch:
        np.empty(2 * CHUNK)  # once freed, glibc keeps blocks of this size: no page faults per piece
    for start in range(0, batch, step):
        piece = path.take(start, min(start + step, batch))
        for name, function in chosen.items():
            table[name][start : start + step] = function(piece)
    if np.ndim(curve.value) == 1:
        return {name: float(values[0]) for name, values in table.items()}
    return table


def metric_card(name: str) -> dict[str, Any]:
    """What a metric means, ready for JSON: formula, direction, unit, conventions, defaults.

    Raises:
        UnknownNameError: no metric has that name; the hint names the nearest ones.
    """
    entry = card("metrics", name)
    parameters = list(inspect.signature(entry.value).parameters.values())[1:]
    return {
        "name": entry.name,
        "summary": entry.summary,
        **entry.facts,
        "options": {parameter.name: parameter.default for parameter in parameters},
        "periods_per_year": "of the curve: 252 for US stock days",
        "limit": LIMIT,
    }
