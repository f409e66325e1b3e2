from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.data import load
from steelyard.errors import ConfigError, DataError, MissingDataError

Write = Callable[..., Path]
ADJUSTED = "date,tic,open,high,low,close,adj_close,volume"


def refusal(path: object, **options: object) -> DataError:
    """The error of loading `path`: one line, with a hint."""
    with pytest.raises(DataError) as caught:
        load("files", path, **options)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_long_csv_becomes_a_panel(write: Write) -> None:
    panel = load("files", write())
    assert panel.assets == ("AAA", "BBB")
    assert panel.timestamps.astype(str).tolist() == ["2020-01-02", "2020-01-03", "2020-01-06"]
    np.testing.assert_array_equal(panel["close"], [[10.5, 20.5], [11.5, 21.5], [12.5, 22.5]])
    np.testing.assert_array_equal(panel["volume"], [[100, 200], [110, 210], [120, 220]])
    assert panel.name == f"files:{write()}"
    assert len(panel.sha256) == 64


def test_parquet_and_csv_give_the_same_panel(write: Write, tmp_path: Path) -> None:
    path = write()
    pl.read_csv(path, try_parse_dates=True).write_parquet(tmp_path / "prices.parquet")
    one, other = load("files", path), load("files", tmp_path / "prices.parquet")
    assert one.digest() == other.digest()
    assert one.sha256 != other.sha256


def test_the_order_of_assets_in_the_file_does_not_matter(write: Write, rows: list[str]) -> None:
    by_asset = write(rows[0::2] + rows[1::2], name="by_asset.csv")
    assert load("files", by_asset).digest() == load("files", write()).digest()


def test_files_per_ticker_and_their_folder_are_the_long_file(
    write: Write, rows: list[str], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    whole = load("files", write())
    header = "Date,Open,High,Low,Close,Volume"
    for asset in ("AAA", "BBB"):
        lines = [row.replace(f"{asset},", "") for row in rows if asset in row]
        write(lines, header, f"one/{asset}.csv")
    folder = load("files", tmp_path / "one")
    paths = load("files", [tmp_path / "one" / "AAA.csv", tmp_path / "one" / "BBB.csv"])
    assert folder.digest() == paths.digest() == whole.digest()
    assert folder.sha256 == paths.sha256


def test_column_names_match_in_any_case_and_other_columns_are_ignored(
    write: Write, rows: list[str]
) -> None:
    header = ",Datetime,Ticker,Open,High,Low,Close,Volume,macd"
    path = write([f"{n},{row},x" for n, row in enumerate(rows)], header, "other.csv")
    assert load("files", path).digest() == load("files", write()).digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda day: day.replace("-", ""),
        lambda day: f"{day} 00:00:00",
        lambda day: f"{day} 00:00:00-05:00",
        lambda day: f"{day}T00:00:00+08:00",
    ],
)
def test_days_are_read_however_they_are_written(
    write: Write, rows: list[str], change: Callable[[str], str]
) -> None:
    path = write([change(row[:10]) + row[10:] for row in rows], name="days.csv")
    panel = load("files", path)
    assert panel.timestamps.dtype == np.dtype("datetime64[D]")
    assert panel.digest() == load("files", write()).digest()


def test_times_within_a_day_become_utc(write: Write) -> None:
    rows = [f"2020-01-02 {hour}:30:00-05:00,AAA,1,1,1,1,5" for hour in ("09", "10")]
    stamps = load("files", write(rows)).timestamps
    expected = np.array(["2020-01-02T14:30", "2020-01-02T15:30"], dtype="datetime64[us]")
    np.testing.assert_array_equal(stamps, expected)


def test_late_listing_and_delisting_are_not_observed_and_never_filled(write: Write) -> None:
    rows = [
        "2020-01-02,OLD,1,1,1,1,5",
        "2020-01-03,OLD,2,2,2,2,5",
        "2020-01-03,NEW,3,3,3,3,5",
        "2020-01-06,NEW,4,4,4,4,5",
    ]
    close = load("files", write(rows))["close"]
    np.testing.assert_array_equal(close, [[np.nan, 1], [3, 2], [4, np.nan]])


def test_adj_close_scales_all_four_prices_together(write: Write) -> None:
    path = write(["2020-01-02,AAA,8,12,6,10,5,100"], ADJUSTED)
    adjusted = load("files", path)
    assert [adjusted[f][0, 0] for f in ("open", "high", "low", "close")] == [4, 6, 3, 5]
    assert "adj_close" not in adjusted.fields
    stored = load("files", path, adjust="splits")
    assert [stored[f][0, 0] for f in ("open", "close")] == [8, 10]
    published = load("files", path, adjust="close_only")
    assert [published[f][0, 0] for f in ("open", "close")] == [8, 5]
    assert adjusted["volume"][0, 0] == 100


def test_close_only_without_adj_close_is_refused(write: Write) -> None:
    assert "adj_close" in refusal(write(), adjust="close_only").message


def test_vix_of_a_finrl_file_becomes_context(write: Write, rows: list[str]) -> None:
    with_vix = [f"{row},{12.5 + n // 2}" for n, row in enumerate(rows)]
    panel = load("files", write(with_vix, "date,tic,open,high,low,close,volume,vix"))
    np.testing.assert_array_equal(panel.context["vix"], [12.5, 13.5, 14.5])
    with_vix[3] = with_vix[3].replace(",13.5", ",99")
    error = refusal(write(with_vix, "date,tic,open,high,low,close,volume,vix"))
    assert "vix" in error.message
    assert "2020-01-03" in error.message


def test_missing_columns_are_named(write: Write) -> None:
    error = refusal(write(["2020-01-02,AAA,10.5,100"], "date,tic,close,volume"))
    assert "prices.csv" in error.message
    for column in ("`open`", "`high`", "`low`"):
        assert column in error.message
    assert "date, tic, close, volume" in error.hint


@pytest.mark.parametrize(
    ("line", "row", "words", "hint"),
    [
        (3, "2020-01-02,BBB,20,21,,20.5,200", ["2020-01-02", "BBB", "low is empty"], "prices"),
        (4, "2020-01-03,AAA,10.5,12,10,NaN,110", ["2020-01-03", "close is empty"], "prices"),
        (4, "2020-01-03,AAA,10.5,inf,10,11.5,110", ["high is inf"], "prices"),
        (2, "2020-01-02,AAA,0,11,9,10.5,100", ["open is 0.0, not above 0"], "prices"),
        (6, "2020-01-06,AAA,11.5,13,-11,12.5,120", ["low is -11.0, not above 0"], "prices"),
        (6, "2020-01-06,AAA,11.5,13,11,12.5,-1", ["volume is -1.0, below 0"], "volume"),
        (6, "2020-01-06,AAA,11.5,13,11,12.5,", ["volume is empty"], "prices"),
        (5, "2020-01-02,BBB,20,21,19,20.5,200", ["the row is there twice"], "duplicates"),
        (5, "2020-01-02,BBB,20,21,19,20.6,200", ["the date is there twice"], "wrong one"),
        (6, "2019-12-31,AAA,11.5,13,11,12.5,120", ["2019-12-31", "before that"], "sort"),
        (7, "2020-13-06,BBB,21.5,23,21,22.5,220", ["`2020-13-06`, not a date"], "2020-01-31"),
        (7, "2020-01-06,,21.5,23,21,22.5,220", ["tic is empty, not a name"], "row"),
        (7, "2020-01-06,BBB,21.5,23,1O,22.5,220", ["low is `1O`, not a number"], "row"),
    ],
)
def test_a_bad_row_is_named_by_line_date_asset_and_value(
    write: Write, rows: list[str], line: int, row: str, words: list[str], hint: str
) -> None:
    rows[line - 2] = row
    error = refusal(write(rows))
    assert error.message.startswith(f"prices.csv line {line}")
    for word in words:
        assert word in error.message
    assert hint in error.hint


def test_blank_lines_are_no_rows_and_keep_the_line_numbers_right(
    write: Write, rows: list[str]
) -> None:
    assert load("files", write([*rows, "", ""], name="blank.csv")).digest() == (
        load("files", write()).digest()
    )
    assert (
        "line 5 (2020-01-03 AAA)"
        in refusal(write([*rows[:2], "", "2020-01-03,AAA,10.5,12,10,0,110"])).message
    )


def test_a_repair_that_leaves_nothing_is_refused(write: Write) -> None:
    assert "no row" in refusal(write(["2020-01-02,AAA,1,1,1,0,5"]), repair="prices").message


def test_the_first_of_several_bad_rows_is_named_and_the_rest_counted(
    write: Write, rows: list[str]
) -> None:
    rows[2] = "2020-01-03,AAA,10.5,12,10,0,110"
    rows[4] = "2020-01-06,AAA,11.5,13,0,12.5,120"
    message = refusal(write(rows)).message
    assert message == "prices.csv line 4 (2020-01-03 AAA): close is 0.0, not above 0 (and 1 more)"


def test_each_repair_mends_what_it_says_and_nothing_else(write: Write, rows: list[str]) -> None:
    whole = load("files", write())
    shuffled = write([rows[n] for n in (4, 5, 0, 3, 2, 1)], name="shuffled.csv")
    assert load("files", shuffled, repair="sort").digest() == whole.digest()
    assert "sort" in refusal(shuffled, repair="duplicates").hint
    doubled = write(rows[:3] + rows[2:], name="doubled.csv")
    assert load("files", doubled, repair="duplicates").digest() == whole.digest()
    assert "duplicates" in refusal(doubled, repair="sort,prices").hint
    broken = write([*rows[:2], "2020-01-03,AAA,,12,10,11.5,110", *rows[3:]], name="broken.csv")
    panel = load("files", broken, repair="prices")
    assert np.isnan(panel["close"][1, 0])
    assert np.isnan(panel["volume"][1, 0])
    np.testing.assert_array_equal(panel["close"][[0, 2]], whole["close"][[0, 2]])
    both = write([*rows, rows[0]], name="both.csv")
    assert load("files", both, repair="sort,duplicates").digest() == whole.digest()


def test_rows_that_disagree_are_never_repaired(write: Write, rows: list[str]) -> None:
    path = write([*rows, "2020-01-06,BBB,21.5,23,21,22.6,220"])
    assert "delete the wrong one" in refusal(path, repair="sort,duplicates,prices").hint


def test_an_unknown_repair_is_answered_with_the_nearest(write: Write) -> None:
    with pytest.raises(ConfigError, match="no repair") as caught:
        load("files", write(), repair="sorted")
    assert "`sort`" in caught.value.hint


def test_the_same_bar_in_two_files_is_a_duplicate(write: Write) -> None:
    write(name="a.csv")
    assert "b.csv line 2" in refusal([write(name="a.csv"), write(name="b.csv")]).message


def test_what_is_no_table_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"pricse\.csv") as caught:
        load("files", write().with_name("pricse.csv"))
    assert "prices.csv" in caught.value.hint
    (tmp_path / "prices.txt").write_text("x")
    assert ".txt" in refusal(tmp_path / "prices.txt").message
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="empty"):
        load("files", tmp_path / "empty")
    assert "no rows" in refusal(write([])).message
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and nothing else")
    assert "cannot be read" in refusal(tmp_path / "torn.parquet").message
    (tmp_path / "void.csv").write_text("")
    assert "cannot be read" in refusal(tmp_path / "void.csv").message
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    assert "binary.csv" in refusal(tmp_path / "binary.csv").message
    twice = write(["2020-01-02,AAA,AAA,1,1,1,1,5"], "date,tic,ticker,open,high,low,close,volume")
    assert "two columns" in refusal(twice).message


def test_a_window_outside_the_file_is_refused(write: Write) -> None:
    panel = load("files", write())
    with pytest.raises(MissingDataError, match=r"2020-01-02\.\.2020-01-06") as caught:
        panel.between("2020-01-03", "2020-02-03")
    assert "inside the data" in caught.value.hint
