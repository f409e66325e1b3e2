"""Two agents on the same bars: what the market did to both cancels, what differs stays."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from steelyard import metrics
from steelyard.errors import ConfigError, DataError
from steelyard.evaluation.paired import resample_together
from steelyard.evaluation.results import Estimate
from steelyard.evaluation.statistics import difference_interval, interval
from steelyard.types import EquityCurve, Floats

NAMES = ("sharpe_ratio", "annual_return", "max_drawdown")


def curve(returns: Floats) -> EquityCurve:
    value = np.cumprod(np.concatenate([[1.0], 1 + np.asarray(returns)]))
    return EquityCurve(np.datetime64("2020-01-01") + np.arange(len(value)), value, 252.0)


def agents(
    seed: int, bars: int = 250, shared: float = 0.85, lead: float = 0.0
) -> list[EquityCurve]:
    """Two agents that follow one market; the first earns `lead` more on every bar."""
    noise = np.random.default_rng(seed).normal(size=(3, bars))
    market, own = math.sqrt(shared) * noise[0], math.sqrt(1 - shared) * noise[1:]
    return [
        curve(4e-4 + gain + 0.01 * (market + luck))
        for gain, luck in zip((lead, 0), own, strict=True)
    ]


def width(one: Estimate) -> float:
    return one.high - one.low


def share_covering_zero(lead: float, runs: int = 120) -> dict[str, float]:
    found = [
        difference_interval(*agents(run, lead=lead), NAMES, resamples=150, seed=run)
        for run in range(runs)
    ]
    return {
        name: np.mean([one[name].low <= 0 <= one[name].high for one in found]) for name in NAMES
    }


def test_agents_of_equal_skill_differ_by_zero_about_as_often_as_the_interval_says() -> None:
    covered = share_covering_zero(lead=0.0)
    assert 0.83 <= covered["sharpe_ratio"] <= 0.96
    assert 0.83 <= covered["annual_return"] <= 0.96
    assert covered["max_drawdown"] >= 0.9  # wide, as the docstring says


def test_the_better_agent_is_found_where_it_is_better() -> None:
    covered = share_covering_zero(lead=0.002, runs=40)
    assert covered["sharpe_ratio"] <= 0.1
    assert covered["annual_return"] <= 0.1


def test_an_agent_does_not_differ_from_itself() -> None:
    one, _ = agents(1)
    for name, found in difference_interval(one, one, resamples=50).items():
        assert found == Estimate(0.0, 0.0, 0.0), name


def test_the_difference_turned_round_is_the_same_with_another_sign() -> None:
    one, other = agents(2)
    there = difference_interval(one, other, NAMES, resamples=200)
    back = difference_interval(other, one, NAMES, resamples=200)
    for name in NAMES:
        turned = Estimate(-back[name].value, -back[name].high, -back[name].low)
        assert there[name].value == metrics.summary(one)[name] - metrics.summary(other)[name]
        for end in ("value", "low", "high"):
            assert getattr(there[name], end) == pytest.approx(getattr(turned, end))


def test_pairing_narrows_the_difference_of_curves_that_move_together() -> None:
    def compared(shared: float) -> tuple[float, float]:
        one, other = agents(3, shared=shared)
        paired = difference_interval(one, other, ["sharpe_ratio"])["sharpe_ratio"]
        alone = [interval(each, names=["sharpe_ratio"])["sharpe_ratio"] for each in (one, other)]
        return width(paired), math.hypot(*map(width, alone))

    paired, unpaired = compared(shared=0.95)
    assert paired < 0.4 * unpaired
    paired, unpaired = compared(shared=0.0)  # nothing in common, nothing to cancel
    assert paired == pytest.approx(unpaired, rel=0.2)


def test_all_agents_see_the_same_bars_in_every_resample() -> None:
    one, _ = agents(4)
    half = curve(one.returns / 2)
    drawn = resample_together([one, half], ["annual_volatility"], resamples=100).drawn
    whole, halved = drawn["annual_volatility"]
    assert len(np.unique(whole)) == 100
    assert whole == pytest.approx(2 * halved)


def test_runs_are_compared_seed_by_seed() -> None:
    seeds = [agents(seed)[0] for seed in range(3)]
    halves = [curve(one.returns / 2) for one in seeds]
    together = resample_together([seeds, halves], ["annual_volatility"], resamples=90)
    whole, halved = together.drawn["annual_volatility"]
    assert whole == pytest.approx(2 * halved)
    points = [metrics.annual_volatility(one) / 2 for one in seeds]
    found = together.difference("annual_volatility", [0], [1])
    assert found.value == pytest.approx(np.median(points))
    assert found.low < min(points) < max(points) < found.high


def test_an_agent_with_fewer_seeds_is_taken_again() -> None:
    many = [agents(seed)[0] for seed in range(4)]
    two = [agents(seed)[1] for seed in range(2)]
    cycled = difference_interval(many, [*two, *two], NAMES, resamples=80)
    assert difference_interval(many, two, NAMES, resamples=80) == cycled


def test_the_difference_of_groups_is_the_difference_of_their_means() -> None:
    four = [*agents(5), *agents(6)]
    paired = resample_together(four, ["sharpe_ratio"], resamples=50)
    sharpe = [metrics.sharpe_ratio(one) for one in four]
    found = paired.difference("sharpe_ratio", [0, 2], [1, 3])
    assert found.value == pytest.approx((sharpe[0] + sharpe[2] - sharpe[1] - sharpe[3]) / 2)


def test_what_cannot_be_paired_is_refused() -> None:
    one, other = agents(7)
    with pytest.raises(DataError, match="different rows"):
        difference_interval(one, agents(7, bars=249)[0])
    later = replace(other, timestamps=other.timestamps + np.timedelta64(1, "D"))
    with pytest.raises(DataError, match="different rows"):
        difference_interval([one, one], later)
    with pytest.raises(DataError, match="no curves"):
        difference_interval(one, [])
    with pytest.raises(ConfigError, match="level is a share"):
        difference_interval(one, other, level=90)
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        difference_interval(one, other, resamples=0)
