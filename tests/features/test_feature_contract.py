from dataclasses import replace

import numpy as np
import pytest

from steelyard.errors import ContractError, DataError, MissingDataError, UnknownNameError
from steelyard.features import compute, feature
from steelyard.features.check import check_feature
from steelyard.registry import card, find, members
from steelyard.types import Feature, Panel

NAMES = sorted(name for name in members("features") if not name.startswith("alpha_"))
"""All but the 101 alphas, which `test_alphas` evaluates together."""

ASSET_NAMES = [name for name in NAMES if find("features", name).scope == "asset"]
TABLE_2 = {"macd", "boll_ub", "boll_lb", "rsi_30", "cci_30", "dx_30"}
TABLE_2 |= {"close_30_sma", "close_60_sma", "vix", "turbulence"}


def garbled(panel: Panel, where: np.ndarray, value: float | None = None) -> Panel:
    random = np.random.default_rng(7)
    noise = random.uniform(1e-3, 1e6, where.shape) if value is None else value
    return replace(
        panel,
        fields={name: np.where(where, noise, v) for name, v in panel.fields.items()},
        context={
            name: np.where(where.all(axis=1), -1e9, series)
            for name, series in panel.context.items()
        },
    )


def from_row(panel: Panel, row: int) -> np.ndarray:
    where = np.zeros((len(panel), len(panel.assets)), dtype=bool)
    where[row:] = True
    return where


def test_the_ten_features_of_the_papers_table_2_are_in_the_room():
    assert TABLE_2 | {"return_1"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_keeps_the_contract(name, panel):
    check_feature(find("features", name), panel)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", [61, 260, 333, 419])
def test_garbage_after_a_row_changes_no_bit_up_to_it(name, row, panel):
    entry = find("features", name)
    before = entry(panel)[:row]
    for value in (None, np.nan):
        after = entry(garbled(panel, from_row(panel, row), value))[:row]
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", [1, 61, 254, 300])
def test_rows_that_do_not_exist_yet_change_nothing(name, row, panel):
    entry = find("features", name)
    np.testing.assert_allclose(entry(panel.rows(0, row)), entry(panel)[:row], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_warm_up_is_masked_and_ends_where_it_says(name, complete_panel):
    entry = find("features", name)
    values = entry(complete_panel)
    assert np.isnan(values[: entry.warmup]).all()
    assert np.isfinite(values[entry.warmup :]).all()


@pytest.mark.parametrize("name", ASSET_NAMES)
def test_warm_up_counts_the_observed_rows_of_each_asset(name, gappy_panel):
    entry = find("features", name)
    values = entry(gappy_panel)
    observed = np.isfinite(gappy_panel["close"])
    age = np.cumsum(observed, axis=0)
    np.testing.assert_array_equal(np.isfinite(values), observed & (age > entry.warmup))


@pytest.mark.parametrize("name", ASSET_NAMES)
def test_gaps_in_one_asset_change_no_bit_of_the_others(name, complete_panel):
    entry = find("features", name)
    where = np.zeros((len(complete_panel), len(complete_panel.assets)), dtype=bool)
    where[::3, 2] = True
    for value in (None, np.nan):
        values = entry(garbled(complete_panel, where, value))
        others = [0, 1, 3, 4]
        np.testing.assert_array_equal(values[:, others], entry(complete_panel)[:, others])


@pytest.mark.parametrize("name", ASSET_NAMES)
def test_all_assets_at_once_equal_each_asset_alone(name, panel):
    entry = find("features", name)
    values = entry(panel)
    for column, asset in enumerate(panel.assets):
        np.testing.assert_array_equal(entry(panel.select([asset]))[:, 0], values[:, column])


@pytest.mark.parametrize("name", ASSET_NAMES)
def test_an_asset_with_holes_equals_the_same_asset_without_the_missing_rows(name, gappy_panel):
    entry = find("features", name)
    for column, asset in enumerate(gappy_panel.assets):
        kept = np.flatnonzero(np.isfinite(gappy_panel["close"][:, column]))
        alone = gappy_panel.select([asset])
        compact = replace(
            alone,
            timestamps=alone.timestamps[kept],
            fields={field: values[kept] for field, values in alone.fields.items()},
            context={field: values[kept] for field, values in alone.context.items()},
        )
        np.testing.assert_array_equal(entry(compact)[:, 0], entry(gappy_panel)[kept, column])


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_without_rows_has_no_values(name, complete_panel):
    assert len(find("features", name)(complete_panel.rows(0, 0))) == 0


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
    ],
)
def test_a_planted_breach_of_the_contract_is_caught(function, message, complete_panel):
    fresh = replace(
        complete_panel, fields={name: v.copy() for name, v in complete_panel.fields.items()}
    )
    with pytest.raises(ContractError, match=message) as caught:
        check_feature(plant(function), fresh)
    assert "hint:" in str(caught.value)


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
