"""Soft actor-critic with automatic temperature (Haarnoja et al., 2018b, arXiv:1812.05905)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.critics import Critics
from steelyard.agents.distributions import TanhNormal, standard_normal
from steelyard.agents.minibatch import Apart, Learned, Number, Sample, polyak, require_box
from steelyard.agents.networks import MLP
from steelyard.agents.offpolicy import OffPolicy
from steelyard.agents.policies import SquashedPolicy
from steelyard.registry import member
from steelyard.types import Space


class SACRest(NamedTuple):
    """Critics, their targets, log temperature, and the moments of all that is trained."""

    critics: Critics
    target_critics: Critics
    log_temperature: Float[Array, ""]
    moments: Any


@member("agents", "sac")
class SAC(OffPolicy):
    """SAC: a random policy climbs the lower of two critics and keeps its entropy up.

    On any environment with a box. Entropies are those of actions in [-1, 1].

    Attributes:
        temperature: weight of the entropy at the start; throughout, where not `automatic`.
        target_entropy: entropy that the temperature works towards, in nats per action component.
        automatic: learn the temperature (section 5).
    """

    temperature: Number = 1.0
    target_entropy: Number = -1.0
    automatic: bool = eqx.field(static=True, default=True)

    def create(
        self, key: PRNGKeyArray, inputs: int, space: Space
    ) -> tuple[SquashedPolicy, SACRest]:
        """A policy and two critics; the targets begin as they do."""
        actor_key, critic_key = jax.random.split(key)
        actions = require_box("SAC", space)
        network = MLP.create(actor_key, inputs, self.hidden, 2 * actions, 0.01, "relu")
        policy = SquashedPolicy(network, space.low, space.high)
        critics = Critics.create(critic_key, inputs, actions, self.hidden, 2)
        log_temperature = jnp.log(jnp.asarray(self.temperature, jnp.float32))
        moments = self.moments((policy, critics, log_temperature))
        return policy, SACRest(critics, critics, log_temperature, moments)

    def explore(
        self, draws: Any, policy: Any, vectors: Float[Array, "E D"], progress: Number
    ) -> Float[Array, "E A"]:
        """A draw of the policy."""
        del progress
        return jnp.tanh(policy(vectors, None)[0].before().at(draws))

    def learning_draws(self, key: PRNGKeyArray, shape: tuple[int, ...], space: Space) -> Any:
        """Of the actions at the next observations and at the present ones."""
        size = math.prod(space.shape)
        next_key, key = jax.random.split(key)
        return standard_normal(next_key, (*shape, size)), standard_normal(key, (*shape, size))

    def learn(
        self,
        draws: Any,
        policy: Any,
        rest: Any,
        sample: Sample,
        apart: Apart,
        number: Int[Array, ""],
    ) -> Learned:
        """Algorithm 1 of the paper, its gradient steps."""
        del number
        next_draws, draws = draws
        temperature = jnp.exp(rest.log_temperature)
        target = self._target(next_draws, policy, rest, temperature, sample)

        def loss(networks: Any) -> tuple[Float[Array, ""], Any]:
            policy, critics, log_temperature = networks
            seen = critics.see(sample.vectors)
            errors = [value - target for value in critics(seen, sample.action)]
            value_error = sum(jnp.mean(sample.weight * error**2) for error in errors) / 2
            fixed, seen = jax.lax.stop_gradient((critics, seen))
            distribution = policy(sample.vectors, None)[0]
            unit, log_prob = with_density(draws, distribution)
            worth = jnp.minimum(*fixed(seen, unit))
            policy_loss = jnp.mean(temperature * log_prob - worth) - apart(distribution)
            entropy = -jnp.mean(log_prob)
            wanted = self.target_entropy * unit.shape[-1]
            heat = log_temperature * jax.lax.stop_gradient(entropy - wanted)
            total = value_error + policy_loss + (heat if self.automatic else 0.0)
            return total, (errors[0], value_error, policy_loss, entropy)

        networks = (policy, rest.critics, rest.log_temperature)
        gradient, (error, value_error, policy_loss, entropy) = jax.grad(loss, has_aux=True)(
            networks
        )
        (policy, critics, log_temperature), moments = self.descend(networks, gradient, rest.moments)
        targets = polyak(rest.target_critics, critics, self.tau)
        losses = {"value_error": value_error, "policy_loss": policy_loss}
        losses |= {"entropy": entropy, "temperature": temperature}
        return Learned(policy, SACRest(critics, targets, log_temperature, moments), losses, error)

    def _target(
        self,
        draws: Float[Array, "B A"],
        policy: SquashedPolicy,
        rest: SACRest,
        temperature: Float[Array, ""],
        sample: Sample,
    ) -> Float[Array, " B"]:
        """What the critics should say: reward and soft value of the next state (eq. 5 and 7)."""
        unit, log_prob = with_density(draws, policy(sample.next_vectors, None)[0])
        seen = rest.target_critics.see(sample.next_vectors)
        worth = jnp.minimum(*rest.target_critics(seen, unit)) - temperature * log_prob
        return sample.reward + sample.discount * worth


def with_density(
    draws: Float[Array, "B A"], distribution: TanhNormal
) -> tuple[Float[Array, "B A"], Float[Array, " B"]]:
    """Actions in [-1, 1] made of standard normal draws, and the log density of each there.

    Gradients pass through both.
    """
    centred = TanhNormal(distribution.mean, distribution.log_std)
    raw = centred.before().at(draws)
    return jnp.tanh(raw), centred.log_prob_of(raw)
