"""The rows of a panel, and the one function that makes markets of them that something learns from.

A learner may read all that it is handed. Its market is therefore made of the rows that it may know
and holds no number of any other: not in its prices, not in its observations, not in its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.rules import Rules
from steelyard.evaluation.splits import Span
from steelyard.features.scaling import Columns, FeatureTable, Scaler, columns
from steelyard.types import Feature, Panel

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MarketRows:
    """The rows of a panel, from which markets are made. What is not asked for is not computed.

    Attributes:
        rules: how they are traded.
        panel: the rows. What lies behind its last one cannot enter anything that is made here.
        features: of the observations.
    """

    rules: Rules
    panel: Panel
    features: tuple[Feature, ...]

    def until(self, last: int) -> MarketRows:
        """The same up to row `last`, as if the data ended there."""
        if last == len(self.panel) - 1:
            return self  # what was computed is kept
        return MarketRows(self.rules, self.panel.rows(0, last + 1), self.features)

    @property
    def warmup(self) -> int:
        """Observed rows until every feature has its first value."""
        return max((one.warmup for one in self.features), default=0)

    @cached_property
    def columns(self) -> Columns:
        """Observations of all rows before scaling."""
        return columns(self.panel, self.features)

    @cached_property
    def exact(self) -> Any:
        """The market of all rows on the exact ledger, without observations. Learners never see it.

        Raises:
            ConfigError, DataError, MissingDataError: the rules cannot hold on these rows.
        """
        return self.rules.build(self.panel, self.warmup, "exact")

    def learning_market(
        self, spans: Sequence[Span], scaler: Scaler, length: int | None = None
    ) -> Any:
        """A market to learn from: float32, the rows of some spans behind each other, and no other.

        Nothing fills at the last row of a span, because that price belongs to the row behind it.

        Args:
            spans: first and last row of each, both inclusive, in the order of time.
            scaler: of the observations.
            length: rows of the result, where several are stacked: the last own row is repeated,
                and nothing fills there. As many as there are where None.
        """
        rows, span = packed(spans, length)
        seen = self.table(rows, scaler)
        return self._prices.of_rows(rows, span).showing(seen.values, seen.columns)

    def table(self, rows: Rows, scaler: Scaler) -> FeatureTable:
        """What agents observe on some rows, as a scaler shows it."""
        return self.rules.shown(scaler.scale(self.columns.values[rows]), self._warm[rows])

    @cached_property
    def _prices(self) -> Any:
        """The float32 market of all rows without observations, on the host; only copied from."""
        return jax.device_get(self.rules.build(self.panel, self.warmup, "float32"))

    @cached_property
    def _warm(self) -> NDArray[np.bool_]:
        return self.rules.warm(self.panel, self.warmup)


def packed(spans: Sequence[Span], length: int | None = None) -> tuple[Rows, Rows]:
    """The rows of some spans behind each other, and the number of the span of each.

    Args:
        length: how many rows there are in all: the last one is repeated, under the number -1.
    """
    rows = np.concatenate([np.arange(first, last + 1) for first, last in spans])
    span = np.repeat(np.arange(len(spans)), [last - first + 1 for first, last in spans])
    missing = 0 if length is None else length - len(rows)
    return np.pad(rows, (0, missing), "edge"), np.pad(span, (0, missing), constant_values=-1)
