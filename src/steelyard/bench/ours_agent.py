"""Our agents with the settings of a benchmark case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from steelyard.errors import BenchError
from steelyard.registry import find


def create(name: str, settings: Mapping[str, Any]) -> Any:
    """The agent of that name.

    Raises:
        BenchError: it has no setting of such a name, so that the case would not be the same on
            both sides.
        UnknownNameError: there is no such agent.
    """
    agent = find("agents", name)
    known = {field.name for field in fields(agent)}
    if unknown := sorted(set(settings) - known):
        raise BenchError(f"agent `{name}` has no setting {', '.join(unknown)}")
    built = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    return agent(**built)


def settings_of(agent: Any) -> tuple[dict[str, Any], int]:
    """What of the agent a peer must share, and the environment steps of an update.

    `batch` is the samples of a gradient step; `steps` and `epochs` those of an update on policy,
    `gradients` the gradient steps per environment step off policy.
    """
    samples = int(agent.envs * agent.horizon)
    if hasattr(agent, "capacity"):
        gradients = agent.gradient_steps / (agent.collect * agent.envs)
        return {"batch": agent.minibatch, "gradients": gradients}, samples
    batch, epochs = getattr(agent, "minibatch", samples), getattr(agent, "epochs", 1)
    return {"batch": batch, "steps": agent.horizon, "epochs": epochs}, samples
