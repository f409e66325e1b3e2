"""Labels look ahead by time, inside their segment and span, coded by training rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from steelyard.data import load
from steelyard.errors import ConfigError, DataError
from steelyard.factors.labels import (
    LOWER,
    UPPER,
    Horizons,
    code,
    forward_returns,
    moves,
    price_of,
    quantiles,
)

AHEAD = Horizons(windows=(3, 4, 6), base=2)
PRICE = 100.0 + np.cumsum(np.random.default_rng(1).normal(size=60))
SEGMENT = np.repeat([0, 1, 2], [25, 5, 30])


def literal_moves(span: tuple[int, int]) -> np.ndarray:
    """The definition, row by row: every price that a mean needs must be there."""
    result = np.full((60, 3), np.nan)
    for t in range(60):
        offset = 0
        for j, window in enumerate(AHEAD.windows):
            offset += window
            ahead = range(t + offset - window + 1, t + offset + 1)
            here = range(t - AHEAD.base + 1, t + 1)
            rows = [*here, *ahead]
            inside = all(span[0] <= row < span[1] for row in rows)
            if inside and len({SEGMENT[row] for row in rows}) == 1:
                means = [sum(PRICE[row] for row in part) / len(part) for part in (ahead, here)]
                result[t, j] = means[0] / means[1] - 1.0
    return result


@pytest.mark.parametrize("span", [(0, 60), (3, 50), (20, 33), (24, 31)])
def test_moves_equal_the_definition_row_by_row(span: tuple[int, int]) -> None:
    np.testing.assert_allclose(
        moves(PRICE, SEGMENT, span, AHEAD), literal_moves(span), rtol=0, atol=1e-12
    )


def test_the_published_windows_reach_the_published_offsets() -> None:
    assert Horizons().offsets == (10, 30, 60, 120, 200, 300, 500, 900)
    assert Horizons().longest == 900


def test_a_label_counts_the_quantiles_that_a_move_exceeds_or_falls_short_of() -> None:
    levels = np.arange(18.0)[None]  # lower quantiles 0..8, upper ones 9..17
    values = np.array([-1.0, 0.0, 3.5, 8.5, 9.0, 9.5, 17.5, np.nan])[:, None]
    expected = [-1.0, -8 / 9, -5 / 9, 0.0, 0.0, 1 / 9, 1.0, np.nan]
    np.testing.assert_allclose(code(values, levels)[:, 0], expected, rtol=1e-6)


def test_quantiles_are_those_of_the_known_moves() -> None:
    training = np.concatenate([np.linspace(0.0, 1.0, 101), [np.nan] * 50])[:, None]
    np.testing.assert_allclose(quantiles(training)[0], [*LOWER, *UPPER], atol=1e-12)


def test_nothing_behind_the_training_rows_changes_their_labels() -> None:
    later = np.where(np.arange(60) < 40, PRICE, 7.0)
    for prices in (PRICE, later):
        known = moves(prices, SEGMENT, (0, 40), AHEAD)
        np.testing.assert_array_equal(known, moves(PRICE, SEGMENT, (0, 40), AHEAD))
        np.testing.assert_array_equal(
            quantiles(known), quantiles(moves(PRICE, SEGMENT, (0, 40), AHEAD))
        )
    assert not np.isfinite(moves(PRICE, SEGMENT, (0, 40), AHEAD)[40 - 3 :]).any()


def test_returns_ahead_do_not_cross_a_gap() -> None:
    found = forward_returns(PRICE, SEGMENT, AHEAD)
    assert found[0, 0] == PRICE[3] / PRICE[0] - 1.0
    assert np.isnan(found[22:25, 0]).all()
    assert np.isfinite(found[21, 0])
    assert np.isnan(found[25:30, 1]).all()  # seven rows ahead in a segment of five


def test_a_span_without_a_move_is_refused() -> None:
    with pytest.raises(ConfigError, match="horizon 3"):
        quantiles(moves(PRICE, SEGMENT, (25, 40), AHEAD))


def test_horizons_that_look_nowhere_are_refused() -> None:
    for windows in ((), (0, 3)):
        with pytest.raises(ConfigError, match="at least 1 row"):
            Horizons(windows=windows)


def test_only_one_asset_has_a_price() -> None:
    with pytest.raises(DataError, match="one asset"):
        price_of(load("synthetic:none?rows=20&assets=2"))
