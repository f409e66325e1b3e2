"""How much was earned."""

from __future__ import annotations

import math

import numpy as np

from steelyard.metrics.paths import LIMIT, Paths
from steelyard.metrics.room import metric
from steelyard.types import Floats


@metric(better="higher", unit="fraction", formula="V[n] / V[0] - 1")
def cumulative_return(curve: Paths) -> Floats:
    """Final value over starting capital, minus 1.

    Below -1 where an account ended in debt.
    """
    return curve.growth - 1.0


@metric(
    better="higher",
    unit="fraction per year",
    formula="(V[n] / V[0]) ** (P / n) - 1",
    note="geometric; n counts returns, not rows; a total loss is -1",
)
def annual_return(curve: Paths) -> Floats:
    """Geometric mean return per year over the bars of the curve.

    A total loss is -1 however long it took; at most `LIMIT`, which only windows of a few bars with
    large gains reach.
    """
    alive = curve.growth > 0
    rate = np.log(np.where(alive, curve.growth, 1.0)) * (curve.periods_per_year / curve.bars)
    return np.where(alive, np.expm1(np.minimum(rate, math.log1p(LIMIT))), -1.0)
