"""Proximal policy optimisation (Schulman et al., 2017): the whole training is one program."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.agents.learning import train_by_scan
from steelyard.agents.losses import clipped_surrogate, standardise
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


@member("agents", "ppo")
class PPO(eqx.Module):
    """PPO with clipped objective, on any environment with a box or with numbered choices.

    Float attributes are leaves: `jax.vmap` over them sweeps them in one program. Integers are
    static: another value is another program.

    Attributes:
        learning_rate: Adam's step size at the start.
        anneal: fraction of the learning rate that has faded at the end of training; 1 = to zero.
        discount: gamma, in [0, 1].
        decay: lambda of the advantage estimates, in [0, 1].
        clip: epsilon of the clipped objective.
        entropy_weight: weight of the entropy bonus.
        value_weight: weight of the critic's loss.
        max_gradient: largest norm of the gradient.
        target_kl: no further step is taken in an update once the mean KL exceeds 1.5 times this.
        log_std: natural log of the initial spread of Gaussian actions.
        steps: environment steps of the whole training; at least one update is made.
        envs: environments in parallel.
        horizon: steps of each environment per update.
        epochs: passes over the data of an update.
        minibatch: samples per gradient step; it must divide `envs * horizon`, and with memory be
            a multiple of `horizon`.
        hidden: units of the hidden layers of actor and critic; the paper's 64 and 32.
        memory: what the policy remembers with: "none", "lstm", "gru", "convolution" or
            "transformer"; see `agents.memory`. The critic has no memory.
        span: steps that a convolution or a transformer looks back over.
    """

    learning_rate: float | Float[Array, ""] = 3e-4
    anneal: float | Float[Array, ""] = 1.0
    discount: float | Float[Array, ""] = 0.99
    decay: float | Float[Array, ""] = 0.95
    clip: float | Float[Array, ""] = 0.2
    entropy_weight: float | Float[Array, ""] = 0.0
    value_weight: float | Float[Array, ""] = 0.5
    max_gradient: float | Float[Array, ""] = 0.5
    target_kl: float | Float[Array, ""] = float("inf")
    log_std: float | Float[Array, ""] = -0.5
    steps: int = eqx.field(static=True, default=400_000)
    envs: int = eqx.field(static=True, default=128)
    horizon: int = eqx.field(static=True, default=32)
    epochs: int = eqx.field(static=True, default=6)
    minibatch: int = eqx.field(static=True, default=1024)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))
    memory: str = eqx.field(static=True, default="none")
    span: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        require_batches(self, self.minibatch)
        if min(self.epochs, self.steps) < 1:
            raise ConfigError(f"epochs {self.epochs} and steps {self.steps} must be positive")

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
        """One update: collect `envs * horizon` steps, then learn from them."""
        rollout_key, learn_key, key = jax.random.split(state.key, 3)
        live, steps, value = collect(rollout_key, state, self, env, params)
        rewards = steps.reward[..., None]
        advantage, target = estimate(steps, rewards, value, state.critic, self, env, params)
        state, terms = improve(
            learn_key,
            state,
            as_experience(steps, advantage[..., 0], target, state.live.carry),
            objective(self._surrogate, self, env, params),
            self._optimiser(),
            self.learning_rate * (1 - self.anneal * state.update / self.updates),
            epochs=self.epochs,
            parts=self.envs * self.horizon // self.minibatch,
            target_kl=self.target_kl,
            peers=peers,
        )
        log = {"reward": jnp.mean(steps.reward), **dict(zip(TERMS, terms, strict=True))}
        return state._replace(live=live, key=key, update=state.update + 1), log

    def _surrogate(
        self,
        log_prob: Float[Array, " B"],
        old_log_prob: Float[Array, " B"],
        advantage: Float[Array, " B"],
    ) -> Float[Array, " B"]:
        """The clipped objective on advantages standardised over the minibatch."""
        ratio = jnp.exp(log_prob - old_log_prob)
        return clipped_surrogate(ratio, standardise(advantage), self.clip)

    def _optimiser(self) -> optax.GradientTransformation:
        """Adam with a limit on the gradient; the step size is applied by `improve`."""
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient), optax.scale_by_adam(eps=1e-5)
        )
