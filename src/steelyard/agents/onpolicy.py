"""What learners from their own fresh experience share: collect, estimate, take gradient steps.

An update of such a learner is `collect` (a rollout of every environment), `estimate` (advantages
and targets), `as_experience` and `improve` (gradient steps on an `objective`). Actor and critic
are trained as one vector of parameters, so that an optimiser is one operation and not one per
layer.

A policy with memory is learned over whole sequences: a minibatch holds environments and not steps,
the network is run again from the memory that the rollout began with, and gradients pass through
time as far as the rollout reaches. The critic has no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from steelyard.agents.diversity import NOBODY, Peers, Rivals, draw, mean_apart
from steelyard.agents.losses import generalized_advantage
from steelyard.agents.memory import create_memory_policy
from steelyard.agents.networks import MLP, shares_table
from steelyard.agents.policies import create_policy, vector_size
from steelyard.agents.vectors import cheaper_view
from steelyard.devices import dealt
from steelyard.errors import ConfigError
from steelyard.lanes import read
from steelyard.lockstep import by_groups, rollouts
from steelyard.rollout import Act, Env, Live, Params, Transition, bind, start

TERMS = ("policy_loss", "value_error", "kl", "entropy")
"""What an objective reports of a minibatch, in this order."""


class OnPolicyState(NamedTuple):
    """A training in progress; pure data, so that it can be saved, resumed and vmapped.

    Attributes:
        optimiser: moments of the parameters of actor and critic, laid end to end.
        extra: what a learner keeps beside the networks.
    """

    policy: Any
    critic: MLP
    optimiser: Any
    live: Live
    key: PRNGKeyArray
    update: Int[Array, ""]
    extra: Any = None


class Experience(NamedTuple):
    """What an update learns from: B steps, or with memory B sequences of T steps.

    Attributes:
        obs, action, log_prob: as stored in the rollout.
        advantage: of the action.
        target: what each of the H outputs of the critic should have said.
        begins: whether an episode begins with the step; None without memory.
        carry: memory of the policy before the first step of a sequence; None without memory.
    """

    obs: Any
    action: Any
    log_prob: Float[Array, "*B"]
    advantage: Float[Array, "*B"]
    target: Float[Array, "*B H"]
    begins: Bool[Array, "B T"] | None
    carry: Any


T = TypeVar("T")
Networks: TypeAlias = tuple[Any, MLP]
"""Actor and critic."""
Surrogate: TypeAlias = Callable[
    [Float[Array, " B"], Float[Array, " B"], Float[Array, " B"]], Float[Array, " B"]
]
"""(log probability of the action, the same at collection, advantage) -> loss of the actor."""
Objective: TypeAlias = Callable[
    [Networks, Experience, Rivals], tuple[Float[Array, ""], Float[Array, " L"]]
]
"""(networks, minibatch, rivals) -> (loss, the `TERMS`)."""


class OnPolicy(Protocol):
    """The settings that all these learners have; see `PPO` for what they are."""

    envs: int
    horizon: int
    hidden: tuple[int, ...]
    memory: str
    span: int
    log_std: float | Float[Array, ""]
    discount: float | Float[Array, ""]
    decay: float | Float[Array, ""]
    value_weight: float | Float[Array, ""]
    entropy_weight: float | Float[Array, ""]


def require_batches(agent: OnPolicy, minibatch: int) -> None:
    """Refuse minibatches that the experience of an update cannot be cut into."""
    batch = agent.envs * agent.horizon
    if batch >= 2**31:
        raise ConfigError(
            f"an update learns from fewer than {2**31:,} steps, not envs * horizon = {batch:,}",
            hint=f"use envs={(2**31 - 1) // agent.horizon} or fewer",
        )
    if min(batch, minibatch) < 1 or batch % minibatch:
        raise ConfigError(
            f"minibatch {minibatch} must divide envs * horizon = {batch}, all positive",
            hint=f"use minibatch={max(1, batch)}",
        )
    if agent.memory != "none" and minibatch % agent.horizon:
        raise ConfigError(
            f"with memory, minibatch {minibatch} must be a multiple of the horizon {agent.horizon}",
            hint=f"use minibatch={batch}",
        )


def begin(
    key: PRNGKeyArray,
    agent: OnPolicy,
    env: Env,
    params: Params,
    optimiser: optax.GradientTransformation,
    *,
    heads: int = 1,
    extra: Any = None,
) -> OnPolicyState:
    """Fresh networks and episodes.

    Args:
        heads: H, outputs of the critic.
        extra: what the learner keeps beside the networks.
    """
    policy_key, critic_key, live_key, key = jax.random.split(key, 4)
    size, space = vector_size(env, params), env.action_space(params)
    policy: Any = (
        create_policy(policy_key, size, agent.hidden, space)
        if agent.memory == "none"
        else create_memory_policy(
            policy_key, size, agent.hidden, space, agent.memory, span=agent.span
        )
    )
    if hasattr(policy, "log_std"):
        spread = jnp.full_like(policy.log_std, agent.log_std)
        policy = eqx.tree_at(lambda p: p.log_std, policy, spread)
    critic = MLP.create(critic_key, size, agent.hidden, heads, 1.0)
    live = jax.vmap(lambda k: start(k, env, params, policy))(jax.random.split(live_key, agent.envs))
    moments = optimiser.init(ravel_pytree((policy, critic))[0])
    return OnPolicyState(policy, critic, moments, live, key, jnp.zeros((), jnp.int32), extra)


def collect(
    key: PRNGKeyArray, state: OnPolicyState, agent: OnPolicy, env: Env, params: Params
) -> tuple[Live, Transition, Float[Array, "T B H"]]:
    """`horizon` steps of every environment: the episodes in progress, steps and their values."""
    view = cheaper_view(env, params, 4 * agent.envs * agent.horizon)
    critic = state.critic.bind_to_act(view, params)
    return rollouts(key, view, params, state.policy, agent.horizon, state.live, critic)


def estimate(
    steps: Transition,
    rewards: Float[Array, "T B H"],
    value: Float[Array, "T B H"],
    critic: MLP,
    agent: OnPolicy,
    env: Env,
    params: Params,
) -> tuple[Float[Array, "T B H"], Float[Array, "T B H"]]:
    """Advantages of a rollout and targets of the critic, for each of H streams of rewards."""
    shape = rewards.shape
    worth = critic.bind_to_act(cheaper_view(env, params, shape[0] * shape[1]), params)
    # over one flat batch axis, which is several times faster than two
    next_value = by_groups(worth, _flat(steps.next_obs)).reshape(shape)
    one: Any = partial(generalized_advantage, discount=agent.discount, decay=agent.decay)
    stream = jax.vmap(one, in_axes=(1, 1, 1, None, None), out_axes=1)
    advantage: Float[Array, "T B H"] = jax.vmap(stream, in_axes=1, out_axes=1)(
        rewards.astype(value.dtype), value, next_value, steps.terminated, steps.truncated
    )
    return advantage, advantage + value


def as_experience(
    steps: Transition,
    advantage: Float[Array, "T B"],
    target: Float[Array, "T B H"],
    carry: Any,
) -> Experience:
    """A rollout as `improve` takes it; `carry` is the memory that it began with."""
    facts = Experience(steps.obs, steps.action, steps.log_prob, advantage, target, None, None)
    if carry is None:
        return _flat(facts)
    ended = steps.terminated | steps.truncated
    begins = jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]])
    by_env: Experience = jax.tree.map(
        lambda leaf: jnp.swapaxes(leaf, 0, 1), facts._replace(begins=begins)
    )
    return by_env._replace(carry=carry)


def objective(surrogate: Surrogate, agent: OnPolicy, env: Env, params: Params) -> Objective:
    """The loss of actor and critic together."""
    turned = env.table(params).T if shares_table(env) else None

    def loss(
        networks: Networks, sample: Experience, rivals: Rivals
    ) -> tuple[Float[Array, ""], Float[Array, " L"]]:
        policy, critic = networks
        view = cheaper_view(env, params, sample.log_prob.size, turned)
        distribution = replay(bind(policy, view, params), policy.initial_carry(), sample)
        flat = sample if sample.carry is None else _flat(sample._replace(carry=None))
        value = jax.vmap(critic.bind(view, params))(flat.obs)
        log_prob = jax.vmap(lambda one, action: one.log_prob(action))(distribution, flat.action)
        entropy = jnp.mean(jax.vmap(_entropy)(distribution))
        policy_loss = jnp.mean(surrogate(log_prob, flat.log_prob, flat.advantage))
        value_error = jnp.mean(jnp.sum((value - flat.target) ** 2, axis=-1))
        log_ratio = log_prob - flat.log_prob
        kl = jnp.mean(jnp.exp(log_ratio) - 1 - log_ratio)  # Schulman (2020), estimator k3
        loss = policy_loss + agent.value_weight * value_error - agent.entropy_weight * entropy
        if rivals.policies:
            loss = loss - mean_apart(distribution, flat.obs, rivals, view, params)
        return loss, jnp.stack([policy_loss, value_error, kl, entropy])

    return loss


def replay(act: Act, fresh: Any, sample: Experience) -> Any:
    """The distributions of a policy along `sample`, stacked on one flat axis.

    Args:
        act: the policy, bound to the environment.
        fresh: its memory at the start of an episode.
    """
    if sample.carry is None:
        return jax.vmap(lambda obs: act(obs, None)[0])(sample.obs)

    def step(carry: Any, now: tuple[Any, Bool[Array, ""]]) -> tuple[Any, Any]:
        obs, begins = now
        carry = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, carry)
        distribution, carry = act(obs, carry)
        return carry, distribution

    def sequence(carry: Any, obs: Any, begins: Any) -> Any:
        return jax.lax.scan(step, carry, (obs, begins))[1]

    return _flat(jax.vmap(sequence)(sample.carry, sample.obs, sample.begins))


def improve(
    key: PRNGKeyArray,
    state: OnPolicyState,
    experience: Experience,
    loss: Objective,
    optimiser: optax.GradientTransformation,
    learning_rate: float | Float[Array, ""],
    *,
    epochs: int = 1,
    parts: int = 1,
    target_kl: float | Float[Array, ""] = float("inf"),
    peers: Peers | None = None,
) -> tuple[OnPolicyState, Float[Array, " L"]]:
    """`epochs` passes over the experience, shuffled and cut into `parts` gradient steps each.

    Args:
        optimiser: without step size; `learning_rate` is applied here.
        target_kl: no further step is taken once the mean KL exceeds 1.5 times this.
        peers: policies to keep away from; one of each group is drawn per gradient step.

    Returns:
        The state with new networks, and the mean of the `TERMS` over the gradient steps.
    """
    flat, restore = ravel_pytree((state.policy, state.critic))
    shuffle_key, peers_key = jax.random.split(key)

    def step(carry: Any, now: tuple[Any, Any]) -> tuple[Any, Float[Array, " L"]]:
        (flat, moments, stopped), (rows, key) = carry, now
        sample = (
            experience if rows is None else jax.tree.map(lambda leaf: read(leaf, rows), experience)
        )
        sample = dealt(sample)
        rivals = NOBODY if peers is None else draw(key, peers)
        gradient, terms = jax.grad(loss, has_aux=True)(restore(flat), sample, rivals)
        change, new = optimiser.update(ravel_pytree(gradient)[0], moments)
        stopped |= terms[2] > 1.5 * target_kl
        flat = flat - jnp.where(stopped, 0, learning_rate) * change
        moments = jax.tree.map(lambda new, old: jnp.where(stopped, old, new), new, moments)
        return (flat, moments, stopped), terms

    count = experience.advantage.shape[0]
    rows = None
    if parts > 1:  # the order does not matter to a single step over everything
        rows = shuffles(shuffle_key, epochs, count).reshape(epochs * parts, count // parts)
    keys = None if peers is None else jax.random.split(peers_key, epochs * parts)
    (flat, moments, _), terms = jax.lax.scan(
        step, (flat, state.optimiser, jnp.asarray(False)), (rows, keys), length=epochs * parts
    )
    policy, critic = restore(flat)
    return state._replace(policy=policy, critic=critic, optimiser=moments), jnp.mean(terms, axis=0)


def shuffles(key: PRNGKeyArray, times: int, count: int) -> Int[Array, "times count"]:
    """Random orders of 0..count-1, by one sort of random bits above the number's own."""
    low = max(1, (count - 1).bit_length())
    bits = jax.random.bits(key, (times, count), jnp.uint32) >> low << low
    mixed = jnp.sort(bits | jnp.arange(count, dtype=jnp.uint32), axis=1)
    order: Int[Array, "times count"] = (mixed & (2**low - 1)).astype(jnp.int32)
    return order


def _entropy(distribution: Any) -> Float[Array, ""]:
    entropy: Float[Array, ""] = distribution.entropy()
    return entropy


def _flat(tree: T) -> T:
    """Leaves (T, B, ...) as (T * B, ...)."""
    flat: T = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
    return flat
