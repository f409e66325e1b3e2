import numpy as np
import pandas as pd
import pytest

from steelyard.features import market_wide
from steelyard.features.market_wide import turbulence, turbulence_as_published
from steelyard.types import Panel

ROWS = 330


def prices(seed: int, assets: int, rows: int = ROWS) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = random.normal(0.0, 0.01, (rows, 1))
    return 40.0 * np.exp(np.cumsum(common + random.normal(0, 0.01, (rows, assets)), axis=0))


def market(close: np.ndarray) -> Panel:
    names = tuple(f"S{column}" for column in range(close.shape[1]))
    return Panel(np.datetime64("2019-01-01") + np.arange(len(close)), names, {"close": close})


def published(close: np.ndarray) -> np.ndarray:
    """FinRL's loop on a table date x ticker, word by word, without its zeroing of two values."""
    returns = pd.DataFrame(close).pct_change(fill_method=None)
    result = np.full(len(close), np.nan)
    for row in range(252, len(close)):
        history = returns.iloc[row - 252 : row]
        history = history.iloc[history.isna().sum().min() :].dropna(axis=1)
        today = returns[history.columns].iloc[[row]] - np.mean(history, axis=0)
        inverse = np.linalg.pinv(history.cov())
        result[row] = (today.to_numpy() @ inverse @ today.to_numpy().T).item()
    return result


def test_turbulence_equals_the_published_loop():
    close = prices(0, 6)
    np.testing.assert_allclose(turbulence(market(close)), published(close), rtol=1e-10)


def test_an_asset_that_lists_late_joins_when_its_first_year_is_full():
    close = prices(1, 5)
    close[:40, 2] = np.nan
    made = turbulence(market(close))
    np.testing.assert_allclose(made, published(close), rtol=1e-10)
    without = turbulence(market(np.delete(close, 2, axis=1)))
    # its first return is on row 41, so rows 41..292 are its first full history
    np.testing.assert_array_equal(made[:293], without[:293])
    assert (made[293:] != without[293:]).all()


def test_an_asset_with_a_hole_is_left_out_until_the_hole_is_a_year_old():
    close = prices(2, 4, rows=600)
    close[280, 1] = np.nan
    made, without = turbulence(market(close)), turbulence(market(np.delete(close, 1, axis=1)))
    # rows 280 and 281 lack a return; row 281 leaves the history of row 534
    same = np.isclose(made, without, rtol=1e-12, atol=0.0)
    assert same[280:534].all()
    assert not same[252:280].any()
    assert not same[534:].any()
    assert np.isfinite(made[252:]).all()


def test_the_published_variant_has_zeros_where_ours_is_nan_and_twice_after():
    close = prices(3, 4)
    ours, theirs = turbulence(market(close)), turbulence_as_published(market(close))
    assert np.isnan(ours[:252]).all()
    np.testing.assert_array_equal(theirs[:254], 0.0)
    np.testing.assert_array_equal(theirs[254:], ours[254:])


def test_one_asset_has_its_squared_score():
    close = prices(4, 1)
    returns = close[1:, 0] / close[:-1, 0] - 1.0
    history = returns[-253:-1]
    expected = ((returns[-1] - history.mean()) / history.std(ddof=1)) ** 2
    assert turbulence(market(close))[-1] == pytest.approx(expected, rel=1e-12)


def test_an_asset_listed_twice_or_made_of_others_or_never_moving_changes_nothing():
    """Singular covariances: the pseudo-inverse counts each source of risk once."""
    close = prices(5, 4)
    expected = turbulence(market(close))
    twice = np.column_stack([close, close[:, 1]])
    flat = np.column_stack([np.full(len(close), 3.3), close])
    both = np.column_stack([close[:, :1] * 0.0 + 9.0, close, close[:, 2:3]])
    mean_return = (close[1:] / close[:-1]).mean(axis=1)
    fund = np.column_stack([close, np.cumprod([10.0, *mean_return])])
    for other in (twice, flat, both, fund):
        np.testing.assert_allclose(turbulence(market(other)), expected, rtol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_a_direction_that_history_does_not_know_is_ignored_as_by_the_pseudo_inverse(seed):
    """A fund that always held its two stocks and today does not: no history to judge that by."""
    close = prices(seed, 3, rows=300)
    held = (close[1:, :2] / close[:-1, :2]).mean(axis=1)
    fund = np.cumprod([10.0, *held])
    fund[-1] *= 1.05
    both = np.column_stack([close, fund])
    returns = both[1:] / both[:-1] - 1.0
    history = returns[-253:-1]
    gap = returns[-1] - history.mean(axis=0)
    inverse = np.linalg.pinv(np.cov(history.T), rcond=1e-12, hermitian=True)
    assert turbulence(market(both))[-1] == pytest.approx(gap @ inverse @ gap, rel=1e-6)


def test_more_assets_than_days_stay_finite_and_equal_the_definition():
    close = prices(6, 260, rows=254)
    returns = close[1:] / close[:-1] - 1.0
    history, today = returns[:-1], returns[-1]
    gap = today - history.mean(axis=0)
    inverse = np.linalg.pinv(np.cov(history.T), rcond=1e-12, hermitian=True)
    assert turbulence(market(close))[-1] == pytest.approx(gap @ inverse @ gap, rel=1e-6)


def test_currency_and_order_of_the_assets_do_not_matter():
    close = prices(7, 5)
    scaled = (close * [1e-4, 1.0, 30.0, 1e5, 2.0])[:, ::-1]
    expected = turbulence(market(close))
    np.testing.assert_allclose(turbulence(market(scaled)), expected, rtol=1e-9)


def test_a_bad_tick_is_forgotten_with_its_year():
    close = prices(8, 4, rows=620)
    ticked = close.copy()
    ticked[300, 1] *= 1e7
    made, clean = turbulence(market(ticked)), turbulence(market(close))
    # returns 300 and 301 are wrong; the last history with row 301 is that of row 553
    np.testing.assert_array_equal(made[554:], clean[554:])
    assert made[300] > 1e6
    assert not np.allclose(made[302:553], clean[302:553])


def test_a_singular_window_changes_no_bit_of_the_windows_before_it():
    """A later stop in trading must not change how the rows before it were computed."""
    close = prices(9, 3, rows=540)
    stopped = close.copy()
    stopped[270:, 0] = stopped[269, 0]
    made = turbulence(market(stopped))
    np.testing.assert_array_equal(made[:522], turbulence(market(stopped[:522])))
    without = turbulence(market(close[:, 1:]))
    # from row 522 on, the history of asset 0 is 252 returns of zero
    np.testing.assert_allclose(made[522:], without[522:], rtol=1e-8)


@pytest.mark.parametrize("rows", [252, 253, 254, 285, 286])
def test_the_first_rows_and_the_edges_of_blocks_equal_the_definition(rows):
    close = prices(10, 3, rows=rows)
    np.testing.assert_allclose(turbulence(market(close)), published(close), rtol=1e-10)


def test_rows_before_anything_is_listed_do_not_count():
    close = prices(11, 3)
    empty = np.full((20, 3), np.nan)
    made = market_wide._turbulence(np.vstack([empty, close]))
    np.testing.assert_array_equal(made[20:], market_wide._turbulence(close))
    assert np.isnan(turbulence(market(np.full((300, 2), np.nan)))).all()


def test_a_zero_price_takes_its_asset_out_instead_of_everything():
    close = prices(12, 4)
    close[310, 2] = 0.0
    panel = market(close)
    made = turbulence(panel)
    without = turbulence(panel.select(["S0", "S1", "S3"]))
    np.testing.assert_allclose(made[311:], without[311:], rtol=1e-12)
