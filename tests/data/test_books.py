from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.data import Store, check, load
from steelyard.data.book_rows import BookRows, close_ranks
from steelyard.data.books import book_panel, duration, is_book, levels, segments, usual_gap
from steelyard.data.report import Finding
from steelyard.errors import ConfigError, DataError, MissingDataError
from steelyard.types import Panel

Arrays = dict[str, np.ndarray]
ROWS = 8


def arrays() -> Arrays:
    """Eight seconds of two levels: a book without a fault."""
    mid = 100.0 + 0.01 * np.arange(ROWS)[:, None]
    apart = np.array([[0.01, 0.03]])
    return {
        "timestamps": np.datetime64("2021-04-07T11:32:42", "us")
        + np.arange(ROWS) * np.timedelta64(1, "s"),
        "bids": mid - apart,
        "asks": mid + apart,
        "bid_sizes": np.full((ROWS, 2), 2.0),
        "ask_sizes": np.full((ROWS, 2), 3.0),
    }


def make(change: Callable[[Arrays], None] = lambda a: None, **options: Any) -> Panel:
    given = arrays()
    change(given)
    return book_panel(**given, **{"asset": "BTC", "name": "a book"} | options)


def put(name: str, row: int, column: int, value: float) -> Callable[[Arrays], None]:
    def change(given: Arrays) -> None:
        given[name][row, column] = value

    return change


def shift(row: int, seconds: int) -> Callable[[Arrays], None]:
    def change(given: Arrays) -> None:
        given["timestamps"][row] += np.timedelta64(seconds, "s")

    return change


def test_a_book_panel_has_prices_sizes_the_mid_and_segments() -> None:
    flows = {"buys": np.arange(8.0), "bid_limit_1": np.ones(ROWS)}
    panel = make(flows=flows)
    assert levels(panel) == 2
    assert is_book(panel)
    assert panel.assets == ("BTC",)
    assert panel["bid_1"].shape == panel["ask_size_2"].shape == panel["buys"].shape == (ROWS, 1)
    np.testing.assert_allclose(panel["close"], (panel["bid_1"] + panel["ask_1"]) / 2)
    assert panel["ask_2"][3, 0] == pytest.approx(100.06)
    assert not panel["segment"].any()
    assert check(panel).findings == ()


@pytest.mark.parametrize(
    ("kind", "change", "words", "row", "count"),
    [
        ("crossed_book", put("bids", 3, 0, 100.05), r"best bid 100.05 .* best ask 100.04", 4, 1),
        ("crossed_book", put("bids", 3, 0, 100.04), r"best bid 100.04 .* best ask 100.04", 4, 1),
        ("unsorted_levels", put("bids", 2, 1, 100.01), r"bid_2 is 100.01, not below bid_1", 3, 1),
        ("unsorted_levels", put("asks", 2, 1, 100.0), r"ask_2 is 100, not above ask_1", 3, 1),
        ("non_positive_size", put("ask_sizes", 5, 1, 0.0), r"ask_size_2 is 0, not above 0", 6, 1),
        ("non_positive_size", put("bid_sizes", 5, 0, -1.0), r"bid_size_1 is -1, not above", 6, 1),
        ("non_positive_price", put("bids", 1, 1, 0.0), r"bid_2 is 0, not above 0", 2, 1),
        ("missing_value", put("asks", 4, 1, np.nan), r"ask_2 is not there", 5, 1),
        ("missing_value", put("ask_sizes", 4, 1, np.inf), r"ask_size_2 is not there", 5, 1),
        ("duplicate", shift(3, -1), r"the time is that of a row above", 4, 1),
        ("unsorted", shift(3, -2), r"the time is before that of a row above", 4, 1),
        ("unsorted", shift(2, 9), r"11:32:45.*before that of a row above \(and 4 more\)", 4, 5),
    ],
)
def test_a_row_that_cannot_stand_is_refused_and_can_be_left_out(
    kind: str, change: Callable[[Arrays], None], words: str, row: int, count: int
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        make(change)
    assert f"a book row {row} (2021-04-07 11:32:" in caught.value.message
    assert 'repair="drop"' in caught.value.hint
    found: list[Finding] = []
    panel = make(change, repair="drop", left_out=found)
    assert [(one.kind, one.count, one.severity) for one in found] == [(kind, count, "error")]
    assert len(panel) == ROWS - count


def test_the_first_row_is_named_whatever_is_wrong_with_it() -> None:
    def change(given: Arrays) -> None:
        given["bid_sizes"][5, 0] = 0.0
        given["ask_sizes"][6, 1] = 0.0
        given["bids"][2, 0] = 200.0

    with pytest.raises(DataError, match=r"row 3 .*the best bid 200"):
        make(change)
    found: list[Finding] = []
    panel = make(change, repair=["drop"], left_out=found)
    assert {one.kind: one.count for one in found} == {"crossed_book": 1, "non_positive_size": 2}
    assert len(panel) == ROWS - 3


def test_a_row_left_out_leaves_a_gap() -> None:
    panel = make(put("bids", 3, 0, 200.0), repair="drop")
    assert panel["segment"].tolist() == [0, 0, 0, 1, 1, 1, 1]
    report = check(panel)
    assert report.clean
    assert [(one.kind, one.count) for one in report.findings] == [("segment_border", 1)]
    assert report.findings[0].first == "2021-04-07T11:32:44.000000"


def test_flows_below_zero_are_refused() -> None:
    with pytest.raises(DataError, match="sells is -2, below 0"):
        make(flows={"sells": np.full(ROWS, -2.0)})


def test_a_book_of_which_nothing_can_stand_is_refused() -> None:
    def change(given: Arrays) -> None:
        given["bids"][:] = 0.0

    with pytest.raises(DataError, match="no row that can stand"):
        make(change, repair="drop")


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    for name in ("bids", "ask_sizes", "timestamps"):
        with pytest.raises(DataError, match=r"\(T, L\)|\(T,\)"):
            make(lambda a, name=name: a.update({name: a[name][:-1]}))  # type: ignore[misc]
    with pytest.raises(DataError, match=r"buys has shape \(3,\)"):
        make(flows={"buys": np.ones(3)})
    with pytest.raises(DataError, match=r"must all be \(T, L\)"):
        make(lambda a: a.update(bids=a["bids"][:, 0]))


def test_an_unknown_repair_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="level") as caught:
        make(repair="level")
    assert "`levels`" in caught.value.hint


def test_empty_levels_are_left_out_and_those_behind_move_up() -> None:
    sizes = np.array([[1.0, 0.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 3.0, 4.0]])
    columns = {f"bid_size_{k + 1}": sizes[:, k].copy() for k in range(4)}
    columns |= {f"bid_{k + 1}": np.full(3, 10.0 - k) for k in range(4)}
    columns |= {f"bid_limit_{k + 1}": np.full(3, 100.0 * k) for k in range(4)}
    columns |= {f"ask_size_{k + 1}": np.ones(3) for k in range(4)}
    columns |= {f"ask_{k + 1}": np.full(3, 11.0 + k) for k in range(4)}
    rows = BookRows(np.arange(3).astype("datetime64[s]"), columns, 4)
    close_ranks(rows, 3)
    assert rows.levels == 3
    assert "bid_4" not in rows.columns
    slow = [[v for v in row if v > 0] + [np.nan] * 2 for row in sizes]
    for k in range(3):
        moved = rows.columns[f"bid_size_{k + 1}"]
        np.testing.assert_array_equal(moved, [row[k] for row in slow])
        prices = np.where(np.isnan(moved), np.nan, 11.0 - moved)  # the price that had this size
        np.testing.assert_array_equal(rows.columns[f"bid_{k + 1}"], prices)
        np.testing.assert_array_equal(rows.columns[f"bid_limit_{k + 1}"], 100 * (moved - 1))
        np.testing.assert_array_equal(rows.columns[f"ask_{k + 1}"], np.full(3, 11.0 + k))


def test_a_book_with_an_empty_level_becomes_one_of_fewer_levels() -> None:
    with pytest.raises(DataError) as caught:
        make(put("bid_sizes", 2, 0, 0.0))
    assert 'repair="levels"' in caught.value.hint
    with pytest.raises(DataError, match=r"row 3 .*bid_2 is not there"):
        make(put("bid_sizes", 2, 0, 0.0), repair="levels")
    panel = make(put("bid_sizes", 2, 0, 0.0), repair="levels,drop")
    assert len(panel) == ROWS - 1


@given(steps=st.lists(st.integers(1, 9), min_size=0, max_size=30), gap=st.integers(1, 9))
def test_a_segment_ends_exactly_where_a_step_is_longer_than_the_gap(
    steps: list[int], gap: int
) -> None:
    seconds = np.cumsum([0, *steps])
    stamps = np.datetime64("2021-01-01", "s") + seconds * np.timedelta64(1, "s")
    found = segments(stamps, f"{gap}s").tolist()
    slow = [0]
    for step in steps:
        slow.append(slow[-1] + (step > gap))
    assert found == slow


def test_the_usual_gap_forgives_an_uneven_clock_but_no_missing_row() -> None:
    milliseconds = np.array([0, 1010, 1990, 3000, 5000, 6020, 6990])
    stamps = np.datetime64("2021-01-01", "ms") + milliseconds * np.timedelta64(1, "ms")
    assert segments(stamps, usual_gap(stamps)).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert segments(stamps[:1], usual_gap(stamps[:1])).tolist() == [0]
    assert len(segments(stamps[:0], "1s")) == 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("5s", 5), ("250ms", 0.25), ("1min", 60), ("2h", 7200), ("1d", 86400), (3, 3), ("1.5 s", 1.5),
     (np.timedelta64(2, "m"), 120)],
)  # fmt: skip
def test_a_length_of_time_is_read(written: Any, seconds: float) -> None:
    assert duration(written) == np.timedelta64(round(seconds * 1e6), "us")


@pytest.mark.parametrize("written", ["soon", "5 parsecs", 0, "-3s", "nan", "inf", ""])
def test_a_length_of_time_that_cannot_be_is_refused(written: Any) -> None:
    with pytest.raises(ConfigError, match="length of time"):
        duration(written)


def test_a_book_is_kept_in_the_store(tmp_path: Path) -> None:
    panel = make(shift(7, 30), flows={"buys": np.arange(8.0)})
    kept = Store(tmp_path).get(Store(tmp_path).put(panel))
    assert kept.digest() == panel.digest()
    assert kept["segment"].tolist() == [0] * 7 + [1]
    assert is_book(kept)


def test_prices_are_no_book() -> None:
    prices = load("synthetic:none?rows=5")
    assert not is_book(prices)
    with pytest.raises(MissingDataError, match="no order book"):
        levels(prices)


def test_a_time_of_day_selects_from_that_instant_to_that_instant() -> None:
    panel = make(shift(7, 100_000))
    at = "2021-04-07T11:32:43", "2021-04-07 11:32:45"
    assert panel.span(*at) == (1, 3)
    assert panel.span("2021-04-07T11:32:42.5", "2021-04-07T11:32:44.999") == (1, 2)
    assert panel.span("2021-04-07", "2021-04-07") == (0, 6)
    assert panel.span("2021-04-07", "2021-04-07T11:32:45") == (0, 3)
    assert panel.span("2021-04-07T11:32:45", "2021-04-08") == (3, 7)
    assert panel.span(panel.timestamps[2], panel.timestamps[2]) == (2, 2)
    assert len(panel.between(*at)) == 3


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2021-04-07T11:32:41", "2021-04-07", r"not inside .*T11:32:42.*T11:32:49"),
        ("2021-04-07", "2021-04-07T11:32:50", "not inside"),
        ("2021-04-07T11:32:45", "2021-04-07T11:32:44", "not inside"),
        ("2021-04-06", "2021-04-07", r"not inside .*\(2021-04-07\.\.2021-04-07\)"),
        ("2021-04-07T11:32:43.2", "2021-04-07T11:32:43.4", "no session"),
        ("2021-04-08T00:00:00", "2021-04-07", "not inside"),
        ("2021-04-07T11:32:99", "2021-04-07", "cannot read the date"),
    ],
)
def test_an_instant_outside_the_data_is_refused(start: str, end: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        make().span(start, end)
    assert "\n" not in caught.value.message


def test_days_have_no_time_of_day() -> None:
    days = load("synthetic:none?rows=5")
    assert days.span("2000-01-04T00:00:00", "2000-01-05") == (1, 2)
    with pytest.raises(DataError, match="time of day") as caught:
        days.span("2000-01-04T12:00", "2000-01-05")
    assert "2000-01-04" in caught.value.hint
    unnamed = replace(make(), timestamps=make().timestamps.astype("datetime64[ns]"))
    assert unnamed.span("2021-04-07T11:32:43", "2021-04-07") == (1, 7)
