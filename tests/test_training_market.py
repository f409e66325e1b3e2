"""What is learned from ends where its rows end: another future changes no bit of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets import Script
from other_rows import (
    MARKETS,
    PLANTED,
    book,
    differences,
    other_rows,
    stocks,
    traces,
    with_planted,
)
from steelyard import registry
from steelyard.agents.ensemble import Ensemble
from steelyard.agents.population import Population
from steelyard.benchmark import StockRules, Task, Venue, Window, learning, open_venue
from steelyard.benchmark.learning import Trainer
from steelyard.benchmark.rounds import Rounds, roll
from steelyard.benchmark.search_cross import open_cross_ground
from steelyard.benchmark.search_ground import open_ground
from steelyard.benchmark.settling import ending_with
from steelyard.errors import MissingDataError
from steelyard.evaluation.combinatorial import Combinatorial
from steelyard.evaluation.splits import Rolling
from steelyard.rollout import rollout
from steelyard.types import Feature, Panel
from tasks_for_tests import QUICK

ROLLINGS = {
    "sliding": Rolling(train=60, validate=20, trade=25, retrain=False),
    "retrained": Rolling(train=60, validate=20, trade=25),
    "expanding": Rolling(train=60, validate=20, trade=25, expanding=True, purge=3, embargo=5),
}
TINY = replace(QUICK, steps=64, envs=2, horizon=32, epochs=1)
CUT = Combinatorial(groups=5, held_out=2, purge=2, embargo=32)


@pytest.fixture(params=list(MARKETS))
def market(request: pytest.FixtureRequest) -> Any:
    """The function that makes a task and its panel."""
    return MARKETS[request.param]


def last_of(panel: Panel, window: Window | None) -> int:
    assert window is not None
    return panel.span(window.start, window.end)[1]


def at(params: Any, number: int) -> Any:
    """One entry of stacked params."""
    return jax.tree.map(lambda leaf: leaf[number], params)


def everything_before(task: Task, panel: Panel) -> tuple[Any, Any]:
    """The training params, and the same on a market of all rows, as a careless hand makes them."""
    venue = open_venue(task, panel)
    whole = venue.learning_market([(0, len(panel) - 1)], venue.scaler)
    return venue.training, eqx.tree_at(lambda params: params.market, venue.training, whole)


@pytest.mark.parametrize("fill", ["next_open", "same_close"])
def test_no_bit_of_the_training_params_depends_on_what_follows_training(
    market: Any, fill: str
) -> None:
    task, panel = market()
    if market is stocks:
        task = replace(task, rules=replace(task.rules, fill=fill))
    task = replace(task, windows=(), validate=None)
    other = other_rows(panel, last_of(panel, task.train))
    assert len(other) != len(panel)
    one, careless = everything_before(task, panel)
    two, as_careless = everything_before(task, other)
    assert differences(one, two) == []
    # the planted failure
    assert ".market.mark" in differences(careless, as_careless)


def test_a_venue_that_ends_with_training_trains_on_the_same_numbers(market: Any) -> None:
    task, panel = market()
    last = last_of(panel, task.train)
    alone = replace(task, windows=(), validate=None)
    ends = open_venue(alone, panel.rows(0, last + 1))
    assert differences(ends.training, open_venue(task, panel).training) == []
    assert ends.training.market.rows == last + 1


def test_no_number_of_a_later_row_is_anywhere_in_the_training_params(market: Any) -> None:
    task, panel = market()
    last = last_of(panel, task.train)
    changed = with_planted(panel, last)
    venue = open_venue(task, changed)
    assert traces(venue.training, venue, last) == []
    whole = venue.learning_market([(0, len(panel) - 1)], venue.scaler)
    careless = eqx.tree_at(lambda params: params.market, venue.training, whole)
    assert {".market.bid", ".market.ask", ".market.mark", "table"} <= set(
        traces(careless, venue, last)
    )


def test_the_open_behind_the_last_training_row_is_not_there() -> None:
    task, panel = stocks()
    last = last_of(panel, task.train)
    changed = with_planted(panel, last)
    venue = open_venue(task, changed)
    own = venue.training.market
    assert not np.asarray(own.tradable[-1]).any()
    assert (np.asarray(own.ask[-1]) == 0).all()
    # the planted failure: rows that are cut off a market of all rows keep that price
    whole = venue.learning_market([(0, len(panel) - 1)], venue.scaler)
    cut = jax.tree.map(lambda leaf: leaf[: last + 1] if leaf.ndim else leaf, whole)
    careless = eqx.tree_at(lambda params: params.market, venue.training, cut)
    assert traces(careless, venue, last) == [".market.bid", ".market.ask"]


def test_validation_has_a_market_of_its_own_that_ends_with_it(market: Any) -> None:
    task, panel = market(windows=())
    last = last_of(panel, task.validate)
    one, two = (open_venue(task, p) for p in (panel, other_rows(panel, last)))
    assert differences(one.validation(), two.validation()) == []
    assert differences(one.training, two.training) == []
    venue = open_venue(task, with_planted(panel, last))
    seen = venue.validation()
    assert seen is not None
    assert traces(seen, venue, last) == []
    assert int(seen.last) == seen.market.rows - 1 == last
    assert open_venue(replace(task, validate=None), panel).validation() is None


def test_who_is_about_to_trade_knows_the_rows_before_and_no_more(market: Any) -> None:
    task, panel = market()
    test = task.windows[0]
    first = panel.span(test.start, test.end)[0]
    one, two = (open_venue(task, p) for p in (panel, other_rows(panel, first - 1, same_clock=True)))
    known = one.before(test)
    assert differences(known, two.before(test)) == []
    assert int(known.last) == known.market.rows - 1 == first - 1
    assert known.market.mark.dtype == jnp.float32
    venue = open_venue(task, with_planted(panel, first - 1))
    assert traces(venue.before(test), venue, first - 1) == []


def test_a_window_with_no_rows_before_it_is_refused() -> None:
    task, panel = stocks(validate=None)
    early = Window("early", "2000-12-01", "2002-12-31")
    with pytest.raises(MissingDataError, match="lie from 2000-01-03 to `early`") as error:
        open_venue(task, panel).before(early)
    assert "later" in error.value.hint


def rounds_of(venue: Venue, window: Window) -> tuple[Rounds, dict[str, list[tuple[int, int]]]]:
    """The rounds, and the rows that each phase of each may know."""
    rounds = roll(venue, window)
    phases = {name: [getattr(one, name) for one in rounds.rows] for name in ("learn", "validate")}
    if rounds.again is not None:
        phases["again"] = [one.again for one in rounds.rows]
    return rounds, phases


@pytest.mark.parametrize("rolling", list(ROLLINGS))
def test_no_bit_of_a_round_depends_on_what_follows_its_rows(market: Any, rolling: str) -> None:
    task, panel = market(validate=None, rolling=ROLLINGS[rolling])
    venue = open_venue(task, panel)
    rounds, phases = rounds_of(venue, task.windows[0])
    assert ("again" in phases) == ROLLINGS[rolling].retrain
    assert len(rounds.rows) > 2
    for phase, spans in phases.items():
        for number in (0, len(spans) - 1):
            last = spans[number][1]
            other = open_venue(task, other_rows(panel, last, same_clock=True))
            twin = roll(other, task.windows[0])
            one, two = (at(getattr(each, phase), number) for each in (rounds, twin))
            assert differences(one, two) == [], phase
            marked = open_venue(task, with_planted(panel, last))
            hidden = at(getattr(roll(marked, task.windows[0]), phase), number)
            assert traces(hidden, marked, last) == [], phase
    # the planted failure: a later round may know what the first one may not
    early = phases["learn"][0][1]
    marked = open_venue(task, with_planted(panel, early))
    assert traces(at(roll(marked, task.windows[0]).learn, -1), marked, early)


@pytest.mark.parametrize("rolling", [None, "expanding"])
def test_no_trial_trains_on_a_row_of_validation(market: Any, rolling: str | None) -> None:
    task, panel = market(rolling=None if rolling is None else ROLLINGS[rolling], windows=())
    if rolling is None:
        last = last_of(panel, task.train)
        one, two = (
            open_ground(task, p, (0,), "sharpe_ratio", 2).training
            for p in (panel, other_rows(panel, last, same_clock=True))
        )
        assert differences(one, two) == []
        return
    ground = open_ground(task, panel, (0,), "sharpe_ratio", 2)
    last = roll(ground.venue, ground.window).rows[0].again[1]
    other = other_rows(panel, last, same_clock=True)
    twin = open_ground(task, other, (0,), "sharpe_ratio", 2)
    assert differences(at(ground.training, 0), at(twin.training, 0)) == []
    assert differences(at(ground.training, -1), at(twin.training, -1)) != []


def test_a_split_holds_no_row_that_is_held_out(market: Any) -> None:
    task, panel = market(cross_validation=CUT, windows=())
    ground = open_cross_ground(task, panel, (0,), "sharpe_ratio", 2)
    venue, training = ground.venue, ground.training
    first, last = int(venue.training.first), int(venue.training.last)
    splits = CUT.splits(first, last)
    close = np.asarray(venue.panel["close"], np.float32)
    seen = np.asarray(training.market.mark).reshape(len(splits), -1, close.shape[1])
    for number, split in enumerate(splits):
        own = np.concatenate([np.arange(a, b + 1) for a, b in split.learn])
        np.testing.assert_array_equal(seen[number][: len(own)], close[own])
        assert (seen[number][len(own) :] == close[own[-1]]).all()
        spans = [tuple(span) for span in np.asarray(training.spans[number]) if span[0] < span[1]]
        assert [b - a for a, b in spans] == [b - a for a, b in split.learn]
        for (a, b), (begin, end) in zip(spans, split.learn, strict=True):
            np.testing.assert_array_equal(seen[number][a : b + 1], close[begin : end + 1])


def test_a_split_learns_the_same_whatever_is_held_out(market: Any) -> None:
    task, panel = market(cross_validation=CUT, windows=())
    ground = open_cross_ground(task, panel, (0,), "sharpe_ratio", 2)
    begin, last = int(ground.venue.training.first), int(ground.venue.training.last)
    held = CUT.spans(begin, last)[4]
    # the last group is held out with every other one, so that what follows it is the end
    other = other_rows(panel, held[0], same_clock=True)
    twin = open_cross_ground(task, other, (0,), "sharpe_ratio", 2)
    for number, split in enumerate(CUT.splits(begin, last)):
        changed = differences(at(ground.training, number), at(twin.training, number))
        assert (changed == []) == (4 in split.held_out)


def test_a_feature_that_looks_ahead_meets_the_end_of_training() -> None:
    """A column of tomorrow's closes is computed on rows that end with training."""
    leak = Feature("tomorrow", lambda p: np.vstack([p["close"][1:], p["close"][-1:]]), "price", 0)
    registry.register("features", "tomorrow", leak, summary="a planted leak")
    try:
        task, panel = stocks(features=("return_1", "tomorrow", "turbulence"))
        last = last_of(panel, task.train)
        one, two = (open_venue(task, p) for p in (panel, other_rows(panel, last, same_clock=True)))
        assert differences(one.training, two.training) == []
        assert not np.array_equal(one.exact.table[last], one.training.market.table[last])
    finally:
        del registry._members["features"]["tomorrow"]


@pytest.mark.parametrize("fill", ["next_open", "same_close"])
def test_no_episode_decides_where_nothing_fills(fill: Any) -> None:
    """The blank at the end of a market changes no step: a price put there is never met."""
    task, panel = stocks(rules=StockRules(fill=fill))
    venue = open_venue(task, panel)
    late = replace(venue.training, first=venue.training.last - 25)
    ask = late.market.ask.at[-1].set(PLANTED)
    market = replace(late.market, ask=ask, bid=ask, tradable=ask > 0)

    def walk(params: Any) -> Any:
        policy, keys = Script(jnp.ones((90, 3))), jax.random.split(jax.random.key(0), 16)
        return jax.vmap(lambda key: rollout(key, venue.env, params, policy, 90)[1])(keys)

    one, other = (eqx.filter_jit(walk)(p) for p in (late, replace(late, market=market)))
    assert int(one.obs.row.max()) == int(venue.training.last) - 1
    assert differences(one, other) == []


def test_a_period_that_ends_on_a_day_without_rows_still_ends_with_its_last_row() -> None:
    task, panel = stocks()
    sunday = Window("train", "2000-01-03", "2002-06-30")
    window, cut = ending_with(sunday, panel)
    assert str(cut.timestamps[-1]).startswith("2002-06-28")
    assert cut.span(window.start, window.end) == panel.span(sunday.start, sunday.end)
    alone = replace(task, train=window, windows=(), validate=None)
    assert differences(open_venue(alone, cut).training, open_venue(task, panel).training) == []
    assert ending_with(task.train, panel)[0] == task.train


def test_a_test_window_is_shown_in_float32_when_nothing_is_left_to_be_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Members of an ensemble are trained, then validated, then compared on the test window."""
    happened: list[str] = []
    shown, trained = Venue.passing, learning.fit

    def passing(venue: Venue, window: Window) -> Any:
        happened.append(window.name)
        return shown(venue, window)

    def fit(*what: Any, **how: Any) -> Any:
        happened.append("training")
        return trained(*what, **how)

    monkeypatch.setattr(Venue, "passing", passing)
    monkeypatch.setattr(learning, "fit", fit)
    task, panel = stocks()
    agent = Ensemble(Population(groups=((TINY, 2),)), temperature=0.5)
    learned = Trainer(open_venue(task, panel)).learn("ensemble", agent, (0,), task.windows[0])
    assert happened == ["training", "validate", "test"]
    assert learned.ensemble["dates"] == ["2002-10-01"]
    # where there are no rows to trade there is nothing to compare on
    alone = open_venue(replace(task, windows=()), panel)
    blind = Trainer(alone).learn("ensemble", agent, (0,), task.windows[0])
    assert happened[3:] == ["training", "validate"]
    assert blind.ensemble["weights"] == learned.ensemble["weights"]


def test_the_market_of_a_task_is_float32_only_where_something_learns() -> None:
    task, panel = book()
    venue = open_venue(task, panel)
    assert venue.training.market.mark.dtype == jnp.float32
    assert not venue.training.market.exact
    assert venue.exact.exact
    assert venue.exact.rows == len(panel)
