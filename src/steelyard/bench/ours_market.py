"""Our side of environment steps under random orders: makers `market` and `steps`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from steelyard.bench.ours_device import facts_of, finish, load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.lockstep import group_size
from steelyard.market import Precision

POOL = 16
"""Random actions per environment that the rounds go through again and again."""


def stepping(
    folder: Path, options: Mapping[str, Any], *, observed: bool, env: StockEnv | None = None
) -> Work:
    """Steps of `envs` environments in whole episodes, `calls` programs of `horizon` a round.

    Options: `envs`, `horizon`, `calls`, `precision` (float32 where absent) and the account's.

    Args:
        observed: make the observation vectors of every step, in memory that is used again.
        env: another environment of the same kind.
    """
    precision: Precision = options.get("precision", "float32")
    double = precision != "float32"
    with jax.enable_x64(double):
        params = load_params(folder, options, precision)
        facts = facts_of(folder, options, params)
    rows = int(params.market.rows) - 1
    envs, horizon = int(options["envs"]), min(int(options["horizon"]), rows)
    size = group_size(envs)
    groups, assets = envs // size, params.market.assets
    pool = jax.random.uniform(jax.random.key(2), (groups, POOL, assets, size), jnp.float32, -1, 1)

    fresh, advance = programs(env or StockEnv(), observed, horizon)
    calls, of_episode, made, live = int(options.get("calls", 1)), rows // horizon, 0, None

    def run(calls: int) -> int:
        nonlocal live, made
        with jax.enable_x64(double):
            for _ in range(calls):
                if made % of_episode == 0:
                    live = fresh(jax.random.key(made), params, groups, size)
                live, stored = advance(live, pool, params)
                finish(stored)
                made += 1
        return calls * envs * horizon

    return Work(facts, lambda: run(calls), lambda: run(1))


def programs(env: StockEnv, observed: bool, horizon: int) -> tuple[Any, Any]:
    """Fresh episodes in groups, and `horizon` steps of them under the orders of a pool."""

    def seen(obs: Any, params: StockParams) -> Any:
        return jax.vmap(env.observe, (-1, None))(obs, params) if observed else ()

    @partial(jax.jit, static_argnums=(2, 3))
    def fresh(key: jax.Array, params: StockParams, groups: int, size: int) -> Any:
        def group(keys: jax.Array) -> Any:
            state, first = jax.vmap(env.reset, (0, None), -1)(keys, params)
            return state, seen(first.obs, params)

        return jax.lax.map(group, jax.random.split(key, (groups, size)))

    @jax.jit
    def advance(live: Any, pool: jax.Array, params: StockParams) -> Any:
        key = jax.random.key(0)  # history is deterministic
        together: Any = jax.vmap(lambda s, a: env.step(key, s, a, params), in_axes=-1, out_axes=-1)

        def group(live: Any, pool: jax.Array) -> Any:
            def step(live: Any, index: jax.Array) -> Any:
                state, after = together(live[0], pool[index % POOL])
                ended = after.terminated | after.truncated
                return (state, seen(after.obs, params)), (after.reward, ended)

            return jax.lax.scan(step, live, jnp.arange(horizon, dtype=jnp.int32))

        return jax.lax.map(lambda one: group(*one), (live, pool))

    return fresh, advance


def market(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps, and the observation vector of each."""
    return stepping(folder, options, observed=True)


def steps(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps alone, in the money of `precision`."""
    return stepping(folder, options, observed=False)


MAKERS = {"market": market, "steps": steps}

if __name__ == "__main__":
    serve(MAKERS)
