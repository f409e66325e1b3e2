"""Features of online portfolio selection, against their definitions written out."""

import numpy as np
import pytest

from steelyard.registry import find
from steelyard.types import Panel

CLOSE = np.array([10.0, 12.0, 9.0, 11.0, 10.0, 13.0, 10.0, 8.0])


def values_of(name, close):
    close = np.asarray(close, dtype=float)[:, None]
    days = np.datetime64("2020-01-01") + np.arange(len(close))
    return find("features", name)(Panel(days, ("A",), {"close": close}))[:, 0]


@pytest.mark.parametrize(
    ("name", "join"),
    [
        ("price_max_6", max),
        ("price_min_6", min),
        ("price_mean_6", lambda last: sum(last) / 6),
        ("price_ema_6", None),
    ],
)
def test_the_values_are_those_of_the_definition(name, join):
    weights = [2 / 7 * (5 / 7) ** k for k in range(6)]

    def exponential(last):
        return sum(w * p for w, p in zip(weights, reversed(last), strict=True)) / sum(weights)

    expected = [
        (join or exponential)(CLOSE[row - 5 : row + 1]) / CLOSE[row] - 1 for row in range(5, 8)
    ]
    values = values_of(name, CLOSE)
    assert np.isnan(values[:5]).all()
    np.testing.assert_allclose(values[5:], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["price_max_6", "price_min_6", "price_mean_6", "price_ema_6"])
def test_the_scale_of_a_price_and_a_price_that_stands_still_say_nothing(name):
    np.testing.assert_allclose(values_of(name, 7.3 * CLOSE)[5:], values_of(name, CLOSE)[5:])
    np.testing.assert_allclose(values_of(name, np.full(9, 4.2))[5:], 0, atol=1e-15)
    assert np.isnan(values_of(name, CLOSE[:4])).all()
