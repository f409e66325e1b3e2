"""What the operators of formulas do at the edges: ties, constants, bad ticks, values not there."""

import numpy as np
import pytest

from steelyard.features import operators

NAN = np.nan
RANDOM = np.random.default_rng(0)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def last(values: np.ndarray) -> float:
    return float(values[-1, 0])


def test_a_rank_in_time_worked_by_hand() -> None:
    # 3 among 1, 3, 5, 3: one below, two equal that share the ranks 2 and 3
    assert last(operators.ts_rank(column(1, 3, 5, 3), 4)) == 2.5 / 4
    assert last(operators.ts_rank(column(1, NAN, 5, 3), 4)) == 2 / 3
    assert np.isnan(last(operators.ts_rank(column(1, 3, 5, NAN), 4)))
    assert np.isnan(last(operators.ts_rank(column(NAN, NAN, NAN, 3), 4)))


def test_a_rank_across_assets_worked_by_hand() -> None:
    made = operators.rank(np.array([[4.0, 1.0, NAN, 4.0], [NAN, NAN, NAN, 7.0], [NAN] * 4]))
    np.testing.assert_array_equal(made[0], [2.5 / 3, 1 / 3, NAN, 2.5 / 3])
    np.testing.assert_array_equal(made[1], [NAN, NAN, NAN, 1.0])
    assert np.isnan(made[2]).all()


def test_scales_worked_by_hand() -> None:
    made = operators.scale(np.array([[3.0, -1.0, NAN], [0.0, 0.0, NAN]]))
    np.testing.assert_array_equal(made, [[0.75, -0.25, NAN], [NAN, NAN, NAN]])
    alone = operators.scale_alone(column(*[-1.0] * 9, 3.0))
    assert np.isnan(alone[:9]).all()
    assert last(alone) == 3 / 12


def test_groups_lose_their_own_mean() -> None:
    values = np.array([[1.0, 3.0, 10.0, NAN, 5.0]])
    made = operators.neutralize(values, np.array([[0.0, 0.0, 1.0, 0.0, NAN]]))
    np.testing.assert_array_equal(made, [[-1.0, 1.0, 0.0, NAN, NAN]])


def test_extremes_are_dated_by_their_first_row() -> None:
    values = column(2, 7, 7, 1)
    assert last(operators.ts_argmax(values, 4)) == 2.0
    assert last(operators.ts_argmin(values, 4)) == 4.0
    assert last(operators.ts_argmax(column(NAN, 7, NAN, 1), 4)) == 2.0


def test_linear_weights_worked_by_hand() -> None:
    assert last(operators.decay_linear(column(1, 2, 6), 3)) == pytest.approx((1 + 4 + 18) / 6)
    assert last(operators.decay_linear(column(1, NAN, 6), 3)) == pytest.approx((1 + 18) / 4)
    assert np.isnan(last(operators.decay_linear(column(1, NAN, NAN), 3)))


def test_sums_have_no_value_where_a_term_has_none() -> None:
    for operator in (operators.ts_sum, operators.product, operators.stddev):
        made = operator(column(1, NAN, 2, 3, 4), 2)
        np.testing.assert_array_equal(np.isnan(made[:, 0]), [True, True, True, False, False])


@pytest.mark.parametrize("level", [0.1, 236.47, 57_000.01, 1e9 / 3])
@pytest.mark.parametrize("d", [2, 3, 7, 20])
def test_what_does_not_move_has_no_correlation_and_no_deviation(level: float, d: int) -> None:
    still, moving = np.full((40, 1), level), RANDOM.normal(size=(40, 1))
    assert np.isnan(operators.correlation(still, moving, d)).all()
    assert np.isnan(operators.correlation(moving, still, d)).all()
    assert (operators.covariance(still, moving, d)[d - 1 :] == 0.0).all()
    assert (operators.stddev(still, d)[d - 1 :] == 0.0).all()


@pytest.mark.parametrize("d", [2, 5, 9])
def test_correlation_is_that_of_numpy_far_from_zero(d: int) -> None:
    one = 57_000.0 + RANDOM.normal(size=(60, 1))
    other = 0.3 * one + RANDOM.normal(size=(60, 1))
    made, together = operators.correlation(one, other, d), operators.covariance(one, other, d)
    for row in range(d - 1, 60):
        cut = slice(row - d + 1, row + 1)
        expected = np.corrcoef(one[cut, 0], other[cut, 0])[0, 1]
        assert made[row, 0] == pytest.approx(expected, abs=1e-8)
        assert together[row, 0] == pytest.approx(np.cov(one[cut, 0], other[cut, 0])[0, 1], rel=1e-6)
    assert np.abs(made[d - 1 :]).max() <= 1.0


def test_a_bad_tick_is_forgotten_with_its_window() -> None:
    clean = RANDOM.normal(100.0, 1.0, (80, 2))
    spoiled = clean.copy()
    spoiled[20] = 1e15
    for name in ("ts_sum", "stddev", "decay_linear", "product", "ts_rank", "ts_max", "ts_argmin"):
        operator = getattr(operators, name)
        np.testing.assert_array_equal(operator(spoiled, 7)[27:], operator(clean, 7)[27:])
    pair = operators.correlation(spoiled, spoiled[:, ::-1], 7)[27:]
    np.testing.assert_array_equal(pair, operators.correlation(clean, clean[:, ::-1], 7)[27:])


def test_equal_on_paper_is_equal() -> None:
    paths = column(0.1 + 0.3, 0.2 + 0.2, 0.7 + 0.1, 0.4 + 0.4)
    assert len(set(paths[:, 0].tolist())) == 3  # in floats 0.7 + 0.1 is below 0.8
    assert last(operators.ts_rank(paths[2:], 2)) == 1.5 / 2
    assert last(operators.less(paths[2:3], paths[3:])) == 0.0
    assert last(operators.ts_argmax(paths[2:], 2)) == 1.0
    np.testing.assert_array_equal(operators.rank(paths[2:].T), [[0.75, 0.75]])
    ticks = column(236.66, 236.67, 236.68)
    assert ticks[1] - ticks[0] != ticks[2] - ticks[1]
    moves = operators.delta(ticks, 1)
    assert last(operators.ts_rank(moves, 2)) == 1.5 / 2
    mids = column((235.94 + 235.96) / 2, (235.93 + 235.97) / 2)
    assert last(operators.delta(mids, 1)) == 0.0


def test_a_condition_on_what_is_not_there_is_unknown() -> None:
    unknown = operators.less(column(NAN, 1.0), 2.0)
    np.testing.assert_array_equal(unknown, column(NAN, 1.0))
    np.testing.assert_array_equal(operators.where(unknown, 5.0, 6.0), column(NAN, 5.0))
    assert np.isnan(operators.either(unknown, column(1.0, 1.0))[0, 0])
    with np.errstate(all="ignore"):
        assert np.isnan(operators.power(column(1.0), column(NAN))).all()
        assert np.isnan(operators.divide(column(1.0), column(0.0))).all()
        assert np.isnan(operators.log(column(0.0))).all()
        assert last(operators.signed_power(column(-3.0), 2.0)) == -9.0


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_window_longer_than_the_data_has_no_value(rows: int) -> None:
    values = RANDOM.normal(size=(rows, 2))
    for name in ("ts_rank", "ts_max", "ts_argmax", "decay_linear", "ts_sum", "product", "delay"):
        made = getattr(operators, name)(values, 5)
        assert made.shape == values.shape
        assert np.isnan(made).all()
