"""Who may be a member of a population, and in which float settings members differ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from steelyard.errors import ConfigError
from steelyard.rollout import Env, Params, bind

Variant = tuple[tuple[str, float], ...]
"""Float settings of one member: (name, value) pairs."""


def variants_of(agent: Any, grid: Mapping[str, Sequence[float]]) -> tuple[Variant, ...]:
    """All combinations of the values of a grid, as `Population.variants` of one group.

    Raises:
        ConfigError: the grid is empty, or a name or a value is not a setting of the agent.
    """
    if not grid or not all(len(values) for values in grid.values()):
        raise ConfigError(
            "a grid needs at least one setting with at least one value",
            hint='{"learning_rate": (1e-4, 3e-4, 1e-3)}',
        )
    floats = [
        name
        for name in getattr(agent, "__dataclass_fields__", {})
        if isinstance(getattr(agent, name), float)
    ]
    unknown = [name for name in grid if name not in floats]
    if unknown:
        raise ConfigError(
            f"{type(agent).__name__} has no float setting named {', '.join(unknown)}",
            hint="there are " + ", ".join(floats),
        )
    made = [
        tuple(zip(grid, (float(value) for value in values), strict=True))
        for values in itertools.product(*grid.values())
    ]
    for variant in made:
        replace(agent, **dict(variant))  # refuses what its own page refuses
    return tuple(made)


def with_variant(agent: Any, variants: Sequence[Variant], place: Int[Array, ""]) -> Any:
    """The agent with the settings of one of its variants; traceable in `place`."""
    names = list(dict.fromkeys(name for variant in variants for name, _ in variant))
    if not names:
        return agent
    table = [[dict(one).get(name, getattr(agent, name)) for name in names] for one in variants]
    mine = jnp.asarray(table, jnp.float32)[place]
    return eqx.tree_at(
        lambda a: [getattr(a, name) for name in names], agent, [mine[i] for i in range(len(names))]
    )


def require_groups(groups: tuple[tuple[Any, int], ...]) -> None:
    """At least one member, and nobody who cannot be one."""
    if not groups or any(count < 1 for _, count in groups):
        raise ConfigError(
            f"a population needs members, got {[count for _, count in groups]}",
            hint="Population(groups=((PPO(), 5),))",
        )
    for agent, _ in groups:
        wanted = ("init", "advance", "updates")
        if not all(hasattr(agent, name) for name in wanted) or hasattr(agent, "population"):
            raise ConfigError(
                f"{type(agent).__name__} cannot be a member: it does not learn, or has members",
                hint="choose agents that learn, such as PPO()",
            )


def require_one_space(
    labels: Sequence[str], policies: tuple[Any, ...], env: Env, params: Params
) -> None:
    """All members act in one space; found by shapes alone, nothing runs."""

    def act(policy: Any) -> Any:
        obs = env.reset(jax.random.key(0), params)[1].obs
        return bind(policy, env, params)(obs, policy.initial_carry())[0].mode()

    answers = [jax.eval_shape(jax.vmap(act), policy) for policy in policies]
    spaces = [
        (one.shape[1:], "choices" if jnp.issubdtype(one.dtype, jnp.integer) else "box")
        for one in answers
    ]
    if len(set(spaces)) > 1:
        told = ", ".join(
            f"{label} {kind} {shape}" for label, (shape, kind) in zip(labels, spaces, strict=True)
        )
        raise ConfigError(
            f"members must act in one space: {told}", hint="choose agents for one kind of action"
        )
