import math

import numpy as np
import pytest
from curve_builders import batch, index_curve

from steelyard import metrics
from steelyard.registry import members
from steelyard.tasks.published import TABLE_4, TABLE_5, PublishedRow

BARS = 732  # returns of 2021-01-04..2023-11-30
PERCENT = 5e-5  # half a unit of the last printed digit
RATIO = 5e-3


def slack(numerator: float, denominator: float) -> float:
    """How far a printed ratio of two printed percentages can be off by rounding alone."""
    size = abs(numerator / denominator)
    return RATIO + PERCENT / abs(denominator) + size * PERCENT / abs(denominator)


def contradictions(row: PublishedRow) -> set[str]:
    """The identities between the metrics of a row that rounding cannot explain."""
    table = row.metrics
    found = set()
    gain, annual = table["cumulative_return"], table["annual_return"]
    fewest = 252 * math.log1p(gain - PERCENT) / math.log1p(annual + PERCENT)
    most = 252 * math.log1p(gain + PERCENT) / math.log1p(annual - PERCENT)
    if not fewest <= BARS <= most:
        found.add("annual_return")
    for name, numerator in (("romad", gain), ("calmar_ratio", annual)):
        fall = abs(table["max_drawdown"])
        if abs(table[name] - numerator / fall) > slack(numerator, fall):
            found.add(name)
    return found


def falling_then_rising(row: PublishedRow) -> metrics.Paths:
    """A curve with the published cumulative return and maximum drawdown."""
    value = np.full(BARS + 1, 1 + row.metrics["cumulative_return"])
    value[:2] = 1.0, 1 + row.metrics["max_drawdown"]
    return metrics.Paths.of(batch(value))


@pytest.mark.parametrize("row", [r for r in TABLE_5 if not r.flaw], ids=lambda row: row.agent)
def test_a_sound_column_of_table_5_agrees_with_itself(row):
    assert contradictions(row) == set()


def test_the_minimum_variance_column_of_table_5_does_not_and_is_flagged():
    flagged = [row for row in TABLE_5 if row.flaw]
    assert [row.agent for row in flagged] == ["Min-Variance"]
    assert contradictions(flagged[0]) == {"annual_return", "romad"}


@pytest.mark.parametrize("row", [r for r in TABLE_5 if not r.flaw], ids=lambda row: row.agent)
def test_our_definitions_give_the_printed_ratios_from_printed_return_and_drawdown(row):
    ours = metrics.summary(falling_then_rising(row), ["annual_return", "romad", "calmar_ratio"])
    table, fall = row.metrics, abs(row.metrics["max_drawdown"])
    assert ours["annual_return"] == pytest.approx(table["annual_return"], abs=1.5 * PERCENT)
    gain = table["cumulative_return"]
    assert ours["romad"] == pytest.approx(table["romad"], abs=slack(gain, fall))
    annual = table["annual_return"]
    assert ours["calmar_ratio"] == pytest.approx(table["calmar_ratio"], abs=slack(annual, fall))


def test_the_index_column_of_table_5_comes_out_of_the_bundled_prices():
    (row,) = (row for row in TABLE_5 if row.agent == "DJIA")
    index = index_curve("^DJI", row.start, row.end)
    ours = metrics.summary(index)
    for name in ("cumulative_return", "max_drawdown"):
        assert ours[name] == pytest.approx(row.metrics[name], abs=1.1 * PERCENT)
    for name in ("sharpe_ratio", "sortino_ratio", "romad", "calmar_ratio", "omega_ratio"):
        assert ours[name] == pytest.approx(row.metrics[name], abs=1.1 * RATIO)


def test_the_published_annual_numbers_count_the_first_row_as_a_bar():
    (row,) = (row for row in TABLE_5 if row.agent == "DJIA")
    index = index_curve("^DJI", row.start, row.end)
    padded = batch(np.concatenate([index.value[:1], index.value]))
    for name in ("annual_return", "annual_volatility"):
        as_published = metrics.summary(padded)[name]
        assert as_published == pytest.approx(row.metrics[name], abs=1.01 * PERCENT)
        assert abs(metrics.summary(index)[name] - row.metrics[name]) > 1.01 * PERCENT


@pytest.mark.parametrize("row", [r for r in TABLE_4 if r.agent == "DJIA"], ids=lambda r: r.start)
def test_the_index_rows_of_table_4_are_sharpe_ratios_per_day(row):
    ours = metrics.summary(index_curve("^DJI", row.start, row.end))
    assert row.sharpe == "daily"
    assert ours["daily_sharpe_ratio"] == pytest.approx(row.metrics["sharpe_ratio"], abs=RATIO)
    assert ours["sharpe_ratio"] > 6.5
    assert ours["cumulative_return"] == pytest.approx(row.metrics["cumulative_return"], abs=1e-4)
    assert ours["max_drawdown"] == pytest.approx(row.metrics["max_drawdown"], abs=PERCENT)


def test_the_teams_of_table_4_cannot_be_on_a_daily_scale():
    # a mean of gain / bars over a daily ratio of 2.26 leaves a spread that such a fall excludes
    row = next(row for row in TABLE_4 if row.agent == "SZU-FIN-621")
    daily_spread = row.metrics["cumulative_return"] / 14 / row.metrics["sharpe_ratio"]
    assert abs(row.metrics["max_drawdown"]) > 10 * math.sqrt(14) * daily_spread
    assert row.sharpe == "annual"


def test_published_metrics_have_our_names():
    for row in (*TABLE_4, *TABLE_5):
        assert set(row.metrics) <= set(members("metrics"))
