"""`check_agent` passes the agents of the house and catches everything that is planted here."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_learners import TRIED, learners, small
from stock_windows import BOOK, ENV, books, eventful

from house_code import of_the_house
from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.classic import BuyAndHold, Random, prices
from steelyard.agents.distributions import Deterministic
from steelyard.agents.ensemble import EnsemblePolicy
from steelyard.envs.spans import SpanEnv, SpanParams
from steelyard.errors import ContractError

HALF = jnp.full(24, 0.5)


# fast paths of the house that look ahead


@of_the_house
class Leak(eqx.Module):
    """An agent that is prepared on one number from the future."""

    where: str = eqx.field(static=True)
    learns: ClassVar[bool] = False

    def prepare(self, key, env, params):
        held = params.market
        series = {
            "next mark": jnp.roll(held.mark, -1, axis=0),
            "mean of the window": held.mark / held.mark.mean(axis=0),
            "next open": held.ask,
            "next halt": held.tradable.astype(float),
            "next table": jnp.roll(held.table, -1, axis=0)[:, :1] * jnp.ones(held.mark.shape),
            "next gauge": jnp.roll(held.gauges["vix"], -1)[:, None] * jnp.ones(held.mark.shape),
        }
        return Series(series[self.where]), {}

    train = prepare


@of_the_house
class Series(eqx.Module):
    """Row by row what was prepared, as a box or as a choice."""

    series: jax.Array

    def initial_carry(self):
        return None

    def bind(self, env, params):
        choices = env.action_space(params).choices

        def act(obs, carry):
            seen = self.series[obs.row]
            pushed = (seen > 0).astype(jnp.int32) * (choices - 1)
            return Deterministic(pushed if choices else jnp.tanh(seen / 100)), carry

        return act


@pytest.mark.parametrize(
    "where",
    ["next mark", "mean of the window", "next open", "next halt", "next table", "next gauge"],
)
def test_the_check_catches_a_fast_path_that_leaks(where):
    with pytest.raises(ContractError, match="looks ahead"):
        check_agent(Leak(where), ENV, eventful("float32"), steps=40)


@of_the_house
class BookLeak(eqx.Module):
    """Buys before the mid rises, however it came to know of that."""

    acting: bool = eqx.field(static=True)
    learns: ClassVar[bool] = False

    def prepare(self, key, env, params):
        return (BookReader() if self.acting else Series(ahead(params.market))), {}

    train = prepare


@of_the_house
class BookReader(Series):
    """Reads the next mids from the market that it trades in."""

    series: None = None

    def bind(self, env, params):
        return Series(ahead(params.market)).bind(env, params)


def ahead(market):
    return jnp.roll(market.mark, -2) - market.mark


@pytest.mark.parametrize("acting", [False, True])
def test_the_check_catches_a_leak_in_an_order_book(acting):
    with pytest.raises(ContractError, match="looks ahead"):
        check_agent(BookLeak(acting), BOOK, books(), steps=40)


def test_the_check_catches_a_leak_through_settings_that_wrap_others():
    params = eventful("float32")
    wrapped = SpanParams(params, jnp.asarray([[70, 117]], jnp.int32))
    with pytest.raises(ContractError, match="looks ahead"):
        check_agent(BookLeak(True), SpanEnv(BOOK), SpanParams(books(), jnp.asarray([[5, 60]])))
    check_agent(Random(), SpanEnv(ENV), wrapped, steps=20)


@pytest.mark.parametrize("agent", [BuyAndHold(), Random()])
def test_agents_of_the_house_pass_in_an_order_book(agent):
    check_agent(agent, BOOK, books(), steps=40)


# what is refused before it can look


class Own(Series):
    """Somebody's own policy that wants the whole market."""


class Prepared:
    """An agent that answers with whatever policy a test plants."""

    learns = False

    def __init__(self, make):
        self.make = make

    def train(self, key, env, params):
        return self.make(params), {}


class Hidden:
    """A wrapper of somebody's own that would only be bound by one of the house."""

    def __init__(self):
        self.bind = lambda env, params: None


class Holder:
    """A policy of somebody's own without a bind, that holds something else."""

    def __init__(self, held):
        self.held = {"one": [held]}

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return Deterministic(HALF), carry


class Network:
    """Has a bind that means something else, as networks of other libraries have."""

    def bind(self, variables):
        raise NotImplementedError


Network.bind.__module__ = "flax.linen.module"


@pytest.mark.parametrize(
    "make",
    [
        lambda params: Own(params.market.mark),
        lambda params: EnsemblePolicy(({"one": Own(params.market.mark)},), jnp.ones(1)),
        lambda params: EnsemblePolicy((Hidden(),), jnp.ones(1)),
        lambda params: EnsemblePolicy((Network(),), jnp.ones(1)),
        lambda params: Holder(Own(params.market.mark)),
    ],
    ids=["alone", "in one of the house", "on the object", "of a library", "in one of its own"],
)
def test_a_bind_of_somebodys_own_is_refused_and_the_view_of_the_past_named(make):
    with pytest.raises(ContractError, match=r"has bind, .* steelyard\.past\.Past") as error:
        check_agent(Prepared(make), ENV, eventful(), steps=8)
    assert "def decide(self, past)" in error.value.hint
    assert "\n" not in error.value.message


def test_a_bind_of_another_library_that_nobody_asks_for_is_no_matter():
    check_agent(Prepared(lambda params: Holder(Network())), ENV, eventful(), steps=8)


def test_prices_of_a_whole_window_are_refused_and_the_view_of_the_past_named():
    with pytest.raises(ContractError, match=r"decide\(past\), see steelyard\.past\.Past") as error:
        prices(ENV, eventful())
    assert "\n" not in error.value.message


class Remembers(eqx.Module):
    """Acts on a number that was read in training."""

    held: jax.Array

    def initial_carry(self):
        return jnp.zeros((), jnp.int32)

    def __call__(self, vector, age):
        return Deterministic(jnp.tanh(self.held[age] / 100)), age + 1


def test_an_agent_that_does_not_learn_is_trained_on_a_market_that_ends_before_it_decides():
    seen = []

    def make(params):
        seen.append((params.market.rows, int(params.last)))
        return Remembers(params.market.mark[-40:])

    check_agent(Prepared(make), ENV, eventful(), steps=16)
    assert set(seen) == {(94, 93)}  # the window is 70..117
    seen.clear()
    check_agent(Prepared(lambda params: make(params) and Buys()), BOOK, books(), steps=16)
    assert set(seen) == {(38, 37)}  # and 5..70


class Buys(eqx.Module):
    """The last choice, always."""

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return Deterministic(jnp.asarray(2, jnp.int32)), carry


# agents that learn


class Lesson(NamedTuple):
    policy: Any


class Pupil(eqx.Module):
    """Learns one number of the market at once."""

    read: Callable = eqx.field(static=True)
    updates: int = eqx.field(static=True, default=2)

    def init(self, key, env, params):
        return Lesson(Push(jnp.asarray(self.read(params), jnp.float32)))

    def advance(self, state, env, params):
        return state, {"loss": jnp.zeros(())}


class Push(eqx.Module):
    """The same action for all assets."""

    size: jax.Array

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return Deterministic(jnp.full(24, jnp.tanh(self.size / 100))), carry


KNOWN = {
    "its last row": lambda params: params.market.mark[params.last, 0],
    "rows up to its last": lambda params: params.market.mark[: params.last + 1, 0].std(),
}
UNKNOWN = {
    "the last row of the market": lambda params: params.market.mark[-1, 0],
    "a scale of all rows": lambda params: params.market.table[:, 0].std(),
    "a fill behind the last row": lambda params: params.market.ask[params.last, 0],
}


@pytest.mark.parametrize("what", KNOWN)
def test_an_agent_may_learn_from_rows_up_to_its_last(what):
    check_agent(Pupil(KNOWN[what]), ENV, eventful(last=100), steps=8)


@pytest.mark.parametrize("what", UNKNOWN)
def test_the_check_catches_an_agent_that_learns_from_rows_behind_its_last(what):
    with pytest.raises(ContractError, match=r"looks ahead: what it learns .* row 100") as error:
        check_agent(Pupil(UNKNOWN[what]), ENV, eventful(last=100), steps=8)
    assert "params.last" in error.value.hint


class Hoard(Pupil):
    """Keeps the whole market, and acts on nothing of it for as long as it is checked."""

    def init(self, key, env, params):
        kept = jnp.concatenate([jnp.zeros((40, 24)), params.market.mark[101:]])
        return Lesson(Remembers(kept.astype(jnp.float32)))


def test_the_check_catches_what_a_policy_holds_though_no_action_shows_it():
    with pytest.raises(ContractError, match="looks ahead: what it learns"):
        check_agent(Hoard(KNOWN["its last row"]), ENV, eventful(last=100), steps=8)


@of_the_house
class Reader(eqx.Module):
    """Reads the next open from the market that it trades in."""

    def initial_carry(self):
        return None

    def bind(self, env, params):
        market = params.market
        return lambda obs, carry: (Deterministic(jnp.tanh(market.ask[obs.row] / 100)), carry)


class LeaksWhileActing(Pupil):
    def init(self, key, env, params):
        return Lesson(Reader())


def test_the_check_catches_a_leak_in_an_agent_that_learns():
    with pytest.raises(ContractError, match="looks ahead: its action"):
        check_agent(LeaksWhileActing(lambda params: 0), ENV, eventful("float32"), steps=40)


@pytest.mark.parametrize("part", ["init", "advance", "updates"])
def test_an_agent_that_learns_without_what_a_run_needs_is_refused_with_the_line(part):
    class Partial:
        pass

    lines = {"init": lambda *_: None, "advance": lambda *_: None, "updates": 1}
    for name, value in lines.items():
        if name != part:
            setattr(Partial, name, value)
    with pytest.raises(ContractError, match=f"learns and has no {part}") as error:
        check_agent(Partial(), ENV, eventful(), steps=8)
    assert part in error.value.hint


class Forgets(Pupil):
    def advance(self, state, env, params):
        return state


class NoPolicy(Pupil):
    def init(self, key, env, params):
        return (jnp.zeros(()),)


class Outside(Pupil):
    def init(self, key, env, params):
        return Lesson(Push(jnp.asarray(float(params.market.mark[0, 0]))))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgets, "advance returned Lesson, not a state and a log"),
        (NoPolicy, "learns in a tuple without a policy"),
        (Outside, r"`Outside` in training: raised ConcretizationTypeError"),
    ],
)
def test_what_would_end_a_run_in_a_traceback_is_one_line_of_the_check(kind, message):
    with pytest.raises(ContractError, match=message):
        check_agent(kind(KNOWN["its last row"]), ENV, eventful(), steps=8)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "ppo" else pytest.mark.slow) for name in learners()],
)
def test_a_learner_of_the_house_passes(name):
    check_agent(small(name, TRIED), ENV, eventful(last=110), steps=16)


# policies that read vectors


def test_an_agent_for_choices_passes_where_there_is_no_market():
    check_agent(Random(), Probe(length=3), MATCH)


def test_a_policy_outside_of_jax_is_asked_step_by_step():
    class Plain:
        def initial_carry(self):
            return []

        def __call__(self, vector, carry):
            return Deterministic(np.sign(np.asarray(vector[:24]))), [*carry, float(vector[0])]

    check_agent(Prepared(lambda params: Plain()), ENV, eventful(), steps=12)


def test_a_choice_that_does_not_exist_is_caught():
    with pytest.raises(ContractError, match=r"chooses 2\.\.2 of 2"):
        check_agent(Prepared(sure(jnp.asarray(2))), Probe(length=3), MATCH)


class Free(eqx.Module):
    """A policy made of whatever a test plants."""

    answer: Callable = eqx.field(static=True)
    carry: Callable = eqx.field(static=True, default=lambda: None)

    def initial_carry(self):
        return self.carry()

    def __call__(self, vector, carry):
        return self.answer(carry)


class Mute(NamedTuple):
    """A distribution that cannot say how likely an action is."""

    action: jax.Array

    def sample(self, key):
        return self.action

    mode = kl = entropy = lambda self: self.action


def sure(action):
    return lambda params: Free(lambda carry: (Deterministic(action), carry))


class NoPair(Prepared):
    def train(self, key, env, params):
        return self.make(params)


class Neither:
    learns = False


UNSEEDED = np.random.default_rng(0)

FAULTS = {
    "has neither train nor decide": Neither(),
    "learns and has no init": object(),
    "not a policy and a log": NoPair(sure(HALF)),
    "no initial_carry": Prepared(lambda params: jnp.tanh),
    "without log_prob": Prepared(lambda params: Free(lambda carry: (Mute(HALF), carry))),
    "memory changes": Prepared(
        lambda params: Free(
            lambda carry: (Deterministic(HALF), carry + 0.5), lambda: jnp.zeros((), int)
        )
    ),
    "actions of shape": Prepared(sure(jnp.zeros(23))),
    "not finite": Prepared(sure(HALF * jnp.nan)),
    "same key again": Prepared(lambda params: sure(HALF * UNSEEDED.random())(params)),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_planted_fault_is_caught(message):
    with pytest.raises(ContractError, match=message) as error:
        check_agent(FAULTS[message], ENV, eventful(), steps=8)
    assert error.value.hint


def test_what_a_policy_raises_names_the_agent_and_the_step():
    def raises(carry):
        raise ZeroDivisionError("nothing to divide by")

    with pytest.raises(
        ContractError, match=r"`Prepared` at step 0: raised ZeroDivisionError: nothing"
    ):
        check_agent(Prepared(lambda params: Free(raises)), ENV, eventful(), steps=8)
