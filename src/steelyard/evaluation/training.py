"""Training from the host: one compiled program, called in pieces so that people see it move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from steelyard.errors import TrainingError
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats

Progress = Callable[[int, int], None]
"""Called with (updates done, updates in all)."""


@dataclass(frozen=True)
class Trained:
    """The result of training one agent with several seeds.

    Attributes:
        policies: one per seed.
        logs: per seed, log name -> (U,) one value per update.
        updates: updates that were made.
        complete: whether that was all of them; False after an interruption.
    """

    policies: Sequence[Policy]
    logs: Sequence[Mapping[str, Floats]]
    updates: int
    complete: bool


def fit(
    agent: Any,
    env: Env,
    params: Params,
    seeds: Sequence[int],
    *,
    progress: Progress | None = None,
    pieces: int = 40,
) -> Trained:
    """Train `agent` once per seed, all seeds in one vmapped program.

    The result is that of `agent.train`; the program is only called piece by piece. Ctrl-C stops
    after the piece in work and keeps what was learned so far.

    Args:
        agent: has `init`, `advance` and `updates`, as `PPO`.
        pieces: about how many calls the training is cut into.

    Raises:
        TrainingError: a log value is not finite; names the seed and the update.
    """
    total = agent.updates
    # equal pieces, so that one compiled program serves them all
    size = max(d for d in range(1, max(1, total // pieces) + 1) if total % d == 0)
    keys = jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))
    state = _init(agent, env, params, keys)
    logs: list[dict[str, Floats]] = []
    done = 0
    try:
        while done < total:
            state, log = _advance(agent, env, params, state, size)
            logs.append({name: np.asarray(values, np.float64) for name, values in log.items()})
            done += size
            _require_finite(logs[-1], seeds, done - size)
            if progress is not None:
                progress(done, total)
    except KeyboardInterrupt:
        if not logs:
            raise
    return Trained(
        policies=[jax.tree.map(lambda leaf, i=i: leaf[i], state.policy) for i in range(len(seeds))],
        logs=[
            {name: np.concatenate([log[name][i] for log in logs]) for name in logs[0]}
            for i in range(len(seeds))
        ],
        updates=done,
        complete=done == total,
    )


@eqx.filter_jit
def _init(agent: Any, env: Env, params: Params, keys: Any) -> Any:
    return jax.vmap(lambda key: agent.init(key, env, params))(keys)


@eqx.filter_jit
def _advance(agent: Any, env: Env, params: Params, state: Any, updates: int) -> Any:
    def one(state: Any) -> Any:
        return jax.lax.scan(
            lambda state, _: agent.advance(state, env, params), state, None, length=updates
        )

    return jax.vmap(one)(state)


def _require_finite(log: Mapping[str, Floats], seeds: Sequence[int], before: int) -> None:
    """Stop at the first value of the log that is not a number."""
    for name, values in log.items():
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            seed, update = bad[0]
            raise TrainingError(
                f"`{name}` of seed {seeds[seed]} is not finite at update {before + update + 1}",
                hint="use a smaller learning_rate or max_gradient",
            )
