import json
from dataclasses import replace

import numpy as np
import pytest

from steelyard.errors import ConfigError, DataError, UnknownNameError
from steelyard.features.scaling import Scaler, fit
from steelyard.registry import find, members
from steelyard.types import Feature, Panel

TRAINING = (60, 250)


def own(function, unit="level", scope="asset") -> Feature:
    return Feature("own", function, unit, 0, scope)


def after(panel: Panel, row: int) -> Panel:
    """The panel with garbage from `row` on."""
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[row:] = np.random.default_rng(5).uniform(1.0, 1e5, values[row:].shape)
    context = {
        name: np.where(np.arange(len(panel)) < row, s, 1e9) for name, s in panel.context.items()
    }
    return replace(panel, fields=fields, context=context)


def fitted_on_everything(panel, features, rows):
    """The planted leak: a scaler that also sees the rows after the training rows."""
    return replace(fit(panel, features, (rows[0], len(panel))), rows=rows)


def future_moves(fitting, panel) -> bool:
    """Whether what comes after the training rows enters the fit."""
    long = ("alpha_", "turbulence")  # warm-ups that reach beyond the training rows
    names = [name for name in members("features") if not name.startswith(long)]
    one, other = (fitting(p, names, TRAINING) for p in (panel, after(panel, TRAINING[1])))
    return one.to_dict() != other.to_dict()


def test_nothing_after_the_training_rows_enters_the_fit(panel):
    assert not future_moves(fit, panel)


def test_a_scaler_fitted_on_all_rows_is_caught(panel):
    assert future_moves(fitted_on_everything, panel)


def test_even_a_feature_that_looks_ahead_cannot_carry_the_future_into_the_fit(complete_panel):
    leak = own(lambda panel: panel["close"] / np.nanmax(panel["close"], axis=0))
    one = fit(complete_panel, [leak], TRAINING)
    other = fit(after(complete_panel, TRAINING[1]), [leak], TRAINING)
    assert one.to_dict() == other.to_dict()


def test_training_rows_have_mean_zero_and_deviation_one(complete_panel):
    scaler = fit(complete_panel, ["macd", "return_1", "vix"], (100, 300))
    table = (scaler(complete_panel)).values[100:300].astype(float)
    inside = (np.abs(table) < 5.0).all(axis=0)  # clipped columns are moved a little
    assert inside.sum() > 5
    np.testing.assert_allclose(table[:, inside].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(table[:, inside].std(axis=0), 1.0, atol=1e-6)


def test_columns_are_log_close_then_asset_features_then_market_features(complete_panel):
    scaler = fit(complete_panel, ["vix", "rsi_30", "macd"], (150, 300))
    names = complete_panel.assets
    assert scaler.columns == (
        *[f"log_close/{a}" for a in names],
        *[f"rsi_30/{a}" for a in names],
        *[f"macd/{a}" for a in names],
        "vix",
    )
    table = scaler(complete_panel)
    assert table.columns == scaler.columns
    assert table.values.shape == table.observed.shape == (420, 16)
    assert table.values.dtype == np.float32
    assert scaler.warmup == find("features", "rsi_30").warmup
    column = scaler.columns.index("vix")
    vix = complete_panel["vix"]
    expected = (vix - vix[150:300].mean()) / vix[150:300].std()
    np.testing.assert_allclose(table.values[:, column], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("unit", "rule"),
    [
        ("price", lambda values, close: values / close - 1.0),
        ("price_change", lambda values, close: values / close),
        ("percent", lambda values, close: values / 100.0 - 0.5),
        ("ratio", lambda values, close: values),
        ("level", lambda values, close: values),
    ],
)
def test_a_unit_decides_how_a_feature_is_made_comparable(unit, rule, complete_panel):
    scaler = fit(complete_panel, [own(lambda panel: panel["high"], unit)], (10, 200))
    raw = rule(complete_panel["high"], complete_panel["close"])
    scaled = (raw - raw[10:200].mean(axis=0)) / raw[10:200].std(axis=0)
    made = scaler(complete_panel).values[:, len(complete_panel.assets) :]
    np.testing.assert_allclose(made, np.clip(scaled, -5, 5), rtol=1e-4, atol=1e-5)


def test_what_is_missing_is_the_training_mean_and_says_so(gappy_panel):
    scaler = fit(gappy_panel, ["close_30_sma", "vix"], (130, 300))
    table = scaler(gappy_panel)
    sma = find("features", "close_30_sma")(gappy_panel)
    expected = np.column_stack(
        [np.isfinite(gappy_panel["close"]), np.isfinite(sma), np.ones((420, 1), bool)]
    )
    np.testing.assert_array_equal(table.observed, expected)
    assert np.isfinite(table.values).all()
    assert (table.values[~table.observed] == 0.0).all()


def test_an_asset_that_the_training_rows_do_not_know_is_not_observed(gappy_panel):
    scaler = fit(gappy_panel, ["return_1"], (10, 80))  # B lists on row 90
    table = scaler(gappy_panel)
    columns = [scaler.columns.index(f"{name}/B") for name in ("log_close", "return_1")]
    assert not table.observed[:, columns].any()
    assert (table.values[:, columns] == 0.0).all()
    assert table.observed[100:, scaler.columns.index("return_1/A")].all()


def test_values_are_clipped_to_five_deviations(complete_panel):
    spike = own(
        lambda panel: np.where(np.arange(len(panel)) == 400, 1e6, panel["vix"]), scope="market"
    )
    table = fit(complete_panel, [spike], (10, 200))(complete_panel)
    assert table.values[400, -1] == 5.0
    assert np.abs(table.values).max() <= 5.0


def test_a_constant_column_stays_zero(complete_panel):
    constant = own(lambda panel: np.full(len(panel), 0.1), scope="market")
    scaler = fit(complete_panel, [constant], (10, 200))
    assert scaler.std[-1] == 1.0
    np.testing.assert_allclose(scaler(complete_panel).values[:, -1], 0.0, atol=1e-15)


def test_rows_before_the_training_rows_are_history_only(complete_panel):
    """Their values do not enter the mean; they do fill the windows of the first training rows."""
    scaler = fit(complete_panel, ["close_60_sma"], (100, 160))
    ratio = find("features", "close_60_sma")(complete_panel) / complete_panel["close"] - 1.0
    np.testing.assert_allclose(scaler.mean[5:], ratio[100:160].mean(axis=0), rtol=1e-12)


def test_a_scaler_survives_json_to_the_last_bit(gappy_panel):
    scaler = fit(gappy_panel, ["macd", "vix"], (10, 80))
    stored = json.loads(json.dumps(scaler.to_dict(), allow_nan=False))
    again = Scaler.from_dict(stored)
    np.testing.assert_array_equal(again(gappy_panel).values, scaler(gappy_panel).values)
    np.testing.assert_array_equal(again(gappy_panel).observed, scaler(gappy_panel).observed)
    assert again.to_dict() == scaler.to_dict()


def test_a_scaler_of_unregistered_features_is_restored_with_them(complete_panel):
    mine = own(lambda panel: panel["volume"])
    stored = fit(complete_panel, [mine], (10, 80)).to_dict()
    assert Scaler.from_dict(stored, [mine])(complete_panel).values.shape == (420, 10)
    with pytest.raises(UnknownNameError):
        Scaler.from_dict(stored)


@pytest.mark.parametrize("damage", ["mean", "features", "std", "assets"])
def test_a_damaged_scaler_is_refused(damage, complete_panel):
    stored = fit(complete_panel, ["macd", "vix"], (100, 180)).to_dict()
    with pytest.raises(ConfigError):
        Scaler.from_dict({**stored, damage: stored[damage][:-1]})
    with pytest.raises(ConfigError, match=f"lacks {damage}"):
        Scaler.from_dict({name: value for name, value in stored.items() if name != damage})


def test_a_panel_with_other_assets_is_refused(complete_panel):
    scaler = fit(complete_panel, ["macd"], (100, 180))
    with pytest.raises(DataError, match=r"panel\.select"):
        scaler(complete_panel.select(["B", "A", "C", "D", "E"]))


@pytest.mark.parametrize("rows", [(-1, 50), (50, 50), (60, 50), (0, 421)])
def test_training_rows_outside_the_panel_are_refused(rows, complete_panel):
    with pytest.raises(ConfigError, match="not inside the panel of 420 rows"):
        fit(complete_panel, ["return_1"], rows)


def test_training_rows_within_the_warm_up_are_refused(complete_panel):
    with pytest.raises(ConfigError, match="`turbulence` has no value in the training rows"):
        fit(complete_panel, ["macd", "turbulence"], (60, 250))
