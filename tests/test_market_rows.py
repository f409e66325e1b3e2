"""Rows that are picked make the market that they would make alone."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book_markets import random_books
from markets import random_panel
from other_rows import book, differences, stocks
from steelyard.benchmark import open_venue
from steelyard.benchmark.market_rows import MarketRows, packed
from steelyard.book import BookMarket, build_book
from steelyard.market import Market, build_market
from steelyard.types import Panel

ROWS = 80


def test_spans_are_packed_behind_each_other_and_the_last_row_fills_up() -> None:
    rows, span = packed([(2, 4), (7, 8)], 7)
    assert rows.tolist() == [2, 3, 4, 7, 8, 8, 8]
    assert span.tolist() == [0, 0, 0, 1, 1, -1, -1]
    assert packed([(0, 2)])[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_the_first_rows_of_a_stock_market_are_the_market_of_these_rows(precision: str) -> None:
    panel = random_panel(3)
    gauge = {"vix": np.arange(len(panel), dtype=float)}
    table = np.random.default_rng(0).normal(size=(len(panel), 2)).astype(np.float32)
    whole: Market = build_market(panel, table, gauge, first=5, precision=precision)  # type: ignore[arg-type]
    alone = build_market(
        panel.rows(0, 40), table[:40], {"vix": gauge["vix"][:40]}, first=5, precision=precision  # type: ignore[arg-type]
    )  # fmt: skip
    assert differences(whole.of_rows(*packed([(0, 39)])), alone) == []


def test_a_span_from_the_middle_keeps_what_was_known_before_it() -> None:
    """An asset that is halted at its start is marked at its last price, as it is in the whole."""
    panel = random_panel(4)
    close = panel["close"].copy()
    close[18:25, 1] = np.nan
    whole = build_market(replace(panel, fields={**panel.fields, "close": close}), first=9)
    part = whole.of_rows(*packed([(20, 30)], 13))
    assert (np.asarray(part.mark)[:5, 1] == np.float32(close[17, 1])).all()
    assert int(part.first) == 0
    for name in ("bid", "ask", "tradable"):
        shown, was = np.asarray(getattr(part, name)), np.asarray(getattr(whole, name))
        np.testing.assert_array_equal(shown[:10], was[20:30])
        assert not shown[10:].any()
    np.testing.assert_array_equal(part.mark[11:], np.asarray(whole.mark)[[30, 30]])


def ready_table(panel: Panel, segment: np.ndarray, warmup: int) -> np.ndarray:
    """One column; NaN on the first `warmup` rows of each segment."""
    starts = np.flatnonzero(np.diff(segment, prepend=-1))
    age = (
        np.arange(len(panel)) - starts[np.searchsorted(starts, np.arange(len(panel)), "right") - 1]
    )
    return np.where(age < warmup, np.nan, 1.0).astype(np.float32)[:, None]


@given(
    seed=st.integers(0, 50),
    cuts=st.lists(st.integers(0, ROWS - 1), min_size=4, max_size=4, unique=True),
    warmup=st.integers(0, 6),
)
def test_spans_of_a_book_are_a_book_with_a_gap_between_them(
    seed: int, cuts: list[int], warmup: int
) -> None:
    """The twin is built anew of the picked rows, numbered by span and segment."""
    panel = random_books(seed, ROWS, segments=4)
    a, b, c, d = sorted(cuts)
    rows, span = packed([(a, b), (c, d)])
    table = ready_table(panel, panel["segment"], warmup)
    if np.isnan(table[rows[:-1]]).all():
        return  # no row is warmed up
    whole = build_book(panel, table)
    stretch = 10 * span + panel["segment"][rows]
    fields = {name: values[rows] for name, values in panel.fields.items()}
    twin = Panel(panel.timestamps[rows], panel.assets, fields, {"segment": stretch.astype(float)})
    picked, alone = whole.of_rows(rows, span), build_book(twin, table[rows])
    assert differences(picked, alone) == []
    filled = whole.of_rows(*packed([(a, b), (c, d)], len(rows) + 3))
    own = jax.tree.map(lambda leaf: leaf[: len(rows)] if leaf.ndim else leaf, filled)
    assert differences(own, alone) == []
    for name in ("left", "jump", "wait"):
        assert not np.asarray(getattr(filled, name))[len(rows) :].any()


def test_rows_of_a_book_that_are_not_warmed_up_show_nothing() -> None:
    task, panel = book()
    venue = open_venue(task, panel)
    table = np.asarray(venue.training.market.table)
    warm = task.rules.warm(panel, venue.rows.warmup)[: len(table)]
    assert venue.rows.warmup > 0
    assert (table[~warm] == 0).all()
    assert (table[warm] != 0).any(axis=1).all()
    assert isinstance(venue.exact, BookMarket)


def test_nothing_of_a_panel_is_computed_before_it_is_asked_for() -> None:
    task, panel = stocks()
    venue = open_venue(task, panel)
    assert "columns" not in vars(venue.rows)  # features of all rows are for the exact market
    last = int(venue.training.last)
    rows = MarketRows(task.rules, panel, venue.rows.features)
    again = rows.until(last).learning_market([(0, last)], venue.scaler)
    assert differences(again, venue.training.market) == []
    # features are causal, so that rows picked out of the whole show the same numbers
    picked = rows.learning_market([(0, last)], venue.scaler)
    assert differences(picked, venue.training.market) == []
