"""Our side of the returns: maker `returns` trains all seeds of a case in one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.bench.control import PROBLEMS
from steelyard.bench.ours_agent import create
from steelyard.bench.peers.serve import Work, serve
from steelyard.evaluation.training import fit
from steelyard.rollout import Env, Params, Policy
from steelyard.rollout import rollout as run_policy
from steelyard.types import Floats

EVALUATION = 10_000
"""Seed of the episodes on which agents are weighed, plus the seed of the training."""


def returns(folder: Path, options: Mapping[str, Any]) -> Work:
    """Train and weigh; the facts' `returns` are (seeds, episodes).

    Options: `agent`, `problem`, `settings`, `seeds`, `episodes`.
    """
    agent = create(options["agent"], options["settings"])
    env, params = PROBLEMS[options["problem"]]
    facts: dict[str, Any] = {}

    def run() -> int:
        seeds = range(options["seeds"])
        trained = fit(agent, env, params, seeds)
        facts["returns"] = weigh(trained.policies, env, params, options["episodes"]).tolist()
        return len(seeds) * int(agent.steps)

    return Work(facts, run)


def weigh(policies: Sequence[Policy], env: Env, params: Params, episodes: int) -> Floats:
    """Returns (S, episodes) of whole episodes in which the policies take their modes."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *policies)

    def episode(policy: Policy, key: Any) -> Any:
        _, steps = run_policy(key, env, params, policy, int(params.length), sample=False)
        ended = steps.terminated | steps.truncated
        over = jnp.cumsum(ended) - ended  # ends before each step
        return jnp.sum(jnp.where(over == 0, steps.reward, 0.0))

    @jax.jit
    def every(policies: Policy) -> Any:
        keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(EVALUATION + seed), episodes))(
            jnp.arange(len(jax.tree.leaves(policies)[0]))
        )
        return jax.vmap(lambda policy, own: jax.vmap(lambda key: episode(policy, key))(own))(
            policies, keys
        )

    return np.asarray(every(stacked), np.float64)


MAKERS = {"returns": returns}

if __name__ == "__main__":
    serve(MAKERS)
