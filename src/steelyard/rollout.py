"""A policy in an environment, step by step, as one compiled scan.

There are two loops. `rollout` is for training: an episode that ends is reset at once, so that no
step is lost. `scored_pass` is for scores: it is one episode, and stands still where that ends.

This module also holds the words of the device side that meet in the loop: `Env`, `Policy`,
`TimeStep`, `Transition` and `Live`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from steelyard.types import Space

State: TypeAlias = Any
"""Whatever an environment carries from step to step: a pytree of arrays."""
Params: TypeAlias = Any
"""The settings of an environment: a pytree; any leaf can be vmapped."""
Obs: TypeAlias = Any
"""What a step stores of an observation: enough to rebuild the vector that networks see."""
Carry: TypeAlias = Any
"""Memory of a policy between steps; None for policies without any."""
Action: TypeAlias = Any


class TimeStep(NamedTuple):
    """What an environment answers.

    Attributes:
        obs: the observation after the step, before any reset.
        reward: () float.
        terminated: () bool; the episode ended for a reason inside the market (bankrupt).
        truncated: () bool; the episode ended for a reason outside of it (end of data or window).
        info: facts for people, such as the account; never an input of a policy.
    """

    obs: Obs
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    info: dict[str, Array]


class Env(Protocol):
    """A market, or any other problem: pure functions of (key, state, action, params)."""

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[State, TimeStep]:
        """A fresh episode."""
        ...

    def step(
        self, key: PRNGKeyArray, state: State, action: Action, params: Params
    ) -> tuple[State, TimeStep]:
        """One step; no reset happens inside."""
        ...

    def observe(self, obs: Obs, params: Params) -> Float[Array, " D"]:
        """The vector that networks see, rebuilt from what a step stored."""
        ...

    def action_space(self, params: Params) -> Space:
        """The actions that `step` takes."""
        ...


@runtime_checkable
class SharedTable(Env, Protocol):
    """An environment whose vector is its own part followed by a row of a table shared by all."""

    def own(self, obs: Obs, params: Params) -> Float[Array, " O"]:
        """The part of the vector that belongs to this environment alone."""
        ...

    def table(self, params: Params) -> Float[Array, "T D"]:
        """The rows of the shared part; `obs.row` picks one."""
        ...


class Distribution(Protocol):
    """A distribution over actions: all that training and ensembles need."""

    def sample(self, key: PRNGKeyArray) -> Action:
        """A random action."""
        ...

    def mode(self) -> Action:
        """The most likely action."""
        ...

    def log_prob(self, action: Action) -> Float[Array, ""]:
        """Log density or log probability of `action`."""
        ...

    def entropy(self) -> Float[Array, ""]:
        """Entropy in nats."""
        ...

    def kl(self, other: Any) -> Float[Array, ""]:
        """Kullback-Leibler divergence from `other` to this distribution, in nats."""
        ...


Act: TypeAlias = Callable[[Obs, Carry], tuple[Any, Carry]]
"""A policy bound to an environment: (obs, carry) -> (Distribution, carry)."""


class Policy(Protocol):
    """A policy reads the vector of an observation and answers with a distribution.

    A policy may also have `bind(env, params) -> Act`, to work on the stored observation itself, and
    `bind_to_act`, the same for the many environments of `rollouts`, without a gradient.
    """

    def initial_carry(self) -> Carry:
        """The memory at the start of an episode."""
        ...

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Any, Carry]:
        """Distribution over actions, and the memory for the next step."""
        ...


class Transition(NamedTuple):
    """One step of experience; `rollout` and `scored_pass` stack T of them."""

    obs: Obs
    action: Action
    log_prob: Float[Array, ""]
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    next_obs: Obs
    info: dict[str, Array]


class Live(NamedTuple):
    """An episode in progress, to be continued by the next rollout."""

    state: State
    obs: Obs
    carry: Carry


def bind(policy: Policy, env: Env, params: Params) -> Act:
    """`policy` on the observations of `env` as they are stored."""
    own_way = getattr(policy, "bind", None)
    if own_way is not None:
        bound: Act = own_way(env, params)
        return bound
    return lambda obs, carry: policy(env.observe(obs, params), carry)


def start(key: PRNGKeyArray, env: Env, params: Params, policy: Policy) -> Live:
    """A fresh episode, before its first step."""
    state, step = env.reset(key, params)
    return Live(state, step.obs, policy.initial_carry())


def rollout(
    key: PRNGKeyArray,
    env: Env,
    params: Params,
    policy: Policy,
    length: int,
    live: Live | None = None,
    *,
    sample: bool = True,
) -> tuple[Live, Transition]:
    """Run `policy` in one environment for `length` steps; the caller vmaps over environments.

    Episodes that end are reset at once; `Transition.next_obs` keeps the observation from before
    the reset. What is stored of an observation is what `env` stores, not the network's vector.

    Args:
        key: split once for all steps.
        length: steps, static.
        live: the episode to continue; a fresh one where omitted.
        sample: draw from the policy's distribution; False = take its mode.

    Returns:
        The episode in progress and the transitions, stacked along a leading T axis.
    """
    start_key, key = jax.random.split(key)
    act = bind(policy, env, params)
    live = start(start_key, env, params, policy) if live is None else live

    def step(live: Live, keys: Key[Array, "3"]) -> tuple[Live, Transition]:
        return step_once(keys, env, params, policy, act, live, sample=sample)

    return jax.lax.scan(step, live, jax.random.split(key, (length, 3)))


def step_once(
    keys: Key[Array, "3"],
    env: Env,
    params: Params,
    policy: Policy,
    act: Act,
    live: Live,
    *,
    sample: bool = True,
) -> tuple[Live, Transition]:
    """One step of one environment, and where it ends an episode the start of the next."""
    act_key, step_key, reset_key = keys
    following, done = _act_once(act_key, step_key, env, params, act, live, sample=sample)
    ended = done.terminated | done.truncated
    fresh = start(reset_key, env, params, policy)
    following = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, following)
    return following, done


def scored_pass(
    key: PRNGKeyArray,
    env: Env,
    params: Params,
    policy: Policy,
    length: int,
    *,
    sample: bool = False,
) -> Transition:
    """Run `policy` through one fresh episode that is never reset; the caller vmaps over policies.

    A score ends where the account ends. Behind the step that was `terminated` or `truncated`
    everything stands still: the action is that which does nothing, reward and log probability are
    0, and the observation, both flags and `info` are as that step left them. Before it, keys are
    taken as in `rollout`, so that an episode as long as the pass is the same bits in both.

    Args:
        key: split once for all steps.
        length: steps, static.
        sample: draw from the policy's distribution; False = take its mode.

    Returns:
        The transitions, stacked along a leading T axis.
    """
    start_key, key = jax.random.split(key)
    act = bind(policy, env, params)

    def step(so_far: tuple[Live, Any], keys: Key[Array, "3"]) -> tuple[tuple[Live, Any], Any]:
        live, over = so_far
        act_key, step_key, _ = keys
        following, done = _act_once(act_key, step_key, env, params, act, live, sample=sample)
        live = jax.tree.map(lambda old, new: jnp.where(over, old, new), live, following)
        return (live, over | done.terminated | done.truncated), (over, done)

    fresh = (start(start_key, env, params, policy), jnp.asarray(False))
    _, (over, steps) = jax.lax.scan(step, fresh, jax.random.split(key, (length, 3)))
    return _stand_still(over, steps, env.action_space(params))


def _stand_still(over: Bool[Array, " T"], steps: Transition, space: Space) -> Transition:
    """`steps` with those behind the end of the episode, where it is `over`, left as it ended."""
    last = jnp.sum(~over) - 1

    def put(leaf: Array, end: Any) -> Array:
        return jnp.where(over.reshape(-1, *(1,) * (leaf.ndim - 1)), end, leaf)

    def held(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: put(leaf, leaf[last]), tree)

    idle = space.idle if space.choices else 0
    return Transition(
        obs=jax.tree.map(lambda leaf, end: put(leaf, end[last]), steps.obs, steps.next_obs),
        action=jax.tree.map(lambda leaf: put(leaf, idle), steps.action),
        log_prob=put(steps.log_prob, 0),
        reward=put(steps.reward, 0),
        terminated=held(steps.terminated),
        truncated=held(steps.truncated),
        next_obs=held(steps.next_obs),
        info=held(steps.info),
    )


def _act_once(
    act_key: PRNGKeyArray,
    step_key: PRNGKeyArray,
    env: Env,
    params: Params,
    act: Act,
    live: Live,
    *,
    sample: bool,
) -> tuple[Live, Transition]:
    """Decide and step once, whether the episode ends with it or not."""
    distribution, carry = act(live.obs, live.carry)
    action, log_prob = _decide(distribution, act_key, sample=sample)
    state, after = env.step(step_key, live.state, action, params)
    return Live(state, after.obs, carry), Transition(
        obs=live.obs,
        action=action,
        log_prob=log_prob,
        reward=after.reward,
        terminated=after.terminated,
        truncated=after.truncated,
        next_obs=after.obs,
        info=after.info,
    )


def _decide(
    distribution: Any, key: PRNGKeyArray, *, sample: bool
) -> tuple[Action, Float[Array, ""]]:
    """An action and its log probability."""
    both = getattr(distribution, "sample_log_prob", None)
    if sample and both is not None:
        drawn: tuple[Action, Float[Array, ""]] = both(key)
        return drawn
    action = distribution.sample(key) if sample else distribution.mode()
    return action, distribution.log_prob(action)
