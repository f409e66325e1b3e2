"""The settings with which agents are weighed on the classic problems: declarations only.

They are those that are known to work, from RL Baselines3 Zoo, with smaller networks and budgets: of
PPO, A2C and DQN on CartPole, of PPO on Pendulum without its state-dependent exploration, and off
policy on Pendulum its learning rate, discount and noise. What is not named is the default of
stable-baselines3, and `extra` gives it to ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.bench.returns import Returns

_POLE, _PENDULUM = "CartPole-v1", "Pendulum-v1"

_NETS: Mapping[str, Any] = {"hidden": [64, 64]}

_OFF_POLICY: Mapping[str, Any] = {
    **_NETS,
    "steps": 8_000,
    "envs": 1,
    "collect": 1,
    "gradient_steps": 1,
    "warmup": 1_000,
    "capacity": 10_000,
    "minibatch": 128,
    "learning_rate": 1e-3,
    "discount": 0.98,
    "tau": 0.005,
}

_NOISE = {"noise": 0.1}

RETURNS: tuple[Returns, ...] = (
    Returns(
        "returns",
        "ppo",
        _POLE,
        {
            **_NETS,
            "steps": 51_200,
            "envs": 8,
            "horizon": 32,
            "epochs": 20,
            "minibatch": 256,
            "learning_rate": 1e-3,
            "anneal": 1.0,
            "discount": 0.98,
            "decay": 0.8,
            "clip": 0.2,
        },
        {"log_std": 0.0},
    ),
    Returns(
        "returns",
        "a2c",
        _POLE,
        {
            **_NETS,
            "steps": 100_000,
            "envs": 8,
            "horizon": 5,
            "learning_rate": 7e-4,
            "discount": 0.99,
            "decay": 1.0,
        },
        {"anneal": 0.0},
    ),
    Returns(
        "returns",
        "ppo",
        _PENDULUM,
        {
            **_NETS,
            "steps": 102_400,
            "envs": 4,
            "horizon": 1_024,
            "epochs": 10,
            "minibatch": 64,
            "learning_rate": 1e-3,
            "discount": 0.9,
            "decay": 0.95,
            "clip": 0.2,
        },
        {"anneal": 0.0, "log_std": 0.0},
    ),
    Returns(
        "returns",
        "dqn",
        _POLE,
        {
            **_NETS,
            "steps": 51_200,
            "envs": 1,
            "collect": 256,
            "gradient_steps": 128,
            "warmup": 1_000,
            "capacity": 100_000,
            "minibatch": 64,
            "learning_rate": 2.3e-3,
            "discount": 0.99,
            "tau": 1.0,
            "target_every": 10,
            "exploration_fraction": 0.16,
            "exploration_end": 0.04,
        },
        {"horizon": 256},
    ),
    Returns("returns", "sac", _PENDULUM, _OFF_POLICY, {"horizon": 100}),
    Returns("returns", "td3", _PENDULUM, {**_OFF_POLICY, **_NOISE}, {"horizon": 100}),
    Returns("returns", "ddpg", _PENDULUM, {**_OFF_POLICY, **_NOISE}, {"horizon": 100}),
)
"""Agent by agent."""
