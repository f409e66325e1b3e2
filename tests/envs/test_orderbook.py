"""The order book environment beside its twin in big integers, rule by rule, and its bad input."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from book_markets import LOT, TICK, panel_of_books, random_books
from integer_book import RULES, Books, Settings, live
from markets import OPTIMISED
from steelyard.book import build_book
from steelyard.envs.book_rules import RULES as OUR_RULES
from steelyard.envs.book_settings import decision_rows
from steelyard.envs.check import check_env
from steelyard.envs.orderbook import BookParams, OrderBookEnv, book_window
from steelyard.envs.rewards import DifferentialSharpe, ValueChange
from steelyard.errors import ConfigError, ContractError, DataError, MissingDataError

EPISODES, STEPS, ROWS, LEVELS, UNIT, MOST = 1_000, 40, 400, 3, 1.5, 3
MONEY = 200_000  # two half ticks of 0.01 times a thousand lots
VARIED = ("first", "last", "length", "cash", "order_size", "step_gap", "delay", "taker_fee",
          "max_holding", "stop_loss")  # fmt: skip

PANEL = random_books(5, ROWS, LEVELS, segments=14)


def random_settings(count=EPISODES, seed=0):
    """name -> (count,) settings of all rules, and (count, STEPS) actions with a taste."""
    random = np.random.default_rng(seed)
    gap = random.integers(1, 5, count)
    length = random.integers(4, STEPS + 1, count)
    first = random.integers(0, ROWS - 20, count)
    settings = {
        "first": first,
        "last": np.minimum(first + length * gap, ROWS - 1),
        "length": length,
        "cash": np.round(random.uniform(250, 1_500, count), 2),
        "order_size": random.integers(1, 5, count),
        "step_gap": gap,
        "delay": random.integers(0, gap + 1),
        "taker_fee": random.integers(0, 200_000, count) / 1e8,
        "max_holding": random.integers(1, 12, count),
        "stop_loss": random.integers(500, 20_000, count) / 1e6,
    }
    taste = random.uniform(0.1, 0.9, (count, 1))
    mood = random.uniform(size=(count, STEPS))
    wanted = np.where(mood < 0.8 * taste, 2, np.where(mood < 0.8, 0, 1))
    return settings, wanted.astype(np.int32)


class Seen(NamedTuple):
    info: dict
    reward: jax.Array
    truncated: jax.Array


def play(params, varied, actions):
    """Every episode with its own settings, without resets."""

    def one(varied, actions):
        own = eqx.tree_at(lambda p: tuple(getattr(p, name) for name in VARIED), params,
                          tuple(varied[name] for name in VARIED))  # fmt: skip
        env = OrderBookEnv()
        state, _ = env.reset(jax.random.key(0), own)

        def step(state, action):
            state, after = env.step(jax.random.key(0), state, action, own)
            return state, Seen(after.info, after.reward, after.truncated)

        return jax.lax.scan(step, state, actions)[1]

    return jax.vmap(one)(varied, actions)


PLAY = eqx.filter_jit(play, compiler_options=OPTIMISED)


def exact_params(panel=PANEL, **settings):
    with jax.enable_x64(True):
        market = build_book(panel, precision="exact", tick=TICK, lot=LOT)
        last = market.rows - 1
        whole = {"first": 0, "last": last, "length": last, "unit": UNIT, "max_position": MOST}
        return BookParams(market, reward=ValueChange(1.0), **(whole | settings))


def lived(count=EPISODES):
    settings, actions = random_settings()
    with jax.enable_x64(True):
        varied = {name: jnp.asarray(values[:count]) for name, values in settings.items()}
        return jax.tree.map(np.asarray, PLAY(exact_params(), varied, jnp.asarray(actions[:count])))


@pytest.fixture(scope="module")
def seen():
    return lived()


@pytest.fixture(scope="module")
def twins():
    settings, actions = random_settings()
    books = Books.of(PANEL, LEVELS, TICK, LOT)
    histories = []
    for i in range(EPISODES):
        own = {name: values[i] for name, values in settings.items()}
        whole = {name: int(own[name]) for name in ("first", "last", "length", "order_size",
                                                   "step_gap", "delay", "max_holding")}  # fmt: skip
        money = Settings(
            **whole,
            cash=round(own["cash"] * 100) * MONEY // 100,
            unit=round(UNIT / LOT),
            max_position=MOST,
            taker_parts=round(own["taker_fee"] * 1e8),
            stop_parts=round(own["stop_loss"] * 1e6),
        )
        histories.append(live(books, money, actions[i].tolist()))
    return histories


def test_the_rules_have_the_names_of_the_twin():
    assert list(OUR_RULES) == RULES


def test_every_step_of_1000_random_episodes_equals_big_integers_bit_for_bit(seen, twins):
    unit = UNIT
    for i, history in enumerate(twins):
        told = {name: values[i, : len(history)] for name, values in seen.info.items()}
        for ours, theirs in {
            "cash": [step.cash / MONEY for step in history],
            "value": [step.value / MONEY for step in history],
            "paid": [step.paid / MONEY for step in history],
            "rule": [RULES.index(step.rule) for step in history],
            "row": [step.row for step in history],
        }.items():
            np.testing.assert_array_equal(told[ours], theirs, err_msg=f"{ours} of episode {i}")
        np.testing.assert_array_equal(told["units"][:, 0], [unit * s.position for s in history])
        np.testing.assert_array_equal(told["order"][:, 0], [unit * s.order for s in history])
        np.testing.assert_array_equal(
            seen.reward[i, : len(history)], [step.gain / MONEY for step in history]
        )
        ended = seen.truncated[i, : len(history)].tolist()
        assert ended == [step.ended for step in history]
        assert ended[-1]


def test_every_rule_speaks_at_least_50_times_and_moves_something(seen, twins):
    steps = [step for history in twins for step in history]
    spoken = Counter(step.rule for step in steps)
    assert min(spoken[rule] for rule in RULES) >= 50, spoken
    closed = Counter(step.rule for step in steps if step.order)
    assert min(closed[rule] for rule in RULES[5:]) >= 50, closed
    delays = random_settings()[0]["delay"]
    delayed = Counter(int(delays[i]) for i, h in enumerate(twins) for step in h if step.order)
    assert min(delayed[delay] for delay in range(5)) >= 50, delayed


def test_rewards_add_up_to_the_change_of_value_and_nothing_is_held_at_the_end(seen, twins):
    cash = random_settings()[0]["cash"]
    for i, history in enumerate(twins):
        steps = len(history)
        assert (
            abs(seen.reward[i, :steps].sum() - (seen.info["value"][i, steps - 1] - cash[i])) < 1e-9
        )
        assert seen.info["units"][i, steps - 1, 0] == 0
        assert seen.info["cash"][i, steps - 1] == seen.info["value"][i, steps - 1]


def test_nothing_is_held_across_a_gap(seen, twins):
    segment, first = PANEL["segment"], random_settings()[0]["first"]
    for i, history in enumerate(twins):
        rows = np.array([first[i], *(step.row for step in history)])
        leaps = np.flatnonzero(np.diff(segment[rows]))
        assert (seen.info["units"][i, leaps, 0] == 0).all()


def test_buying_never_costs_less_than_the_mid_and_selling_never_brings_more(seen, twins):
    for i, history in enumerate(twins):
        paid = seen.info["paid"][i, : len(history)]
        traded = seen.info["order"][i, : len(history), 0] != 0
        assert (paid[traded] > 0).all()
        assert (paid[~traded] == 0).all()


def test_what_the_account_cannot_carry_is_not_bought_nor_sold_short(twins):
    books = Books.of(PANEL, LEVELS, TICK, LOT)
    settings = random_settings()[0]
    for i, history in enumerate(twins):
        for step in (step for step in history if step.order):
            assert abs(step.position) <= MOST
            fill = step.row if settings["delay"][i] == settings["step_gap"][i] else None
            if fill is not None and step.rule in ("agent", "position limit"):
                held = step.position * round(UNIT / LOT) * books.mid(fill)
                grew = abs(step.position) > abs(step.position - step.order)
                assert not grew or abs(held) <= step.value


@pytest.mark.parametrize("size", [1, pytest.param(64, marks=pytest.mark.slow)])
def test_the_bits_do_not_depend_on_the_size_of_the_batch(seen, size):
    part = lived(size)
    for name, values in part.info.items():
        np.testing.assert_array_equal(values, seen.info[name][:size], err_msg=name)
    np.testing.assert_array_equal(part.reward, seen.reward[:size])


BID = np.array([[99.0, 98.0], [100.0, 99.0], [101.0, 99.0], [103.0, 102.0]])
ASK = np.array([[101.0, 102.0], [102.0, 103.0], [103.0, 104.0], [105.0, 106.0]])


def small(actions, panel=None, precision="exact", **settings):
    """One episode, from the first row, of a few steps: the answers of its steps, stacked."""
    panel = panel_of_books(BID, ASK, np.ones((4, 2)), np.ones((4, 2))) if panel is None else panel
    with jax.enable_x64(precision != "float32"):
        market = build_book(panel, precision=precision, tick=TICK, lot=LOT)
        last = market.rows - 1
        params = BookParams(
            market, 0, last, **({"length": last, "cash": 1_000.0, "taker_fee": 0.0} | settings)
        )
        env = OrderBookEnv()
        state, answer = jax.jit(env.reset)(jax.random.key(0), params)
        answers, step = [answer], jax.jit(env.step)
        for action in actions:
            state, answer = step(jax.random.key(0), state, jnp.asarray(action), params)
            answers.append(answer)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *answers)


def test_a_walk_worked_by_hand():
    # decided at row 0, filled at row 1: one unit at 102 and half a one at 103, 1 % of 153.50
    lived = small([2, 1, 1], unit=1.5, taker_fee=0.01, reward=ValueChange(1.0))
    cash = 1_000 - 102 - 51.5 - 1.535
    assert lived.info["cash"].tolist()[:3] == pytest.approx([1_000, cash, cash], abs=1e-9)
    # worth the mid of row 1, then of row 2; sold at the end: one at 103, half a one at 102
    assert lived.info["value"][1:3].tolist() == pytest.approx([cash + 151.5, cash + 153])
    assert lived.info["value"][3] == pytest.approx(cash + 154 - 1.54)
    assert lived.info["paid"].tolist() == pytest.approx([0, 2 + 1.535, 0, 2 + 1.54])
    assert [OUR_RULES[code] for code in lived.info["rule"]] == ["agent", "agent", "agent", "end"]
    assert lived.info["order"][:, 0].tolist() == [0, 1.5, 0, -1.5]
    assert lived.info["fill"].tolist() == [0, 1, 2, 3]
    assert lived.truncated.tolist() == [False, False, False, True]


def test_at_the_mid_a_slippage_and_the_maker_fee_are_paid():
    lived = small([2, 1, 1], execution="mid", slippage=0.01, maker_fee=0.001, taker_fee=0.5)
    assert lived.info["paid"][1] == pytest.approx(1.01 + 0.001 * 102.01)


def test_the_observation_is_position_age_and_profit_in_per_cent():
    lived = small([2, 1, 1], max_position=2, max_holding=4, order_size=1)
    # bought at 102, worth the mid 101 of row 1, then 102
    expected = [[0, 0, 0], [0.5, 0.25, np.tanh(-100 / 101)], [0.5, 0.5, 0], [0, 0, 0]]
    np.testing.assert_allclose(lived.obs.own, expected, atol=1e-6)


def test_float32_agrees_with_exact_money_to_its_rounding():
    actions = np.random.default_rng(0).integers(0, 3, 30)
    settings = {"unit": 1.0, "max_position": 2, "taker_fee": 1e-3, "length": 30}
    panel = random_books(3, 60)
    one, other = (small(actions, panel, precision, reward=ValueChange(1.0), **settings)
                  for precision in ("exact", "float32"))  # fmt: skip
    np.testing.assert_array_equal(one.info["rule"], other.info["rule"])
    np.testing.assert_allclose(one.reward, other.reward, atol=1e-4)
    assert np.abs(one.reward).max() > 0.1


def test_the_warm_up_of_every_segment_is_waited_out():
    panel = random_books(1, 12, segments=1)
    panel.context["segment"][6:] = 1
    table = np.ones((12, 1), np.float32)
    table[[0, 1, 6, 7, 8]] = np.nan
    market = build_book(panel, table)
    assert int(market.first) == 2
    assert decision_rows(market, 0, 11, 1, 1).tolist() == [2, 3, 4, 9, 10, 11]
    # from row 4 the position can still be closed at row 5; a decision at row 5 could not fill
    params = book_window(market, 2, 11)
    assert params.length == 5
    env = OrderBookEnv()
    state, answer = env.reset(jax.random.key(0), params)
    rows, step = [int(answer.obs.row)], jax.jit(env.step)
    while not answer.truncated:
        state, answer = step(jax.random.key(0), state, jnp.asarray(2), params)
        rows.append(int(answer.obs.row))
        assert float(env.observe(answer.obs, params)[-1]) == 1.0
    assert rows == [2, 3, 4, 9, 10, 11]


def test_the_schedule_on_the_host_is_that_of_the_environment(seen, twins):
    settings = random_settings()[0]
    market = exact_params().market
    for i in range(0, EPISODES, 7):
        first, last, gap, delay, length = (
            int(settings[name][i]) for name in ("first", "last", "step_gap", "delay", "length")
        )
        rows = decision_rows(market, first, last, gap, delay)[: length + 1]
        assert rows.tolist() == [first, *(step.row for step in twins[i])]


def contract_params(precision="float32", **settings):
    """Episodes that start anywhere and cross two gaps, on books with a table."""
    panel = random_books(2, 60, segments=3, least=2.0)
    table = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    with jax.enable_x64(precision != "float32"):
        market = build_book(panel, table, precision=precision, tick=TICK, lot=LOT)
        varied = {"length": 12, "max_position": 2, "unit": 1.0, "stop_loss": 1e-3} | settings
        return book_window(market, 0, 59, **varied)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"step_gap": 3, "delay": 2, "order_size": 4}, marks=pytest.mark.slow),
        pytest.param({"execution": "mid", "delay": 0}, marks=pytest.mark.slow),
        pytest.param({"reward": DifferentialSharpe(), "cash": 1_000.0}, marks=pytest.mark.slow),
    ],
)
def test_it_keeps_the_contract_with_other_settings(settings):
    check_env(OrderBookEnv(), contract_params(**settings))


class ShowsTheNextBook(OrderBookEnv):
    """What the check of look-ahead must catch in books."""

    def observe(self, obs, params):
        ahead = jnp.minimum(obs.row + 1, params.last)
        return jnp.append(super().observe(obs, params), params.market.bid_size[ahead, 1])


@pytest.mark.slow
def test_an_environment_that_shows_the_next_book_is_caught():
    with pytest.raises(ContractError, match="looks ahead"):
        check_env(ShowsTheNextBook(), contract_params())


def test_garbage_after_a_fill_changes_nothing_before_it():
    from steelyard.lookahead import another_future

    actions = np.random.default_rng(1).integers(0, 3, 12)
    settings = {"unit": 1.0, "max_position": 2, "step_gap": 3, "delay": 2, "length": 12}
    panel = random_books(2, 60, least=2.0)
    with jax.enable_x64(True):
        market = build_book(panel, precision="exact", tick=TICK, lot=LOT)
        params, env = BookParams(market, 0, 59, **settings), OrderBookEnv()
        reset, step = jax.jit(env.reset), jax.jit(env.step)

        def trade(params):
            state, _ = reset(jax.random.key(1), params)
            first, told = int(state.row), []
            for action in actions:
                state, answer = step(jax.random.key(0), state, jnp.asarray(action), params)
                told.append((answer.info["cash"], answer.info["order"][0], answer.info["fill"]))
            return first, np.array(told)

        first, known = trade(params)
        for decided in (3, 6, 9):
            row = first + 3 * decided + 2  # where the decision fills
            other = trade(replace(params, market=another_future(market, row)))[1]
            np.testing.assert_array_equal(other[: decided + 1], known[: decided + 1])
            assert (other[decided + 1 :] != known[decided + 1 :]).any()


# bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delay": 2}, "still open at the next decision"),
        ({"taker_fee": 1.0}, "taker_fee must lie in"),
        ({"slippage": -0.1}, "slippage must lie in"),
        ({"max_position": 0}, "max_position must be at least 1"),
        ({"max_position": 65}, "more than 64"),
        ({"step_gap": 0}, "step_gap must be at least 1"),
        ({"unit": 0.0}, "unit must be positive"),
        ({"stop_loss": 0.0}, "stop_loss must be positive"),
        ({"stop_loss": float("nan")}, "stop_loss must be positive"),
        ({"execution": "magic"}, "no execution named"),
        ({"length": 60}, "does not fit"),
        ({"thin": "ignore"}, "thin is"),
        ({"cash": 150.0}, "cannot carry 2 units of 1, which are worth up to"),
        ({"unit": 4.0}, "of 60 rows do not show 2 units of 4; what every row shows is"),
    ],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as error:
        contract_params(**settings)
    assert error.value.hint or "must" in message


def test_a_hint_of_a_thin_book_is_a_size_that_fits():
    with pytest.raises(ConfigError) as error:
        contract_params(unit=4.0)
    unit = float(error.value.hint.split("unit=")[1].split(",")[0])
    contract_params(unit=unit - 0.01)
    assert contract_params(unit=4.0, thin="skip").max_position == 2


def test_a_window_without_rows_or_decisions_is_refused():
    market = build_book(random_books(2, 10))
    with pytest.raises(MissingDataError, match="are not in a market of 10 rows"):
        book_window(market, 0, 10)
    with pytest.raises(MissingDataError, match="no decision is possible"):
        book_window(market, 8, 9, step_gap=2, delay=2)


def test_amounts_beyond_the_whole_numbers_of_float64_are_refused_with_what_to_coarsen():
    with jax.enable_x64(True):
        with pytest.raises(ConfigError, match=r"2\*\*53") as error:
            build_book(random_books(2, 10), precision="exact", lot=1e-16)
        assert "lot=" in error.value.hint
        fine = build_book(random_books(2, 10), precision="exact", tick=TICK, lot=1e-9)
        with pytest.raises(ConfigError, match=r"2\*\*53") as error:
            book_window(fine, 0, 9, cash=1e6)
        assert "coarsen" in error.value.hint


def broken(name, values):
    panel = random_books(2, 10)
    panel.fields[name][3:5] = values
    return panel


@pytest.mark.parametrize(
    ("panel", "error", "message"),
    [
        (broken("bid_1", 1e6), DataError, "row 3 is crossed"),
        (broken("ask_2", 1.0), DataError, "row 3 has unsorted levels"),
        (broken("bid_3", -1.0), DataError, "row 3 has a price that is not positive"),
        (broken("ask_size_2", -1.0), DataError, "row 3 has a negative size"),
        (broken("ask_size_1", 0.0), MissingDataError, "2 of 10 books: the one at row 3 lacks"),
        (broken("bid_1", np.nan), MissingDataError, "row 3 lacks its best level"),
    ],
)
def test_books_that_are_none_are_refused(panel, error, message):
    with pytest.raises(error, match=message) as raised:
        build_book(panel)
    assert raised.value.hint


def test_a_level_that_is_not_there_has_no_size():
    market = build_book(broken("bid_2", np.nan))
    assert market.bid_size[3:5, 1].tolist() == [0, 0]
    assert np.isfinite(market.bid).all()


def test_a_tick_wider_than_a_spread_and_a_gap_in_the_table_are_refused():
    with pytest.raises(ConfigError, match="wider than the spread"):
        build_book(random_books(2, 10), precision="exact", tick=5.0)
    table = np.zeros((10, 1), np.float32)
    table[4] = np.nan
    with pytest.raises(DataError, match="a gap at row 4"):
        build_book(random_books(2, 10), table)
    with pytest.raises(MissingDataError, match="none is left"):
        build_book(random_books(2, 10), np.full((10, 1), np.nan, np.float32))
    with pytest.raises(ConfigError, match="4 levels of 3"):
        build_book(random_books(2, 10), levels=4)
