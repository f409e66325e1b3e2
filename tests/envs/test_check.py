"""`check_env` passes the environments of the house and catches everything that is planted here."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from book_markets import random_books
from markets import random_panel
from probes import MATCH, Corridor, Probe
from steelyard.book import build_book
from steelyard.envs.check import check_env
from steelyard.envs.constraints import Limits
from steelyard.envs.orderbook import book_window
from steelyard.envs.rewards import DifferentialSharpe, RiskPenalised
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ContractError
from steelyard.market import build_market
from steelyard.registry import members
from steelyard.rollout import TimeStep
from steelyard.types import Space


def stock_params(precision="float32", **settings):
    """Episodes of up to 20 steps that start anywhere in 40 rows; one asset is listed late."""
    held = random_panel(0, 40, 3)
    for field in held.fields.values():
        field[:12, 1] = np.nan
    random = np.random.default_rng(1)
    market = build_market(
        held,
        random.normal(size=(40, 4)).astype(np.float32),
        {"vix": random.uniform(10, 40, 40)},
        precision=precision,
    )
    return StockParams(market, first=2, last=39, **{"length": 20, **settings})


def book_params(precision="float32"):
    """Episodes of up to 12 decisions that start anywhere in 60 books and cross gaps."""
    books = random_books(2, 60, segments=3, least=2.0)
    table = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    market = build_book(books, table, precision=precision, lot=1e-3)
    return book_window(market, 0, 59, length=12, max_position=2, stop_loss=1e-3)


EXAMPLES = {"stock": stock_params, "orderbook": book_params}
"""Env -> params to check it with."""


CONTRACTS = [
    pytest.param(name, precision, marks=pytest.mark.slow if name in late else ())
    for name in members("envs")
    for precision, late in (("exact", ()), ("float32", ("orderbook",)))
]
"""Both kinds of money; what compiles long is checked on one of them in the fast suite."""


@pytest.mark.parametrize(("name", "precision"), CONTRACTS)
def test_every_environment_of_the_house_keeps_the_contract(name, precision):
    check_env(members("envs")[name].value(), EXAMPLES[name](precision))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"reward": DifferentialSharpe()},
        {"reward": RiskPenalised()},
        {"limits": Limits(gates={"vix": 30.0}, max_weight=0.4)},
        {"cost": 0.01, "max_shares": 5000.0},
    ],
)
def test_the_stock_environment_keeps_it_with_other_settings(settings):
    check_env(StockEnv(), stock_params(**settings))


def test_the_published_observation_keeps_it():
    check_env(StockEnv(published=True), stock_params())


@pytest.mark.parametrize("env", [Probe(length=3), Probe(discrete=False), Corridor()])
def test_environments_without_a_market_are_checked_as_well(env):
    check_env(env, MATCH)


class Held(NamedTuple):
    units: jax.Array
    cash: jax.Array
    row: jax.Array


class Holding(eqx.Module):
    """A market in a few lines, which compiles in no time: holds what the last action says."""

    def reset(self, key, params):
        units, row = jnp.zeros(params.market.assets), jnp.asarray(params.first, jnp.int32)
        return self._answer(Held(units, jnp.asarray(params.cash, jnp.float32), row), 0.0, params)

    def step(self, key, state, action, params):
        market, row = params.market, state.row
        before = state.cash + state.units @ market.mark[row]
        units = jnp.where(market.tradable[row], action, state.units)
        after = Held(units, state.cash - (units - state.units) @ market.ask[row], row + 1)
        return self._answer(after, after.cash + units @ market.mark[row + 1] - before, params)

    def _answer(self, state, gain, params):
        reward = jnp.asarray(gain * params.reward.scale, jnp.float32)
        truncated = state.row >= params.first + params.length
        value = state.cash + state.units @ params.market.mark[state.row]
        return state, TimeStep(state, reward, jnp.asarray(False), truncated, {"value": value})

    def observe(self, obs, params):
        return jnp.concatenate([obs.units, params.market.mark[obs.row]])

    def action_space(self, params):
        return Space(shape=(params.market.assets,))


def test_the_market_that_faults_are_planted_in_is_right():
    check_env(Holding(), stock_params())


# planted faults: each class breaks one thing


class NotATimeStep(Holding):
    def reset(self, key, params):
        state, step = super().reset(key, params)
        return state, step.obs, step.info


class NoSpace(Holding):
    def action_space(self, params):
        return (3,)


class StateChangesType(Holding):
    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state._replace(row=state.row.astype(jnp.float32)), step


class ObservationChangesShape(Corridor):
    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state, step._replace(obs=jnp.zeros(2))


class InfoLosesAKey(Holding):
    def reset(self, key, params):
        state, step = super().reset(key, params)
        return state, step._replace(info={})


class RewardPerAsset(Holding):
    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state, step._replace(reward=step.reward * jnp.ones(3))


class TerminatedIsANumber(Corridor):
    def _answer(self, state):
        return super()._answer(state)._replace(terminated=jnp.zeros(()))


class ObservesAMatrix(Holding):
    def observe(self, obs, params):
        return super().observe(obs, params)[None]


class EndsAtOnce(Corridor):
    length: int = eqx.field(static=True, default=0)


class DividesByZero(Holding):
    def observe(self, obs, params):
        return super().observe(obs, params) / obs.units[0]


class RewardIsNotANumber(Holding):
    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state, step._replace(reward=jnp.log(step.reward))


class TracedTwice(Corridor):
    """A Python number in the state of `reset`, an array in that of `step`."""

    def reset(self, key, params):
        state, step = super().reset(key, params)
        return (state, 0.0), step

    def step(self, key, state, action, params):
        after, step = super().step(key, state[0], action, params)
        return (after, state[1] + jnp.ones((), jnp.float32)), step


class GlobalRandomness(Corridor):
    def _answer(self, state):
        return super()._answer(state)._replace(reward=jnp.asarray(RANDOM.normal()))


RANDOM = np.random.default_rng(0)


@jax.custom_batching.custom_vmap
def alone(values):
    return values


@alone.def_vmap
def _(size, batched, values):
    return jnp.broadcast_to(values.mean(), values.shape), batched[0]


class LooksAtTheBatch(Probe):
    """Right for one environment, the mean over all for many."""

    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state, step._replace(reward=alone(step.reward))


class CountsAGainTwice(Holding):
    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state, step._replace(reward=step.reward + jnp.maximum(step.reward, 0))


class ShowsTheNextClose(Holding):
    def observe(self, obs, params):
        return jnp.append(super().observe(obs, params), params.market.mark[obs.row + 1])


class ShowsTheNextOpen(Holding):
    def observe(self, obs, params):
        return jnp.append(super().observe(obs, params), params.market.ask[obs.row])


class ScalesByTheWholeTable(Holding):
    def observe(self, obs, params):
        table = params.market.table
        return jnp.append(super().observe(obs, params), table[obs.row] / table.std(axis=0))


class RewardsTomorrow(Holding):
    """The gain of the day after, as a label would be; only its observations are causal."""

    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        gain = state.units @ params.market.mark[state.row + 1]
        return state, step._replace(reward=gain, info={})

    def reset(self, key, params):
        state, step = super().reset(key, params)
        return state, step._replace(info={})


FAULTS = {
    NotATimeStep: "not a state and a TimeStep",
    NoSpace: "not a Space",
    StateChangesType: "its state is",
    ObservationChangesShape: "its observation is",
    InfoLosesAKey: "its info is",
    RewardPerAsset: "reward is float32 of shape",
    TerminatedIsANumber: "terminated is float32",
    ObservesAMatrix: "not a float vector",
    EndsAtOnce: "has ended with its reset",
    DividesByZero: "observation is not finite",
    RewardIsNotANumber: "reward is not finite",
    TracedTwice: "traced 2 times",
    GlobalRandomness: "give another episode",
    LooksAtTheBatch: "differs from each alone",
    CountsAGainTwice: "rewards add up to",
    ShowsTheNextClose: "looks ahead",
    ShowsTheNextOpen: "looks ahead",
    ScalesByTheWholeTable: "looks ahead",
    RewardsTomorrow: "looks ahead",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault):
    params = stock_params() if issubclass(fault, Holding) else MATCH
    with pytest.raises(ContractError, match=FAULTS[fault]) as error:
        check_env(fault(), params)
    assert error.value.hint


def test_a_reward_on_another_scale_than_the_one_stated_is_caught():
    check_env(Holding(), stock_params(), reward_scale=1e-4)
    with pytest.raises(ContractError, match="rewards add up to"):
        check_env(Holding(), stock_params(), reward_scale=1e-3)


def test_an_unknown_choice_of_space_is_no_surprise():
    """A box with other bounds is played inside them."""

    class Wide(Corridor):
        def action_space(self, params):
            return Space(shape=(1,), low=0.0, high=5.0)

        def step(self, key, state, action, params):
            inside = (action[0] >= 0) & (action[0] <= 5)
            after, step = super().step(key, state, action, params)
            return after, step._replace(reward=jnp.where(inside, 1.0, jnp.nan))

    check_env(Wide(), {})
