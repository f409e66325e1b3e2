"""Tables 7 and 8 of the paper, crypto trading in an order book, as they stand in print.

Sections 6.3.1 and 6.3.2. The paper does not say at which sampling or on which year its ratios are;
the scales here are inferred from their size.
"""

from __future__ import annotations

from steelyard.tasks.published import PublishedRow

PERIOD_7 = ("2021-04-19T09:09:22", "2021-04-19T09:54:22")
"""45 minutes."""

PERIOD_8 = ("2021-04-17T00:38:02", "2021-04-19T09:54:22")

SCALE_7 = (
    "a Sharpe ratio of 0.28 at a return of 0.66 % in 45 minutes cannot be per step of two seconds "
    "beside these drawdowns; it fits steps of about a minute. Table 8 is per second or per step of "
    "two: the tables do not compare"
)
SCALE_8 = "per second or per step of two, not annualised: not the scale of Table 7"
SAME = (
    "the three ensembles are equal to three digits, as Double and Dueling DQN are: the vote of the "
    "published kit always takes the first agent, and its dueling agent is its double one; "
    + SCALE_7
)
SIGN = "the ratio of return to drawdown is printed positive, and the return is negative; " + SCALE_7

_COLUMNS = (
    "cumulative_return",
    "sharpe_ratio",
    "max_drawdown",
    "romad",
    "sortino_ratio",
    "omega_ratio",
    "win_loss_ratio",
)
_PERCENT = {"cumulative_return", "max_drawdown"}


def _row(
    table: int, agent: str, period: tuple[str, str], values: tuple[float, ...], flaw: str
) -> PublishedRow:
    """A row from its numbers as printed, from top to bottom."""
    metrics = {
        name: value / 100 if name in _PERCENT else value
        for name, value in zip(_COLUMNS, values, strict=False)
    }
    return PublishedRow(table, agent, *period, metrics, sharpe="step", flaw=flaw)


_ENSEMBLE = (0.66, 0.28, -0.73, 0.90, 0.39, 1.08, 1.622)
_DOUBLE = (0.48, 0.21, -0.98, 0.49, 0.29, 1.05, 1.617)

TABLE_7: tuple[PublishedRow, ...] = (
    _row(7, "Ensemble-1", PERIOD_7, _ENSEMBLE, SAME),
    _row(7, "Ensemble-2", PERIOD_7, _ENSEMBLE, SAME),
    _row(7, "Ensemble-3", PERIOD_7, _ENSEMBLE, SAME),
    _row(7, "DQN", PERIOD_7, (0.34, 0.15, -0.93, 0.37, 0.20, 1.04, 1.309), SCALE_7),
    _row(7, "Double DQN", PERIOD_7, _DOUBLE, SAME),
    _row(7, "Dueling DQN", PERIOD_7, _DOUBLE, SAME),
    _row(7, "Fixed-Time Exit", PERIOD_7, (-0.1, -0.03, -1.00, 0.10, -0.04, 0.99, 0.5), SIGN),
    _row(7, "BTC", PERIOD_7, (0.74, 0.20, -1.3, 0.59, 0.28, 1.05), SCALE_7),
)
"""Trading one bitcoin on seconds: majority votes of 3, 15 and 30 agents, their kinds, baselines."""

TABLE_8: tuple[PublishedRow, ...] = (
    _row(8, "Fermion", PERIOD_8, (0.23, 0.0037, -0.28), SCALE_8),
    _row(8, "Mt.Everest", PERIOD_8, (-0.05, -0.0008, -1.23), SCALE_8),
    _row(8, "BTC", PERIOD_8, (-7.35, -0.0022, -17.02), SCALE_8),
)
"""The winners of the FinRL Contests 2024 and 2025, and the price."""
