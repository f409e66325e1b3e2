"""Every learner of the room with settings that tests of the whole room can afford."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.registry import members

ON_POLICY = {"learning_rate": 5e-3, "steps": 8_192, "envs": 32, "horizon": 8, "hidden": (16,)}
EPOCHS = {"minibatch": 64, "epochs": 4}
OFF_POLICY = {"learning_rate": 5e-3, "steps": 4_096, "envs": 8, "warmup": 256, "capacity": 4_096}
OFF_POLICY |= {"collect": 4, "gradient_steps": 4, "tau": 0.05, "hidden": (16,)}

PROBED: dict[str, dict[str, Any]] = {
    "a2c": ON_POLICY | {"steps": 32_768, "envs": 16, "horizon": 4, "learning_rate": 1e-2},
    "cppo": ON_POLICY | EPOCHS,
    "ddpg": OFF_POLICY,
    "double_dqn": OFF_POLICY,
    "dqn": OFF_POLICY,
    "dueling_dqn": OFF_POLICY,
    "grpo": ON_POLICY | EPOCHS | {"steps": 40_960},
    "ppo": ON_POLICY | EPOCHS,
    "sac": OFF_POLICY | {"temperature": 0.02, "automatic": False},
    "td3": OFF_POLICY,
}
"""What each learner needs to solve the probes, and little more."""

ONCE_ON = {"steps": 64, "envs": 2, "horizon": 32, "hidden": (8,)}
ONCE_OFF = {"steps": 80, "envs": 2, "horizon": 8, "warmup": 16, "capacity": 64, "hidden": (8,)}
ONCE_OFF |= {"minibatch": 8, "gradient_steps": 2}

TRIED: dict[str, dict[str, Any]] = {
    "a2c": ONCE_ON,
    "cppo": ONCE_ON | {"epochs": 1, "minibatch": 64},
    "ddpg": ONCE_OFF,
    "double_dqn": ONCE_OFF,
    "dqn": ONCE_OFF,
    "dueling_dqn": ONCE_OFF,
    "grpo": ONCE_ON | {"epochs": 1, "minibatch": 64, "group": 3},
    "ppo": ONCE_ON | {"epochs": 1, "minibatch": 64},
    "sac": ONCE_OFF,
    "td3": ONCE_OFF,
}
"""An update or a few: a policy that has learned something, no matter what."""


def learners() -> list[str]:
    """Members that learn, without those that are made of others."""
    found = {name: member.value for name, member in members("agents").items()}
    return [
        name
        for name, value in found.items()
        if hasattr(value, "advance") and "population" not in value.__annotations__
    ]


def small(name: str, settings: dict[str, dict[str, Any]]) -> Any:
    """The learner `name` with its entry in one of the tables above."""
    if name not in settings:
        pytest.fail(f"give the learner `{name}` an entry in each table of {__file__}")
    return members("agents")[name].value(**settings[name])
