"""Learners, and a policy with bind, that try to know more than they may."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.distributions import Deterministic

SEEN = {}


class Rule:
    learns = False


class Bound(Rule):
    """A policy with bind, which is given the whole market."""

    def train(self, key, env, params):
        return BoundPolicy(), {}


class BoundPolicy(eqx.Module):
    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        raise NotImplementedError

    def bind(self, env, params):
        mark = params.market.mark
        return lambda obs, carry: (
            Deterministic(jnp.sign(mark[obs.row + 1] - mark[obs.row])),
            carry,
        )


class State(eqx.Module):
    policy: eqx.Module


class Lean(eqx.Module):
    """Leans in one direction, whatever it sees."""

    lean: jax.Array

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return Deterministic(jnp.tanh(self.lean)), carry


class Reader(eqx.Module):
    """Learns nothing but one number for each asset, from somewhere in the market."""

    updates: int = eqx.field(static=True, default=2)

    def read(self, env, params):
        return params.market.mark[-1] / params.market.mark[0]

    def init(self, key, env, params):
        lean = self.read(env, params).astype(jnp.float32)
        return State(Lean(jnp.log(jnp.maximum(lean, 1e-3)) * jnp.ones(params.market.mark.shape[1])))

    def advance(self, state, env, params, peers=None):
        return state, {"lean": jnp.sum(state.policy.lean)}


class TrainingPrices(Reader):
    """Reads the last prices of the training market."""


class LastRow(Reader):
    """Reads the row behind the last one that it may learn from."""

    def read(self, env, params):
        return params.market.mark[jnp.minimum(params.last + 1, params.market.mark.shape[0] - 1)]


class NextOpen(Reader):
    """Reads the price at which an order of the last row would fill."""

    def read(self, env, params):
        return params.market.ask[-1] + 1e-3


class Scale(Reader):
    """Reads the mean of all observations."""

    def read(self, env, params):
        return jnp.exp(jnp.mean(params.market.table)) * jnp.ones(params.market.mark.shape[1])


class Calendar(Reader):
    """Counts the rows behind training."""

    def read(self, env, params):
        return (1.0 + params.market.mark.shape[0] - params.last) * jnp.ones(
            params.market.mark.shape[1]
        )


class ByShape(Reader):
    """Knows a test window by the number of rows of the market."""

    def read(self, env, params):
        known = {900: 7.0, 901: 9.0}
        return known.get(params.market.mark.shape[0], 1.5) * jnp.ones(params.market.mark.shape[1])


class FromTraining(Reader):
    """Keeps the training market in a global, to be read while acting."""

    def init(self, key, env, params):
        SEEN["market"] = params.market
        return super().init(key, env, params)


class WithoutInit:
    """Learns, but has nothing that a run needs."""

    def train(self, key, env, params):
        return Lean(jnp.zeros(params.market.mark.shape[1])), {}


class Chooses(Lean):
    """The same choice always, by the sign of what was read."""

    def __call__(self, vector, carry):
        return Deterministic(1 + jnp.sign(self.lean[0]).astype(jnp.int32)), carry


class LastMid(Reader):
    """Reads the last mid of a book."""

    def init(self, key, env, params):
        mark = params.market.mark
        return State(Chooses((mark[-1] / mark[0] - 1)[None].astype(jnp.float32)))


class ByChance(Reader):
    """Draws a number without a seed as it learns."""

    def read(self, env, params):
        drawn = np.random.default_rng().uniform(1, 2, params.market.mark.shape[1])
        return jnp.asarray(drawn, jnp.float32)
