"""What the gauges of whole processes run: makers `memory` and `first_update`."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from steelyard.agents.ppo import PPO
from steelyard.bench.ours_device import collector, facts_of, finish, load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.compilation import use_cache
from steelyard.envs.stock import StockEnv

IMPORTED = time.perf_counter()
"""When this process had imported what it needs."""


def memory(folder: Path, options: Mapping[str, Any]) -> Work:
    """A rollout whose every array is kept, on a market with `repeat` times the features.

    `peak` is the largest memory of this process in bytes so far, None where the system has no
    such count. With `vectors` the observation vectors are kept too: what the gauge must catch.
    """
    params, env = load_params(folder, options, repeat=int(options["repeat"])), StockEnv()
    collect, actor, critic, live = collector(params, options)
    facts: dict[str, Any] = facts_of(folder, options, params)

    @jax.jit
    def kept(key: jax.Array, live: Any, actor: Any, critic: Any, params: Any) -> Any:
        live, (steps, value) = collect(key, live, actor, critic, params)
        vectors: Any = jax.vmap(jax.vmap(lambda obs: env.observe(obs, params)))
        return live, steps, value, vectors(steps.obs) if options.get("vectors") else None

    def run() -> int:
        finish(kept(jax.random.key(1), live, actor, critic, params))
        facts["peak"] = peak_memory()
        return int(options["envs"]) * int(options["horizon"])

    return Work(facts, run)


def first_update(folder: Path, options: Mapping[str, Any]) -> Work:
    """One update of PPO at our defaults, compiled or taken from the compilation cache.

    `after_imports` is the wall time in seconds from the end of the imports to its end: the device
    is started, the market read and put on it, programs are made.
    """
    use_cache()
    params, env, agent = load_params(folder, options), StockEnv(), PPO()
    facts: dict[str, Any] = {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest()
    }

    def run() -> int:
        state = jax.jit(lambda key, params: agent.init(key, env, params))(jax.random.key(0), params)
        advance = jax.jit(lambda state, params: agent.advance(state, env, params))
        finish(advance(state, params))
        facts["after_imports"] = time.perf_counter() - IMPORTED
        return agent.envs * agent.horizon

    return Work(facts, run)


def peak_memory() -> int | None:
    """Largest resident memory of this process in bytes; None where it is not counted."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


MAKERS = {"memory": memory, "first_update": first_update}

if __name__ == "__main__":
    serve(MAKERS)
