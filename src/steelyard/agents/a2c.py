"""Advantage actor-critic (Mnih et al., 2016), all environments in step with each other."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.diversity import NOBODY, Peers
from steelyard.agents.learning import train_by_scan
from steelyard.agents.losses import policy_gradient
from steelyard.agents.onpolicy import (
    TERMS,
    OnPolicyState,
    as_experience,
    begin,
    collect,
    estimate,
    improve,
    objective,
    require_batches,
)
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Env, Params, Policy


@member("agents", "a2c")
class A2C(eqx.Module):
    """A2C: one gradient step per short rollout, on a box or on numbered choices.

    The synchronous form of A3C (Mnih et al., 2016, algorithm S3): instead of workers that write
    over each other, all environments move `horizon` steps, and one step is taken on all of it.
    Float attributes are leaves that sweep by `jax.vmap`; integers are static.

    Attributes:
        learning_rate: RMSprop's step size at the start.
        anneal: fraction of the learning rate that has faded at the end of training; 1 = to zero.
        discount: gamma, in [0, 1].
        decay: lambda of the advantage estimates, in [0, 1]; at 1 they are the n-step returns of
            the paper, less the value.
        entropy_weight: weight of the entropy bonus (section 4 of the paper).
        value_weight: weight of the critic's loss.
        max_gradient: largest norm of the gradient.
        log_std: natural log of the initial spread of Gaussian actions.
        steps: environment steps of the whole training; at least one update is made.
        envs: environments in parallel.
        horizon: steps of each environment per update.
        hidden: units of the hidden layers of actor and critic.
        memory, span: what the policy remembers with, and how far back; see `PPO`.
    """

    learning_rate: float | Float[Array, ""] = 7e-4
    anneal: float | Float[Array, ""] = 0.0
    discount: float | Float[Array, ""] = 0.99
    decay: float | Float[Array, ""] = 1.0
    entropy_weight: float | Float[Array, ""] = 0.0
    value_weight: float | Float[Array, ""] = 0.5
    max_gradient: float | Float[Array, ""] = 0.5
    log_std: float | Float[Array, ""] = 0.0
    steps: int = eqx.field(static=True, default=400_000)
    envs: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=5)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))
    memory: str = eqx.field(static=True, default="none")
    span: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        require_batches(self, self.envs * self.horizon)
        if self.steps < 1:
            raise ConfigError(f"steps must be positive, got {self.steps}", hint="use steps=400_000")

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        return max(1, self.steps // (self.envs * self.horizon))

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training as one traced function: (policy, log with one value per update)."""
        return train_by_scan(self, key, env, params)

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> OnPolicyState:
        """Fresh networks and episodes."""
        return begin(key, self, env, params, self._optimiser())

    def advance(
        self, state: OnPolicyState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[OnPolicyState, dict[str, Float[Array, ""]]]:
        """One update: collect `envs * horizon` steps, then take one gradient step on them."""
        rollout_key, learn_key, key = jax.random.split(state.key, 3)
        live, steps, value = collect(rollout_key, state, self, env, params)
        rewards = steps.reward[..., None]
        advantage, target = estimate(steps, rewards, value, state.critic, self, env, params)
        experience = as_experience(steps, advantage[..., 0], target, state.live.carry)
        loss = objective(_surrogate, self, env, params)
        rate = self.learning_rate * (1 - self.anneal * state.update / self.updates)
        state, terms = improve(
            learn_key, state, experience, loss, self._optimiser(), rate, peers=peers
        )
        log = {"reward": jnp.mean(steps.reward), **dict(zip(TERMS, terms, strict=True))}
        # the step begins where the experience was collected: its KL shows only afterwards
        log["kl"] = loss((state.policy, state.critic), experience, NOBODY)[1][TERMS.index("kl")]
        return state._replace(live=live, key=key, update=state.update + 1), log

    def _optimiser(self) -> optax.GradientTransformation:
        """RMSprop with a limit on the gradient; the step size is applied by `improve`.

        The mean square starts at 1 and epsilon is under the root, as in TensorFlow: a start at 0
        would blow the first steps up.
        """
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient),
            optax.scale_by_rms(decay=0.99, eps=1e-5, initial_scale=1.0, eps_in_sqrt=True),
        )


def _surrogate(
    log_prob: Float[Array, " B"], old_log_prob: Float[Array, " B"], advantage: Float[Array, " B"]
) -> Float[Array, " B"]:
    """The policy gradient; the experience is the policy's own, so nothing is reweighted."""
    del old_log_prob
    return policy_gradient(log_prob, advantage)
