"""Group relative policy optimisation (Shao et al., 2024) with the refinements of DAPO (Yu et al.,
2025): several actions are tried from one state, and each is judged by its group.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from steelyard.agents.diversity import Peers, Rivals, keep_apart
from steelyard.agents.learning import train_by_scan
from steelyard.agents.onpolicy import Networks, Objective, OnPolicyState, improve
from steelyard.agents.policies import create_policy, vector_size
from steelyard.agents.vectors import cheaper_view
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Act, Env, Live, Obs, Params, Policy, State, bind, start

TERMS = ("policy_loss", "kept", "kl", "entropy")
"""What the objective reports of a minibatch; `kept` is the fraction of groups that count."""


class Group(NamedTuple):
    """G actions tried from one state; an update learns from a batch of them.

    Attributes:
        obs: the state that they share, as the environment stores it.
        action: (G, ...) drawn from the policy.
        log_prob: (G,) of each under the policy that drew it.
        advantage: (G,) see `group_advantage`.
        kept: () whether the group tells its actions apart.
    """

    obs: Obs
    action: Any
    log_prob: Float[Array, " G"]
    advantage: Float[Array, " G"]
    kept: Bool[Array, ""]


class Branch(NamedTuple):
    """What follows on one action of a group; `weight` is the discount, 0 behind the end."""

    state: State
    obs: Obs
    weight: Float[Array, ""]


@member("agents", "grpo")
class GRPO(eqx.Module):
    """GRPO with an asymmetric clip and dynamic sampling, without a critic.

    At every visited state `group` actions are drawn, and each is tried in the environment from
    that state with the same random key, so that all rewards of a group are on one scale. A group
    whose rewards are equal says nothing and is left out. The first action is the one that the
    episode goes on with. What lies beyond `lookahead` steps is not seen: where an action pays
    later, raise it.

    Float attributes are leaves, swept by `jax.vmap`; integers are static.

    Attributes:
        learning_rate: Adam's step size at the start.
        anneal: fraction of the learning rate that has faded at the end of training; 1 = to zero.
        discount: gamma of the sum over `lookahead` steps, in [0, 1].
        clip_low, clip_high: how far below and above 1 the ratio of probabilities still counts; the
            higher upper one lets unlikely actions grow (Yu et al., 2025, section 3.1).
        least_spread: a group is left out where the standard deviation of its rewards is not above
            this fraction of the largest of them (section 3.2).
        kl_weight: weight of the divergence from the policy that an update started with.
        entropy_weight: weight of the entropy bonus.
        max_gradient: largest norm of the gradient.
        target_kl: no further step is taken in an update once the mean KL exceeds 1.5 times this.
        log_std: natural log of the initial spread of Gaussian actions.
        steps: environment steps of the whole training, tried ones included; at least one update.
        envs: environments in parallel.
        horizon: visited states of each environment per update.
        group: actions tried at a state, at least 2.
        lookahead: steps over which the actions of a group are compared; after the first, each
            branch follows the policy, all with the same random keys.
        epochs: passes over the data of an update.
        minibatch: groups per gradient step; it must divide `envs * horizon`.
        hidden: units of the hidden layers.
    """

    learning_rate: float | Float[Array, ""] = 3e-4
    anneal: float | Float[Array, ""] = 1.0
    discount: float | Float[Array, ""] = 0.99
    clip_low: float | Float[Array, ""] = 0.2
    clip_high: float | Float[Array, ""] = 0.28
    least_spread: float | Float[Array, ""] = 1e-6
    kl_weight: float | Float[Array, ""] = 0.0
    entropy_weight: float | Float[Array, ""] = 0.0
    max_gradient: float | Float[Array, ""] = 0.5
    target_kl: float | Float[Array, ""] = 0.15
    log_std: float | Float[Array, ""] = -0.5
    steps: int = eqx.field(static=True, default=400_000)
    envs: int = eqx.field(static=True, default=64)
    horizon: int = eqx.field(static=True, default=8)
    group: int = eqx.field(static=True, default=10)
    lookahead: int = eqx.field(static=True, default=1)
    epochs: int = eqx.field(static=True, default=6)
    minibatch: int = eqx.field(static=True, default=128)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        states = self.envs * self.horizon
        if min(states, self.epochs, self.minibatch, self.steps) < 1 or states % self.minibatch:
            raise ConfigError(
                f"minibatch {self.minibatch} must divide envs * horizon = {states}, all positive",
                hint=f"use minibatch={states}",
            )
        if self.group < 2 or self.lookahead < 1:
            raise ConfigError(
                f"group {self.group} must be 2 or more, and lookahead {self.lookahead} positive",
                hint="use group=10, lookahead=1",
            )

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        tried = self.envs * self.horizon * self.group * self.lookahead
        return max(1, self.steps // tried)

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training as one traced function: (policy, log with one value per update)."""
        return train_by_scan(self, key, env, params)

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> OnPolicyState:
        """A fresh network and fresh episodes."""
        policy_key, live_key, key = jax.random.split(key, 3)
        size, space = vector_size(env, params), env.action_space(params)
        policy = create_policy(policy_key, size, self.hidden, space)
        if hasattr(policy, "log_std"):
            spread = jnp.full_like(policy.log_std, self.log_std)
            policy = eqx.tree_at(lambda p: p.log_std, policy, spread)
        live = jax.vmap(lambda k: start(k, env, params, policy))(
            jax.random.split(live_key, self.envs)
        )
        moments = self._optimiser().init(ravel_pytree(policy)[0])
        critic: Any = None
        return OnPolicyState(policy, critic, moments, live, key, jnp.zeros((), jnp.int32))

    def advance(
        self, state: OnPolicyState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[OnPolicyState, dict[str, Float[Array, ""]]]:
        """One update: visit `envs * horizon` states, try a group at each, then learn."""
        visit_key, learn_key, key = jax.random.split(state.key, 3)
        live, groups, reward = self._visit(visit_key, state, env, params)
        state, terms = improve(
            learn_key,
            state,
            groups,
            self._objective(env, params),
            self._optimiser(),
            self.learning_rate * (1 - self.anneal * state.update / self.updates),
            epochs=self.epochs,
            parts=self.envs * self.horizon // self.minibatch,
            target_kl=self.target_kl,
            peers=peers,
        )
        log = {"reward": jnp.mean(reward), **dict(zip(TERMS, terms, strict=True))}
        return state._replace(live=live, key=key, update=state.update + 1), log

    def _visit(
        self, key: PRNGKeyArray, state: OnPolicyState, env: Env, params: Params
    ) -> tuple[Live, Any, Float[Array, "T B"]]:
        """Episodes go on for `horizon` steps: (episodes, flat batch of groups, rewards)."""
        samples = self.envs * self.horizon * (1 + self.group * (self.lookahead - 1))
        act = bind(state.policy, cheaper_view(env, params, samples), params)
        size = self.group + 2 * self.lookahead
        keys = jax.random.split(key, (self.horizon, self.envs, size))

        def step(live: Live, keys: Key[Array, "B K"]) -> tuple[Live, Any]:
            return jax.vmap(lambda one, ks: self._try_group(one, ks, act, env, params))(live, keys)

        live, (groups, reward) = jax.lax.scan(step, state.live, keys)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), groups)
        return live, flat, reward

    def _try_group(
        self, live: Live, keys: Key[Array, " K"], act: Act, env: Env, params: Params
    ) -> tuple[Live, tuple[Group, Float[Array, ""]]]:
        """Draw a group at one state, try every action from it, and go on with the first."""
        draw_keys, reset_key, step_key, later = jnp.split(
            keys, [self.group, self.group + 1, self.group + 2]
        )
        distribution, _ = act(live.obs, None)
        action = jax.vmap(distribution.sample)(draw_keys)
        state, after = jax.vmap(lambda a: env.step(step_key[0], live.state, a, params))(action)
        ended = after.terminated | after.truncated
        worth = after.reward
        if self.lookahead > 1:
            weight = self.discount * (1 - ended.astype(worth.dtype))
            branches = Branch(state, after.obs, weight.astype(worth.dtype))
            pairs = later.reshape(-1, 2)
            worth += jax.vmap(lambda branch: self._follow(branch, pairs, act, env, params))(
                branches
            )
        advantage, kept = group_advantage(worth.astype(jnp.float32), self.least_spread)
        group = Group(live.obs, action, jax.vmap(distribution.log_prob)(action), advantage, kept)
        fresh, first = env.reset(reset_key[0], params)
        going_on = jax.tree.map(
            lambda new, tried: jnp.where(ended[0], new, tried[0]),
            Live(fresh, first.obs, None),
            Live(state, after.obs, None),
        )
        return going_on, (group, after.reward[0])

    def _follow(
        self, branch: Branch, keys: Key[Array, "L 2"], act: Act, env: Env, params: Params
    ) -> Float[Array, ""]:
        """Discounted rewards of a branch behind its first step, while the policy goes on."""

        def step(branch: Branch, keys: Key[Array, "2"]) -> tuple[Branch, Float[Array, ""]]:
            action = act(branch.obs, None)[0].sample(keys[0])
            state, after = env.step(keys[1], branch.state, action, params)
            reward = jnp.where(branch.weight > 0, branch.weight * after.reward, 0)
            goes_on = self.discount * ~(after.terminated | after.truncated)
            weight = (branch.weight * goes_on).astype(branch.weight.dtype)
            return Branch(state, after.obs, weight), reward

        return jnp.sum(jax.lax.scan(step, branch, keys)[1])

    def _objective(self, env: Env, params: Params) -> Objective:
        """The loss of an actor without critic over the groups that are kept."""
        view = cheaper_view(env, params, self.minibatch)

        def loss(
            networks: Networks, sample: Any, rivals: Rivals
        ) -> tuple[Float[Array, ""], Float[Array, " L"]]:
            act = bind(networks[0], view, params)

            def one(group: Group) -> tuple[Any, ...]:
                distribution, _ = act(group.obs, None)
                log_ratio = jax.vmap(distribution.log_prob)(group.action) - group.log_prob
                gain = self.surrogate(jnp.exp(log_ratio), group.advantage)
                forward = jnp.exp(log_ratio) - 1 - log_ratio  # Schulman (2020), estimator k3
                backward = jnp.exp(-log_ratio) - 1 + log_ratio  # Shao et al. (2024), eq. 4
                apart = keep_apart(distribution, group.obs, rivals, view, params)
                means = (jnp.mean(gain), jnp.mean(forward), jnp.mean(backward))
                return *means, distribution.entropy(), apart

            gain, forward, backward, entropy, apart = jax.vmap(one)(sample)
            kept = sample.kept.astype(gain.dtype)
            policy_loss = -jnp.sum(gain * kept) / jnp.maximum(jnp.sum(kept), 1)
            loss = policy_loss + self.kl_weight * jnp.mean(backward) - jnp.mean(apart)
            loss -= self.entropy_weight * jnp.mean(entropy)
            terms = (policy_loss, jnp.mean(kept), jnp.mean(forward), jnp.mean(entropy))
            return loss, jnp.stack(terms)

        return loss

    def surrogate(
        self, ratio: Float[Array, " G"], advantage: Float[Array, " G"]
    ) -> Float[Array, " G"]:
        """The objective with decoupled clips, to be maximised (Yu et al., 2025, eq. 10)."""
        clipped = jnp.clip(ratio, 1 - self.clip_low, 1 + self.clip_high)
        return jnp.minimum(ratio * advantage, clipped * advantage)

    def _optimiser(self) -> optax.GradientTransformation:
        """Adam with a limit on the gradient; the step size is applied by `improve`."""
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient), optax.scale_by_adam(eps=1e-5)
        )


def group_advantage(
    reward: Float[Array, " G"], least_spread: float | Float[Array, ""]
) -> tuple[Float[Array, " G"], Bool[Array, ""]]:
    """How much better each action of a group is than the group (Shao et al., 2024, section 4.1.2).

    Args:
        reward: of each action from one state, on one scale.
        least_spread: smallest standard deviation, as a fraction of the largest absolute reward,
            with which rewards count as different.

    Returns:
        (reward - mean) / std, 0 for a group without differences, and whether it has any.
    """
    centred = reward - jnp.mean(reward)
    spread = jnp.sqrt(jnp.mean(centred * centred))
    kept = spread > least_spread * jnp.max(jnp.abs(reward))
    return jnp.where(kept, centred / jnp.where(kept, spread, 1), 0), kept
