"""FinRL's two stock environments under stable-baselines3, on the shared market.

Makers: `pandas_rollout`, `numpy_rollout`, environment steps with the policy in the loop, and
`pandas_market`, steps alone; training is in `finrl_train`. Both environments run as published:

* pandas: `StockTradingEnv` of `env_stocktrading.py`, fills at the close it shows, no risk gate;
* NumPy: `StockTradingEnv` of `env_stocktrading_np.py`, fills at the next close, ignores orders of
  a tenth of `hmax` and less (so it trades less, which favours it), random start of each episode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from .finrl_load import load
from .serve import Work, serve
from .stock_probe import pool_of

PROBE_STEPS = 20
"""Steps of the two runs that show that actions reach the market."""


def pandas_env(folder: Path, options: Mapping[str, Any]) -> tuple[Callable[[], Any], Any]:
    """A factory of the pandas environment, and the account value of one of them."""
    market = np.load(folder / "market.npz")
    rows, assets = market["close"].shape
    names = [str(name) for name in market["feature_names"]]
    frame = pd.DataFrame(
        {
            "date": np.repeat(market["dates"].astype(str), assets),
            "tic": np.tile(market["assets"].astype(str), rows),
            **{name: market[name].ravel() for name in ("open", "high", "low", "close", "volume")},
            **{name: market["features"][:, :, i].ravel() for i, name in enumerate(names)},
        },
        index=np.repeat(np.arange(rows), assets),
    )
    environment = load("meta.env_stock_trading.env_stocktrading").StockTradingEnv

    def make() -> Any:
        return environment(
            df=frame,
            stock_dim=assets,
            hmax=options["hmax"],
            initial_amount=options["cash"],
            num_stock_shares=[0] * assets,
            buy_cost_pct=[options["cost"]] * assets,
            sell_cost_pct=[options["cost"]] * assets,
            reward_scaling=1e-4,
            state_space=1 + assets * (2 + len(names)),
            action_space=assets,
            tech_indicator_list=names,
            print_verbosity=10**9,
        )

    return make, lambda env: env.asset_memory[-1]


def numpy_env(folder: Path, options: Mapping[str, Any]) -> tuple[Callable[[], Any], Any]:
    """A factory of the NumPy environment, and the account value of one of them."""
    market = np.load(folder / "market.npz")
    rows = len(market["close"])
    config = {
        "price_array": market["close"],
        "tech_array": market["features"].reshape(rows, -1),
        "turbulence_array": np.zeros(rows),
        "if_train": True,
    }
    environment = load("meta.env_stock_trading.env_stocktrading_np").StockTradingEnv

    def make() -> Any:
        return environment(
            config,
            initial_capital=options["cash"],
            max_stock=options["hmax"],
            buy_cost_pct=options["cost"],
            sell_cost_pct=options["cost"],
        )

    return make, lambda env: env.total_asset


def facts_of(
    folder: Path,
    options: Mapping[str, Any],
    make: Callable[[], Any],
    value: Callable[[Any], float],
) -> dict[str, Any]:
    """What both sides must agree on, and whether actions change the outcome."""
    env = make()
    ends = []
    for action in (0.0, 1.0):
        np.random.seed(0)  # noqa: NPY002 - the NumPy environment draws from the global generator
        env.reset()
        for _ in range(PROBE_STEPS):
            env.step(np.full(env.action_space.shape, action, dtype=np.float32))
        ends.append(float(value(env)))
    return {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest(),
        "hmax": options["hmax"],
        "cash": options["cash"],
        "cost": options["cost"],
        "net": list(options["net"]),
        "actions_matter": ends[0] != ends[1],
        "observation": int(env.observation_space.shape[0]),
    }


def _policy(make: Callable[[], Any], options: Mapping[str, Any]) -> Any:
    """The policy of SB3's PPO at its defaults but for the net sizes."""
    torch.set_num_threads(1)
    np.random.seed(0)  # noqa: NPY002 - see facts_of
    return PPO(
        "MlpPolicy",
        DummyVecEnv([make] * options["envs"]),
        policy_kwargs={"net_arch": list(options["net"])},
        seed=0,
        device="cpu",
    ).policy


def rollout(environment: Callable[..., Any]) -> Callable[[Path, Mapping[str, Any]], Work]:
    """The maker of environment steps with policy and value in the loop, nothing stored."""

    def maker(folder: Path, options: Mapping[str, Any]) -> Work:
        make, value = environment(folder, options)
        policy = _policy(make, options)
        envs = DummyVecEnv([make] * options["envs"])
        low, high = envs.action_space.low, envs.action_space.high
        observation = envs.reset()

        def steps(samples: int) -> int:
            nonlocal observation
            length = max(1, samples // options["envs"])
            with torch.no_grad():
                for _ in range(length):
                    action, _, _ = policy.forward(torch.as_tensor(observation))
                    observation, _, _, _ = envs.step(np.clip(action.numpy(), low, high))
            return int(length * options["envs"])

        samples = options["samples"]
        facts = facts_of(folder, options, make, value)
        return Work(facts, lambda: steps(samples), lambda: steps(samples // 4))

    return maker


def market(folder: Path, options: Mapping[str, Any]) -> Work:
    """The maker of steps of one pandas environment under random actions."""
    make, value = pandas_env(folder, options)
    env = make()
    pool = pool_of(1, env.action_space.shape[0])[:, 0]
    env.reset()

    def steps(samples: int) -> int:
        for number in range(samples):
            _, _, terminated, truncated, _ = env.step(pool[number % len(pool)])
            if terminated or truncated:
                env.reset()
        return samples

    samples = int(options["samples"])
    facts = facts_of(folder, options, make, value)
    return Work(facts, lambda: steps(samples), lambda: steps(max(1, samples // 4)))


MAKERS = {
    "pandas_market": market,
    "pandas_rollout": rollout(pandas_env),
    "numpy_rollout": rollout(numpy_env),
}

if __name__ == "__main__":
    serve(MAKERS)
