"""Our side of the training rows: maker `train`, complete updates of any learning agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from steelyard.bench.ours_agent import create, settings_of
from steelyard.bench.ours_device import facts_of, finish, load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv
from steelyard.rollout import Env, Params


def train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete training as `fit` runs it: `updates` of them in one program per round.

    Options: `agent`, `settings` and `extra` of it, `updates`, `net` and the account's.
    """
    params, env = load_params(folder, options), StockEnv()
    agent = create(options["agent"], {**options["settings"], **options["extra"]})
    facts, per_update = settings_of(agent)
    run = rounds_of(agent, env, params, int(options["updates"]), per_update)
    return Work(facts_of(folder, options, params) | facts, run)


def rounds_of(
    agent: Any, env: Env, params: Params, updates: int, per_update: int
) -> Callable[[], int]:
    """A training that goes on by `updates` with every call, which returns its environment steps."""
    state = jax.jit(lambda key, params: agent.init(key, env, params))(jax.random.key(0), params)

    @jax.jit
    def advance(state: Any, params: Params) -> Any:
        return jax.lax.scan(
            lambda state, _: agent.advance(state, env, params), state, None, length=updates
        )

    def run() -> int:
        nonlocal state
        state, log = advance(state, params)
        finish(log)
        return updates * per_update

    return run


MAKERS = {"train": train}

if __name__ == "__main__":
    serve(MAKERS)
