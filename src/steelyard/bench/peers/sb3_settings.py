"""Agents of stable-baselines3 from settings by our names; what is not named is SB3's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.noise import NormalActionNoise

NAMES = {
    "discount": "gamma",
    "minibatch": "batch_size",
    "horizon": "n_steps",
    "n_steps": "n_steps",
    "decay": "gae_lambda",
    "epochs": "n_epochs",
    "clip": "clip_range",
    "warmup": "learning_starts",
    "capacity": "buffer_size",
    "tau": "tau",
    "collect": "train_freq",
    "gradient_steps": "gradient_steps",
    "target_every": "target_update_interval",
    "exploration_fraction": "exploration_fraction",
    "exploration_end": "exploration_final_eps",
}
"""Our name of a setting -> SB3's, where the value is the same."""


def create(agent: str, settings: Mapping[str, Any], envs: Any, seed: int) -> Any:
    """The agent of that name on vectorised environments, on one thread.

    Beside `NAMES` these are known: `hidden`, `learning_rate` (which fades to zero where `anneal` is
    1), `noise`, the standard deviation of exploration on actions in [-1, 1], and `steps` and
    `envs`, which are not the agent's.

    Raises:
        KeyError: a setting has another name.
    """
    torch.set_num_threads(1)
    other = {"hidden", "learning_rate", "anneal", "noise", "steps", "envs"}
    known = {NAMES[name]: value for name, value in settings.items() if name not in other}
    if rate := settings.get("learning_rate"):
        known["learning_rate"] = (lambda left: rate * left) if settings.get("anneal") else rate
    if noise := settings.get("noise"):
        size = envs.action_space.shape[0]
        known["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, noise))
    return getattr(sb3, agent.upper())(
        "MlpPolicy",
        envs,
        policy_kwargs={"net_arch": list(settings["hidden"])},
        seed=seed,
        device="cpu",
        **known,
    )


def settings_of(agent: Any) -> dict[str, Any]:
    """What of the agent both sides must share, read from the agent itself.

    `batch` is the samples of a gradient step, `steps` and `epochs` those of an update on policy,
    `gradients` the gradient steps per environment step off policy.
    """
    if hasattr(agent, "n_steps") and hasattr(agent, "rollout_buffer"):
        batch = getattr(agent, "batch_size", agent.n_steps * agent.n_envs)
        epochs = getattr(agent, "n_epochs", 1)
        return {"batch": batch, "steps": agent.n_steps, "epochs": epochs}
    collected = agent.train_freq.frequency * agent.n_envs
    return {"batch": agent.batch_size, "gradients": agent.gradient_steps / collected}
