"""Agents by name, with the settings that a task or a user lays over their own."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from steelyard.benchmark.overrides import override, setting_names
from steelyard.registry import find, members
from steelyard.types import Facts

EVERYBODY = "*"
"""Key of the settings that are for all agents which have the field."""


def resolve_agent(agent: Any, learning: Mapping[str, Facts] | None = None) -> tuple[str, Any]:
    """(name, agent) of a name in the room, of an agent that somebody passes, or of such a pair.

    Args:
        agent: what was asked for.
        learning: a task's settings, laid over the agent where it is called by name.

    Raises:
        UnknownNameError: no agent has that name.
        ConfigError: a setting cannot hold.
    """
    if isinstance(agent, tuple):
        name, one = agent
        return name, one
    if isinstance(agent, str):
        return agent, configure(find("agents", agent)(), learning or {}, agent)
    return name_of(agent), agent


def name_of(agent: Any) -> str:
    """What the room calls an agent: its class there, or its own class's name."""
    for name, known in members("agents").items():
        if type(agent) is known.value:
            return name
    return type(agent).__name__


def configure(agent: Any, learning: Mapping[str, Facts], name: str = "") -> Any:
    """The agent with settings laid over its own, and so for all members of an ensemble.

    Args:
        agent: what is for everybody is for agents that learn.
        learning: agent name -> field -> value; see `Task.learning`.
        name: what the agent was called, where its class has several names.

    Raises:
        UnknownNameError: settings for this agent name a field that it does not have.
        ConfigError: a setting cannot hold.
    """
    if not learning:
        return agent
    own = learning.get(name or name_of(agent), {})
    if not getattr(agent, "learns", True):
        return override(agent, own)
    population = getattr(agent, "population", None)
    if population is not None:
        groups = tuple((configure(one, learning), count) for one, count in population.groups)
        agent = replace(agent, population=replace(population, groups=groups))
    known = setting_names(agent)
    everybody = {key: new for key, new in learning.get(EVERYBODY, {}).items() if key in known}
    return override(agent, everybody | dict(own))


def settings(agent: Any) -> dict[str, Any]:
    """An agent's hyper-parameters, ready for JSON; those of an ensemble's members within."""
    names = getattr(type(agent), "__dataclass_fields__", {})
    # a field that is filled later is no setting
    return {name: _plain(getattr(agent, name)) for name in names if hasattr(agent, name)}


def identity(agent: Any) -> str:
    """16 hex digits that are equal for agents of the same code and settings."""
    kind = type(agent)
    try:
        code = inspect.getsource(inspect.getmodule(kind) or kind)
    except (OSError, TypeError):
        code = kind.__qualname__
    stated = json.dumps([kind.__qualname__, code, settings(agent)], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, str, type(None))):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(type(value), "__dataclass_fields__"):
        return {"agent": type(value).__name__} | settings(value)
    return repr(value)
