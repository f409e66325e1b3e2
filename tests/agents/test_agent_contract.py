"""`check_agent` passes the agents of the house and catches everything that is planted here."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_learners import TRIED, learners, small
from stock_windows import ENV, eventful

from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.classic import Random
from steelyard.agents.distributions import Deterministic
from steelyard.errors import ContractError


class Leak(eqx.Module):
    """An agent that prepares or acts on one number from the future."""

    where: str = eqx.field(static=True)
    learns: ClassVar[bool] = False

    def train(self, key, env, params):
        held = params.market
        series = {
            "next mark": jnp.roll(held.mark, -1, axis=0),
            "mean of the window": held.mark / held.mark.mean(axis=0),
            "next open": held.ask,
            "next halt": held.tradable.astype(float),
            "next table": jnp.roll(held.table, -1, axis=0)[:, :1] * jnp.ones(held.mark.shape),
            "next gauge": jnp.roll(held.gauges["vix"], -1)[:, None] * jnp.ones(held.mark.shape),
        }
        return LeakPolicy(series[self.where]), {}


class LeakPolicy(eqx.Module):
    series: jax.Array

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        raise NotImplementedError

    def bind(self, env, params):
        return lambda obs, carry: (Deterministic(jnp.tanh(self.series[obs.row] / 100)), carry)


class LeakWhileActing(Leak):
    """Reads the next open from the market that it trades in."""

    learns: ClassVar[bool] = True

    def train(self, key, env, params):
        return LeakingPolicy(), {}


class LeakingPolicy(eqx.Module):
    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        raise NotImplementedError

    def bind(self, env, params):
        market = params.market
        return lambda obs, carry: (Deterministic(jnp.tanh(market.ask[obs.row] / 100)), carry)


@pytest.mark.parametrize(
    "where",
    ["next mark", "mean of the window", "next open", "next halt", "next table", "next gauge"],
)
def test_the_check_catches_a_planted_leak(where):
    with pytest.raises(ContractError, match="looks ahead"):
        check_agent(Leak(where), ENV, eventful("float32"), steps=40)


def test_the_check_catches_a_leak_in_an_agent_that_learns():
    with pytest.raises(ContractError, match="looks ahead"):
        check_agent(LeakWhileActing("next open"), ENV, eventful("float32"), steps=40)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "ppo" else pytest.mark.slow) for name in learners()],
)
def test_a_learner_of_the_house_passes(name):
    check_agent(small(name, TRIED), ENV, eventful(), steps=16)


def test_an_agent_for_choices_passes_where_there_is_no_market():
    check_agent(Random(), Probe(length=3), MATCH)


def test_a_choice_that_does_not_exist_is_caught():
    with pytest.raises(ContractError, match=r"chooses 2\.\.2 of 2"):
        check_agent(Planted(sure(jnp.asarray(2))), Probe(length=3), MATCH)


class Free(eqx.Module):
    """A policy made of whatever a test plants."""

    answer: Callable = eqx.field(static=True)
    carry: Callable = eqx.field(static=True, default=lambda: None)

    def initial_carry(self):
        return self.carry()

    def __call__(self, vector, carry):
        return self.answer(carry)


class Planted:
    def __init__(self, policy, log=None):
        self.policy, self.log = policy, {} if log is None else log

    def train(self, key, env, params):
        return self.policy() if self.log == "missing" else (self.policy(), self.log)


class Mute(NamedTuple):
    """A distribution that cannot say how likely an action is."""

    action: jax.Array

    def sample(self, key):
        return self.action

    mode = kl = entropy = lambda self: self.action


def sure(action):
    return lambda: Free(lambda carry: (Deterministic(action), carry))


HALF = jnp.full(24, 0.5)
UNSEEDED = np.random.default_rng(0)

FAULTS = {
    "has no method train": object(),
    "not a policy and a log": Planted(sure(HALF), "missing"),
    "no initial_carry": Planted(lambda: jnp.tanh),
    "without log_prob": Planted(lambda: Free(lambda carry: (Mute(HALF), carry))),
    "memory changes": Planted(
        lambda: Free(lambda carry: (Deterministic(HALF), carry + 0.5), lambda: jnp.zeros((), int))
    ),
    "actions of shape": Planted(sure(jnp.zeros(23))),
    "not a number": Planted(sure(HALF * jnp.nan)),
    "same key again": Planted(lambda: sure(HALF * UNSEEDED.random())()),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_planted_fault_is_caught(message):
    with pytest.raises(ContractError, match=message) as error:
        check_agent(FAULTS[message], ENV, eventful(), steps=8)
    assert error.value.hint
