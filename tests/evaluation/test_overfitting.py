"""The probability of backtest overfitting: one half for luck, none for skill, worked by hand."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, rankdata

from steelyard.errors import SteelyardError
from steelyard.evaluation.overfitting import Overfitting, backtest_overfitting
from steelyard.metrics import daily_sharpe_ratio, sharpe_ratio
from steelyard.types import EquityCurve

# trials A, B and C on four rows, a chunk each; the row in front is left over
EXAMPLE = np.array([[9, -9, 9], [1, 6, 1], [2, 4, -1], [3, -1, 1], [4, -3, -1]]) / 100


def sharpe(returns: np.ndarray) -> float:
    """Per bar, of returns that move; 0 of those that do not."""
    return float(returns.mean() / returns.std(ddof=1)) if np.ptp(returns) > 0 else 0.0


def noise(seed: int, rows: int = 280, trials: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (rows, trials))


def literal(table: np.ndarray, chunks: int) -> dict[str, Any]:
    """Bailey et al. (2017), section 2, a step at a time."""
    table = table[len(table) % chunks :]
    pieces = np.split(table, chunks)
    logits, inside, outside = [], [], []
    for half in combinations(range(chunks), chunks // 2):
        other = [n for n in range(chunks) if n not in half]
        one = np.array([sharpe(c) for c in np.concatenate([pieces[n] for n in half]).T])
        two = np.array([sharpe(c) for c in np.concatenate([pieces[n] for n in other]).T])
        best = int(np.argmax(one.round(12)))
        share = rankdata(two.round(12))[best] / (table.shape[1] + 1)
        logits.append(np.log(share / (1 - share)))
        inside.append(one[best])
        outside.append(two[best])
    pbo = np.mean(np.array(logits) <= 0)
    return {"pbo": pbo, "logits": logits, "inside": inside, "outside": outside}


def test_an_example_worked_by_hand() -> None:
    # Sharpe ratio of two returns a and b: (a + b) / |a - b| / sqrt 2. In units of 1 / sqrt 2:
    #        rows  12    13    14    23    24    34
    #   A           3     2   5/3     5     3     7
    #   B           5   5/7   1/3   3/5   1/7    -2
    #   C           0     0     0     0     0     0    rows 1 and 3 of C do not move: 0
    # best          B     A     A     A     A     A
    # outside      34    24    23    14    13    12
    #   worth      -2     3     5   5/3     2     3
    #   rank        1     3     3     3     3     2    of 3, so w = rank / 4
    found = backtest_overfitting(EXAMPLE, chunks=4)
    assert found.chosen.tolist() == [1, 0, 0, 0, 0, 0]
    assert found.ranks.tolist() == [1 / 4, 3 / 4, 3 / 4, 3 / 4, 3 / 4, 2 / 4]
    assert found.logits == pytest.approx([-np.log(3), *[np.log(3)] * 4, 0])
    assert found.inside == pytest.approx(np.array([5, 2, 5 / 3, 5, 3, 7]) / np.sqrt(2))
    assert found.outside == pytest.approx(np.array([-2, 3, 5, 5 / 3, 2, 3]) / np.sqrt(2))
    assert found.pbo == pytest.approx(2 / 6)  # the rank in the middle counts as well
    assert found.loss == pytest.approx(1 / 6)
    # three times x: 15 6 5 15 9 21, of y: -6 9 15 5 6 9; Sxy = 357 - 71 * 38 / 6, Sxx = 1033 - ...
    assert found.slope == pytest.approx(-556 / 1157)
    assert (found.trials, found.rows, found.chunks) == (3, 4, 4)
    assert found.rejected
    assert "33 %: in as many of 6 halves" in found.sentence
    assert "as likely luck as skill" in found.sentence


@given(
    seed=st.integers(0, 2**32 - 1),
    chunks=st.sampled_from([2, 4, 6]),
    rows=st.integers(12, 40),
    trials=st.integers(2, 6),
    digits=st.integers(1, 6),
)
def test_it_equals_a_slow_literal_twin(
    seed: int, chunks: int, rows: int, trials: int, digits: int
) -> None:
    table = np.random.default_rng(seed).normal(0, 0.5, (rows, trials)).round(digits)
    table[:, -1] = table[:, 0]  # ties
    found, slow = backtest_overfitting(table, chunks=chunks), literal(table, chunks)
    assert found.pbo == slow["pbo"]
    for name in ("logits", "inside", "outside"):
        assert getattr(found, name) == pytest.approx(np.array(slow[name]), rel=1e-9, abs=1e-12)
    if np.ptp(slow["inside"]) > 1e-6:
        line = linregress(slow["inside"], slow["outside"])
        assert (found.slope, found.intercept) == pytest.approx((line.slope, line.intercept))


def test_sharpe_ratios_from_sums_are_those_of_the_metric() -> None:
    table = noise(1, 60, 5) + 0.001

    def measured(returns: np.ndarray) -> float:
        value = np.cumprod(np.append(1.0, 1 + returns))
        return sharpe_ratio(EquityCurve(np.arange(len(value)), value, periods_per_year=1.0))

    fast = backtest_overfitting(table, chunks=6)
    slow = backtest_overfitting(table, chunks=6, metric=measured)
    assert fast.pbo == slow.pbo
    assert fast.outside == pytest.approx(slow.outside, rel=1e-9)
    assert slow.metric == "measured"


def test_luck_is_one_half_on_average() -> None:
    # the logits of one table hang together, so a single PBO of pure noise is nearly anything; with
    # an even number of trials its mean is one half exactly
    found = np.array([backtest_overfitting(noise(n), chunks=8).pbo for n in range(60)])
    spread = found.std(ddof=1)
    assert 0.1 < spread < 0.4
    assert abs(found.mean() - 0.5) < 3 * spread / np.sqrt(len(found))


def test_a_planted_best_is_found_in_every_half() -> None:
    table = noise(3, 1400, 50)
    table[:, 17] += 0.003
    found = backtest_overfitting(table)
    assert len(found.logits) == 3432
    assert found.pbo < 0.01
    assert found.loss < 0.01
    assert (found.chosen == 17).mean() > 0.99
    assert not found.rejected
    assert found.sentence.endswith("Not rejected at 10 %.")


def test_trials_that_only_took_turns_are_overfitting() -> None:
    table = noise(4)
    table -= table.mean(axis=0)  # whatever was won in one half was lost in the other
    found = backtest_overfitting(table, chunks=8)
    assert found.pbo > 0.9
    assert found.slope < -0.9
    assert found.loss > 0.9


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_neither_the_order_of_trials_nor_of_chunks_nor_the_scale_matters(
    seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    table = noise(seed, 48, 7)
    mixed = scale * np.concatenate(rng.permutation(np.split(table, 6)))[:, rng.permutation(7)]
    one, other = (backtest_overfitting(returns, chunks=6) for returns in (table, mixed))
    assert one.pbo == other.pbo
    assert np.sort(one.logits) == pytest.approx(np.sort(other.logits))
    assert one.slope == pytest.approx(other.slope)


def test_choosing_among_equals_finds_nothing() -> None:
    for table in (np.repeat(noise(5)[:, :1], 9, axis=1), np.zeros((40, 6)), np.full((40, 3), 0.01)):
        found = backtest_overfitting(table, chunks=4)
        assert found.pbo == 1
        assert found.logits == pytest.approx(0)
        assert found.chosen.tolist() == [0] * 6
        assert np.isfinite([found.slope, found.intercept, found.loss]).all()


def test_a_trial_that_rests_for_half_of_the_time_has_no_ratio_there() -> None:
    table = noise(6, 40, 3)
    table[:20, 0] = 0
    table[:20, 1] = 0.1 + 0.2  # moves nothing, with a rest of rounding
    found = backtest_overfitting(table, chunks=2)
    assert found.inside[0] == pytest.approx(max(0.0, sharpe(table[:20, 2])), abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "told", "hint"),
    [
        ({"returns": noise(0, 10, 4)}, "10 rows cannot be cut into 14 chunks", "fewer chunks"),
        ({"returns": noise(0, 3, 4), "chunks": 2}, "two rows in each half", "fewer chunks"),
        ({"returns": noise(0, 0, 49)}, "0 rows cannot", "longer period"),
        ({"returns": noise(0, 50, 1)}, "best of 1 trials", "at least two"),
        ({"returns": noise(0, 50, 0)}, "best of 0 trials", "at least two"),
        ({"returns": noise(0)[:, 0]}, "shape (T, N)", ""),
        ({"chunks": 7}, "must be even", "chunks=14 makes 3,432"),
        ({"chunks": 0}, "must be even", "chunks=14"),
        ({"chunks": 40}, "from 2 to 20", "chunks=14"),
        ({"metric": "max_drawdown"}, "no metric named `max_drawdown`", "sharpe_ratio"),
        ({"metric": lambda returns: np.nan}, "did not give a finite number", "nothing moves"),
        ({"level": 0.0}, "in (0, 1)", "10 %"),
    ],
)
def test_what_cannot_be_judged_is_refused(changes: dict[str, Any], told: str, hint: str) -> None:
    with pytest.raises(SteelyardError) as error:
        backtest_overfitting(**{"returns": noise(0), "chunks": 14} | changes)
    assert told in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_return_that_is_not_finite_is_named(bad: float) -> None:
    table = noise(0)
    table[7, 3] = table[9, 3] = bad
    with pytest.raises(SteelyardError, match=f"trial 4 in row 8 is {bad}, and 1 more"):
        backtest_overfitting(table)


def test_the_facts_are_ready_for_json_and_hold_the_verdict() -> None:
    facts = backtest_overfitting(noise(2), chunks=6, level=0.2).facts()
    assert facts["rejected"] == (facts["pbo"] > 0.2)
    assert facts["halves"] == 20
    assert set(map(type, facts.values())) <= {int, float, bool, str}


def test_the_published_matrix_of_means_over_time_is_refused() -> None:
    # averaging a (T, 10) table of each of 49 trials over its rows leaves 10 rows, fewer than chunks
    means = np.stack([noise(n, 200, 10).mean(axis=0) for n in range(49)], axis=1)
    assert means.shape == (10, 49)
    with pytest.raises(SteelyardError, match="10 rows cannot be cut into 14 chunks"):
        backtest_overfitting(means)


def test_the_ratio_per_bar_is_that_of_the_room() -> None:
    returns = noise(8, 28, 2)
    found = backtest_overfitting(returns, chunks=2)
    value = np.cumprod(np.append(1.0, 1 + returns[:14, found.chosen[0]]))
    population = daily_sharpe_ratio(EquityCurve(np.arange(15), value))
    assert found.inside[0] == pytest.approx(population * np.sqrt(13 / 14))
    assert isinstance(found, Overfitting)
