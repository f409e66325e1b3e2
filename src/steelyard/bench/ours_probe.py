"""Our side of the scripts of `peers/stock_probe`: what the accounts are worth in the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from steelyard.bench.peers.stock_probe import probe
from steelyard.envs.stock import StockEnv, StockParams


def probe_values(folder: Path, options: Mapping[str, Any]) -> list[float]:
    """Account values after the scripts, in quote currency.

    Args:
        options: `probe`, the money in which the scripts are run: "float64", in which all sides
            agree to rounding, or "exact", in which they agree to the last digit.
    """
    from steelyard.bench.ours_device import load_params

    with jax.enable_x64(True):
        params = load_params(folder, options, options["probe"])
        market = params.market
        values: list[float] = []
        for rows, actions in probe(market.rows, market.assets):
            values += [float(v) for v in _traded(jnp.asarray(rows), jnp.asarray(actions), params)]
    return values


@jax.jit
def _traded(rows: jax.Array, actions: jax.Array, params: StockParams) -> jax.Array:
    """Values (B,) after the actions (T, B, N) of accounts that start on `rows` (B,)."""
    env, key = StockEnv(), jax.random.key(0)  # history is deterministic
    step = jax.vmap(env.step, (None, 0, 0, None))

    def trade(state: Any, action: jax.Array) -> tuple[Any, jax.Array]:
        state, after = step(key, state, action, params)
        return state, after.info["value"]

    state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(key, len(rows)), params)
    return jax.lax.scan(trade, state._replace(row=rows), actions)[1][-1]
