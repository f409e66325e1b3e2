"""FinRL's NumPy environment without a policy, and under PPO, as its users step it.

Makers: `numpy_steps`, one environment alone; `dummy_steps`, several in a `DummyVecEnv`; `ppo`,
complete `learn` of an agent of stable-baselines3.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import DummyVecEnv

from .finrl_market import facts_of, numpy_env
from .finrl_train import train
from .serve import Work, serve
from .stock_probe import POOL, pool_of, stepping_one


def numpy_steps(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of one environment, with a reset where an episode ends."""
    make, value = numpy_env(folder, options)
    facts = facts_of(folder, options, make, value)
    env = make()
    steps = stepping_one(env, env.action_space.shape[0])
    samples = int(options["samples"])
    return Work(facts, lambda: steps(samples), lambda: steps(max(1, samples // 4)))


def dummy_steps(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of `envs` environments in a `DummyVecEnv`."""
    make, value = numpy_env(folder, options)
    facts = facts_of(folder, options, make, value)
    count = int(options["envs"])
    envs = DummyVecEnv([make] * count)
    pool = pool_of(count, envs.action_space.shape[0])
    envs.reset()

    def steps(samples: int) -> int:
        calls = max(1, samples // count)
        for number in range(calls):
            envs.step(pool[number % POOL])
        return calls * count

    samples = int(options["samples"])
    return Work(facts, lambda: steps(samples), lambda: steps(max(1, samples // 4)))


MAKERS = {"numpy_steps": numpy_steps, "dummy_steps": dummy_steps, "ppo": train(numpy_env)}

if __name__ == "__main__":
    serve(MAKERS)
