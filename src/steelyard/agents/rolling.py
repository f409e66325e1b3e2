"""A policy that is another one from row to row: what rolling windows trade."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from steelyard.agents.vectors import WholeVectors
from steelyard.rollout import Act, Carry, Env, Obs, Params, bind


class Office(NamedTuple):
    """What a `RollingPolicy` remembers: which policy acted last, and what that one remembers."""

    number: Int[Array, ""]
    carry: Carry


class RollingPolicy(eqx.Module):
    """R policies of one structure; from its own first row on, each acts until the next one does.

    Attributes:
        policies: their leaves stacked along a leading axis R.
        starts: (R,) first row on which each acts, increasing; before the first one, the first acts.
    """

    policies: Any
    starts: Int[Array, " R"]

    def initial_carry(self) -> Office:
        """The first policy in office, with a fresh memory."""
        return Office(jnp.zeros((), jnp.int32), self._policy(jnp.asarray(0)).initial_carry())

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations, which must name their `row`."""
        whole = WholeVectors(env)

        def act(obs: Obs, office: Office) -> tuple[Any, Office]:
            found = jnp.sum(obs.row >= self.starts, dtype=jnp.int32) - 1
            number = jnp.maximum(found, 0)
            policy = self._policy(number)
            carry = jax.tree.map(
                lambda fresh, kept: jnp.where(number != office.number, fresh, kept),
                policy.initial_carry(),
                office.carry,
            )
            distribution, carry = bind(policy, whole, params)(obs, carry)
            return distribution, Office(number, carry)

        return act

    def _policy(self, number: Int[Array, ""]) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[number], self.policies)
