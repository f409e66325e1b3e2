"""The search of every run finds what is planted in the package itself, and no honest agent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_readers import TrainingPrices

from house_code import of_the_house
from other_rows import MARKETS, stocks
from steelyard import registry
from steelyard.agents.classic import BuyAndHold, EqualWeight, Random
from steelyard.agents.distributions import Deterministic
from steelyard.agents.timed import FixedTimeExit
from steelyard.benchmark import Venue, open_venue
from steelyard.benchmark.futures import Futures, another_panel, cuts_of, futures, in_another_future
from steelyard.benchmark.hunt import LessonHunt, facts_of, first_difference, hunt_pass
from steelyard.benchmark.market_rows import MarketRows
from steelyard.benchmark.passes import day_of
from steelyard.benchmark.rounds import roll
from steelyard.benchmark.rows import Run, score_agent
from steelyard.evaluation.splits import Rolling
from steelyard.features.scaling import Columns
from steelyard.types import Feature, Panel

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def venues() -> dict[str, Venue]:
    return {name: open_venue(*make()) for name, make in MARKETS.items()}


def searched(venue: Venue, agent: Any) -> Any:
    """What the search says of an agent of the package that is prepared on the window."""
    window = venue.task.windows[0]
    params = venue.window(window)

    def policy_in(there: Any) -> Any:
        return agent.prepare(KEY, venue.env, there)[0]

    scored = venue.trade(params, policy_in(params), 0).actions
    return hunt_pass(venue, window, params, policy_in, scored, 0)


# what acts


@of_the_house
class Ahead(eqx.Module):
    """Reads the mark of a later row, of one asset, from some decision on."""

    ahead: int = eqx.field(static=True, default=1)
    asset: int = eqx.field(static=True, default=1)
    since: int = eqx.field(static=True, default=0)
    learns: ClassVar[bool] = False

    def prepare(self, key: Any, env: Any, params: Any) -> Any:
        mark = np.asarray(params.market.mark)
        later = np.minimum(np.arange(len(mark)) + self.ahead, len(mark) - 1)
        late = np.arange(len(mark)) >= int(params.first) + self.since
        series = np.zeros(mark.shape)
        if mark.ndim == 1:
            return Rows(jnp.asarray(np.where(late, mark[later] // 2 % 3, 1), jnp.int32)), {}
        seen = mark[later, self.asset] / mark[:, self.asset] - 1
        series[:, self.asset] = np.where(late, np.tanh(seen), 0)
        return Rows(jnp.asarray(series, jnp.float32)), {}


@of_the_house
class Rows(eqx.Module):
    """Row by row what was prepared."""

    series: Any

    def initial_carry(self) -> None:
        return None

    def bind(self, env: Any, params: Any) -> Any:
        return lambda obs, carry: (Deterministic(self.series[obs.row]), carry)


@pytest.mark.parametrize(("ahead", "since", "step"), [(1, 0, 0), (1, 20, 27), (3, 20, 25)])
def test_the_first_decision_that_knew_too_much_is_named_with_its_asset(
    venues: dict[str, Venue], ahead: int, since: int, step: int
) -> None:
    venue = venues["stocks"]
    window = venue.task.windows[0]
    rows = venue.clock(window)[:-1]
    assert cuts_of(len(rows)) == [0, 9, 18, 27, 37, 46, 55, 64]  # 27 is the first from 20 on
    found = searched(venue, Ahead(ahead, since=since))
    assert found is not None
    assert found.asset == venue.panel.assets[1]
    assert found.date == day_of(venue, int(rows[step]))
    behind = day_of(venue, int(rows[27 if since else 0]))
    assert found.text == (
        f"looks ahead: its action on {found.asset} at {found.date} changes with what comes after "
        f"{behind}"
    )


def test_a_reader_of_the_next_row_of_a_book_is_found(venues: dict[str, Venue]) -> None:
    venue = venues["book"]
    rows = venue.clock(venue.task.windows[0])[:-1]
    params, policy = venue.window(venue.task.windows[0]), Ahead()
    true = np.asarray(policy.prepare(None, venue.env, params)[0].series)
    # a slow twin: the first cut at which the next mid of another future leads to another choice
    cut = next(
        cut
        for cut in cuts_of(len(rows))
        if (
            np.asarray(
                policy.prepare(None, None, in_another_future(params, int(rows[cut])))[0].series
            )[rows[cut]]
            != true[rows[cut]]
        )
    )
    found = searched(venue, policy)
    assert found is not None
    assert found.asset == venue.panel.assets[0]
    assert found.date == day_of(venue, int(rows[cut]))
    assert ":" in found.date  # rows of a book are seconds


HONEST = {
    "stocks": [Ahead(0), BuyAndHold(), EqualWeight(every=5), Random()],
    "book": [Ahead(0), FixedTimeExit(hold=5), Random()],
}


@pytest.mark.parametrize("market", list(HONEST))
def test_honest_agents_are_left_alone(market: str, venues: dict[str, Venue]) -> None:
    assert [searched(venues[market], agent) for agent in HONEST[market]] == [None] * len(
        HONEST[market]
    )


def test_an_agent_of_the_house_that_is_found_is_a_row_without_numbers(
    venues: dict[str, Venue],
) -> None:
    run = Run(venues["stocks"], (0,))
    row = score_agent(run, "planted", Ahead())
    assert not row.stands
    assert row.isolation == "house"
    assert row.hunt["finding"]["asset"] == "S01"
    assert row.hunt["finding"]["date"] == "2002-10-01"
    trusted = score_agent(replace(run, trust=True), "planted", Ahead())
    assert trusted.stands
    assert trusted.hunt == {}
    assert trusted.isolation == "trusted: not checked for leaks"


def test_nothing_is_prepared_behind_the_row_after_a_cut(venues: dict[str, Venue]) -> None:
    venue, lasts = venues["stocks"], []
    window = venue.task.windows[0]
    params = venue.window(window)

    def policy_in(there: Any) -> Any:
        lasts.append(int(there.last))
        return Ahead(0).prepare(KEY, venue.env, there)[0]

    scored = venue.trade(params, policy_in(params), 0).actions
    assert hunt_pass(venue, window, params, policy_in, scored, 0) is None
    rows = venue.clock(window)[:-1]
    assert lasts == [int(params.last), *(int(rows[cut]) + 1 for cut in cuts_of(len(rows)))]


def test_differences_count_up_to_a_decision_and_no_further() -> None:
    one = np.zeros((6, 3))
    other = one.copy()
    other[4, 2] = 1e-30
    assert first_difference(one, other, 3) is None
    assert first_difference(one, other, 4) == (4, 2)
    assert first_difference(one[:, 0], one[:, 0], 5) is None
    assert facts_of(65) == {"cuts": 8, "decisions": 65}


# what is learned from


def of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a careless hand make every market of all the rows that there are."""
    made = MarketRows.learning_market

    def careless(rows: MarketRows, spans: Any, scaler: Any, length: Any = None) -> Any:
        last = len(rows.panel) - 1
        spans = [(first, min(end + 7, last)) for first, end in spans]
        return made(rows, spans, scaler, None if length is None else length + 7)

    monkeypatch.setattr(MarketRows, "until", lambda rows, last: rows)
    monkeypatch.setattr(MarketRows, "learning_market", careless)


LEARNER = TrainingPrices()


@pytest.mark.parametrize("market", list(MARKETS))
def test_lessons_of_the_house_end_where_training_ends(market: str) -> None:
    hunt = LessonHunt(open_venue(*MARKETS[market](features=("return_1", "close_30_sma"))))
    assert hunt.finding is None
    assert hunt.inputs is None


@pytest.mark.parametrize("market", list(MARKETS))
def test_a_market_with_rows_behind_training_is_found(
    market: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all_rows(monkeypatch)
    venue = open_venue(*MARKETS[market]())
    found = LessonHunt(venue).finding
    assert found is not None
    train = venue.task.train
    last = day_of(venue, venue.panel.span(train.start, train.end)[1])
    assert last in found.text
    assert found.text.startswith("was to learn from")


def test_a_feature_of_all_rows_is_found_with_its_first_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tomorrow(panel: Panel) -> Any:
        return np.vstack([panel["close"][1:], panel["close"][-1:]])

    registry.register("features", "mine", Feature("mine", tomorrow, "level", 0), summary="planted")
    try:
        task, panel = stocks(features=("return_1", "mine"))
        assert LessonHunt(open_venue(task, panel)).finding is None  # training ends before it tells
        monkeypatch.setattr(MarketRows, "until", lambda rows, last: rows)
        found = LessonHunt(open_venue(task, panel)).finding
    finally:
        del registry._members["features"]["mine"]
    assert found is not None
    assert found.text == (
        "was to learn from `mine`, which looks ahead: its value of S00 at 2000-01-03 changes with "
        "what comes after 2002-06-28"
    )  # the mean of the training rows knows the day behind them
    assert (found.asset, found.date) == ("S00", "2000-01-03")


def test_a_scale_of_all_rows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Columns.fit
    monkeypatch.setattr(Columns, "fit", lambda held, _: fit(held, (0, len(held.values))))
    monkeypatch.setattr(MarketRows, "until", lambda rows, last: rows)
    found = LessonHunt(open_venue(*stocks())).finding
    assert found is not None
    assert "was to learn from `log_close`, which looks ahead: its value of S00" in found.text


def test_a_learner_that_reads_the_last_row_of_its_market_learns_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hunt = LessonHunt(open_venue(*stocks()))
    assert hunt.retrain(("one",), LEARNER, (0, 1), None) == (None, {"retrained": 1, "of": 2})
    of_all_rows(monkeypatch)
    careless = LessonHunt(open_venue(*stocks()))
    found, facts = careless.retrain(("one",), LEARNER, (0, 1), None)
    assert found is not None
    assert found.text == (
        "looks ahead: what it learns changes with what comes after 2002-06-28, the end of training"
    )
    assert facts == {"retrained": 1, "of": 2}


@pytest.mark.parametrize("retrain", [False, True])
def test_rolling_windows_are_learned_from_again_and_a_later_row_in_them_is_found(
    retrain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling = Rolling(train=60, validate=20, trade=9, retrain=retrain)
    venue = open_venue(*stocks(rolling=rolling, validate=None))
    rounds = roll(venue, venue.task.windows[0])
    found, facts = LessonHunt(venue).retrain(("one",), LEARNER, (0,), rounds)
    assert found is None
    assert facts == {"retrained": 2, "of": 2, "rounds": 3}
    assert len(rounds.rows) > 3
    of_all_rows(monkeypatch)
    careless = open_venue(*stocks(rolling=rolling, validate=None))
    rounds = roll(careless, careless.task.windows[0])
    found, _ = LessonHunt(careless).retrain(("one",), LEARNER, (0,), rounds)
    assert found is not None
    first = rounds.rows[0].again if retrain else rounds.rows[0].learn
    assert day_of(careless, first[1]) in found.text


def test_each_learner_is_trained_again_once() -> None:
    hunt = LessonHunt(open_venue(*stocks()))
    assert hunt.retrain(("one",), LEARNER, (0,), None) is hunt.retrain(("one",), None, (), None)


# other futures


def test_cuts_are_a_few_decisions_with_the_first_and_the_last_among_them() -> None:
    for decisions in range(1, 21):
        cuts = cuts_of(decisions)
        assert cuts == sorted(set(cuts))
        assert (cuts[0], cuts[-1]) == (0, decisions - 1)
        assert len(cuts) == min(8, decisions)


@pytest.mark.parametrize("same_clock", [False, True])
@pytest.mark.parametrize("market", list(MARKETS))
def test_another_panel_keeps_every_bit_up_to_a_row_and_changes_all_behind(
    market: str, same_clock: bool
) -> None:
    _, panel = MARKETS[market]()
    for row in (1, 200, len(panel) - 2):
        other = another_panel(panel, row, same_clock=same_clock)
        kept, behind = slice(None, row + 1), slice(row + 1, None)
        assert other.timestamps.dtype == panel.timestamps.dtype
        np.testing.assert_array_equal(other.timestamps[kept], panel.timestamps[kept])
        for held, known in ((other.fields, panel.fields), (other.context, panel.context)):
            assert set(held) == set(known)
            for name, values in known.items():
                assert held[name][kept].tobytes() == values[kept].tobytes(), name
        if same_clock:
            np.testing.assert_array_equal(other.timestamps, panel.timestamps)
            for name, values in panel.fields.items():
                assert (other[name][behind] != values[behind]).all(), name
        else:
            assert len(other) not in (len(panel), row + 1)
            count = min(len(other), len(panel)) - row - 1
            clocks = [one.timestamps[behind][:count] for one in (other, panel)]
            assert (clocks[0] != clocks[1]).all()


@pytest.mark.parametrize("market", list(MARKETS))
def test_the_futures_of_a_window_are_made_once(market: str, venues: dict[str, Venue]) -> None:
    venue, held = venues[market], Futures()
    window = venue.task.windows[0]
    params, rows = venue.window(window), venue.clock(window)[:-1]
    first = list(held.of("test", params, rows))
    assert held.of("test", params, rows) is held.of("test", params, rows)
    assert [cut for cut, _ in first] == cuts_of(len(rows))
    for (cut, kept), (_, fresh) in zip(first, futures(params, rows), strict=True):
        one, two, true = (np.asarray(each.market.mark) for each in (kept, fresh, params))
        np.testing.assert_array_equal(one, two)
        until = int(rows[cut]) + 1
        np.testing.assert_array_equal(one[:until], true[:until])
        assert (one[until:] != true[until:]).any()
    assert held.of("test", params, rows, rolling=True) is not held.of("test", params, rows)
