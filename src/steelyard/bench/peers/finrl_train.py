"""Training of stable-baselines3 on FinRL's two stock environments, on the shared market.

Makers: `pandas_train` and `numpy_train`, complete `learn` of any of SB3's agents at its defaults
but for the settings of the case. Agents that choose from a menu get one: nothing, buy one stock or
sell one stock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from .finrl_market import facts_of, numpy_env, pandas_env
from .sb3_settings import create, settings_of
from .serve import Work, serve

MENU = ("dqn",)
"""Agents that choose from a menu."""


class Menu(gymnasium.ActionWrapper[Any, Any, Any]):
    """0 does nothing; 1..N buy and N+1..2N sell one stock, with a whole action of 1."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._stocks = int(np.prod(env.action_space.shape or ()))
        self.action_space = gymnasium.spaces.Discrete(1 + 2 * self._stocks)

    def action(self, action: Any) -> Any:
        """The order of a choice."""
        order = np.zeros(self._stocks, np.float32)
        if action:
            sell, stock = divmod(int(action) - 1, self._stocks)
            order[stock] = -1 if sell else 1
        return order


def train(environment: Callable[..., Any]) -> Callable[[Path, Mapping[str, Any]], Work]:
    """The maker of complete training."""

    def maker(folder: Path, options: Mapping[str, Any]) -> Work:
        settings = options["settings"]
        np.random.seed(0)  # noqa: NPY002 - the NumPy environment draws from the global generator
        make, value = environment(folder, options)
        facts = facts_of(folder, options, make, value)

        def make_env() -> Any:
            return Menu(make()) if options["agent"] in MENU else make()

        envs = DummyVecEnv([make_env] * settings["envs"])
        agent = create(options["agent"], settings, envs, seed=0)

        def learn(samples: int) -> int:
            before = agent.num_timesteps
            agent.learn(total_timesteps=samples, reset_num_timesteps=before == 0)
            return int(agent.num_timesteps - before)

        return Work(
            facts | settings_of(agent),
            lambda: learn(options["samples"]),
            lambda: learn(options["first"]),
        )

    return maker


MAKERS = {"pandas_train": train(pandas_env), "numpy_train": train(numpy_env)}

if __name__ == "__main__":
    serve(MAKERS)
