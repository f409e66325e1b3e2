"""The bundled order books: cards, prices and gaps."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import polars as pl
import pytest

from steelyard.data import check, datasets, load, show
from steelyard.data.books import levels
from steelyard.errors import ConfigError

BOOKS = ["lob_btc_coinbase_1min_15lvl_martinsn_sample", "lob_btc_trademaster_small_5lvl"]


def raw(name: str) -> pl.DataFrame:
    return pl.read_parquet(show(name).path)


def test_the_bundled_books_are_books_on_their_cards() -> None:
    assert [card.name for card in datasets() if card.kind == "book"] == BOOKS


@pytest.mark.parametrize("name", BOOKS)
def test_the_card_of_a_book_says_what_a_user_must_know(name: str) -> None:
    card = show(name)
    assert all([card.title, card.summary, card.licence, card.terms, card.attribution])
    assert all([card.adjustments, card.flaws, card.checks])
    assert all(origin.repository and origin.commit for origin in card.origin)
    assert card.to_dict()["start"] == card.start.isoformat()


def families(columns: list[str]) -> list[str]:
    """Columns of books with `0..14` written out."""
    found = []
    for name in columns:
        match = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)(.*)", name)
        numbers = range(int(match[2]), int(match[3]) + 1) if match else ()
        found += [f"{match[1]}{k}{match[4]}" for k in numbers] if match else [name]
    return found


@pytest.mark.parametrize("name", BOOKS)
def test_the_numbers_on_the_card_of_a_book_are_those_of_its_file(name: str) -> None:
    card, frame, panel = show(name), raw(name), load("bundled", name)
    assert hashlib.sha256(card.path.read_bytes()).hexdigest() == card.sha256 == panel.sha256
    assert sorted(families(list(card.columns))) == sorted(frame.columns)
    assert len(frame) == len(panel) == card.rows == card.sessions
    assert panel.timestamps[[0, -1]].astype(object).tolist() == [card.start, card.end]
    assert panel["segment"].max() + 1 == card.segments
    assert panel.assets == card.assets
    assert levels(panel) == card.book["levels"]
    report = check(panel)
    assert report.clean
    assert [one.kind for one in report.findings] == ["segment_border"]
    assert report.findings[0].count == card.segments - 1
    with pytest.raises(ConfigError, match="nothing to adjust"):
        load("bundled", name, adjust="splits")


def test_the_minute_book_is_that_of_its_mid_and_distances() -> None:
    panel, frame = load("bundled", BOOKS[0]), raw(BOOKS[0]).cast({"system_time": pl.Datetime("us")})
    whole = np.flatnonzero(
        (frame.select(pl.selectors.contains("s_notional")) > 0).to_numpy().all(1)
    )
    assert len(frame) - len(whole) == 10  # rows with a level on which nothing lies
    for k, side, sign in ((0, "bid", -1), (7, "ask", 1)):
        distance = frame[f"{side}s_distance_{k}"].to_numpy().astype(float)
        price = frame["midpoint"].to_numpy() * (1 + distance)
        quoted = panel[f"{side}_{k + 1}"][whole, 0]
        assert np.abs(quoted - price[whole]).max() < 0.005
        assert (sign * (quoted - panel["close"][whole, 0]) > 0).all()
        assert np.array_equal(quoted, np.round(quoted, 2))
        notional = panel[f"{side}_size_{k + 1}"][whole, 0] * quoted
        np.testing.assert_allclose(notional, frame[f"{side}s_notional_{k}"].to_numpy()[whole], 1e-6)


def test_the_book_without_times_has_a_gap_where_rows_are_missing() -> None:
    panel, rows = load("bundled", BOOKS[1]), raw(BOOKS[1])["row"].to_numpy()
    seconds = (panel.timestamps - panel.timestamps[0]) / np.timedelta64(1, "s")
    np.testing.assert_array_equal(seconds, rows)
    borders = np.flatnonzero(np.diff(panel["segment"]))
    assert rows[borders].tolist() == [4531, 4886]
