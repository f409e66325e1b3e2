"""Our side of the training rows: maker `train`, complete updates of any learning agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from steelyard.bench.ours_agent import create, settings_of
from steelyard.bench.ours_device import facts_of, finish, load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv


def train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete training as `fit` runs it: `updates` of them in one program per round.

    Options: `agent`, `settings` and `extra` of it, `updates`, `net` and the account's.
    """
    params, env = load_params(folder, options), StockEnv()
    agent = create(options["agent"], {**options["settings"], **options["extra"]})
    state = jax.jit(lambda key, params: agent.init(key, env, params))(jax.random.key(0), params)

    @jax.jit
    def advance(state: Any, params: Any) -> Any:
        return jax.lax.scan(
            lambda state, _: agent.advance(state, env, params),
            state,
            None,
            length=options["updates"],
        )

    facts, per_update = settings_of(agent)

    def run() -> int:
        nonlocal state
        state, log = advance(state, params)
        finish(log)
        return int(options["updates"]) * per_update

    return Work(facts_of(folder, options, params) | facts, run)


MAKERS = {"train": train}

if __name__ == "__main__":
    serve(MAKERS)
