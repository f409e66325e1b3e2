"""The loop of many environments at once: `rollouts`, several times as fast as a `vmap` of one.

The batch lies behind the axes of one environment, so that an operation on an asset is one on its
neighbours in the batch (see `lanes`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray

from steelyard.rollout import Env, Live, Obs, Params, Policy, Transition, bind, step_once

GROUP = 512
"""Environments that step together on a CPU: their accounts stay in its caches."""

_LIVE = Live(state=-1, obs=-1, carry=0)
_STEP: Any = Transition(*(-1, -1, 0, 0, 0, 0, -1, -1))  # type: ignore[arg-type]
"""Where the batch axis lies in `rollouts`: behind, but in front for networks and their memory."""


def rollouts(
    key: PRNGKeyArray,
    env: Env,
    params: Params,
    policy: Policy,
    length: int,
    live: Live,
    critic: Callable[[Obs], Any] | None = None,
) -> tuple[Live, Transition, Any]:
    """`rollout` in B environments that draw actions, in lockstep.

    On a CPU they are cut into groups of at most `GROUP`.

    Args:
        key: split for all environments and steps.
        live: (B, ...) the episodes to continue.
        critic: asked about every observation that is acted on, while it is at hand.

    Returns:
        The episodes in progress (B, ...), the transitions (T, B, ...), and what the critic said
        (T, B, ...), None without one.
    """
    count = int(jax.tree.leaves(live.state)[0].shape[0])
    size = group_size(count) if jax.default_backend() == "cpu" else count
    if size == count:
        return _in_lockstep(key, env, params, policy, length, live, critic)
    live, *stacked = jax.lax.map(
        lambda group: _in_lockstep(group[0], env, params, policy, length, group[1], critic),
        (
            jax.random.split(key, count // size),
            jax.tree.map(lambda leaf: leaf.reshape(count // size, size, *leaf.shape[1:]), live),
        ),
    )
    live = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), live)
    steps, said = jax.tree.map(
        lambda leaf: jnp.swapaxes(leaf, 0, 1).reshape(length, count, *leaf.shape[3:]), stacked
    )
    return live, steps, said


def by_groups(function: Callable[[Any], Any], tree: Any) -> Any:
    """`function` of every entry along the first axis, on a CPU as many at once as caches like."""
    count = int(jax.tree.leaves(tree)[0].shape[0])
    size = group_size(count) if jax.default_backend() == "cpu" else count
    if size == count:
        return jax.vmap(function)(tree)
    groups = jax.tree.map(lambda leaf: leaf.reshape(count // size, size, *leaf.shape[1:]), tree)
    answers = jax.lax.map(jax.vmap(function), groups)
    return jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), answers)


def group_size(count: int) -> int:
    """The largest divisor of `count` up to `GROUP`; `count` where there is none worth it."""
    best = max(size for size in range(1, min(count, GROUP) + 1) if count % size == 0)
    return best if 4 * best >= GROUP else count


def _in_lockstep(
    key: PRNGKeyArray,
    env: Env,
    params: Params,
    policy: Policy,
    length: int,
    live: Live,
    critic: Callable[[Obs], Any] | None,
) -> tuple[Live, Transition, Any]:
    """One scan whose step is that of all environments."""
    own_way = getattr(policy, "bind_to_act", None)
    act = bind(policy, env, params) if own_way is None else own_way(env, params)
    count = int(jax.tree.leaves(live.state)[0].shape[0])

    def one(keys: Key[Array, "3"], live: Live) -> tuple[Live, Transition, Any]:
        said = None if critic is None else critic(live.obs)
        return *step_once(keys, env, params, policy, act, live), said

    together: Any = jax.vmap(one, in_axes=(0, _LIVE), out_axes=(_LIVE, _STEP, 0))

    def step(live: Live, key: PRNGKeyArray) -> tuple[Live, Any]:
        following, *told = together(neighbours(key, (count, 3)), live)
        return following, told

    behind = Live(*(_moved(part, 0, axis) for part, axis in zip(live, _LIVE, strict=True)))
    behind, (steps, said) = jax.lax.scan(step, behind, jax.random.split(key, length))
    live = Live(*(_moved(part, axis, 0) for part, axis in zip(behind, _LIVE, strict=True)))
    in_front = [_moved(part, -1, 1) if axis else part for part, axis in zip(steps, _STEP)]
    return live, Transition(*in_front), said


def _moved(tree: Any, source: int, target: int) -> Any:
    """Every leaf with its axis `source` at `target`."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, source, target), tree)


def neighbours(key: PRNGKeyArray, shape: tuple[int, ...]) -> Key[Array, "*B"]:
    """Keys that differ by a count in one word: a cipher such as threefry needs no more of a key.

    `jax.random.split` hashes every key that it makes, and whoever draws from one hashes again.
    """
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.split(key, shape)
    first, second = jax.random.key_data(key)
    number = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    words = jnp.stack([first + number, jnp.broadcast_to(second, shape)], axis=-1)
    keys: Key[Array, "*B"] = jax.random.wrap_key_data(words)
    return keys
