from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.cli import main
from steelyard.data import book_files, load
from steelyard.data.book_layouts import layout_of
from steelyard.data.books import levels
from steelyard.data.progress import tell, watched
from steelyard.data.report import Finding
from steelyard.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from steelyard.types import Panel

Write = Callable[..., str]
ROWS, DEPTH = 40, 7


def kaggle() -> pl.DataFrame:
    """Forty seconds of seven levels in the layout of the Kaggle set, a gap behind row 25."""
    draw = np.random.default_rng(0)
    mid = 57_000 + 0.01 * draw.integers(-50, 50, ROWS) + 0.005
    seconds = np.arange(ROWS) + 9 * (np.arange(ROWS) > 25)
    stamps = np.datetime64("2021-04-07T11:32:42.122161") + seconds * np.timedelta64(1, "s")
    columns: dict[str, object] = {
        "": np.arange(ROWS),
        "system_time": [str(stamp).replace("T", " ") + "+00:00" for stamp in stamps],
        "midpoint": mid,
        "spread": np.full(ROWS, 0.01),
        "buys": 100 * draw.random(ROWS),
        "sells": 100 * draw.random(ROWS),
    }
    for side, sign in (("bids", -1), ("asks", 1)):
        apart = 0.005 + 0.01 * np.cumsum(draw.integers(1, 9, (ROWS, DEPTH)), axis=1)
        for k in range(DEPTH):
            columns[f"{side}_distance_{k}"] = sign * apart[:, k] / mid
        for what in ("notional", "cancel_notional", "limit_notional", "market_notional"):
            for k in range(DEPTH):
                columns[f"{side}_{what}_{k}"] = 1 + 1000 * draw.random(ROWS)
    return pl.DataFrame(columns)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a frame as CSV or Parquet; its address."""

    def write_file(frame: pl.DataFrame, name: str = "BTC_1sec.csv") -> str:
        path = tmp_path / name
        frame.write_csv(path) if name.endswith(".csv") else frame.write_parquet(path)
        return f"books:{path}"

    return write_file


def same(one: Panel, other: Panel) -> bool:
    fields = one.fields.keys() == other.fields.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=True) for name in one.fields
    )
    stamps = np.array_equal(one.timestamps, other.timestamps)
    return fields and stamps and np.array_equal(one["segment"], other["segment"])


def test_distances_and_notionals_become_prices_and_sizes(write: Write) -> None:
    frame = kaggle()
    panel = load(write(frame), levels=3, max_gap="5s")
    mid = frame["midpoint"].to_numpy()
    for k, side in itertools.product(range(3), ("bid", "ask")):
        price = mid * (1 + frame[f"{side}s_distance_{k}"].to_numpy())
        size = frame[f"{side}s_notional_{k}"].to_numpy() / price
        np.testing.assert_allclose(panel[f"{side}_{k + 1}"][:, 0], price, rtol=1e-14)
        np.testing.assert_allclose(panel[f"{side}_size_{k + 1}"][:, 0], size, rtol=1e-14)
        for flow in ("limit", "cancel", "market"):
            stored = frame[f"{side}s_{flow}_notional_{k}"].to_numpy()
            np.testing.assert_array_equal(panel[f"{side}_{flow}_{k + 1}"][:, 0], stored)
    assert levels(panel) == 3
    assert "bid_limit_4" not in panel.fields
    np.testing.assert_array_equal(panel["buys"][:, 0], frame["buys"].to_numpy())
    assert panel["segment"].tolist() == [0] * 26 + [1] * 14
    assert str(panel.timestamps[0]) == "2021-04-07T11:32:42.122161"
    assert panel.assets == ("BTC_1sec",)


def test_five_levels_are_read_where_nothing_is_said(write: Write) -> None:
    address = write(kaggle())
    assert levels(load(address)) == 5
    assert levels(load(address, levels=DEPTH)) == DEPTH
    with pytest.raises(DataError, match="has 7 levels per side, not 8") as caught:
        load(address, levels=8)
    assert caught.value.hint == "levels=7"
    with pytest.raises(DataError, match="not 0"):
        load(address, levels=0)


@pytest.mark.parametrize("repair", ["", "levels"])
def test_reading_in_chunks_reads_the_same_as_reading_at_once(
    write: Write, monkeypatch: pytest.MonkeyPatch, repair: str
) -> None:
    frame = kaggle()
    whole = load(write(frame), repair=repair)
    monkeypatch.setattr(book_files, "_CHUNK", 1500)
    monkeypatch.setattr(book_files, "_ROWS", 7)
    told: list[tuple[str, int, int]] = []
    with watched(lambda *words: told.append(words)):
        assert same(load(write(frame), repair=repair), whole)
    assert len(told) > 10
    assert told[-1] == ("reading BTC_1sec.csv", ROWS, ROWS)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    times = pl.col("system_time").str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z")
    assert same(load(write(frame.with_columns(times), "BTC.parquet"), repair=repair), whole)
    torn = Path(write(frame).removeprefix("books:"))
    torn.write_text(torn.read_text().rstrip("\n"))  # no newline at the end
    assert same(load("books", torn, repair=repair), whole)
    tell("nobody listens", 1, 2)


def test_a_panel_is_named_as_load_would_be_asked_for_it(write: Write) -> None:
    address = write(kaggle())
    seconds = np.timedelta64(5, "s")
    panel = load(
        address, levels=2, max_gap=seconds, repair=["levels", "drop"], flows=False, asset="BTC"
    )
    options = "levels=2&max_gap=5s&repair=levels,drop&flows=0&asset=BTC"
    assert panel.name == f"{address}?{options}"
    assert not {"buys", "bid_limit_1"} & panel.fields.keys()
    again = load(panel.name)
    assert same(again, panel)
    assert again.sha256 == panel.sha256 == load(address).sha256
    assert len(panel.sha256) == 64


def test_an_empty_level_is_filled_from_behind_without_losing_the_row(write: Write) -> None:
    frame = kaggle()
    frame[4, "bids_notional_0"] = 0.0
    with pytest.raises(DataError, match=r"csv row 5 .*bid_size_1 is 0") as caught:
        load(write(frame))
    assert 'repair="levels"' in caught.value.hint
    panel, before = load(write(frame), repair="levels"), load(write(kaggle()), levels=DEPTH)
    for k in range(1, 6):
        assert panel[f"bid_{k}"][4] == before[f"bid_{k + 1}"][4]
        assert panel[f"bid_cancel_{k}"][4] == before[f"bid_cancel_{k + 1}"][4]
    assert levels(panel) == 5
    assert len(panel) == ROWS


def test_prices_are_rounded_to_the_tick_of_the_venue(write: Write) -> None:
    stored = kaggle().with_columns(pl.selectors.float().cast(pl.Float32))
    address, exact = write(stored, "short.parquet"), load(write(kaggle()))
    rough, panel = load(address), load(address, tick=0.01)
    assert np.abs(rough["bid_2"] - exact["bid_2"]).max() > 1e-4
    for name in ("bid_1", "ask_5", "close"):
        np.testing.assert_allclose(panel[name], exact[name], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(panel["ask_3"], np.round(exact["ask_3"], 2))
    with pytest.raises(DataError, match=r"no whole number of ticks of 0\.1"):
        load(address, tick=0.1)
    with pytest.raises(ConfigError, match="tick"):
        load(address, tick=-1)


def plain() -> dict[str, list[object]]:
    """Three rows of two levels under this package's own names."""
    return {
        "timestamp": ["2021-01-01T00:00:00Z", "2021-01-01T00:00:01Z", "2021-01-01T00:00:02Z"],
        "bid_1": [99.0, 99.5, 99.0],
        "bid_2": [98.0, 98.5, 98.0],
        "bid_size_1": [1.0, 2.0, 3.0],
        "bid_size_2": [1.0, 2.0, 3.0],
        "ask_1": [101.0, 100.5, 101.0],
        "ask_2": [102.0, 101.5, 102.0],
        "ask_size_1": [4.0, 5.0, 6.0],
        "ask_size_2": [4.0, 5.0, 6.0],
        "buy_volume": [0.0, 0.5, 1.0],
        "n_trades": [0, 1, 2],
    }


def test_the_names_of_archives_and_our_own_mean_the_same(write: Write) -> None:
    ours = load(write(pl.DataFrame(plain())))
    names = {f"{s}_{k}": f"{s}{k}_price" for s in ("bid", "ask") for k in (1, 2)}
    names |= {f"{s}_size_{k}": f"{s}{k}_size" for s in ("bid", "ask") for k in (1, 2)}
    assert same(load(write(pl.DataFrame(plain()).rename(names))), ours)
    assert same(load(write(pl.DataFrame(plain()).rename(names), "a.parquet")), ours)
    np.testing.assert_array_equal(ours["buys"][:, 0], [0.0, 50.0, 100.0])  # at the mid
    np.testing.assert_array_equal(ours["trades"][:, 0], [0, 1, 2])
    assert str(ours.timestamps[0]) == "2021-01-01T00:00:00.000000"


@pytest.mark.parametrize("power", [0, 3, 6, 9])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_whole_numbers_are_times_since_1970(write: Write, power: int, name: str) -> None:
    stamps = [(1_609_459_200 + second) * 10**power for second in range(3)]
    frame = pl.DataFrame(plain() | {"timestamp": stamps})
    assert (
        load(write(frame, name)).timestamps.tolist()
        == load(write(pl.DataFrame(plain()))).timestamps.tolist()
    )


def test_a_file_that_counts_its_rows_is_given_a_clock(write: Write) -> None:
    counted = {"row": [4, 5, 7], **plain()}
    del counted["timestamp"]
    panel = load(write(pl.DataFrame(counted)), start="2020-05-01", every="2s")
    assert [str(stamp)[11:19] for stamp in panel.timestamps] == ["00:00:08", "00:00:10", "00:00:14"]
    with pytest.raises(ConfigError, match="`soon` is no time"):
        load(write(pl.DataFrame(counted)), start="soon")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("timestamp", "soon", "row 2: the time cannot be read"),
        ("timestamp", "", "row 2: the time cannot be read"),
        ("bid_2", "x", r"row 2 \(2021-01-01 00:00:01\): bid_2 is not there"),
        ("ask_size_1", "", r"row 2 .*ask_size_1 is not there"),
        ("ask_1", "99", r"row 2 .*the best bid 99.5 is not below the best ask 99"),
        ("timestamp", "2021-01-01T00:00:00Z", r"row 2 .*the time is that of a row above"),
        ("timestamp", "2020-12-31T00:00:00Z", r"row 2 .*the time is before that of a row above"),
    ],
)
def test_a_cell_that_cannot_stand_is_named(
    write: Write, column: str, value: str, words: str
) -> None:
    frame = pl.DataFrame(plain()).cast(pl.String)
    frame[1, column] = value
    address = write(frame)
    with pytest.raises(DataError, match=words) as caught:
        load(address)
    assert caught.value.hint
    found: list[Finding] = []
    assert len(load(address, repair="drop", left_out=found)) == 2
    assert len(found) == 1


def test_a_file_that_is_no_book_is_refused(write: Write, tmp_path: Path) -> None:
    frame = pl.DataFrame(plain())
    for change, words in (
        (frame.drop("ask_size_1"), "is no order book"),
        (frame.drop("timestamp"), "has no column of times"),
        (frame.head(0), "has no rows"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            load(write(change))
        assert caught.value.hint
    assert levels(load(write(frame.drop("bid_2")))) == 1
    with pytest.raises(MissingDataError, match="no file"):
        load("books", tmp_path / "nothing.csv")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="cannot be read"):
        load("books", tmp_path / "torn.parquet")
    ragged = Path(write(frame).removeprefix("books:"))
    ragged.write_text(ragged.read_text() + "1,2,3," + "4," * 30 + "\n")
    with pytest.raises(DataError, match="cannot be read"):
        load("books", ragged)
    with pytest.raises(ConfigError, match="one file"):
        load("books", tmp_path)
    with pytest.raises(UnknownNameError) as unknown:
        load("books", ragged, level=3)
    assert "`levels`" in unknown.value.hint
    with pytest.raises(ConfigError, match="levels is `many`"):
        load("books", ragged, levels="many")
    with pytest.raises(ConfigError, match="length of time"):
        load("books", ragged, max_gap="long")


def test_levels_that_count_from_0_become_those_that_count_from_1() -> None:
    names = [
        f"{side}_{what}{k}" for side in ("bid", "ask") for what in ("", "size_") for k in (0, 1)
    ]
    layout = layout_of(["time", *names], "a file")
    assert layout.depth == 2
    assert layout.names["bid_1"] == "bid_0"
    assert layout.names["ask_size_2"] == "ask_size_1"


def test_the_command_line_reports_what_is_wrong_with_a_book(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = kaggle()
    frame[4, "bids_notional_0"] = 0.0
    frame[9, "asks_distance_0"] = -0.1
    address = write(frame)
    assert main(["data", "check", address, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    found = {one["kind"]: (one["first"][11:19], one["count"]) for one in report["findings"]}
    assert found == {
        "crossed_book": ("11:32:51", 1),
        "non_positive_size": ("11:32:46", 1),
        "segment_border": ("11:32:45", 3),
    }
    assert (report["rows"], report["clean"], report["name"]) == (ROWS - 2, False, address)
    assert main(["data", "check", address + "?repair=levels&max_gap=20s"]) == 1
    assert "crossed_book" in capsys.readouterr().out
    assert main(["data", "check", "book:none?rows=20"]) == 0
    assert main(["data", "check", write(pl.DataFrame({"a": [1]}))]) == 2
    assert "no order book" in capsys.readouterr().err


@pytest.mark.slow
def test_the_memory_of_reading_does_not_grow_with_the_file(tmp_path: Path) -> None:
    frame = kaggle().drop("", "system_time")
    lines = frame.write_csv(include_header=False).rstrip().split("\n")
    path, many = tmp_path / "big.csv", 150_000
    stamps = np.datetime64("2021-01-01", "s") + np.arange(many) * np.timedelta64(1, "s")
    with path.open("w") as file:
        file.write("system_time," + ",".join(frame.columns) + "\n")
        file.writelines(f"{stamp},{lines[row % ROWS]}\n" for row, stamp in enumerate(stamps))
    code = (
        "import resource, sys, polars\n"
        "from steelyard.data import load\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "load('books', sys.argv[2], levels=1, flows=0); small = peak()\n"
        "panel = load('books', sys.argv[1], levels=1, flows=0)\n"
        "print(len(panel), peak() - small)\n"
    )
    some = tmp_path / "some.csv"
    with path.open("rb") as file:
        some.write_bytes(b"".join(itertools.islice(file, 30_000)))
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), str(some)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, grown = map(int, run.stdout.split())
    assert rows == many
    held = many * 8 * 12  # the columns that were asked for, and masks
    assert path.stat().st_size > 6 * held
    assert grown < held + path.stat().st_size / 5


DEV = {
    "lob_btcusd_bitstamp_20150501_1s_10lvl": ("levels=10&tick=0.01", 86_373, 14),
    "lob_btcusd_bitstamp_20150501_1s_5lvl": ("tick=0.01", 86_373, None),
    "lob_btcusd_bitstamp_20150501_exchange_snapshots_20lvl": ("levels=20&max_gap=60s", 29_992, 1),
}


@pytest.mark.parametrize("name", DEV)
def test_the_bitstamp_day_is_a_book(dev_folder: Path, name: str) -> None:
    options, rows, pieces = DEV[name]
    panel = load(f"books:{dev_folder / name}.parquet?{options}")
    assert len(panel) == rows
    assert pieces is None or panel["segment"].max() + 1 == pieces
    assert str(panel.timestamps[0]).startswith("2015-05-01T00:00:0")
    assert (panel["ask_1"] > panel["bid_1"]).all()
