"""Honest agents that compute with JAX."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.distributions import Deterministic


class Rule:
    learns = False


class Seeded(Rule):
    """Draws from the key that it is given."""

    draws = True

    def train(self, key, env, params):
        return Drawing(int(jax.random.randint(key, (), 0, 1_000_000))), {}


class Drawing:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def decide(self, past):
        return self.random.uniform(-0.1, 0.1, past.actions.shape)


class NumpyPolicy:
    """Computes in NumPy, outside of JAX."""

    def initial_carry(self):
        return 0

    def __call__(self, vector, carry):
        values = np.asarray(vector)[2 : 2 + self.count]
        return Deterministic(jnp.asarray(np.clip(0.05 - values, -0.1, 0.1))), carry + 1


class OutsideOfJax(Rule):
    """Answers with a policy that computes in NumPy."""

    def train(self, key, env, params):
        policy = NumpyPolicy()
        policy.count = env.action_space(params).shape[0]
        return policy, {}


class State(eqx.Module):
    policy: eqx.Module
    key: jax.Array


class Linear(eqx.Module):
    weights: jax.Array
    mean: jax.Array

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        seen = vector[-len(self.mean) :] - self.mean
        return Deterministic(0.1 * jnp.tanh(self.weights @ seen)), carry


class Scaled(eqx.Module):
    """Learns a scale from its training rows, and weights by chance."""

    updates: int = eqx.field(static=True, default=3)

    def init(self, key, env, params):
        mean = jnp.mean(params.market.table, axis=0)
        shape = (params.market.mark.shape[1], mean.shape[0])
        return State(Linear(0.1 * jax.random.normal(key, shape), mean), key)

    def advance(self, state, env, params, peers=None):
        key, use = jax.random.split(state.key)
        noise = 0.01 * jax.random.normal(use, state.policy.weights.shape)
        policy = eqx.tree_at(lambda one: one.weights, state.policy, state.policy.weights + noise)
        return State(policy, key), {"size": jnp.mean(jnp.square(policy.weights))}


class Forgetful(eqx.Module):
    inner: Linear
    drop: eqx.nn.Dropout

    def initial_carry(self):
        return jnp.zeros((), jnp.int32)

    def __call__(self, vector, carry):
        key = jax.random.fold_in(jax.random.key(1), carry)
        dropped = self.drop(vector, key=key)
        distribution, _ = self.inner(dropped, None)
        return distribution, carry + 1


class Dropout(Scaled):
    """Drops what it sees by chance, from a seed."""

    def init(self, key, env, params):
        state = super().init(key, env, params)
        return State(Forgetful(state.policy, eqx.nn.Dropout(0.3)), key)

    def advance(self, state, env, params, peers=None):
        return state, {"one": jnp.ones(())}


class Remembering(eqx.Module):
    inner: Linear

    def initial_carry(self):
        return jnp.zeros_like(self.inner.mean)

    def __call__(self, vector, carry):
        seen = vector[-len(self.inner.mean) :]
        memory = 0.9 * carry + 0.1 * seen
        return Deterministic(0.1 * jnp.tanh(self.inner.weights @ memory)), memory


class Memory(Scaled):
    """Remembers what it saw."""

    def init(self, key, env, params):
        return State(Remembering(super().init(key, env, params).policy), key)

    def advance(self, state, env, params, peers=None):
        return state, {"one": jnp.ones(())}
