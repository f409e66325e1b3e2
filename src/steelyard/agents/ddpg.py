"""Deep deterministic policy gradient (Lillicrap et al., 2016)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.critics import Critics
from steelyard.agents.minibatch import Apart, Learned, Number, Sample, polyak, require_box
from steelyard.agents.networks import MLP
from steelyard.agents.offpolicy import OffPolicy
from steelyard.agents.policies import TanhPolicy
from steelyard.registry import member
from steelyard.types import Space


class DDPGRest(NamedTuple):
    """Critic, target networks, and the moments of policy and critic."""

    critics: Critics
    target_policy: TanhPolicy
    target_critics: Critics
    moments: Any


@member("agents", "ddpg")
class DDPG(OffPolicy):
    """DDPG: a certain policy climbs a critic of its actions, on any environment with a box.

    Exploration adds independent normal noise, which does as well as the correlated noise of the
    paper (Fujimoto et al., 2018). The policy answers with a normal distribution of that spread
    around its action; the mode is the action.

    Attributes:
        noise: standard deviation of exploration, for actions in [-1, 1].
    """

    noise: Number = 0.1

    def create(self, key: PRNGKeyArray, inputs: int, space: Space) -> tuple[TanhPolicy, DDPGRest]:
        """A policy and one critic; the targets begin as they do."""
        actor_key, critic_key = jax.random.split(key)
        policy = create_actor(actor_key, inputs, self.hidden, space, self.noise, "DDPG")
        critics = Critics.create(critic_key, inputs, require_box("DDPG", space), self.hidden, 1)
        return policy, DDPGRest(critics, policy, critics, self.moments((policy, critics)))

    def explore(
        self, draws: Any, policy: Any, vectors: Float[Array, "E D"], progress: Number
    ) -> Float[Array, "E A"]:
        """The action with noise, cut to [-1, 1]."""
        del progress
        return with_noise(policy.unit(vectors), self.noise * draws)

    def learn(
        self,
        draws: Any,
        policy: Any,
        rest: Any,
        sample: Sample,
        apart: Apart,
        number: Int[Array, ""],
    ) -> Learned:
        """Algorithm 1 of the paper, from "set y_i" on."""
        del draws, number
        next_action = rest.target_policy.unit(sample.next_vectors)
        seen = rest.target_critics.see(sample.next_vectors)
        target = sample.reward + sample.discount * rest.target_critics(seen, next_action)[0]

        def loss(networks: tuple[TanhPolicy, Critics]) -> tuple[Float[Array, ""], Any]:
            policy, critics = networks
            seen = critics.see(sample.vectors)
            error = critics(seen, sample.action)[0] - target
            value_error = jnp.mean(sample.weight * error**2)
            policy_loss = actor_loss(policy, critics, seen, sample, apart)
            return value_error + policy_loss, (error, value_error, policy_loss)

        gradient, (error, value_error, policy_loss) = jax.grad(loss, has_aux=True)(
            (policy, rest.critics)
        )
        (policy, critics), moments = self.descend((policy, rest.critics), gradient, rest.moments)
        rest = DDPGRest(
            critics,
            polyak(rest.target_policy, policy, self.tau),
            polyak(rest.target_critics, critics, self.tau),
            moments,
        )
        return Learned(
            policy, rest, {"value_error": value_error, "policy_loss": policy_loss}, error
        )


def create_actor(
    key: PRNGKeyArray,
    inputs: int,
    hidden: tuple[int, ...],
    space: Space,
    noise: Number,
    name: str,
) -> TanhPolicy:
    """A policy whose first actions lie near the middle of the box.

    Raises:
        ConfigError: the actions are numbered choices.
    """
    actions = require_box(name, space)
    network = MLP.create(key, inputs, hidden, actions, 0.01, "relu")
    spread = jnp.log(jnp.maximum(noise * (space.high - space.low) / 2, 1e-3))
    log_std = jnp.full(actions, spread, jnp.float32)
    return TanhPolicy(network, log_std, space.low, space.high)


def with_noise(unit: Float[Array, "*B A"], noise: Float[Array, "*B A"]) -> Float[Array, "*B A"]:
    """Actions in [-1, 1] with noise, cut to that range."""
    return jnp.clip(unit + noise, -1, 1)


def actor_loss(
    policy: TanhPolicy, critics: Critics, seen: Float[Array, "B K"], sample: Sample, apart: Apart
) -> Float[Array, ""]:
    """Minus the value of the policy's actions to the first critic, and minus its divergence.

    Args:
        seen: of the sample's vectors, as from `critics.see`; no gradient reaches the critics.
    """
    fixed, seen = jax.lax.stop_gradient((critics, seen))
    unit = policy.unit(sample.vectors)
    return -jnp.mean(fixed(seen, unit)[0]) - apart(policy.around(unit))
