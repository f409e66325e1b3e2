"""Our side of the rows about the doors: an environment as users of another library call it.

Makers: `gym_single`, `gym_vector`, `torch_vector`, `sb3_vector`, steps under random actions, and
`sb3_train`, complete `learn` of an agent of stable-baselines3. The libraries of the last three are
imported where they are needed, as these rows run in an environment that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.bench.ours_device import facts_of, load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.bench.peers.stock_probe import POOL, pool_of, stepping_one
from steelyard.compilation import run_inline
from steelyard.envs.stock import StockEnv


def gym_single(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of one `GymEnv`, with a reset where an episode ends."""
    from steelyard.envs.gymnasium import GymEnv

    params = load_params(folder, options)
    env = GymEnv(StockEnv(), params, seed=0)
    steps = stepping_one(env, params.market.assets)
    return _work(folder, options, params, steps)


def gym_vector(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of a `GymVectorEnv`."""
    from steelyard.envs.gymnasium import GymVectorEnv

    params = load_params(folder, options)
    envs = GymVectorEnv(StockEnv(), params, int(options["envs"]), seed=0)
    envs.reset()
    return _work(folder, options, params, _stepping(envs.step, options, params, np.asarray))


def torch_vector(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of a `TorchVectorEnv`, tensors in and out."""
    import torch

    from steelyard.envs.torch import TorchVectorEnv

    torch.set_num_threads(1)
    params = load_params(folder, options)
    envs = TorchVectorEnv(StockEnv(), params, int(options["envs"]), seed=0)
    envs.reset()
    return _work(folder, options, params, _stepping(envs.step, options, params, torch.tensor))


def sb3_vector(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of an `SB3VecEnv`."""
    from steelyard.envs.stable_baselines import SB3VecEnv

    params = load_params(folder, options)
    envs = SB3VecEnv(StockEnv(), params, int(options["envs"]), seed=0)
    envs.reset()
    return _work(folder, options, params, _stepping(envs.step, options, params, np.asarray))


def sb3_train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete `learn` of an agent of stable-baselines3 on our environments."""
    from steelyard.bench.peers.sb3_settings import create, settings_of
    from steelyard.envs.stable_baselines import SB3VecEnv

    params, settings = load_params(folder, options), options["settings"]
    agent = create(
        options["agent"], settings, SB3VecEnv(StockEnv(), params, settings["envs"], seed=0), seed=0
    )

    def learn(samples: int) -> int:
        before = agent.num_timesteps
        agent.learn(total_timesteps=samples, reset_num_timesteps=before == 0)
        return int(agent.num_timesteps - before)

    facts = facts_of(folder, options, params) | settings_of(agent)
    return Work(facts, lambda: learn(options["samples"]), lambda: learn(options["first"]))


def _stepping(
    step: Callable[[Any], Any], options: Mapping[str, Any], params: Any, made: Callable[..., Any]
) -> Callable[[int], int]:
    """Calls of `step` with actions of the kind that `made` makes of an array."""
    envs = int(options["envs"])
    pool = [made(actions) for actions in pool_of(envs, params.market.assets)]

    def steps(samples: int) -> int:
        calls = max(1, samples // envs)
        for number in range(calls):
            step(pool[number % POOL])
        return calls * envs

    return steps


def _work(
    folder: Path, options: Mapping[str, Any], params: Any, steps: Callable[[int], int]
) -> Work:
    """A round is `samples` of the options; a quarter of it warms up."""
    samples = int(options["samples"])
    facts = facts_of(folder, options, params)
    return Work(facts, lambda: steps(samples), lambda: steps(max(1, samples // 4)))


MAKERS = {
    "gym_single": gym_single,
    "gym_vector": gym_vector,
    "torch_vector": torch_vector,
    "sb3_vector": sb3_vector,
    "sb3_train": sb3_train,
}

if __name__ == "__main__":
    run_inline()
    serve(MAKERS)
