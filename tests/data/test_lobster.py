from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.data import check, load
from steelyard.data.books import levels
from steelyard.data.lobster_files import MESSAGE
from steelyard.data.report import Finding
from steelyard.errors import ConfigError, DataError, MissingDataError

NOTHING = 9_999_999_999

# time, type, order, size, price, direction | ask 1, ask 2, bid 1, bid 2 after it: (price, size)
EVENTS = [
    ("34200.2", 1, 1, 5, 999_000, 1, (1_001_000, 7), (1_002_000, 1), (999_000, 5), (998_000, 2)),
    ("34200.9", 1, 2, 4, 1_000_000, -1, (1_000_000, 4), (1_001_000, 7), (999_000, 5), (998_000, 2)),
    ("34201.0", 4, 2, 3, 1_000_000, -1, (1_000_000, 1), (1_001_000, 7), (999_000, 5), (998_000, 2)),
    ("34201.0", 2, 1, 1, 999_000, 1, (1_000_000, 1), (1_001_000, 7), (999_000, 4), (998_000, 2)),
    ("34201.4", 5, 0, 2, 999_500, 1, (1_000_000, 1), (1_001_000, 7), (999_000, 4), (998_000, 2)),
    ("34204.5", 3, 1, 4, 999_000, 1, (1_000_000, 1), (1_001_000, 7), (998_000, 2), (997_000, 9)),
    ("34205.0", 1, 9, 6, 996_000, 1, (1_000_000, 1), (1_001_000, 7), (998_000, 2), (997_000, 9)),
]
STEM = "ABC_2012-06-21_34200000_57600000_{}_2.csv"


def write(folder: Path, events: list[tuple] = EVENTS) -> Path:
    messages = [",".join(map(str, event[:6])) for event in events]
    books = []
    for _, _, _, _, _, _, ask_1, ask_2, bid_1, bid_2 in events:
        books.append(",".join(map(str, (*ask_1, *bid_1, *ask_2, *bid_2))))
    path = folder / STEM.format("message")
    path.write_text("\n".join(messages) + "\n")
    (folder / STEM.format("orderbook")).write_text("\n".join(books) + "\n")
    return path


def test_a_row_holds_the_book_before_its_instant(tmp_path: Path) -> None:
    panel = load("lobster", write(tmp_path))
    assert [str(stamp)[11:19] for stamp in panel.timestamps] == [
        "09:30:01", "09:30:02", "09:30:03", "09:30:04", "09:30:05",
    ]  # fmt: skip
    assert str(panel.timestamps[0])[:10] == "2012-06-21"
    assert panel.assets == ("ABC",)
    assert levels(panel) == 2
    # the events at 34201.0 are not known at 09:30:01, nor the one at 34205.0 at 09:30:05
    assert panel["ask_size_1"][:, 0].tolist() == [4, 1, 1, 1, 1]
    assert panel["ask_1"][:, 0].tolist() == [100.0] * 5
    assert panel["ask_2"][:, 0].tolist() == [100.1] * 5
    assert panel["bid_1"][:, 0].tolist() == [99.9, 99.9, 99.9, 99.9, 99.8]
    assert panel["bid_size_1"][:, 0].tolist() == [5, 4, 4, 4, 2]
    assert not panel["segment"].any()


def test_flows_are_what_happened_since_the_row_before(tmp_path: Path) -> None:
    panel = load("lobster", write(tmp_path))
    wanted = {
        "bid_limit_1": [5 * 99.9, 0, 0, 0, 0],
        "ask_limit_1": [4 * 100.0, 0, 0, 0, 0],
        "ask_market_1": [0, 3 * 100.0, 0, 0, 0],
        "bid_cancel_1": [0, 1 * 99.9, 0, 0, 4 * 99.9],  # the level that it lay on before
        "buys": [0, 3 * 100.0, 0, 0, 0],
        "sells": [0, 2 * 99.95, 0, 0, 0],  # against a hidden order to buy
        "trades": [0, 2, 0, 0, 0],
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(panel[name][:, 0], values, err_msg=name)
    parts = itertools.product(("bid", "ask"), ("limit", "cancel", "market"), "12")
    others = {"_".join(part) for part in parts}
    assert all(not panel[name].any() for name in others - wanted.keys())
    assert not {"buys", "bid_limit_1"} & load("lobster", write(tmp_path), flows=0).fields.keys()


def test_the_clock_may_be_finer_and_the_folder_named(tmp_path: Path) -> None:
    write(tmp_path)
    panel = load(f"lobster:{tmp_path}?every=500ms&levels=1")
    assert len(panel) == 10
    assert panel.name == f"lobster:{tmp_path}?every=500ms&levels=1"
    assert panel["ask_1"][:2, 0].tolist() == [100.1, 100.0]
    book = load("lobster", tmp_path / STEM.format("orderbook"), every="500ms", levels=1)
    assert book.digest() == panel.digest()
    with pytest.raises(DataError, match="shorter than"):
        load("lobster", tmp_path, every="1d")


def test_a_level_on_which_nothing_lies_is_refused_or_not_asked_for(tmp_path: Path) -> None:
    empty = [(*event[:7], (NOTHING, 0), event[8], (-NOTHING, 0)) for event in EVENTS]
    path = write(tmp_path, empty)
    with pytest.raises(DataError, match="bid_2 is not there") as caught:
        load("lobster", path)
    assert "fewer levels" in caught.value.hint
    assert levels(load("lobster", path, levels=1)) == 1
    with pytest.raises(DataError, match="2 levels per side, not 3"):
        load("lobster", path, levels=3)


def test_a_halt_of_trading_is_a_gap(tmp_path: Path) -> None:
    halt = [
        *EVENTS[:5],
        ("34201.5", 7, 0, 0, -1, -1, *EVENTS[4][6:]),
        ("34202.5", 7, 0, 0, 0, -1, *EVENTS[4][6:]),
        ("34203.5", 7, 0, 0, 1, -1, *EVENTS[4][6:]),
        *EVENTS[5:],
    ]
    panel = load("lobster", write(tmp_path, halt))
    seconds = [str(stamp)[17:19] for stamp in panel.timestamps]
    assert (seconds, panel["segment"].tolist()) == (["01", "04", "05"], [0, 1, 1])
    assert [one.kind for one in check(panel).findings] == ["segment_border"]


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    book = tmp_path / STEM.format("orderbook")
    book.write_text(book.read_text() + "1,1,1,1,1,1,1,1\n")
    with pytest.raises(DataError, match=r"7 rows.* 8 in 8 columns: they do not belong together"):
        load("lobster", path)
    book.unlink()
    with pytest.raises(MissingDataError, match="not one of a pair"):
        load("lobster", path)
    with pytest.raises(MissingDataError, match="no file"):
        load("lobster", tmp_path / "nothing.csv")
    path.unlink()
    with pytest.raises(MissingDataError, match="holds 0 files"):
        load("lobster", tmp_path)
    falling = write(tmp_path, [*EVENTS, ("34204.0", *EVENTS[-1][1:])])
    with pytest.raises(DataError, match=r"row 8: the time 34204\.0 is before"):
        load("lobster", falling)
    prices = tmp_path / "prices.parquet"
    pl.DataFrame({"time": [1.0], "ask1_price": [1]}).write_parquet(prices)
    with pytest.raises(DataError, match="no type, order_id"):
        load("lobster", prices)


def test_a_day_that_no_name_tells_must_be_said(tmp_path: Path) -> None:
    write(tmp_path)
    for kind in ("message", "orderbook"):
        (tmp_path / STEM.format(kind)).rename(tmp_path / f"ABC_{kind}_2.csv")
    path = tmp_path / "ABC_message_2.csv"
    with pytest.raises(DataError, match=r"day of ABC_message_2\.csv is not known") as caught:
        load("lobster", path)
    assert "date=" in caught.value.hint
    assert str(load("lobster", path, date="2020-01-02").timestamps[0])[:10] == "2020-01-02"
    for date in ("soon", "2020-13-45"):
        with pytest.raises(DataError, match=f"day of {date} is not known"):
            load("lobster", path, date=date)
    with pytest.raises(ConfigError, match="length of time"):
        load("lobster", path, every="soon")


def test_the_sample_day_is_what_stood_before_each_second(dev_folder: Path) -> None:
    path = dev_folder / "lob_lobster_GOOG_20120621_10lvl.parquet"
    found: list[Finding] = []
    panel = load("lobster", path, levels=10, left_out=found)
    assert (len(panel), levels(panel), found) == (23_399, 10, [])
    assert panel["segment"].max() == 0
    events = pl.read_parquet(path).cast({"price": pl.Float64})
    assert set(MESSAGE) < set(events.columns)
    seconds = (panel.timestamps - np.datetime64("2012-06-21", "us")) / np.timedelta64(1, "s")
    times, prices = events["time"].to_numpy(), events["ask3_price"].to_numpy()
    for row in (0, 1, 777, 11_111, 23_398):
        before = int(np.sum(times < seconds[row])) - 1
        assert panel["ask_3"][row, 0] == prices[before] / 10_000
    traded = events.filter(pl.col("type").is_in([4, 5]), pl.col("time") < seconds[-1])
    notional = (traded["size"] * traded["price"] / 10_000).sum()
    assert (panel["buys"] + panel["sells"]).sum() == pytest.approx(notional)
    taken = [panel[f"{s}_market_{k}"].sum() for s in ("bid", "ask") for k in range(1, 11)]
    shown = traded.filter(pl.col("type") == 4)
    assert sum(taken) == pytest.approx((shown["size"] * shown["price"] / 10_000).sum(), rel=1e-3)
