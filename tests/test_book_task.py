"""A task on an order book, from the bundled data to a bundle that is scored again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from steelyard.benchmark import BookRules, Task, Venue, evaluate, open_venue, verify
from steelyard.data import load
from steelyard.errors import ConfigError, ContractError, MissingDataError
from steelyard.evaluation.bundle import read, write
from steelyard.evaluation.hindsight import Hindsight
from steelyard.evaluation.report.verdict import verdict
from steelyard.evaluation.results import Score
from steelyard.registry import find
from steelyard.types import EquityCurve

AGENTS = ("fixed_time_exit", "hold_cash")


@pytest.fixture(scope="module")
def task() -> Task:
    """The paper's task on a part of the bundled book with two segments."""
    found: Task = find("tasks", "crypto-ensemble-2024")
    return replace(found, features=("imbalance", "order_flow_imbalance"))


@pytest.fixture(scope="module")
def venue(task: Task) -> Venue:
    return open_venue(task, load(task.data).rows(4_000, 4_997))


@pytest.fixture(scope="module")
def score(venue: Venue) -> Score:
    return evaluate(venue.task, AGENTS, venue=venue)


def test_the_periods_of_the_paper_give_way_to_shares_of_other_data(venue: Venue) -> None:
    task = venue.task
    assert task.validate is not None
    spans = [venue.panel.span(w.start, w.end) for w in (task.train, task.validate, *task.windows)]
    assert spans == [(0, 597), (598, 797), (798, 996)]
    assert task.periods_per_year == 365 * 86_400 / 2


def test_the_price_level_is_not_observed(venue: Venue) -> None:
    assert venue.training.market.columns == ("imbalance/BTC", "order_flow_imbalance/BTC")
    params = venue.training
    obs = venue.env.reset(jax.random.key(0), params)[1].obs
    assert venue.env.observe(obs, params).shape == (3 + 2,)


def test_curves_of_agents_and_of_the_price_share_a_clock(venue: Venue, score: Score) -> None:
    clock = venue.panel.timestamps[venue.clock(venue.task.windows[0])]
    for row in score.rows:
        np.testing.assert_array_equal(row.windows[0].curves[0].timestamps, clock)
    assert score.rows[-1].agent == "BTC"


def test_every_agent_is_put_against_what_hindsight_earns(score: Score) -> None:
    (ceiling,) = score.ceilings
    assert ceiling.profit > 0
    assert list(ceiling.shares) == list(AGENTS)
    assert ceiling.shares["hold_cash"] == 0
    assert max(ceiling.shares.values()) <= 1
    assert any("Knowing the future" in sentence for sentence in verdict(score))


def test_an_account_that_passes_hindsight_stops_the_run(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poor(params: object, timestamps: object, periods_per_year: float) -> Hindsight:
        curve = EquityCurve(venue.panel.timestamps[:2], np.array([1_000.0, 990.0]), 1.0)
        return Hindsight(curve, np.zeros(1, np.int64), -10.0)

    monkeypatch.setattr("steelyard.benchmark.book_rules.hindsight", poor)
    with pytest.raises(ContractError, match="the market's accounts are wrong"):
        evaluate(venue.task, ["hold_cash"], venue=venue)


def test_a_bundle_is_scored_again_bit_for_bit_and_so_is_its_ceiling(
    score: Score, venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(score, tmp_path / "bundle")
    monkeypatch.setattr("steelyard.benchmark.verification.open_venue", lambda task: venue)
    assert verify(place).holds
    content = read(place)
    assert content["score"]["ceilings"][0]["profit"] == pytest.approx(score.ceilings[0].profit)
    best = venue.ceiling(venue.task.windows[0])
    assert best is not None
    low = replace(best, value=best.value * 0.5)
    monkeypatch.setattr(Venue, "ceiling", lambda self, window: low)
    assert verify(place).wrong == ["hindsight/test/profit"]


def test_data_of_the_other_kind_are_refused(task: Task) -> None:
    with pytest.raises(MissingDataError, match="no bids and asks"):
        open_venue(replace(task, data="synthetic:none"))
    with pytest.raises(MissingDataError, match="no open prices"):
        open_venue(replace(find("tasks", "stock-dow30"), data=task.data, assets=()))


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"unit": 1.0}, "capital"),
        ({"thin": "refuse", "unit": 0.04}, "do not show"),
        ({"delay": 3}, "fills after 3 rows"),
        ({"reward": "profit"}, "no reward named"),
        ({"levels": 9}, "9 levels of 5"),
        ({"taker_fee": 1.5}, "taker_fee must lie in"),
        ({"tick": 1.0}, "wider than the spread"),
    ],
)
def test_rules_that_cannot_hold_are_refused(
    task: Task, rules: dict[str, object], text: str
) -> None:
    base: BookRules = task.rules  # type: ignore[assignment]
    panel = load(task.data).rows(4_000, 4_997)
    with pytest.raises(ConfigError, match=text) as error:
        open_venue(replace(task, rules=replace(base, **rules)), panel)
    assert error.value.hint
