"""From an equity curve to the numbers people read: total functions, each with direction and unit.

`summary(curve)` gives all of them, `metric_card(name)` says what one of them means, and
`sharpe_ratio(curve)` and its sisters are plain functions. A curve (T,) gives a float, a batch of
curves (B, T) an array (B,). Every value is finite; docs/concepts/metrics.md says by which
conventions.
"""

from steelyard.metrics.growth import annual_return, cumulative_return
from steelyard.metrics.paths import LIMIT, Paths
from steelyard.metrics.ratios import (
    calmar_ratio,
    daily_sharpe_ratio,
    omega_ratio,
    rachev_ratio,
    romad,
    sharpe_ratio,
    sortino_ratio,
    win_loss_ratio,
)
from steelyard.metrics.risk import annual_volatility, max_drawdown
from steelyard.metrics.room import metric, metric_card, summary

__all__ = [
    "LIMIT",
    "Paths",
    "annual_return",
    "annual_volatility",
    "calmar_ratio",
    "cumulative_return",
    "daily_sharpe_ratio",
    "max_drawdown",
    "metric",
    "metric_card",
    "omega_ratio",
    "rachev_ratio",
    "romad",
    "sharpe_ratio",
    "sortino_ratio",
    "summary",
    "win_loss_ratio",
]
