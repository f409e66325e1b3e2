import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from steelyard import metrics
from steelyard.errors import ConfigError, DataError
from steelyard.evaluation import bootstrap
from steelyard.evaluation.bootstrap import block_length, stationary_indices
from steelyard.evaluation.statistics import (
    deflated_sharpe,
    excess_interval,
    expected_best_sharpe,
    interval,
)
from steelyard.types import EquityCurve, Floats

YEAR = 252.0


def curve(returns: Floats, capital: float = 1.0, trades: Floats | None = None) -> EquityCurve:
    value = np.cumprod(np.concatenate([[capital], 1 + np.asarray(returns)]))
    days = np.datetime64("2020-01-01") + np.arange(len(value))
    return EquityCurve(days, value, YEAR, trades)


def noise(bars: int, seed: int = 0, mean: float = 5e-4) -> Floats:
    return np.random.default_rng(seed).normal(mean, 0.01, bars)


def autoregression(random: np.random.Generator, bars: int, memory: float) -> Floats:
    """An AR(1) series around zero, started in its stationary distribution."""
    shocks = random.normal(0, 0.01, bars)
    shocks[0] /= math.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], shocks))


def coverage(bars: int, memory: float, runs: int) -> float:
    """How often the 90 % interval of the mean of an AR(1) series holds the true mean."""
    random = np.random.default_rng(5)
    mean = 5e-4
    cash = curve(np.zeros(bars))
    held = 0
    for run in range(runs):
        agent = curve(mean + autoregression(random, bars, memory))
        found = excess_interval(agent, cash, resamples=200, seed=run)
        held += found.low <= mean * YEAR <= found.high
    return held / runs


def test_blocks_are_runs_of_neighbouring_rows_of_the_stated_mean_length():
    rows = stationary_indices(np.random.default_rng(0), 500, block=8, resamples=400)
    assert rows.shape == (400, 500)
    assert rows.min() == 0
    assert rows.max() == 499
    follows = rows[:, 1:] == (rows[:, :-1] + 1) % 500
    jumps = 1 - follows.mean()
    assert 1 / jumps == pytest.approx(8, rel=0.02)


def test_every_row_is_drawn_equally_often():
    rows = stationary_indices(np.random.default_rng(1), 20, block=5, resamples=20_000)
    share = np.bincount(rows.ravel(), minlength=20) / rows.size
    assert share == pytest.approx(np.full(20, 0.05), rel=0.03)


def test_blocks_of_one_bar_are_independent_draws():
    rows = stationary_indices(np.random.default_rng(2), 50, block=1, resamples=4000)
    follows = (rows[:, 1:] == (rows[:, :-1] + 1) % 50).mean()
    assert follows == pytest.approx(1 / 50, rel=0.1)


def test_long_memory_asks_for_long_blocks_in_returns_or_in_volatility():
    random = np.random.default_rng(3)
    independent = random.normal(size=1000)
    clustered = independent * np.exp(100 * autoregression(random, 1000, 0.97) / 4)
    assert block_length(independent) < 4
    assert block_length(autoregression(random, 1000, 0.9)) > 15
    assert block_length(clustered) > 10
    assert block_length(1e-3 * independent + 7) == pytest.approx(block_length(independent))


def test_block_length_is_that_of_arch_for_whichever_is_longer():
    from arch.bootstrap import optimal_block_length

    series = autoregression(np.random.default_rng(4), 600, 0.6)
    squares = (series - series.mean()) ** 2
    lengths = [optimal_block_length(s)["stationary"].iloc[0] for s in (series, squares)]
    assert block_length(series) == pytest.approx(max(lengths))


@pytest.mark.parametrize(
    "series", [np.zeros(100), np.full(100, 0.01), noise(9), noise(1), np.tile([0.01, -0.01], 50)]
)
def test_what_has_no_memory_to_measure_has_a_block_length(series):
    assert 1 <= block_length(series) < 40


def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_says():
    assert 0.86 <= coverage(bars=750, memory=0.2, runs=300) <= 0.94


def test_the_coverage_test_catches_a_bootstrap_that_forgets_time(monkeypatch):
    monkeypatch.setattr(bootstrap, "block_length", lambda returns: 1.0)
    assert coverage(bars=750, memory=0.5, runs=200) < 0.8


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    agent = curve(noise(200))
    once, again, other = (interval(agent, resamples=200, seed=s) for s in (1, 1, 2))
    assert once == again
    assert once["sharpe_ratio"].low != other["sharpe_ratio"].low
    assert once["sharpe_ratio"].value == other["sharpe_ratio"].value


def test_every_metric_has_an_interval_around_its_median_over_seeds():
    seeds = [curve(noise(300, seed)) for seed in range(5)]
    found = interval(seeds, resamples=500)
    assert set(found) == set(metrics.summary(seeds[0]))
    for name, estimate in found.items():
        assert estimate.value == np.median([metrics.summary(s)[name] for s in seeds])
        assert estimate.low < estimate.high
    sharpe = found["sharpe_ratio"]
    assert sharpe.low < sharpe.value < sharpe.high


def test_a_batch_is_the_same_as_its_curves():
    seeds = [curve(noise(100, seed)) for seed in range(3)]
    together = replace(seeds[0], value=np.stack([s.value for s in seeds]))
    assert interval(together, resamples=100) == interval(seeds, resamples=100)


def test_metrics_share_their_resamples_so_that_asking_for_one_changes_nothing():
    agent = curve(noise(100))
    everything = interval(agent, resamples=100)
    assert interval(agent, resamples=100, names=["romad"]) == {"romad": everything["romad"]}


def test_resamples_in_pieces_are_as_many_as_asked_for(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 250)
    pieces = list(bootstrap.resampled_bars(noise(100), 7, np.random.default_rng(0)))
    assert [len(piece) for piece in pieces] == [2, 2, 2, 1]


def test_the_interval_of_what_is_certain_has_no_width():
    found = interval(curve(np.full(60, 0.01)), resamples=50)
    for name in ("cumulative_return", "annual_return", "annual_volatility", "max_drawdown"):
        estimate = found[name]
        assert estimate.low == pytest.approx(estimate.value)
        assert estimate.high == pytest.approx(estimate.value)


def test_what_differs_between_seeds_widens_the_interval():
    seeds = [curve(np.full(60, rate)) for rate in (-0.001, 0.0, 0.001)]
    found = interval(seeds, resamples=300)["annual_return"]
    assert found.value == 0.0
    assert found.low == pytest.approx(0.999**YEAR - 1)
    assert found.high == pytest.approx(1.001**YEAR - 1)


def test_a_higher_level_is_a_wider_interval():
    agent = curve(noise(200))
    narrow = interval(agent, level=0.5, names=["sharpe_ratio"])["sharpe_ratio"]
    wide = interval(agent, level=0.95, names=["sharpe_ratio"])["sharpe_ratio"]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_closed_trades_are_drawn_independently_of_the_bars():
    won_half = np.array([3.0, -1.0] * 200)
    found = interval(curve(noise(20), trades=won_half))["win_loss_ratio"]
    assert found.value == 1.0
    spread = math.log(found.high / found.low) / 2  # log odds of 400 fair trades: sd 2 / sqrt(400)
    assert spread == pytest.approx(1.645 * 0.1, rel=0.15)


def test_an_agent_without_closed_trades_has_a_win_loss_ratio_of_zero():
    found = interval(curve(noise(20), trades=np.array([])), resamples=20)["win_loss_ratio"]
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [(5.0,), (5.0, 6.0), (5.0, 0.0, 0.0), (5.0, 1.0, -2.0, -3.0)])
def test_short_and_ruined_curves_have_finite_intervals(values):
    days = np.datetime64("2020-01-01") + np.arange(len(values))
    for estimate in interval(EquityCurve(days, np.array(values)), resamples=20).values():
        assert np.isfinite([estimate.value, estimate.low, estimate.high]).all()


def test_excess_is_paired_so_that_the_market_cancels():
    market = noise(250, seed=8)
    agent, index = curve(market + 1e-4, capital=1e6), curve(market)
    found = excess_interval(agent, index, resamples=100)
    assert found.value == pytest.approx(1e-4 * YEAR)
    assert found.low == pytest.approx(found.high)
    nothing = excess_interval(index, index, resamples=100)
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_excess_of_skill_is_above_zero_and_of_none_covers_it():
    index = curve(noise(750, seed=9))
    skilled = [curve(index.returns + noise(750, seed, mean=0.002) / 2) for seed in range(5)]
    lucky = [curve(index.returns + noise(750, seed, mean=0.0) / 2) for seed in range(5)]
    assert excess_interval(skilled, index).low > 0
    found = excess_interval(lucky, index)
    assert found.low < 0 < found.high


def test_curves_on_other_rows_are_refused():
    agent, shorter = curve(noise(50)), curve(noise(49))
    later = replace(agent, timestamps=agent.timestamps + np.timedelta64(1, "D"))
    hourly = replace(agent, periods_per_year=8760.0)
    for other in (shorter, later):
        with pytest.raises(DataError, match="different rows"):
            excess_interval(agent, other)
        with pytest.raises(DataError, match="different rows"):
            interval([agent, other])
    with pytest.raises(DataError, match="252 and 8760"):
        excess_interval(agent, hourly)
    with pytest.raises(DataError, match="a benchmark is one curve"):
        excess_interval(agent, replace(agent, value=agent.value[None]))
    with pytest.raises(DataError, match="no curves"):
        interval([])


def test_levels_and_resamples_out_of_range_are_refused():
    agent = curve(noise(50))
    with pytest.raises(ConfigError, match="level is a share"):
        interval(agent, level=90)
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        excess_interval(agent, agent, resamples=0)


def test_deflated_sharpe_gives_the_worked_example_of_its_paper():
    # Bailey and Lopez de Prado (2014): 5 years of days, 100 trials, annual Sharpe 2.5, variance 1/2
    spread = math.sqrt(0.5 / 250)
    assert expected_best_sharpe(100, spread) == pytest.approx(0.1132, abs=5e-5)
    found = deflated_sharpe(
        2.5 / math.sqrt(250), 100, 1250, spread=spread, skewness=-3, kurtosis=10
    )
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_deflated_sharpe_of_a_single_trial_is_worked_out_by_hand():
    # z = 0.1 * sqrt(100) / sqrt(1 + 0.1^2 / 2); the normal distribution by its error function
    z = 1 / math.sqrt(1.005)
    by_hand = (1 + math.erf(z / math.sqrt(2))) / 2
    assert deflated_sharpe(0.1, trials=1, bars=101) == pytest.approx(by_hand)
    assert deflated_sharpe(0.0, trials=1, bars=101) == 0.5


def test_the_winner_among_agents_without_skill_is_worth_a_coin_toss():
    random = np.random.default_rng(6)
    boards = random.normal(0, 1, (400, 40, 250))
    best = (boards.mean(axis=2) / boards.std(axis=2)).max(axis=1)
    chances = [deflated_sharpe(sharpe, trials=40, bars=250) for sharpe in best]
    assert np.mean(chances) == pytest.approx(0.5, abs=0.05)
    naive = [deflated_sharpe(sharpe, trials=1, bars=250) for sharpe in best]
    assert np.mean(naive) > 0.95


def test_the_best_of_many_grows_with_the_number_of_trials():
    bests = [expected_best_sharpe(trials, 1.0) for trials in (1, 2, 10, 40, 1000)]
    assert bests == sorted(bests)
    draws = np.random.default_rng(7).normal(size=(20_000, 40)).max(axis=1)
    assert bests[3] == pytest.approx(draws.mean(), rel=0.02)


def test_deflated_sharpe_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="at least 2 bars, not 1"):
        deflated_sharpe(0.1, 10, 1)
    with pytest.raises(ConfigError, match="trials >= 1"):
        deflated_sharpe(0.1, 0, 100)
    with pytest.raises(ConfigError, match="skewness 2 and kurtosis 3"):
        deflated_sharpe(0.1, 10, 100, skewness=2.0)
