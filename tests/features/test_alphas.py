"""The 101 alphas: equal to their printed text, causal, and the same however they are evaluated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from feature_panels import random_book, random_panel, with_gaps
from literal_alphas import PRINTED, Literal

from steelyard.errors import DataError, MissingDataError
from steelyard.features import compute, formulas
from steelyard.features.check import check_feature
from steelyard.features.expressions import Expression, close, rank, ts_rank, ts_sum, vwap
from steelyard.features.formulas import Formula
from steelyard.features.selection import missing_rates
from steelyard.features.series import with_groups
from steelyard.registry import find, members
from steelyard.types import Panel

NAMES = [f"alpha_{number:03d}" for number in range(1, 102)]
DEV = Path(__file__).resolve().parents[2] / "../shared/data/dev"


def gappy_stocks(seed: int, rows: int, assets: int) -> Panel:
    panel = random_panel(seed, rows, assets)
    seen = np.ones((rows, assets), dtype=bool)
    seen[:9, 0] = seen[-6:, 1] = False
    seen[[3, 4, 50, 118, 270], 2] = False
    seen[200:204] = False
    return replace(panel, fields={k: np.where(seen, v, np.nan) for k, v in panel.fields.items()})


def gappy_book(seed: int, rows: int, assets: int = 1) -> Panel:
    panel = random_book(seed, rows, assets)
    seen = np.ones((rows, assets), dtype=bool)
    seen[[5, 140, 141], 0] = False
    return replace(panel, fields={k: np.where(seen, v, np.nan) for k, v in panel.fields.items()})


def tables(panel: Panel) -> dict[str, np.ndarray]:
    return dict(compute(NAMES, panel).values)


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def equals_the_literal_reference(panel: Panel) -> None:
    literal = Literal(panel)
    for number, name in enumerate(NAMES, start=1):
        made = find("features", name).function(panel)
        np.testing.assert_allclose(
            made, literal.alpha(number), rtol=1e-6, atol=1e-6, equal_nan=True, err_msg=name
        )
        assert np.isfinite(made).any(), name


def test_there_are_the_101_alphas_and_no_other() -> None:
    assert [name for name in members("features") if name.startswith("alpha_")] == NAMES
    assert sorted(PRINTED) == list(range(1, 102))


def test_on_stocks_with_gaps_every_alpha_is_its_printed_formula() -> None:
    equals_the_literal_reference(gappy_stocks(0, 290, 4))


def test_on_a_book_every_alpha_is_its_printed_formula_in_the_adapted_form() -> None:
    equals_the_literal_reference(gappy_book(0, 330))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_more_panels_equal_the_literal_reference(seed: int) -> None:
    equals_the_literal_reference(random_panel(seed, 330, 8))
    equals_the_literal_reference(with_gaps(random_panel(seed, 420, 6)))
    equals_the_literal_reference(gappy_stocks(seed, 330, 3).select(["A"]))
    equals_the_literal_reference(gappy_book(seed, 400, 2))


@pytest.fixture(scope="module", params=["stocks", "book"])
def market(request: pytest.FixtureRequest) -> Panel:
    return gappy_stocks(4, 420, 4) if request.param == "stocks" else gappy_book(4, 420)


@pytest.mark.parametrize("row", [60, 333])
def test_what_comes_after_a_row_changes_no_bit_up_to_it(market: Panel, row: int) -> None:
    before = {name: values[:row] for name, values in tables(market).items()}
    later = np.arange(len(market))[:, None] >= row
    noise = np.random.default_rng(7).uniform(1e-3, 1e6, market["close"].shape)
    for instead in (noise, np.full_like(noise, np.nan)):
        fields = {name: np.where(later, instead, v) for name, v in market.fields.items()}
        after = tables(replace(market, fields=fields))
        same_bits({name: values[:row] for name, values in after.items()}, before)
    same_bits(tables(market.rows(0, row)), before)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_alpha_keeps_the_contract_of_features(name: str) -> None:
    check_feature(find("features", name), random_panel(0, 420, 10))
    check_feature(find("features", name), random_book(0, 420, 10))


def test_rows_before_the_warm_up_do_not_matter(market: Panel) -> None:
    late = market.rows(120, len(market))
    known = np.isfinite(late["close"])
    age = np.cumsum(known, axis=0).min(axis=1, keepdims=True)  # a rank needs all assets
    whole, part = tables(market), tables(late)
    for name in NAMES:
        after = known & (age > find("features", name).warmup)
        np.testing.assert_array_equal(part[name][after], whole[name][120:][after], err_msg=name)
        assert after.any()


@pytest.mark.parametrize("panel", [random_panel(9, 264, 9), random_book(9, 264, 9)])
def test_the_warm_up_ends_where_it_says(panel: Panel) -> None:
    for name, values in tables(panel).items():
        assert np.isfinite(values[find("features", name).warmup]).any(), name


@pytest.mark.parametrize(
    ("number", "rows"),
    [
        (101, 1),  # the row before, for the open of a book
        (6, 10),  # a window of 10 behind that row
        (4, 18),  # ranks over 10 rows, ranked over 9, behind it: 1 + 9 + 8
        (19, 259),  # 250 returns, then a rank over 10 rows
        (61, 205 - 1),  # mean volume of 180, correlation over 17, rank over 10: 179 + 16 + 9
    ],
)
def test_warm_ups_worked_by_hand(number: int, rows: int) -> None:
    assert find("features", f"alpha_{number:03d}").warmup == rows


def test_an_alpha_has_the_same_bits_alone_and_in_company(market: Panel) -> None:
    same_bits(tables(market), {name: find("features", name)(market) for name in NAMES})


@pytest.mark.parametrize("panel", [random_panel(3, 2_300, 2), gappy_book(3, 2_300)])
def test_rows_in_blocks_have_the_bits_of_rows_at_once(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formulas, "BLOCK", 1)  # then of four warm-ups, 1,036 rows
    blocks = tables(panel)
    monkeypatch.setattr(formulas, "BLOCK", 10**6)
    same_bits(blocks, tables(panel))


def test_each_segment_is_a_market_of_its_own() -> None:
    panel = random_book(5, 700)
    segment = np.repeat([0.0, 1.0, 2.0], [320, 330, 50])
    parts = [panel.rows(0, 320), panel.rows(320, 650), panel.rows(650, 700)]
    whole = compute([*NAMES, "momentum", "return_1"], replace(panel, context={"segment": segment}))
    for name, values in whole.values.items():
        alone = [find("features", name)(part) for part in parts]
        np.testing.assert_array_equal(values, np.concatenate(alone), err_msg=name)
    assert np.isnan(whole["return_1"][[0, 320, 650]]).all()
    assert np.isfinite(whole["return_1"]).sum() == 697


def test_classes_are_what_indneutralize_takes_the_mean_of() -> None:
    panel = random_panel(6, 60, 4)
    grouped = with_groups(panel, sector={"A": "x", "B": "y", "C": "x", "D": "y"})
    neutral = Formula(Expression("indneutralize", (close,), group="sector"))
    prices = panel["close"]
    pairs = np.stack([prices[:, [0, 2]].mean(axis=1), prices[:, [1, 3]].mean(axis=1)], axis=1)
    np.testing.assert_allclose(neutral(grouped), prices - pairs[:, [0, 1, 0, 1]], rtol=1e-12)
    everyone = prices.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(neutral(panel), prices - everyone, rtol=1e-12)
    np.testing.assert_array_equal(neutral(grouped.select(["A"])), prices[:, :1])
    with pytest.raises(DataError, match="no class for D"):
        with_groups(panel, sector={"A": "x", "B": "y", "C": "x"})
    with pytest.raises(DataError, match="`colour`"):
        with_groups(panel, colour=dict.fromkeys("ABCD", "red"))


def test_a_panel_with_vwap_and_cap_is_taken_at_its_word() -> None:
    panel = random_panel(7, 60, 2)
    own = replace(panel, fields={**panel.fields, "vwap": panel["open"], "cap": panel["low"]})
    np.testing.assert_array_equal(Formula(vwap)(own), panel["open"])
    np.testing.assert_array_equal(Formula(Expression("cap"))(own), panel["low"])
    typical = (panel["high"] + panel["low"] + panel["close"]) / 3
    np.testing.assert_allclose(Formula(vwap)(panel), typical, rtol=1e-15)
    traded = (typical * panel["volume"])[:20].mean(axis=0)
    np.testing.assert_allclose(Formula(Expression("cap"))(panel)[19], traded, rtol=1e-12)


def test_a_missing_field_is_named() -> None:
    panel = random_panel(0, 60, 2)
    bare = replace(panel, fields={"close": panel["close"]})
    with pytest.raises(MissingDataError, match="no field `volume`"):
        compute(["alpha_012"], bare)
    assert np.isfinite(compute(["alpha_009"], bare)["alpha_009"]).any()


def test_expressions_print_as_they_are_read() -> None:
    first = rank(ts_sum(close, 3.9) - 2 * vwap) / (close - (vwap - close)) ** 2
    assert str(first) == "rank(ts_sum(close, 3) - 2 * vwap) / (close - (vwap - close)) ^ 2"
    assert str(ts_rank(close > 0.5, 4.2)) == "ts_rank(0.5 < close, 4)"


@pytest.mark.slow
def test_all_alphas_run_on_the_nasdaq_100() -> None:
    path = DEV / "us_nasdaq100_daily_2010_2023.parquet"
    if not path.exists():
        pytest.skip("needs the development data beside the repository (../shared/data/dev)")
    bars = pl.read_parquet(path).with_columns(pl.col("tic").cast(pl.String))
    names = sorted(bars["tic"].unique())
    fields = {
        name: bars.pivot("tic", index="date", values=name).sort("date").select(names).to_numpy()
        for name in ("open", "high", "low", "close", "volume")
    }
    days = bars["date"].unique().sort().to_numpy().astype("datetime64[D]")
    panel = Panel(days, tuple(names), {k: v.astype(np.float64) for k, v in fields.items()})
    rates = missing_rates(compute(NAMES, panel))
    # 11 % were not listed; ranks of prices often stand still for three days (alpha_015)
    assert max(rates.values()) == rates["alpha_015"] < 0.8
    assert sum(rate < 0.2 for rate in rates.values()) >= 85


@pytest.mark.slow
def test_all_alphas_run_on_a_day_of_bitstamp() -> None:
    path = DEV / "lob_btcusd_bitstamp_20150501_1s_5lvl.parquet"
    if not path.exists():
        pytest.skip("needs the development data beside the repository (../shared/data/dev)")
    rows = pl.read_parquet(path)
    fields = {}
    for level in range(1, 6):
        for side in ("bid", "ask"):
            columns = rows[f"{side}{level}_price"], rows[f"{side}{level}_size"]
            price, size = (column.to_numpy().astype(np.float64)[:, None] for column in columns)
            fields[f"{side}_{level}"] = np.round(price, 2)
            fields[f"{side}_size_{level}"] = np.round(size, 8)
    fields["close"] = (fields["bid_1"] + fields["ask_1"]) / 2
    panel = Panel(rows["timestamp"].to_numpy(), ("BTC",), fields)
    rates = missing_rates(compute(NAMES, panel))
    assert len(panel) == 86_373
    # the mid stands still in 92 of 100 seconds, and what does not move has no correlation
    assert max(rates.values()) < 0.97
    assert sum(rate < 0.02 for rate in rates.values()) >= 40
