from dataclasses import replace

import numpy as np
import pytest
from feature_panels import random_book

from steelyard.errors import ContractError, DataError, MissingDataError, UnknownNameError
from steelyard.features import compute, feature
from steelyard.features.check import check_feature
from steelyard.features.rolling import per_asset
from steelyard.registry import card, find, members
from steelyard.types import Feature, Panel

NAMES = sorted(name for name in members("features") if not name.startswith("alpha_"))
"""All but the 101 alphas, which `test_alphas` evaluates together."""

TABLE_2 = {"macd", "boll_ub", "boll_lb", "rsi_30", "cci_30", "dx_30"}
TABLE_2 |= {"close_30_sma", "close_60_sma", "vix", "turbulence"}


def test_the_ten_features_of_the_papers_table_2_are_in_the_room():
    assert TABLE_2 | {"return_1"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_keeps_the_contract_to_the_last_bit(name, panel):
    check_feature(find("features", name), panel, exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_on_a_random_walk_there_is_a_value_on_every_observed_row_after_the_warm_up(name, panel):
    """The contract asks for the first value alone: a price that stands still may have none."""
    entry = find("features", name)
    values = entry(panel)
    market = entry.scope == "market"
    observed = np.ones(len(panel), dtype=bool) if market else np.isfinite(panel["close"])
    age = np.cumsum(observed, axis=0)
    np.testing.assert_array_equal(np.isfinite(values), observed & (age > entry.warmup))


def plant(function, warmup=0, scope="asset") -> Feature:
    return Feature("planted", function, "level", warmup, scope)


def centred_mean(panel):
    close = panel["close"]
    return (close + np.roll(close, 1, axis=0) + np.roll(close, -1, axis=0)) / 3.0


def filled_from_the_left_neighbour(panel):
    close = panel["close"]
    return np.where(np.isfinite(close), close, np.roll(close, 1, axis=1))


def without_tickers_that_ever_look_absurd(panel):
    return np.where(panel["close"].max(axis=0, initial=0.0) > 1e4, 0.0, panel["close"])


def without_tickers_that_ever_miss_a_day(panel):
    return np.where(np.isnan(panel["close"]).any(axis=0), 0.0, panel["close"])


def without_days_that_look_absurd(panel):
    return np.where(panel["close"].max(axis=1, keepdims=True) > 1e4, 0.0, panel["close"])


def without_days_that_miss_an_asset(panel):
    return np.where(np.isnan(panel["close"]).any(axis=1, keepdims=True), 0.0, panel["close"])


def writing(panel):
    panel["close"][0] += 1.0
    return panel["close"]


def of_what_is_observed(panel):
    if np.isnan(panel["close"]).any():
        raise ValueError("a price is missing")
    return panel["close"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: p["close"] - np.nanmean(p["close"], axis=0), "looks ahead"),
        (lambda p: p["close"] / np.nanmax(p["close"], axis=0), "looks ahead"),
        (lambda p: np.roll(p["close"], -1, axis=0), "looks ahead"),
        (lambda p: np.gradient(p["close"], axis=0), "looks ahead"),
        (lambda p: p["close"] * (len(p) % 7), "looks ahead"),
        (centred_mean, "looks ahead"),
        (without_tickers_that_ever_look_absurd, "looks ahead.* replaced by garbage"),
        (without_tickers_that_ever_miss_a_day, "looks ahead.* not observed"),
        (lambda p: p["close"] - np.nanmean(p["close"], axis=1, keepdims=True), "mixes assets"),
        (lambda p: p["close"] + np.nan_to_num(np.roll(p["close"], 1, axis=1)), "mixes assets"),
        (lambda p: p["close"] / len(p.assets), "mixes assets.* stands alone"),
        (without_days_that_look_absurd, "mixes assets.* are garbage"),
        (without_days_that_miss_an_asset, "mixes assets.* not observed"),
        (lambda p: p["close"].mean(axis=1), "returned shape"),
        (writing, "writes into the panel"),
        (lambda p: p["close"] / np.round(p["close"] % 1), "is infinite at row"),
        (of_what_is_observed, "fails on .*ValueError: a price is missing"),
    ],
)
def test_a_planted_breach_of_the_contract_is_caught(function, message, complete_panel):
    fresh = replace(
        complete_panel, fields={name: v.copy() for name, v in complete_panel.fields.items()}
    )
    with pytest.raises(ContractError, match=message) as caught:
        check_feature(plant(function), fresh)
    assert "hint:" in str(caught.value)


def since_five_rows(panel):
    """Return over five rows of the panel, whether the asset was observed on them or not."""
    values = np.full_like(panel["close"], np.nan)
    values[5:] = panel["close"][5:] / panel["close"][:-5] - 1.0
    return values


def since_five_observed(panel):
    return per_asset(lambda close: since_five_rows({"close": close}), panel["close"])


def against_the_others(values):
    return values - np.nanmean(values, axis=1, keepdims=True)


@pytest.mark.parametrize("market", ["complete_panel", "gappy_panel", "book"])
def test_an_asset_that_counts_rows_on_which_it_was_not_observed_is_caught(market, request):
    panel = random_book(3) if market == "book" else request.getfixturevalue(market)
    check_feature(plant(since_five_observed, 5), panel)
    with pytest.raises(
        ContractError, match=r"rows that were not observed.* its value of A"
    ) as error:
        check_feature(plant(since_five_rows, 5), panel)
    assert "per_asset" in error.value.hint


def test_assets_that_are_compared_count_the_rows_on_which_any_was_observed(complete_panel):
    def honest(panel):
        return against_the_others(since_five_observed(panel))

    check_feature(plant(honest, 5, "cross_section"), complete_panel)
    counting = plant(lambda p: against_the_others(since_five_rows(p)), 5, "cross_section")
    with pytest.raises(ContractError, match="rows that were not observed"):
        check_feature(counting, complete_panel)


def test_a_gap_of_one_asset_that_moves_another_is_caught(complete_panel):
    """Neither alone nor beside assets that never trade: only a neighbour with a hole moves it."""

    def moved(panel):
        seen = np.isfinite(panel["close"])
        gone = np.maximum.accumulate(seen, axis=0) & ~seen
        return panel["close"] * (1.0 + gone.any(axis=1, keepdims=True))

    with pytest.raises(ContractError, match="values of B change when the other assets have gaps"):
        check_feature(plant(moved), complete_panel)


def test_a_feature_that_fails_on_fewer_rows_than_its_window_is_caught(complete_panel):
    """There are such panels: between two gaps of a book."""

    def mean_of_five(close):
        windows = np.lib.stride_tricks.sliding_window_view(close, 5, axis=0)
        return np.concatenate([np.full_like(close[:4], np.nan), windows.mean(axis=-1)])

    with pytest.raises(ContractError, match="fails on 0 rows of 5 assets: ValueError: window"):
        check_feature(plant(lambda p: per_asset(mean_of_five, p["close"]), 4), complete_panel)


def test_the_last_digit_is_asked_for_where_it_is_asked_for(complete_panel):
    honest = plant(lambda p: p["close"] * (1.0 + 1e-14 * len(p)))
    check_feature(honest, complete_panel)
    with pytest.raises(ContractError, match="looks ahead"):
        check_feature(honest, complete_panel, exact=True)


def test_segments_are_joined_so_that_windows_fill_up():
    book = random_book(4)
    short = replace(book, context={"segment": np.repeat(np.arange(42.0), 10)})
    check_feature(find("features", "momentum"), short)


def test_a_gap_filled_from_the_neighbouring_asset_is_caught():
    """The fill of the published pipeline, seen where the neighbour has what the asset lacks."""
    close = np.full((60, 2), 10.0) + np.arange(60.0)[:, None]
    close[:30, 1] = np.nan
    late = Panel(np.datetime64("2020-01-01") + np.arange(60), ("A", "B"), {"close": close})
    shown = plant(lambda p: np.cumsum(filled_from_the_left_neighbour(p), axis=0))
    with pytest.raises(ContractError, match="mixes assets"):
        check_feature(shown, late)


def test_a_market_feature_that_looks_ahead_is_caught(complete_panel):
    leak = plant(lambda p: p["vix"] - p["vix"].mean(), scope="market")
    with pytest.raises(ContractError, match="looks ahead"):
        check_feature(leak, complete_panel)


def test_a_warm_up_that_is_stated_too_short_is_caught(complete_panel):
    honest = find("features", "close_30_sma")

    def late(panel):
        values = np.array(honest.function(panel))
        values[:29] = np.nan
        return values

    check_feature(plant(late, warmup=29), complete_panel)
    with pytest.raises(ContractError, match="warm-up of 28 rows"):
        check_feature(plant(late, warmup=28), complete_panel)


def test_a_bare_function_is_told_how_to_become_a_feature(complete_panel):
    with pytest.raises(ContractError, match="@feature"):
        check_feature(lambda panel: panel["close"], complete_panel)


def test_a_panel_too_short_to_tell_is_refused(complete_panel):
    with pytest.raises(DataError, match="252 rows of warm-up"):
        check_feature(find("features", "turbulence"), complete_panel.rows(0, 255))


def test_an_unknown_feature_gets_a_suggestion(complete_panel):
    with pytest.raises(UnknownNameError, match="did you mean `macd`"):
        compute(["macdd"], complete_panel)


def test_a_panel_without_vix_is_named(complete_panel):
    with pytest.raises(MissingDataError, match="no field `vix`"):
        compute(["vix"], replace(complete_panel, context={}))


def test_compute_returns_values_by_name_and_the_longest_warm_up(complete_panel):
    own = Feature("mine", lambda panel: panel["close"], "price", 33)
    made = compute(["close_30_sma", own, "vix"], complete_panel)
    assert list(made.values) == ["close_30_sma", "mine", "vix"]
    assert made.warmup == 33
    np.testing.assert_array_equal(made["vix"], complete_panel["vix"])
    assert compute([], complete_panel).warmup == 0


def test_the_decorator_registers_what_it_returns(monkeypatch):
    from steelyard import registry

    monkeypatch.setitem(registry._members, "features", dict(registry._members["features"]))

    @feature(unit="ratio", warmup=2)
    def gap_size(panel):
        """Open against the close before."""
        return panel["open"] / panel["close"] - 1.0

    assert isinstance(gap_size, Feature)
    assert find("features", "gap_size") is gap_size
    assert card("features", "gap_size").summary == "Open against the close before."
    assert card("features", "gap_size").facts["warmup"] == 2
