"""A box of actions as a few fixed ones, so that a learner of choices acts in any market."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.distributions import Categorical, Normal
from steelyard.agents.networks import shares_table
from steelyard.errors import ConfigError
from steelyard.rollout import Act, Carry, Env, Obs, Params, State, TimeStep, bind
from steelyard.types import Space

WIDTH = 1e-3
"""Least spread of the normal distribution near a choice from a menu."""


class MenuChoice(eqx.Module):
    """A distribution over the rows of a menu, whose actions lie in the box.

    Attributes:
        logits: (C,) unnormalised log probabilities of the rows.
        actions: (C, A) the menu.
    """

    logits: Float[Array, " C"]
    actions: Float[Array, "C A"]

    def choice(self) -> Categorical:
        """The same distribution over the numbers of the rows."""
        return Categorical(self.logits)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " A"]:
        """A random row."""
        return self.actions[self.choice().sample(key)]

    def mode(self) -> Float[Array, " A"]:
        """The most likely row; the first of equals."""
        return self.actions[self.choice().mode()]

    def log_prob(self, action: Float[Array, " A"]) -> Float[Array, ""]:
        """Log probability of the row nearest to `action`."""
        distance = jnp.sum((self.actions - action) ** 2, axis=-1)
        return self.choice().log_prob(jnp.argmin(distance))

    def entropy(self) -> Float[Array, ""]:
        """Entropy of the choice in nats."""
        return self.choice().entropy()

    def kl(self, other: MenuChoice) -> Float[Array, ""]:
        """KL(self || other) in nats, of choices from the same menu."""
        return self.choice().kl(other.choice())

    def normal(self) -> Normal:
        """The normal distribution with the same means and variances, but at least `WIDTH` wide."""
        chance = jax.nn.softmax(self.logits)
        mean = chance @ self.actions
        variance = chance @ (self.actions - mean) ** 2
        return Normal(mean, 0.5 * jnp.log(variance + WIDTH**2))


class MenuPolicy(eqx.Module):
    """A policy of choices that answers with box actions.

    Attributes:
        policy: answers with a `Categorical` over the rows of the menu.
        actions: (C, A) the menu.
    """

    policy: Any
    actions: Float[Array, "C A"]

    def initial_carry(self) -> Carry:
        """That of the policy of choices."""
        return self.policy.initial_carry()

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[MenuChoice, Carry]:
        """The distribution at one observation vector."""
        choice, carry = self.policy(vector, carry)
        return self._answer(choice), carry

    def values(self, vector: Float[Array, " D"]) -> Float[Array, " C"]:
        """Value of each row of the menu, where the policy of choices has values."""
        values: Float[Array, " C"] = self.policy.values(vector)
        return values

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations."""
        act = bind(self.policy, env, params)

        def answer(obs: Obs, carry: Carry) -> tuple[MenuChoice, Carry]:
            choice, carry = act(obs, carry)
            return self._answer(choice), carry

        return answer

    def _answer(self, choice: Categorical) -> MenuChoice:
        return MenuChoice(choice.logits, jax.lax.stop_gradient(self.actions))


class MenuEnv(eqx.Module):
    """An environment with a box, as one with a choice from a menu.

    Attributes:
        env: with a box of A components.
        actions: (C, A) the menu.
    """

    env: Any
    actions: Float[Array, "C A"]

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[State, TimeStep]:
        """As the environment."""
        answer: tuple[State, TimeStep] = self.env.reset(key, params)
        return answer

    def step(
        self, key: PRNGKeyArray, state: State, action: Int[Array, ""], params: Params
    ) -> tuple[State, TimeStep]:
        """Take the row with that number."""
        answer: tuple[State, TimeStep] = self.env.step(key, state, self.actions[action], params)
        return answer

    def observe(self, obs: Obs, params: Params) -> Float[Array, " D"]:
        """As the environment."""
        vector: Float[Array, " D"] = self.env.observe(obs, params)
        return vector

    def action_space(self, params: Params) -> Space:
        """The rows of the menu."""
        del params
        return Space(choices=self.actions.shape[0])


class SharedMenuEnv(MenuEnv):
    """A `MenuEnv` of an environment that shares a table."""

    def own(self, obs: Obs, params: Params) -> Float[Array, " O"]:
        """As the environment."""
        own: Float[Array, " O"] = self.env.own(obs, params)
        return own

    def table(self, params: Params) -> Float[Array, "T D"]:
        """As the environment."""
        table: Float[Array, "T D"] = self.env.table(params)
        return table


def single_orders(space: Space) -> Float[Array, "C A"]:
    """The default menu, 2A + 1 rows: nothing, then all of one component up, then all of it down.

    On a stock market that is: no order, buy `max_shares` of one asset, sell as much of it.

    Raises:
        ConfigError: the box does not have 0 inside.
    """
    if not space.low < 0 < space.high:
        raise ConfigError(
            f"the default menu needs a box around 0, got [{space.low}, {space.high}]",
            hint="pass the rows of a menu: DQN(menu=((0.0,), (1.0,)))",
        )
    one = jnp.eye(math.prod(space.shape), dtype=jnp.float32)
    return jnp.concatenate([0 * one[:1], space.high * one, space.low * one])


def as_menu(rows: tuple[tuple[float, ...], ...], space: Space) -> Float[Array, "C A"]:
    """The menu with these rows; `single_orders` where there are none.

    Raises:
        ConfigError: a row has another length than actions, or leaves the box.
    """
    if not rows:
        return single_orders(space)
    size = math.prod(space.shape)
    if wrong := [row for row in rows if len(row) != size]:
        raise ConfigError(f"a row of the menu has {len(wrong[0])} numbers, actions have {size}")
    lowest, highest = min(map(min, rows)), max(map(max, rows))
    if not space.low <= lowest <= highest <= space.high:
        raise ConfigError(
            f"the menu reaches from {lowest} to {highest}, the box from {space.low} to {space.high}"
        )
    return jnp.asarray(rows, jnp.float32)


def menu_env(env: Env, actions: Float[Array, "C A"]) -> MenuEnv:
    """`env` with the rows of a menu as choices; it shares its table where `env` does."""
    return SharedMenuEnv(env, actions) if shares_table(env) else MenuEnv(env, actions)
