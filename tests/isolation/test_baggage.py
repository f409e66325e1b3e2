"""Prices of the future are found in whatever they are carried, and nothing else is taken for it."""

import array
import collections
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from carriers import Agent, carriers, executed, itself

from book_markets import random_books
from steelyard.data import load
from steelyard.isolation.baggage import RUN, Found, find_baggage

KNOWN = 120


@pytest.fixture(scope="module")
def panel():
    made = load("synthetic:none?rows=200&assets=3&seed=1")
    # a synthetic open is the close before
    return replace(made, fields={**made.fields, "open": 1.003 * made["open"]})


def later(panel):
    return panel["close"][KNOWN + 1 :]


def days(panel):
    return [str(day) for day in panel.timestamps[KNOWN + 1 :]]


def long(panel):
    """(date, name, close) of every row and asset, as files of prices have them."""
    count = len(panel.assets)
    names = list(panel.assets) * len(days(panel))
    return {"date": np.repeat(days(panel), count), "tic": names, "close": later(panel).ravel()}


def frame(panel):
    return {"date": days(panel), **dict(zip(panel.assets, later(panel).T))}


FORMS = {
    "an array": later,
    "in float32": lambda panel: later(panel).astype(np.float32),
    "transposed": lambda panel: later(panel).T,
    "backwards": lambda panel: later(panel)[::-1],
    "with a new axis": lambda panel: later(panel)[:, None, :],
    "behind known rows": lambda panel: panel["close"],
    "one asset": lambda panel: later(panel)[:, 0],
    "a list": lambda panel: later(panel)[:, 0].tolist(),
    "a tuple of NumPy's numbers": lambda panel: tuple(later(panel)[:, 0]),
    "a list of rows": lambda panel: later(panel).tolist(),
    "a list of arrays": lambda panel: list(later(panel)),
    "a list of days and prices": lambda panel: list(zip(days(panel), later(panel)[:, 0])),
    "one column of all assets": lambda panel: later(panel).ravel(),
    "an array of objects": lambda panel: later(panel).astype(object),
    "a masked array": lambda panel: np.ma.array(later(panel)),
    "a record": lambda panel: np.rec.fromarrays([days(panel), later(panel)[:, 0]], names="a,b"),
    "an array of Python": lambda panel: array.array("d", later(panel)[:, 0]),
    "a deque": lambda panel: collections.deque(later(panel)[:, 0].tolist()),
    "prices by day": lambda panel: dict(zip(days(panel), later(panel)[:, 0])),
    "rows by day": lambda panel: dict(zip(days(panel), later(panel))),
    "prices by asset and day": lambda panel: {
        name: dict(zip(days(panel), values)) for name, values in zip(panel.assets, later(panel).T)
    },
    "deep inside": lambda panel: {"one": [({"two": later(panel)},)]},
    "a frame of pandas": lambda panel: pd.DataFrame(frame(panel)),
    "a series of pandas": lambda panel: pd.Series(later(panel)[:, 0], index=days(panel)),
    "a long frame of pandas": lambda panel: pd.DataFrame(long(panel)),
    "a frame of polars": lambda panel: pl.DataFrame(frame(panel)),
    "a long frame of polars": lambda panel: pl.DataFrame(long(panel)),
    "a frame of rows": lambda panel: pd.DataFrame({"day": days(panel), "all": list(later(panel))}),
    "a table of Arrow": lambda panel: pa.table(frame(panel)),
    "a panel": lambda panel: panel,
    "a text": lambda panel: "\n".join(map(str, later(panel)[:, 0].tolist())),
    "a file of CSV": lambda panel: pl.DataFrame(frame(panel)).write_csv(),
}


@pytest.mark.parametrize("form", FORMS)
def test_prices_of_the_future_are_found_in_every_form(form, panel):
    found = find_baggage(Agent(FORMS[form](panel)), panel, KNOWN)
    assert found is not None
    assert (found.row, found.field) == (KNOWN + 1, "close")
    assert found.asset == "S00" or form == "prices by asset and day"  # those are three in one


def returns(panel):
    return later(panel)[1:] / later(panel)[:-1] - 1


NUMBERS = {
    "log close": (lambda panel: np.log(later(panel)), 1),
    "return": (returns, 2),
    "log return": (lambda panel: np.diff(np.log(later(panel)), axis=0), 2),
    "open": (lambda panel: panel["open"][KNOWN + 1 :], 1),
    "high": (lambda panel: panel["high"][KNOWN + 1 :], 1),
}


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_that_say_as_much_are_found(what, single, panel):
    make, behind = NUMBERS[what]
    held = make(panel).astype(np.float32 if single else np.float64)
    assert find_baggage(Agent(held), panel, KNOWN) == Found("S00", KNOWN + behind, what)


def test_the_first_row_and_the_asset_are_those_that_are_carried(panel):
    late = later(panel)[30:50, 2]
    assert find_baggage(Agent(late), panel, KNOWN) == Found("S02", KNOWN + 31, "close")
    both = [later(panel)[40:60, 1], late]
    assert find_baggage(Agent(both), panel, KNOWN) == Found("S02", KNOWN + 31, "close")


def test_prices_of_a_book_are_found_by_their_side():
    book = random_books(4, rows=90)
    held = book["bid_1"][50:]
    assert find_baggage(Agent(held), book, 40) == Found("BTC", 50, "bid_1")


@pytest.mark.parametrize("what", carriers(0))
def test_whatever_holds_prices_is_looked_through(what, panel):
    found = find_baggage(carriers(later(panel))[what], panel, KNOWN)
    assert found == Found("S00", KNOWN + 1, "close")
    assert find_baggage(carriers(np.ones(90))[what], panel, KNOWN) is None


def test_globals_that_the_code_of_an_agent_names_are_looked_through(panel):
    mine, other = executed(later(panel))
    assert find_baggage(mine, panel, KNOWN) == Found("S00", KNOWN + 1, "close")
    assert find_baggage(other, panel, KNOWN) is None


def test_globals_of_the_module_of_an_agent_are_looked_through(panel, monkeypatch):
    assert find_baggage(Agent(), panel, KNOWN) is None
    monkeypatch.setattr("carriers.PRICES", later(panel), raising=False)
    assert find_baggage(Agent(), panel, KNOWN) == Found("S00", KNOWN + 1, "close")


HONEST = {
    "nothing": lambda panel: None,
    "rows of training": lambda panel: panel["close"][: KNOWN + 1],
    "returns of training": lambda panel: np.diff(np.log(panel["close"][: KNOWN + 1]), axis=0),
    "random numbers": lambda panel: np.random.default_rng(0).normal(50, 9, (500, 40)),
    "numbers like prices": lambda panel: np.random.default_rng(0).permutation(later(panel)),
    "zeros and counts": lambda panel: [np.zeros((90, 3)), np.arange(500), [1] * 50, [0.5] * 50],
    "a few prices": lambda panel: later(panel)[: RUN - 1],
    "prices that are nearly those": lambda panel: later(panel) * (1 + 1e-5),
    "text": lambda panel: ["buy", b"\x00" * 90, "x" * 90, str(list(range(900)))],
    "something that holds itself": lambda panel: itself(),
    "names of libraries": lambda panel: [np, pd.DataFrame, pl.col("a"), pl.DataFrame, int, len],
    "an empty frame": lambda panel: [pd.DataFrame(), pl.DataFrame(), pa.table({"a": []})],
    "days": lambda panel: [panel.timestamps, pd.DataFrame({"date": days(panel)})],
}


@pytest.mark.parametrize("what", HONEST)
def test_nothing_else_is_taken_for_prices_of_the_future(what, panel):
    assert find_baggage(Agent(HONEST[what](panel)), panel, KNOWN) is None


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_no_finding(seed, panel):
    random = np.random.default_rng(seed)
    drawn = [
        random.normal(size=(300, 50)),
        random.random((4_000,)),
        np.round(random.random(900), 2),
    ]
    assert find_baggage(Agent(drawn), panel, KNOWN) is None


def test_prices_that_stand_still_and_gaps_are_no_finding(panel):
    close = panel["close"].copy()
    close[KNOWN - 5 :, 1] = 10.0
    close[150:160, 0] = np.nan
    still = replace(panel, fields={**panel.fields, "close": close})
    held = [np.full(50, 10.0), np.zeros(50), np.full(50, np.nan), np.log(np.full(50, 10.0))]
    assert find_baggage(Agent(held), still, KNOWN) is None
    found = find_baggage(Agent(close[KNOWN + 1 :]), still, KNOWN)
    assert found == Found("S00", KNOWN + 1, "close")


def test_no_rows_behind_the_last_known_one_cannot_be_carried(panel):
    assert find_baggage(Agent(panel), panel, len(panel) - 1) is None
