"""Training of stable-baselines3 on Gymnasium's classic problems, one seed a case.

Maker `returns`: trains one agent and weighs it on whole episodes without exploration. Box actions
are rescaled to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from .sb3_settings import create
from .serve import Work, serve

EVALUATION = 10_000
"""Seed of the episodes on which agents are weighed, plus the seed of the training."""


def make_env(name: str) -> gymnasium.Env[Any, Any]:
    """The problem as registered, its time limit included; a box of actions becomes [-1, 1]."""
    env = gymnasium.make(name)
    if isinstance(env.action_space, gymnasium.spaces.Box):
        return gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    return env


def returns(folder: Path, options: Mapping[str, Any]) -> Work:
    """One training with `seed`; `returns` in the facts are the episodes after it.

    Options: `agent`, `problem`, `settings` by our names, `seed`, `episodes`.
    """
    settings, seed, facts = options["settings"], options["seed"], dict[str, Any]()

    def problem(count: int, seed: int) -> Any:
        return make_vec_env(lambda: make_env(options["problem"]), count, seed)

    def run() -> int:
        agent = create(options["agent"], settings, problem(settings["envs"], seed), seed)
        agent.learn(total_timesteps=settings["steps"])
        reached, _ = evaluate_policy(
            agent,
            problem(1, EVALUATION + seed),
            options["episodes"],
            deterministic=True,
            return_episode_rewards=True,
        )
        facts["returns"] = [float(value) for value in reached]
        return int(agent.num_timesteps)

    return Work(facts, run)


MAKERS = {"returns": returns}

if __name__ == "__main__":
    serve(MAKERS)
