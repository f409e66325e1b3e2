"""`find_leak` names the first value that knew too much, and leaves honest features alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from feature_panels import random_book, random_panel, with_book, with_gaps

from steelyard.errors import ContractError, DataError
from steelyard.features.leaks import UNCHANGED, Leak, find_leak
from steelyard.features.rolling import per_asset, rolling_mean
from steelyard.features.worlds import AWAY, GARBAGE, MISSING
from steelyard.registry import find, members
from steelyard.types import Feature, Panel

NAMES = sorted(name for name in members("features") if not name.startswith("alpha_"))
ALPHAS = sorted(name for name in members("features") if name.startswith("alpha_"))
BOOK = ("imbalance", "spread_liquidity", "order_flow_imbalance", "price_impact", "market_to_limit")

STOCKS = random_panel(3, 120, 3)
CUTS = [40, 80]


def plant(function: Callable, warmup: int = 0, scope: str = "asset") -> Feature:
    return Feature("planted", function, "level", warmup, scope)


def leak_of(function: Callable, panel: Panel = STOCKS, warmup: int = 0, scope: str = "asset"):
    return find_leak(plant(function, warmup, scope), panel, CUTS)


def single(panel: Panel) -> Panel:
    """The panel as it is after a float32 has held it."""
    held = {name: values.astype(np.float32).astype(float) for name, values in panel.fields.items()}
    return replace(panel, fields=held)


# honest


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [lambda panel: panel, with_gaps, single])
def test_no_feature_of_the_house_leaks(name: str, make: Callable) -> None:
    panel = make(with_book(random_panel(5), 5))
    assert find_leak(find("features", name), panel, [60, 252, 253, 300, 418]) is None
    assert find_leak(find("features", name), panel, [252, 300], exact=True) is None


@pytest.mark.parametrize("name", BOOK)
def test_no_feature_of_a_book_leaks_from_segment_to_segment(name: str) -> None:
    segment = np.repeat([0.0, 1.0, 2.0], [150, 3, 147])
    panel = replace(random_book(6, 300, levels=5), context={"segment": segment})
    assert find_leak(find("features", name), panel, [70, 149, 151, 152, 153, 298]) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ALPHAS)
def test_no_alpha_leaks(name: str) -> None:
    for panel in (single(random_panel(7, 420, 10)), with_gaps(random_panel(7)), random_book(7)):
        assert find_leak(find("features", name), panel, [270, 300, 418]) is None


def of_pandas(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable:
    return lambda panel: change(pd.DataFrame(panel["close"])).to_numpy()


def sliding(panel: Panel) -> np.ndarray:
    """Fails on fewer rows than its window, as its warm-up says."""
    close = np.lib.stride_tricks.sliding_window_view(panel["close"], 20, axis=0)
    means = close @ np.full(20, 1 / 20)
    return np.concatenate([np.full((19, means.shape[1]), np.nan), means]) - panel["close"]


def largest_eigenvalue(panel: Panel) -> np.ndarray:
    """Fails where nothing is observed, before a row as well as after it."""
    returns = np.diff(np.log(panel["close"]), axis=0)
    values = np.full(len(panel), np.nan)
    for row in range(30, len(returns)):
        values[row + 1] = np.linalg.eigvalsh(np.cov(returns[row - 30 : row].T))[-1]
    return values


CACHE: dict[str, np.ndarray] = {}


def remembered(panel: Panel) -> np.ndarray:
    """Kept by what it was made from."""
    key = panel.digest()
    if key not in CACHE:
        CACHE[key] = np.log(panel["close"])
    return CACHE[key]


@pytest.mark.parametrize(
    ("function", "warmup", "scope"),
    [
        (of_pandas(lambda close: close.rolling(20).mean() - close), 19, "asset"),
        (of_pandas(lambda close: close.rolling(20).std()), 19, "asset"),
        (of_pandas(lambda close: close.ewm(span=20).mean() - close), 5, "asset"),
        (of_pandas(lambda close: close.expanding().std()), 2, "asset"),
        (of_pandas(lambda close: close.rank(axis=1, pct=True)), 0, "cross_section"),
        (of_pandas(lambda close: close.ffill()), 0, "asset"),
        (lambda panel: np.cumsum(panel["volume"], axis=0), 0, "asset"),
        (lambda panel: np.ones_like(panel["close"]), 0, "asset"),
        (lambda panel: panel["vix"] - np.roll(panel["vix"], 1), 1, "market"),
        (lambda panel: panel.timestamps.astype("datetime64[D]").astype(float) % 7, 0, "market"),
        (sliding, 19, "asset"),
        (largest_eigenvalue, 31, "market"),
        (remembered, 0, "asset"),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5])
def test_an_honest_feature_of_somebody_elses_does_not_leak(
    function: Callable, warmup: int, scope: str, scale: float
) -> None:
    fields = {name: scale * values for name, values in STOCKS.fields.items()}
    assert leak_of(function, replace(STOCKS, fields=fields), warmup, scope) is None


# planted


def shifted(values: np.ndarray, rows: int = 1) -> np.ndarray:
    """What stands `rows` later; NaN where nothing does."""
    return np.concatenate([values[rows:], np.full((rows, *values.shape[1:]), np.nan)])[
        : len(values)
    ]


def centred(panel: Panel) -> np.ndarray:
    return pd.DataFrame(panel["close"]).rolling(5, center=True, min_periods=1).mean().to_numpy()


def standardised(panel: Panel) -> np.ndarray:
    return (panel["close"] - np.nanmean(panel["close"])) / np.nanstd(panel["close"])


def rank_of_the_next_row(panel: Panel) -> np.ndarray:
    return pd.DataFrame(shifted(panel["close"])).rank(axis=1).to_numpy()


def days_that_are_left(panel: Panel) -> np.ndarray:
    return (panel.timestamps[-1] - panel.timestamps).astype(float)


def days_to_the_next(panel: Panel) -> np.ndarray:
    return np.diff(panel.timestamps, append=panel.timestamps[-1:]).astype(float)


def only_of_the_second_asset(panel: Panel) -> np.ndarray:
    values = panel["close"].copy()
    values[:, 1] = shifted(values, 2)[:, 1]
    return values


def whether_it_will_rise(panel: Panel) -> np.ndarray:
    return (shifted(panel["close"]) > panel["close"]).astype(float)


@pytest.mark.parametrize(
    ("function", "scope", "expected"),
    [
        (lambda p: shifted(p["close"]), "asset", ("A", 40, 40, AWAY)),
        (centred, "asset", ("A", 39, 40, AWAY)),
        (standardised, "asset", ("A", 0, 40, AWAY)),
        (lambda p: p["close"] / p["close"].max(axis=0), "asset", None),
        (lambda p: p["close"] / p["close"][-1:], "asset", ("A", 0, 40, AWAY)),
        (only_of_the_second_asset, "asset", ("B", 39, 40, AWAY)),
        (lambda p: shifted(p["vix"]), "market", ("", 40, 40, AWAY)),
        (lambda p: p["vix"][::-1], "market", ("", 0, 40, AWAY)),
        (rank_of_the_next_row, "cross_section", ("A", 40, 40, AWAY)),
        (lambda p: p["close"] * len(p), "asset", ("A", 0, 40, AWAY)),
        (days_that_are_left, "market", ("", 0, 40, AWAY)),
        (days_to_the_next, "market", ("", 40, 40, AWAY)),
        (lambda p: np.where(np.isnan(p["close"]).any(), 0.0, p["close"]), "asset", None),
        (lambda p: np.where(p["close"].max() > 1e4, 0.0, p["close"]), "asset", None),
        (lambda p: np.where(p.timestamps[-1] > END, 0.0, p["close"]), "asset", None),
    ],
)
def test_a_planted_leak_is_found_at_its_asset_and_row(
    function: Callable, scope: str, expected: tuple | None
) -> None:
    leak = leak_of(function, scope=scope)
    assert isinstance(leak, Leak)
    if expected is not None:
        assert leak == ("planted", *expected)


END = STOCKS.timestamps[-1]


@pytest.mark.parametrize(
    ("function", "world"),
    [
        (lambda p: np.where(np.isnan(p["close"]).any(axis=0), 0.0, p["close"]), MISSING),
        (lambda p: np.where(p["close"].max(axis=0) > 1e4, 0.0, p["close"]), GARBAGE),
        (lambda p: np.where(p.timestamps[-1] > END, 0.0, p["close"]), GARBAGE),
        (lambda p: np.where(len(p) < 100, 0.0, p["close"]), AWAY),
    ],
)
def test_what_one_world_alone_shows_is_named_by_that_world(function: Callable, world: str) -> None:
    assert leak_of(function) == ("planted", "A", 0, 40, world)


def test_the_earliest_row_of_all_cuts_and_worlds_is_told() -> None:
    """Rows 75 to 80 read five rows ahead, row 40 does not."""

    def late(panel: Panel) -> np.ndarray:
        rows = np.arange(len(panel))[:, None]
        return np.where(rows > 60, shifted(panel["close"], 5), panel["close"])

    assert find_leak(plant(late), STOCKS, [80, 40, 78]) == ("planted", "A", 74, 78, AWAY)
    assert find_leak(plant(late), STOCKS, [40]) is None


def test_a_rise_of_the_next_row_is_found_though_it_is_a_coin() -> None:
    leak = leak_of(whether_it_will_rise)
    assert leak is not None
    assert leak.row in CUTS


def mean_of_filled_volume(panel: Panel) -> np.ndarray:
    return pd.DataFrame(panel["volume"]).bfill().rolling(3, min_periods=1).mean().to_numpy()


def mean_of_filled_closes(panel: Panel) -> np.ndarray:
    return pd.DataFrame(panel["close"]).bfill().mean(axis=1).to_numpy()


def holed(field: str, rows: slice, asset: int) -> Panel:
    values = STOCKS[field].copy()
    values[rows, asset] = np.nan
    return replace(STOCKS, fields={**STOCKS.fields, field: values})


@pytest.mark.parametrize(
    ("function", "scope", "panel", "asset", "row"),
    [
        (mean_of_filled_volume, "asset", holed("volume", slice(60, 63), 1), "B", 60),
        (mean_of_filled_closes, "market", holed("close", slice(60, 63), 1), "", 60),
        (mean_of_filled_closes, "market", holed("close", slice(0, 30), 2), "", 0),
    ],
)
def test_a_fill_from_behind_is_found_in_the_hole_that_it_fills(
    function: Callable, scope: str, panel: Panel, asset: str, row: int
) -> None:
    """None of the cuts goes through the hole; the end of the hole is cut besides."""
    leak = leak_of(function, panel, scope=scope)
    assert leak is not None
    assert (leak.asset, leak.row, leak.world) == (asset, row, GARBAGE)
    assert leak_of(function, scope=scope) is None  # without a hole it fills nothing


@pytest.mark.parametrize("field", ["bid_1", "ask_size_3", "buys", "bid_cancel_2"])
def test_the_next_row_of_any_field_of_a_book_is_found(field: str) -> None:
    book = random_book(2, 120)
    leak = leak_of(lambda p: p["close"] + shifted(p[field]), book)
    assert leak == ("planted", "A", 40, 40, AWAY)


def test_a_sum_over_the_segment_is_found_where_the_rows_before_are_innocent() -> None:
    book = replace(random_book(2, 120), context={"segment": np.repeat([0.0, 1.0], 60)})
    leak = leak_of(lambda p: p["close"] - p["close"].mean(axis=0), book)
    assert leak == ("planted", "A", 0, 40, AWAY)
    assert find_leak(plant(lambda p: p["close"] / p["close"][:1]), book, CUTS) is None
    late = find_leak(plant(lambda p: p["close"] / p["close"][-1:]), book, [80])
    assert late is not None
    assert (late.row, late.cut) == (60, 80)


def test_a_failure_without_the_later_rows_is_a_finding_that_names_it() -> None:
    def needs_a_hundred(panel: Panel) -> np.ndarray:
        assert panel["close"][100].shape == (3,)
        return panel["close"]

    leak = leak_of(needs_a_hundred)
    assert leak is not None
    assert (leak.asset, leak.row, leak.cut) == ("", 40, 40)
    assert leak.world.startswith("are taken away (IndexError: index 100 is out of bounds")
    assert "`planted` fails when the rows after row 40 are taken away" in leak.error().message


def test_a_failure_that_comes_with_later_rows_that_are_not_observed_is_one_too() -> None:
    def checks_the_end(panel: Panel) -> np.ndarray:
        if np.isnan(panel["close"][-1]).any():
            raise ValueError("no last price")
        return panel["close"]

    leak = leak_of(checks_the_end)
    assert leak is not None
    assert leak.world == "are not observed (ValueError: no last price)"


def test_a_value_that_changes_comes_before_a_failure() -> None:
    def both(panel: Panel) -> np.ndarray:
        assert panel["close"][70].shape == (3,)
        return shifted(panel["close"])

    assert leak_of(both) == ("planted", "A", 40, 40, GARBAGE)


def test_a_feature_that_fails_on_the_panel_itself_is_named() -> None:
    def broken(panel: Panel) -> np.ndarray:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ContractError, match=r"`planted` fails .*ZeroDivisionError: by nothing"):
        leak_of(broken)
    with pytest.raises(DataError, match="no field `colour`"):
        leak_of(lambda panel: panel["colour"])
    with pytest.raises(ContractError, match=r"`planted` returned shape \(120,\)"):
        leak_of(lambda panel: panel["vix"])


@pytest.mark.parametrize("where", ["fields", "context"])
def test_a_feature_that_writes_is_refused_and_the_panel_is_whole(where: str) -> None:
    def writing(panel: Panel) -> np.ndarray:
        next(iter(getattr(panel, where).values()))[0] += 1.0
        return panel["close"]

    before = STOCKS.digest()
    with pytest.raises(ContractError, match="`planted` writes into the panel"):
        leak_of(writing)
    assert STOCKS.digest() == before


def test_random_values_are_no_function_of_the_panel() -> None:
    random = np.random.default_rng(0)
    leak = leak_of(lambda panel: panel["close"] + random.normal(size=panel["close"].shape))
    assert leak == ("planted", "A", 0, 119, UNCHANGED)
    assert leak.error().message == (
        "feature `planted` is not a function of the panel: its value of A at row 0 differs when "
        "nothing has changed"
    )


def test_a_state_that_moves_from_call_to_call_is_found() -> None:
    calls: list[int] = []

    def counting(panel: Panel) -> np.ndarray:
        calls.append(1)
        return np.where(np.arange(len(panel))[:, None] > 70, len(calls), panel["close"])

    assert leak_of(counting) == ("planted", "A", 71, 119, UNCHANGED)


def test_a_cache_that_does_not_ask_what_it_holds_hides_no_leak() -> None:
    def cached(key: Callable) -> Callable:
        kept: dict[object, np.ndarray] = {}
        return lambda panel: kept.setdefault(key(panel), standardised(panel))[: len(panel)]

    assert leak_of(cached(lambda panel: (panel.name, len(panel)))) == ("planted", "A", 0, 40, AWAY)
    with pytest.raises(ContractError, match=r"returned shape \(41, 3\)"):  # kept of fewer rows
        leak_of(cached(lambda panel: panel.name))


def test_rows_with_nothing_known_or_nothing_behind_are_passed_over() -> None:
    late = plant(lambda panel: per_asset(lambda close: rolling_mean(close, 50), panel["close"]), 49)
    asked: list[int] = []

    def counting(panel: Panel) -> np.ndarray:
        asked.append(len(panel))
        return late.function(panel)

    assert find_leak(replace(late, function=counting), STOCKS, [-1, 0, 48, 119, 200]) is None
    assert asked == [120, 120]
    assert find_leak(replace(late, function=counting), STOCKS, [49, 49]) is None
    assert asked == [120, 120, 50, 120, 120, 120, 120]


def test_a_leak_tells_its_date_where_it_is_told_how() -> None:
    leak = leak_of(lambda panel: shifted(panel["close"]))
    assert leak is not None
    error = leak.error(lambda row: str(STOCKS.timestamps[row]))
    assert error.message == (
        "feature `planted` looks ahead: its value of A at 2019-02-10 changes when the rows after "
        "2019-02-10 are taken away"
    )
    assert error.hint
