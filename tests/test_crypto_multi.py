"""The coins of FinRL-Crypto: the published constants, on bundled bars and on bars of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steelyard.agents.ppo import PPO
from steelyard.benchmark import Task, Window, open_venue
from steelyard.benchmark.search import search
from steelyard.benchmark.search_cross import CrossExam, open_cross_ground
from steelyard.benchmark.search_space import search_space
from steelyard.data import load
from steelyard.errors import MissingDataError
from steelyard.registry import find

FIVE_MINUTES = "crypto_btc_eth_usdt_binance_5m_2024h1.parquet"


@pytest.fixture(scope="module")
def own() -> Task:
    """Eleven days of two coins."""
    file = Path(__file__).resolve().parents[1] / "../shared/data/dev" / FIVE_MINUTES
    if not file.is_file():
        pytest.skip("needs the development data beside the repository (../shared/data/dev)")
    task: Task = find("tasks", "crypto-multi-5min")
    return replace(
        task,
        data=f"files:{file}",
        train=Window("train", "2024-01-02", "2024-01-12"),
        windows=(Window("test", "2024-01-13", "2024-01-20"),),
    )


def test_the_constants_are_the_published_ones() -> None:
    task: Task = find("tasks", "crypto-multi-5min")
    cut = task.cross_validation
    assert cut is not None
    assert (cut.groups, cut.held_out, cut.count, cut.path_count) == (5, 2, 10, 4)
    assert (task.rules.cost, task.cash) == (0.003, 1e6)
    days = np.datetime64(task.train.end) - np.datetime64(task.train.start) + 1
    assert 24_900 < days.astype(int) * 288 < 25_100  # 20,000 candles and 5,000


def test_without_bars_of_ones_own_the_error_names_the_file() -> None:
    with pytest.raises(MissingDataError, match=r"no file crypto_5min\.parquet"):
        open_venue(find("tasks", "crypto-multi-5min"))


def test_no_feature_looks_back_further_than_the_embargo() -> None:
    task: Task = find("tasks", "crypto-btc-1h")
    assert task.cross_validation is not None
    panel = load(task.data).rows(0, 400)
    short = replace(task, train=Window("train", "2017-08-18", "2017-08-30"), windows=(), version=99)
    assert open_venue(short, panel).columns.warmup < task.cross_validation.embargo


def test_the_coins_are_traded_in_hundredths(own: Task) -> None:
    venue = open_venue(own)
    assert venue.task.periods_per_year == 105_120  # five minutes, around the clock
    assert venue.panel.assets == ("BTCUSDT", "ETHUSDT")
    first, last = venue.span(own.windows[0])
    price = venue.panel["close"][first : last + 1]
    marked = np.asarray(venue.exact.mark)[first : last + 1] / float(venue.exact.money)
    assert marked == pytest.approx(price / 100, abs=1e-4)


@pytest.mark.slow
def test_ten_splits_of_five_minute_bars_leave_holes(own: Task) -> None:
    ground = open_cross_ground(own, None, (0,), "sharpe_ratio", 1)
    exam = ground.exam
    assert isinstance(exam, CrossExam)
    first, last = exam.groups[0][0], exam.groups[-1][1]
    assert last - first > 11 * 288 - 150
    assert ground.training.spans.shape == (10, 3, 2)
    assert exam.level.shape == (10,)
    assert (exam.level != 0).all()
    assert exam.cut.against == "buy_and_hold"


@pytest.mark.slow
def test_settings_are_searched_on_five_minute_bars(own: Task, tmp_path: Path) -> None:
    agent = PPO(steps=4_096, envs=32, horizon=32, minibatch=256, epochs=2, hidden=(8,))
    space = search_space(agent, ["learning_rate"])
    found = search(own, ("ppo", agent), tmp_path, trials=3, seeds=(0,), batch=3, space=space)
    assert found.overfitting is not None
    assert 0 <= found.overfitting.pbo <= 1
    assert all(one.returns is not None and np.isfinite(one.returns).all() for one in found.trials)
