from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.data import Report, check, check_file, datasets, load
from steelyard.data.report import RULES
from steelyard.data.splits import FACTORS
from steelyard.errors import DataError, UnknownNameError
from steelyard.types import Panel

Fields = dict[str, np.ndarray]
PRICES = ("open", "high", "low", "close")


def one_asset(path: Path, asset: str) -> pl.DataFrame:
    return pl.scan_parquet(path).filter(pl.col("tic").cast(pl.String) == asset).collect()


def kinds(report: Report) -> dict[str, tuple[str, str, int]]:
    return {one.kind: (one.asset, one.first, one.count) for one in report.findings}


def spoil(panel: Panel, change: Callable[[Fields], None]) -> Panel:
    fields = {name: values.copy() for name, values in panel.fields.items()}
    change(fields)
    return replace(panel, fields=fields)


def unobserve(fields: Fields, rows: slice) -> None:
    for values in fields.values():
        values[rows, 1] = np.nan


def fill(fields: Fields, rows: slice, source: int, volume: float | None) -> None:
    for name, values in fields.items():
        values[rows, 1] = values[source, 1]
        if name == "volume" and volume is not None:
            values[rows, 1] = volume


def put(name: str, row: int, value: float) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        fields[name][row, 1] = value

    return change


def flatten(fields: Fields) -> None:
    for name in PRICES:
        fields[name][30, 1] = fields["close"][30, 1]


def test_clean_data_has_no_finding(clean: Panel) -> None:
    report = check(clean)
    assert report.findings == ()
    assert report.clean
    assert (report.rows, report.assets, report.exchange) == (len(clean), 3, "XNYS")
    assert check(clean.rows(0, 1)).findings == ()
    assert check(clean.rows(0, 0)).rows == 0


@pytest.mark.parametrize(
    ("kind", "change", "row", "count"),
    [
        ("non_positive_price", put("low", 30, 0.0), 30, 1),
        ("missing_value", put("open", 30, np.nan), 30, 1),
        ("missing_value", put("volume", 30, np.nan), 30, 1),
        ("negative_volume", put("volume", 30, -1.0), 30, 1),
        ("zero_volume", put("volume", 30, 0.0), 30, 1),
        ("ohlc_violation", put("high", 30, 1.0), 30, 1),
        ("ohlc_violation", put("low", 30, 1e6), 30, 1),
        ("flat_row", flatten, 30, 1),
        ("gap", lambda f: unobserve(f, slice(30, 34)), 30, 4),
        ("late_listing", lambda f: unobserve(f, slice(None, 40)), 40, 40),
        ("early_delisting", lambda f: unobserve(f, slice(-25, None)), -26, 25),
        ("rows_before_listing", lambda f: fill(f, slice(None, 20), 20, 0.0), 0, 20),
        ("rows_before_listing", lambda f: fill(f, slice(None, 20), 20, None), 0, 20),
        ("rows_after_delisting", lambda f: fill(f, slice(-20, None), -21, 0.0), -20, 20),
        ("rows_after_delisting", lambda f: fill(f, slice(-20, None), -21, None), -20, 20),
    ],
)
def test_a_planted_defect_is_found_where_it_is_and_nothing_else(
    clean: Panel, kind: str, change: Callable[[Fields], None], row: int, count: int
) -> None:
    report = check(spoil(clean, change))
    assert kinds(report) == {kind: ("S01", str(clean.timestamps[row]), count)}
    finding = report.findings[0]
    assert (finding.severity, finding.hint) == RULES[kind]
    assert report.clean == (finding.severity == "note")


def test_days_too_few_and_too_many_are_found(clean: Panel) -> None:
    stamps = clean.timestamps.copy()
    holiday = np.datetime64("2020-07-03")  # the exchange was closed for Independence Day
    moved = int(np.searchsorted(stamps, holiday))
    missing = stamps[moved]
    stamps[moved] = holiday
    found = kinds(check(replace(clean, timestamps=stamps)))
    assert found == {
        "extra_session": ("", str(holiday), 1),
        "missing_session": ("", str(missing), 1),
    }
    assert check(replace(clean, timestamps=stamps), exchange=None).findings == ()


def test_an_asset_that_skips_a_holiday_has_no_gap(clean: Panel) -> None:
    stamps = clean.timestamps.copy()
    holiday = np.datetime64("2020-07-03")
    moved = int(np.searchsorted(stamps, holiday))
    stamps[moved] = holiday
    panel = replace(clean, timestamps=stamps)
    skipped = check(spoil(panel, lambda f: unobserve(f, slice(moved, moved + 1))))
    assert "gap" not in kinds(skipped)


def split(panel: Panel, factor: float, *, volume_too: bool) -> Panel:
    """`panel` as if prices before row 100 had not been adjusted for a split."""

    def change(fields: Fields) -> None:
        for name in PRICES:
            fields[name][:100, 1] *= factor
        if volume_too:
            fields["volume"][:100, 1] /= factor

    return spoil(panel, change)


@pytest.mark.parametrize("factor", [*FACTORS, *(1 / factor for factor in FACTORS)])
@pytest.mark.parametrize("volume_too", [True, False])
def test_an_unadjusted_split_is_found(clean: Panel, factor: float, volume_too: bool) -> None:
    found = kinds(check(split(clean, factor, volume_too=volume_too)))
    assert found == {"unadjusted_split": ("S01", str(clean.timestamps[100]), 1)}


@pytest.mark.parametrize("factor", [1.2, 1.35, 1.7, 2.4])
def test_a_spin_off_is_no_split(clean: Panel, factor: float) -> None:
    assert check(split(clean, factor, volume_too=False)).findings == ()


def test_a_crash_to_two_thirds_on_panic_is_no_split(clean: Panel) -> None:
    def crash(fields: Fields) -> None:
        for name in PRICES:
            fields[name][:100, 1] *= 1.5
        fields["volume"][100, 1] = 8 * np.median(fields["volume"][:, 1])

    assert check(spoil(clean, crash)).findings == ()

    def swing(fields: Fields) -> None:
        for name in PRICES:
            fields[name][:100, 1] *= 1.5
        fields["low"][100, 1] *= 0.85

    assert check(spoil(clean, swing)).findings == ()


def test_an_index_without_volume_has_no_splits(clean: Panel) -> None:
    panel = split(clean, 2, volume_too=False)
    fields = {name: values for name, values in panel.fields.items() if name != "volume"}
    assert check(replace(panel, fields=fields)).findings == ()


def test_a_panel_of_other_fields_is_held_against_the_rules_that_fit(clean: Panel) -> None:
    quotes = {"bid": clean["low"], "ask": clean["high"]}
    assert check(replace(clean, fields=quotes)).findings == ()
    assert check(replace(clean, fields={"close": clean["close"]})).findings == ()


def test_the_dow_set_is_clean_but_for_the_late_listing_of_dow(djia: Panel) -> None:
    report = check(djia)
    assert report.clean
    assert [(one.kind, one.asset, one.first) for one in report.findings] == [
        ("late_listing", "DOW", "2019-03-20")
    ]
    assert check(load("bundled", "us_djia30_daily_2009_2023", adjust="splits")).clean


def test_the_flaw_of_the_published_pipeline_is_found_in_the_dow_set() -> None:
    report = check(load("bundled", "us_djia30_daily_2009_2023", adjust="close_only"))
    assert len([one for one in report.findings if one.kind == "ohlc_violation"]) > 20


def test_the_other_bundled_sets_have_the_flaws_on_their_cards() -> None:
    names = [card.name for card in datasets() if card.name.startswith("us_")]
    found = {name: kinds(check(load("bundled", name))) for name in names[1:]}
    assert found == {
        "us_index_daily_2009_2023": {"zero_volume": ("^GSPC", "2023-05-24", 1)},
        "us_vix_daily_2005_2023": {
            "ohlc_violation": ("^VIX", "2006-02-08", 1),
            "extra_session": ("", "2022-05-30", 12),
        },
    }


def test_a_report_is_ready_for_json(clean: Panel) -> None:
    facts = check(spoil(clean, put("low", 30, 0.0))).to_dict()
    assert facts["clean"] is False
    assert facts["findings"][0]["kind"] == "non_positive_price"


def test_an_unknown_exchange_is_refused(clean: Panel) -> None:
    with pytest.raises(UnknownNameError, match="XNYC"):
        check(clean, exchange="XNYC")


def test_a_clean_file_has_no_finding(write: Callable[..., Path]) -> None:
    assert check_file(write()).findings == ()


def test_every_defect_of_a_file_is_reported_where_load_stops_at_the_first(
    write: Callable[..., Path],
) -> None:
    rows = [
        "2020-01-02,AAA,10,11,9,10.5,100",
        "2020-01-02,BBB,20,21,19,20.5,200",
        "2020-01-02,BBB,20,21,19,20.5,200",
        "2020-01-03,AAA,10.5,12,10,0,110",
        "2020-01-03,BBB,20.5,,20,21.5,210",
        "2020-01-07,AAA,11,12,10,11,100",
        "2020-01-06,AAA,11,12,10,11,100",
        "2020-01-07,AAA,11,12,10,11.5,100",
        "2020-01-06,BBB,21,22,20,x,100",
        "2020-01-07,BBB,21,22,20,21,-5",
        "2020-01-08,AAA,11,12,11.5,11,100",
        "2020-01-08,BBB,21,22,20,21,100",
    ]
    report = check_file(write(rows))
    found = {(one.kind, one.asset): (one.first, one.count) for one in report.findings}
    assert found == {
        ("duplicate", "BBB"): ("2020-01-02", 1),
        ("non_positive_price", "AAA"): ("2020-01-03", 1),
        ("missing_value", "BBB"): ("2020-01-03", 1),
        ("unsorted", "AAA"): ("2020-01-06", 1),
        ("conflict", "AAA"): ("2020-01-07", 1),
        ("unreadable", "BBB"): ("2020-01-06", 1),
        ("negative_volume", "BBB"): ("2020-01-07", 1),
        ("ohlc_violation", "AAA"): ("2020-01-08", 1),
        ("gap", "BBB"): ("2020-01-06", 1),
    }
    duplicate = next(one for one in report.findings if one.kind == "duplicate")
    assert duplicate.detail.startswith("prices.csv line 4 (2020-01-02 BBB)")
    assert [one.severity for one in report.findings] == ["error"] * 8 + ["warning"]


def test_a_file_without_a_row_that_can_stand_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="can stand"):
        check_file(write(["2020-01-02,AAA,10,11,9,0,100"]))


@pytest.mark.parametrize(
    ("table", "asset", "move"),
    [
        ("us_djia30_daily_2000_2023", "UNH", 0.348),  # 2008-10-13
        ("us_djia_former_and_later_members_daily_2000_2023", "AIG", -0.608),  # 2008-09-15
    ],
)
def test_a_real_move_is_not_flagged(
    dev_folder: Path, tmp_path: Path, table: str, asset: str, move: float
) -> None:
    rows = one_asset(dev_folder / f"{table}.parquet", asset)
    moves = rows["close"].cast(pl.Float64).pct_change()
    assert min((moves.min(), moves.max()), key=lambda m: abs(m - move)) == pytest.approx(
        move, abs=0.001
    )
    rows.write_parquet(tmp_path / "one.parquet")
    assert check_file(tmp_path / "one.parquet").findings == ()


def test_a_real_unadjusted_split_is_flagged(dev_folder: Path, tmp_path: Path) -> None:
    rows = one_asset(dev_folder / "news_fnspid_daily_gpt_sentiment_40tickers.parquet", "GOOG")
    rows.write_parquet(tmp_path / "one.parquet")
    found = kinds(check_file(tmp_path / "one.parquet"))
    assert found == {"unadjusted_split": ("GOOG", "2020-07-06", 1)}
