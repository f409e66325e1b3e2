"""Formulas as features, and many of them evaluated at once: each part that they share, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from steelyard import registry
from steelyard.features.expressions import Expression, across, warmup
from steelyard.features.series import Series
from steelyard.types import Feature, Floats, Panel

BLOCK = 2**14  # values of one series at once: what is between stays in the cache


class Formula:
    """An expression as the function of a `Feature`: Panel -> (T, N).

    Attributes:
        expression: what is evaluated.
    """

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def __call__(self, panel: Panel) -> Floats:
        """Values (T, N) on a panel."""
        return Plan([self.expression]).run(panel)[0]


def formula(
    name: str,
    expression: Expression,
    *,
    unit: Literal["price_change", "ratio", "level"],
    summary: str,
) -> Feature:
    """Register an expression as a feature; warm-up and scope follow from it.

    Raises:
        ConfigError: another feature already has that name.
    """
    scope: Literal["cross_section", "asset"] = "cross_section" if across(expression) else "asset"
    rows = warmup(expression)
    made = Feature(name, Formula(expression), unit, rows, scope, summary)
    return registry.register(
        "features", name, made, summary=summary, unit=unit, warmup=rows, scope=scope
    )


class Step(NamedTuple):
    """One node of a plan.

    Attributes:
        expression: what is done.
        inputs: the steps with whose values it is done.
        results: the formulas that it is the value of.
        finished: the steps whose values nobody needs after it.
    """

    expression: Expression
    inputs: tuple[int, ...]
    results: tuple[int, ...]
    finished: tuple[int, ...]


class Plan:
    """Expressions in the order in which they are evaluated, each different node once.

    Args:
        expressions: the formulas; `run` returns their values in this order.
    """

    def __init__(self, expressions: Sequence[Expression]) -> None:
        places: dict[Expression, int] = {}
        for expression in expressions:
            _place(expression, places)
        results: dict[int, list[int]] = {}
        for index, expression in enumerate(expressions):
            results.setdefault(places[expression], []).append(index)
        inputs = [tuple(places[entry] for entry in node.inputs) for node in places]
        last = {entry: place for place, used in enumerate(inputs) for entry in (place, *used)}
        finished: dict[int, list[int]] = {}
        for entry, place in last.items():
            finished.setdefault(place, []).append(entry)
        self.steps = [
            Step(node, inputs[place], tuple(results.get(place, ())), tuple(finished.get(place, ())))
            for node, place in places.items()
        ]
        self.count = len(expressions)
        self.warmup = max((warmup(entry) for entry in expressions), default=0)
        self.names = frozenset(
            node.operator for node in places if not node.inputs and node.operator != "constant"
        )

    def run(self, panel: Panel) -> list[Floats]:
        """Values (T, N) of every expression; NaN where there is none.

        Rows are evaluated in blocks where that can be: what is computed on the way takes the
        memory of a block, and stays in the cache.

        Raises:
            MissingDataError: the panel lacks a field that an expression needs.
        """
        series = Series.of(panel, self.names)
        rows, assets = series.shape
        tables = np.empty((self.count, rows, assets))
        size = max(rows, 1)
        if series.divisible:
            size = max(BLOCK // max(assets, 1), 4 * self.warmup)
        with np.errstate(all="ignore"):
            for start in range(0, rows, size):
                before, stop = max(start - self.warmup, 0), min(start + size, rows)
                self._fill(tables[:, start:stop], series.rows(before, stop), start - before)
        return [series.unpacked(table) for table in tables]

    def _fill(self, tables: Floats, series: Series, skipped: int) -> None:
        """Evaluate all steps on some rows; the first `skipped` are only there as history."""
        values: dict[int, Any] = {}
        for place, step in enumerate(self.steps):
            values[place] = series.apply(step.expression, [values[entry] for entry in step.inputs])
            for result in step.results:
                tables[result] = values[place][skipped:]
            for entry in step.finished:
                del values[entry]


def _place(expression: Expression, places: dict[Expression, int]) -> None:
    """Give a node its place behind all that it needs."""
    if expression not in places:
        for entry in expression.inputs:
            _place(entry, places)
        places[expression] = len(places)
