"""The numbers that were published, as they stand in print, for comparison and for audit.

Tables 4 and 5 of *FinRL Contests: Benchmarking Data-driven Financial Reinforcement Learning Agents*
(2025), sections 6.2.1 and 6.2.2. Percentages are stored as fractions; nothing is corrected. What
does not add up is said in a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

CITATION = "FinRL Contests: Benchmarking Data-driven Financial Reinforcement Learning Agents (2025)"


@dataclass(frozen=True)
class PublishedRow:
    """One agent in one period of a published table.

    Attributes:
        table: its number in the paper.
        agent: the name in the table.
        start, end: the test period as ISO days, both inclusive.
        metrics: metric name -> value; returns and drawdowns as fractions.
        sharpe: the scale of `sharpe_ratio` here, inferred from its size: the paper states none.
        flaw: what cannot be right about the row; empty where nothing was found.
    """

    table: int
    agent: str
    start: str
    end: str
    metrics: Mapping[str, float]
    sharpe: Literal["annual", "daily", "step"] = "annual"
    flaw: str = ""


MIXED_SHARPE = (
    "the table mixes scales: the index rows are per day (ddof 0), the teams' are annualised; on "
    "one scale the index (about 7 in both periods) beats one team of three, then all three"
)
MINIMUM_VARIANCE = (
    "the column is of another period: its cumulative and annual return imply 1.84 years, all the "
    "others 2.90; its cumulative return over its drawdown is 0.93, not 1.10"
)

NOTES: Mapping[int, tuple[str, ...]] = {
    4: (
        "Sharpe ratios: " + MIXED_SHARPE,
        "the second period is printed as 11/15-11/12/2023; it ends on 2023-11-22",
        "the paper says 30 stocks, the kit of the contest has 29",
        "no correction for the number of entries: the best of many is lucky (see deflated_sharpe)",
    ),
    5: (
        "Min-Variance: " + MINIMUM_VARIANCE,
        "PPO alone beats every ensemble in return, volatility, Sharpe, Sortino and Omega; "
        "Ensemble-1 leads in drawdown, RoMaD and Calmar: what ensembles may cut is the drawdown",
        "annual return and volatility of the index count the first row as a bar with return 0, and "
        "its last day is 2023-11-30: an end of 2023-12-01 was taken as exclusive",
    ),
}
"""Table number -> what its reader should know."""


def _table4(
    agent: str, first: tuple[float, ...], second: tuple[float, ...], *, index: bool = False
) -> tuple[PublishedRow, ...]:
    """Two rows from (cumulative return in %, Sharpe ratio, maximum drawdown in %)."""
    periods = (("2023-10-25", "2023-11-14", first), ("2023-11-15", "2023-11-22", second))
    return tuple(
        PublishedRow(
            table=4,
            agent=agent,
            start=start,
            end=end,
            metrics={
                "cumulative_return": gain / 100,
                "sharpe_ratio": sharpe,
                "max_drawdown": drawdown / 100,
            },
            sharpe="daily" if index else "annual",
            flaw=MIXED_SHARPE if index else "",
        )
        for start, end, (gain, sharpe, drawdown) in periods
    )


TABLE_4: tuple[PublishedRow, ...] = (
    *_table4("SZU-FIN-621", (1.05, 2.26, -1.36), (-0.03, -10.25, -0.03)),
    *_table4("Nik-Elena", (3.50, 9.56, -0.40), (0.04, 0.95, -0.15)),
    *_table4("WeCan", (2.35, 8.07, -0.55), (-0.05, -1.74, -0.11)),
    *_table4("DJIA", (5.42, 0.45, -1.87), (0.80, 0.49, -0.18), index=True),
)
"""FinRL Contest 2023, data-centric stock trading: the three winners and the index."""

_COLUMNS_5 = (
    "cumulative_return",
    "annual_return",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "romad",
    "calmar_ratio",
    "omega_ratio",
)
_PERCENT = {"cumulative_return", "annual_return", "annual_volatility", "max_drawdown"}


def _table5(agent: str, *values: float, flaw: str = "") -> PublishedRow:
    """One column of the table, from top to bottom as printed."""
    metrics = {
        name: value / 100 if name in _PERCENT else value
        for name, value in zip(_COLUMNS_5, values, strict=True)
    }
    return PublishedRow(5, agent, "2021-01-04", "2023-11-30", metrics, flaw=flaw)


TABLE_5: tuple[PublishedRow, ...] = (
    _table5("Ensemble-1", 62.60, 18.22, 11.76, 1.48, 2.34, -8.98, 6.97, 2.03, 1.31),
    _table5("Ensemble-2", 58.77, 17.25, 12.61, 1.33, 2.14, -11.27, 5.22, 1.53, 1.28),
    _table5("Ensemble-3", 46.89, 14.15, 12.70, 1.11, 1.74, -12.27, 3.82, 1.15, 1.23),
    _table5("PPO", 63.37, 18.41, 11.35, 1.55, 2.44, -9.96, 6.36, 1.85, 1.33),
    _table5("SAC", 50.62, 15.14, 11.67, 1.27, 2.05, -12.02, 4.21, 1.26, 1.27),
    _table5("DDPG", 63.19, 18.36, 11.93, 1.47, 2.37, -13.15, 4.81, 1.40, 1.32),
    _table5(
        "Min-Variance",
        13.9,
        7.34,
        18.16,
        0.48,
        0.73,
        -14.9,
        1.10,
        0.49,
        1.09,
        flaw=MINIMUM_VARIANCE,
    ),
    _table5("DJIA", 18.95, 6.15, 15.14, 0.47, 0.67, -21.94, 0.86, 0.28, 1.08),
)
"""Trading the 30 stocks of the Dow Jones index: three ensembles, their agents, two baselines."""


def as_facts(rows: Iterable[PublishedRow]) -> tuple[dict[str, object], ...]:
    """Rows ready for a task's card."""
    return tuple(asdict(row) for row in rows)


def rows_of(table: int) -> tuple[dict[str, object], ...]:
    """The rows of one published table, ready for a task's card."""
    return as_facts({4: TABLE_4, 5: TABLE_5}[table])
