"""Twin delayed deep deterministic policy gradient (Fujimoto et al., 2018)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.critics import Critics
from steelyard.agents.ddpg import actor_loss, create_actor, with_noise
from steelyard.agents.distributions import standard_normal
from steelyard.agents.minibatch import Apart, Learned, Number, Sample, polyak, require_box
from steelyard.agents.offpolicy import OffPolicy
from steelyard.agents.policies import TanhPolicy
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.types import Space


class TD3Rest(NamedTuple):
    """Critics, target networks, moments of each, and the last loss of the policy."""

    critics: Critics
    target_policy: TanhPolicy
    target_critics: Critics
    policy_moments: Any
    critic_moments: Any
    policy_loss: Float[Array, ""]


@member("agents", "td3")
class TD3(OffPolicy):
    """TD3: DDPG with two critics, of which the lower one counts, and a slower policy.

    On any environment with a box. The policy answers with a normal distribution of the spread of
    exploration around its action; the mode is the action.

    Attributes:
        noise: standard deviation of exploration, for actions in [-1, 1].
        smoothing: standard deviation of the noise on the action of the target (section 5.3).
        smoothing_limit: largest such noise.
        delay: gradient steps of the critics per step of the policy and of the targets (section
            5.2); it divides the gradient steps of an update.
    """

    noise: Number = 0.1
    smoothing: Number = 0.2
    smoothing_limit: Number = 0.5
    delay: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        gradient_steps = self.horizon // max(1, self.collect) * self.gradient_steps
        if self.delay < 1 or gradient_steps % self.delay:
            raise ConfigError(
                f"delay {self.delay} must divide the {gradient_steps} gradient steps of an update",
                hint="use delay=1, or a horizon that is a multiple of it",
            )

    def create(self, key: PRNGKeyArray, inputs: int, space: Space) -> tuple[TanhPolicy, TD3Rest]:
        """A policy and two critics; the targets begin as they do."""
        actor_key, critic_key = jax.random.split(key)
        policy = create_actor(actor_key, inputs, self.hidden, space, self.noise, "TD3")
        critics = Critics.create(critic_key, inputs, require_box("TD3", space), self.hidden, 2)
        moments = self.moments(policy), self.moments(critics)
        return policy, TD3Rest(critics, policy, critics, *moments, jnp.zeros(()))

    def explore(
        self, draws: Any, policy: Any, vectors: Float[Array, "E D"], progress: Number
    ) -> Float[Array, "E A"]:
        """The action with noise, cut to [-1, 1]."""
        del progress
        return with_noise(policy.unit(vectors), self.noise * draws)

    def learning_draws(self, key: PRNGKeyArray, shape: tuple[int, ...], space: Space) -> Any:
        """Of the noise on the actions of the targets."""
        return standard_normal(key, (*shape, math.prod(space.shape)))

    def learn(
        self,
        draws: Any,
        policy: Any,
        rest: Any,
        sample: Sample,
        apart: Apart,
        number: Int[Array, ""],
    ) -> Learned:
        """Algorithm 1 of the paper, from "y" on."""
        target = self._target(draws, rest, sample)

        def value_loss(critics: Critics) -> tuple[Float[Array, ""], Any]:
            seen = critics.see(sample.vectors)
            errors = [value - target for value in critics(seen, sample.action)]
            squares = jnp.stack([sample.weight * error**2 for error in errors])
            return 2 * jnp.mean(squares), (seen, errors[0])

        (value_error, (seen, error)), gradient = jax.value_and_grad(value_loss, has_aux=True)(
            rest.critics
        )
        critics, critic_moments = self.descend(rest.critics, gradient, rest.critic_moments)

        def improve(policy: TanhPolicy, rest: TD3Rest) -> tuple[TanhPolicy, TD3Rest]:
            policy_loss, gradient = jax.value_and_grad(actor_loss)(
                policy, rest.critics, seen, sample, apart
            )
            policy, moments = self.descend(policy, gradient, rest.policy_moments)
            return policy, rest._replace(
                target_policy=polyak(rest.target_policy, policy, self.tau),
                target_critics=polyak(rest.target_critics, critics, self.tau),
                policy_moments=moments,
                policy_loss=policy_loss,
            )

        due = number % self.delay == self.delay - 1
        policy, rest = jax.lax.cond(due, improve, lambda *same: same, policy, rest)
        rest = rest._replace(critics=critics, critic_moments=critic_moments)
        losses = {"value_error": value_error / 2, "policy_loss": rest.policy_loss}
        return Learned(policy, rest, losses, error)

    def _target(
        self, draws: Float[Array, "B A"], rest: TD3Rest, sample: Sample
    ) -> Float[Array, " B"]:
        """What the critics should say: the lower target value of a smoothed action (eq. 14)."""
        unit = rest.target_policy.unit(sample.next_vectors)
        noise = jnp.clip(self.smoothing * draws, -self.smoothing_limit, self.smoothing_limit)
        seen = rest.target_critics.see(sample.next_vectors)
        one, other = rest.target_critics(seen, with_noise(unit, noise))
        return sample.reward + sample.discount * jnp.minimum(one, other)
