"""The curves of one agent or of several, checked to lie on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from steelyard.errors import DataError
from steelyard.metrics import Paths
from steelyard.types import EquityCurve

Curves = EquityCurve | Sequence[EquityCurve]
"""One curve (T,), a batch (S, T), or a curve per seed."""


def paths_of(curves: Curves) -> list[Paths]:
    """One checked path (1, T) per seed.

    Raises:
        DataError: there is none, one is no curve, or they do not lie on identical rows.
    """
    batches = [Paths.of(c) for c in ([curves] if isinstance(curves, EquityCurve) else curves)]
    paths = [batch.take(row, row + 1) for batch in batches for row in range(len(batch.value))]
    if not paths:
        raise DataError("no curves to take an interval of")
    require_same_rows(paths)
    return paths


def require_same_rows(paths: Sequence[Paths]) -> None:
    """Refuse curves that saw different bars.

    Raises:
        DataError: two of them have other rows or another number of bars per year.
    """
    for one, two in pairwise(paths):
        if one.value.shape != two.value.shape or not np.array_equal(one.timestamps, two.timestamps):
            raise DataError(
                f"curves lie on different rows: {_span(one)} and {_span(two)}",
                hint="evaluate both over the same window",
            )
        if one.periods_per_year != two.periods_per_year:
            raise DataError(
                "curves have different bars per year: "
                f"{one.periods_per_year:g} and {two.periods_per_year:g}"
            )


def _span(path: Paths) -> str:
    times = path.timestamps
    ends = f"{times[0]}..{times[-1]}, " if len(times) else ""
    return f"{ends}{path.value.shape[1]} rows"
