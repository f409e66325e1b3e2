"""How rough the way was."""

from __future__ import annotations

import math

from steelyard.metrics.paths import Paths
from steelyard.metrics.room import metric
from steelyard.types import Floats


@metric(better="lower", unit="fraction per sqrt(year)", formula="std(r) * sqrt(P)", ddof=1)
def annual_volatility(curve: Paths) -> Floats:
    """Annualised sample standard deviation of the returns; 0 with fewer than two."""
    return curve.spread(ddof=1) * math.sqrt(curve.periods_per_year)


@metric(
    better="higher",
    unit="fraction",
    formula="min over t of V[t] / max(V[0..t]) - 1",
    note="negative; the starting capital is the first peak",
)
def max_drawdown(curve: Paths) -> Floats:
    """Largest fall from a peak to a later trough, as a negative fraction of the peak.

    0 where the curve never falls, -1 for a total loss, below that for a debt.
    """
    return curve.drawdown
