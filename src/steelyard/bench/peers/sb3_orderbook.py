"""Training of stable-baselines3 on the NumPy environment of the order book.

Maker: `train`, complete `learn` of an agent at SB3's defaults but for the settings of the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from .numpy_orderbook import Books, OrderBook, facts_of, load
from .sb3_settings import create, settings_of
from .serve import Work, serve


class BookEnv(OrderBook, gymnasium.Env[Any, Any]):
    """The environment as Gymnasium knows it."""

    def __init__(self, books: Books, options: Mapping[str, Any]) -> None:
        super().__init__(books, options)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.size,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)


def train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete training on `envs` environments of one process.

    Options: `agent` and `settings` of it, environment steps per round (`samples`) and before the
    first one (`first`), and the market's.
    """
    settings, books = options["settings"], load(folder)
    envs = DummyVecEnv([lambda: BookEnv(books, options)] * settings["envs"])
    agent = create(options["agent"], settings, envs, seed=0)

    def learn(samples: int) -> int:
        before = agent.num_timesteps
        agent.learn(total_timesteps=samples, reset_num_timesteps=before == 0)
        return int(agent.num_timesteps - before)

    trained = {
        "capacity": agent.buffer_size,
        "n_steps": agent.n_steps,
        "learning_rate": agent.learning_rate,
        "net": list(agent.policy.net_arch),
        **settings_of(agent),
    }
    return Work(
        facts_of(folder, options) | trained,
        lambda: learn(options["samples"]),
        lambda: learn(options["first"]),
    )


MAKERS = {"train": train}

if __name__ == "__main__":
    serve(MAKERS)
