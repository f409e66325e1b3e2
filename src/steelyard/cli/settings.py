"""Settings of agents on the command line: `--set AGENT.NAME=VALUE` and `--settings FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import ConfigError

Changes = dict[str, dict[str, Any]]
"""Agent -> setting -> value, or the text of one."""

EXAMPLE = '{"agent": "ppo", "settings": {"learning_rate": 0.001}}'


def read_changes(files: Sequence[Path], assignments: Sequence[str]) -> Changes:
    """What the files say, and over it what was typed.

    Args:
        files: as `steelyard tune` writes them: an agent and its settings.
        assignments: `AGENT.NAME=VALUE`.

    Raises:
        ConfigError: a file or an assignment cannot be read.
    """
    changes: Changes = {}
    for file in files:
        agent, settings = _read(file)
        changes.setdefault(agent, {}).update(settings)
    for words in assignments:
        name, value = split(words, "--set")
        agent, dot, name = name.rpartition(".")
        if not dot:
            raise ConfigError(
                f"--set {words} does not say of which agent", hint=f"--set ppo.{words}"
            )
        changes.setdefault(agent, {})[name] = value
    return changes


def apply_changes(members: Sequence[tuple[str, Any]], changes: Changes) -> list[tuple[str, Any]]:
    """The agents with their settings changed, members of ensembles among them.

    Raises:
        ConfigError: settings for an agent that is not there, or that cannot hold.
        UnknownNameError: an agent has no such setting.
    """
    from steelyard.benchmark.configure import configure, name_of

    known = [name for name, _ in members]
    for _, agent in members:
        if hasattr(agent, "population"):
            known += [name_of(one) for one, _ in agent.population.groups]
    for agent in changes:
        if agent not in known:
            raise ConfigError(
                f"there are settings for `{agent}`, which does not run",
                hint=f"these run: {', '.join(dict.fromkeys(known))}",
            )
    return [(name, configure(agent, changes, name)) for name, agent in members]


def split(words: str, option: str) -> tuple[str, str]:
    """`NAME=VALUE` in two.

    Raises:
        ConfigError: one of them is missing.
    """
    name, equals, value = (part.strip() for part in words.partition("="))
    if not (name and equals and value):
        raise ConfigError(
            f"{option} {words} is not NAME=VALUE", hint=f"{option} learning_rate=0.001"
        )
    return name, value


def _read(file: Path) -> tuple[str, Mapping[str, Any]]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the settings {file}: {error.strerror or error}",
            hint="`steelyard tune` writes best.json",
        ) from error
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON: {error}", hint=EXAMPLE) from error
    agent = document.get("agent") if isinstance(document, dict) else None
    settings = document.get("settings") if isinstance(document, dict) else None
    if not isinstance(agent, str) or not isinstance(settings, dict):
        raise ConfigError(f"{file} names no agent and its settings", hint=EXAMPLE)
    return agent, settings
