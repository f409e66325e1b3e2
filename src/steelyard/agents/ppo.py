"""Proximal policy optimisation (Schulman et al., 2017): the whole training is one program."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.losses import clipped_surrogate, generalized_advantage, standardise
from steelyard.agents.networks import MLP, shares_table
from steelyard.agents.policies import create_policy, vector_size
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Env, Live, Params, Policy, Transition, bind, rollout, start


class Experience(NamedTuple):
    """What an update learns from; a batch of steps."""

    obs: Any
    action: Any
    log_prob: Float[Array, " B"]
    advantage: Float[Array, " B"]
    target: Float[Array, " B"]


class PPOState(NamedTuple):
    """A training in progress; pure data, so that it can be saved, resumed and vmapped."""

    policy: Any
    critic: MLP
    optimiser: Any
    live: Live
    key: PRNGKeyArray
    update: Int[Array, ""]


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
        minibatch: samples per gradient step; it must divide `envs * horizon`.
        hidden: units of the hidden layers of actor and critic; the paper's 64 and 32.
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

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        batch = self.envs * self.horizon
        if min(batch, self.epochs, self.minibatch, self.steps) < 1 or batch % self.minibatch:
            raise ConfigError(
                f"minibatch {self.minibatch} must divide envs * horizon = {batch}, all positive",
                hint=f"use minibatch={batch}",
            )

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        return max(1, self.steps // (self.envs * self.horizon))

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training as one traced function: (policy, log with one value per update)."""
        state = self.init(key, env, params)
        state, log = jax.lax.scan(
            lambda state, _: self.advance(state, env, params), state, None, length=self.updates
        )
        return state.policy, log

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> PPOState:
        """Fresh networks and episodes."""
        policy_key, critic_key, live_key, key = jax.random.split(key, 4)
        size = vector_size(env, params)
        space = env.action_space(params)
        policy = create_policy(policy_key, size, self.hidden, space)
        if hasattr(policy, "log_std"):
            spread = jnp.full_like(policy.log_std, self.log_std)
            policy = eqx.tree_at(lambda p: p.log_std, policy, spread)
        critic = MLP.create(critic_key, size, self.hidden, 1, 1.0)
        live = jax.vmap(lambda k: start(k, env, params, policy))(
            jax.random.split(live_key, self.envs)
        )
        optimiser = self._optimiser().init((policy, critic))
        return PPOState(policy, critic, optimiser, live, key, jnp.zeros((), jnp.int32))

    def advance(
        self, state: PPOState, env: Env, params: Params
    ) -> tuple[PPOState, dict[str, Float[Array, ""]]]:
        """One update: collect `envs * horizon` steps, then learn from them."""
        rollout_key, learn_key, key = jax.random.split(state.key, 3)
        live, steps = jax.vmap(
            lambda k, live: rollout(k, env, params, state.policy, self.horizon, live),
            out_axes=(0, 1),  # time stays in front, as the scan writes it
        )(jax.random.split(rollout_key, self.envs), state.live)
        experience = self._experience(steps, state.critic, env, params)
        faded = 1 - self.anneal * state.update / self.updates
        policy, critic, optimiser, losses = self._learn(
            learn_key, state, experience, self.learning_rate * faded, env, params
        )
        log = {"reward": jnp.mean(steps.reward), "value_error": losses[1], "kl": losses[2]}
        log |= {"policy_loss": losses[0], "entropy": losses[3]}
        return PPOState(policy, critic, optimiser, live, key, state.update + 1), log

    def _experience(self, steps: Transition, critic: MLP, env: Env, params: Params) -> Experience:
        """Advantages and targets of a rollout (T, B), flattened to one batch of steps."""
        worth = critic.bind(env, params)
        shape = steps.reward.shape

        def values(obs: Any) -> Float[Array, "T B"]:
            """The critic over one flat batch axis, which is several times faster than two."""
            return jax.vmap(lambda one: worth(one)[0])(_flat(obs)).reshape(shape)

        value, next_value = values(steps.obs), values(steps.next_obs)
        estimate: Any = jax.vmap(
            generalized_advantage, in_axes=(1, 1, 1, 1, 1, None, None), out_axes=1
        )
        advantage = estimate(
            steps.reward.astype(value.dtype),
            value,
            next_value,
            steps.terminated,
            steps.truncated,
            self.discount,
            self.decay,
        )
        batch = Experience(steps.obs, steps.action, steps.log_prob, advantage, advantage + value)
        flat: Experience = _flat(batch)
        return flat

    def _learn(
        self,
        key: PRNGKeyArray,
        state: PPOState,
        experience: Experience,
        learning_rate: Float[Array, ""],
        env: Env,
        params: Params,
    ) -> tuple[Any, MLP, Any, Float[Array, " L"]]:
        """`epochs` passes of gradient steps over shuffled minibatches."""
        batch, parts = self.envs * self.horizon, self.envs * self.horizon // self.minibatch
        optimiser = self._optimiser()

        def step(carry: Any, rows: Int[Array, " M"]) -> tuple[Any, Float[Array, " L"]]:
            networks, moments, stopped = carry
            sample = jax.tree.map(lambda leaf: leaf[rows], experience)
            gradient, losses = jax.grad(self._loss, has_aux=True)(networks, sample, env, params)
            stopped |= losses[2] > 1.5 * self.target_kl
            change, new_moments = optimiser.update(gradient, moments)
            stride = jnp.where(stopped, 0, -learning_rate)
            networks = jax.tree.map(lambda w, d: w + stride * d, networks, change)
            moments = jax.tree.map(
                lambda new, old: jnp.where(stopped, old, new), new_moments, moments
            )
            return (networks, moments, stopped), losses

        shuffles = jax.vmap(lambda k: jax.random.permutation(k, batch))(
            jax.random.split(key, self.epochs)
        )
        carry = ((state.policy, state.critic), state.optimiser, jnp.asarray(False))
        rows = shuffles.reshape(self.epochs * parts, self.minibatch)
        (networks, moments, _), losses = jax.lax.scan(step, carry, rows)
        return *networks, moments, jnp.mean(losses, axis=0)

    def _loss(
        self, networks: tuple[Any, MLP], sample: Experience, env: Env, params: Params
    ) -> tuple[Float[Array, ""], Float[Array, " L"]]:
        """Clipped objective, value error and entropy of one minibatch."""
        act, worth = self._views(networks, env, params)
        advantage = standardise(sample.advantage)

        def one(obs: Any, action: Any) -> tuple[Any, Any, Any]:
            distribution, _ = act(obs, None)
            return distribution.log_prob(action), distribution.entropy(), worth(obs)[0]

        log_prob, entropy, value = jax.vmap(one)(sample.obs, sample.action)
        log_ratio = log_prob - sample.log_prob
        ratio = jnp.exp(log_ratio)
        policy_loss = jnp.mean(clipped_surrogate(ratio, advantage, self.clip))
        value_error = jnp.mean((value - sample.target) ** 2)
        kl = jnp.mean(ratio - 1 - log_ratio)  # Schulman (2020), estimator k3
        loss = policy_loss + self.value_weight * value_error
        loss = loss - self.entropy_weight * jnp.mean(entropy)
        return loss, jnp.stack([policy_loss, value_error, kl, jnp.mean(entropy)])

    def _views(self, networks: tuple[Any, MLP], env: Env, params: Params) -> tuple[Any, Any]:
        """Actor and critic on stored observations, the cheaper way for this minibatch.

        The shared table pays where a minibatch holds more samples than the table has rows.
        """
        policy, critic = networks
        if shares_table(env) and self.minibatch >= env.table(params).shape[0]:
            return bind(policy, env, params), critic.bind(env, params)
        return (
            lambda obs, carry: policy(env.observe(obs, params), carry),
            lambda obs: critic(env.observe(obs, params)),
        )

    def _optimiser(self) -> optax.GradientTransformation:
        """Adam with a limit on the gradient; the step size is applied by the caller."""
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient), optax.scale_by_adam(eps=1e-5)
        )


def _flat(tree: Any) -> Any:
    """Leaves (T, B, ...) as (T * B, ...)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
