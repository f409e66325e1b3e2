"""An agent with other settings, as people write them on a command line or in a JSON file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from steelyard.errors import ConfigError, UnknownNameError
from steelyard.evaluation.trials import written
from steelyard.registry import did_you_mean

KIND = ("learns", "draws")
"""Fields that say what an agent is; they are no settings."""


def override(agent: Any, changes: Mapping[str, Any]) -> Any:
    """`agent` with other values for some of its settings.

    A setting keeps its kind: a number stays a number, sizes of layers stay sizes.

    Args:
        agent: a dataclass, as every `eqx.Module` is.
        changes: name -> value, or the text of one: `1e-3`, `64x32` (or `64,32`) for sizes.

    Raises:
        UnknownNameError: the agent has no such setting.
        ConfigError: a value is not of the kind of its setting, or the settings do not fit together.
    """
    known = setting_names(agent)
    for name in changes:
        if name not in known:
            raise UnknownNameError(
                f"{type(agent).__name__} has no setting named `{name}`",
                hint=did_you_mean(name, known) if known else "",
            )
    if not changes:
        return agent
    return replace(
        agent, **{name: setting(name, getattr(agent, name), new) for name, new in changes.items()}
    )


def setting_names(agent: Any) -> list[str]:
    """What can be set on an agent, in the order of its page."""
    if not is_dataclass(agent) or isinstance(agent, type):
        return []
    return [one.name for one in fields(agent) if one.init and one.name not in KIND]


def typed_settings(agent: Any) -> dict[str, Any]:
    """The settings of an agent that `override` can set, ready for JSON."""
    found = {name: getattr(agent, name) for name in setting_names(agent)}
    return {
        name: str(value) if value in (math.inf, -math.inf) else value
        for name, value in found.items()
        if _kind(value)[1] is not None
    }


def setting(name: str, present: Any, value: Any) -> Any:
    """`value`, or the value that the text says, of the kind that `present` is.

    Raises:
        ConfigError: it cannot be read as one.
    """
    takes, read = _kind(present)
    if read is None:
        raise ConfigError(f"setting `{name}` cannot be written as text", hint="set it in Python")
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            f"setting `{name}` takes {takes}, not `{value}`", hint=f"{name}={written(present)}"
        ) from None


def _kind(present: Any) -> tuple[str, Callable[[Any], Any] | None]:
    """What a setting takes, in words, and how it is read; None where there is no text for it."""
    if isinstance(present, bool):
        return "true or false", _truth
    if isinstance(present, int):
        return "a whole number", _whole
    if isinstance(present, float):
        return "a number", _number
    if isinstance(present, str):
        return "a word", _word
    if isinstance(present, (tuple, list)) and all(isinstance(one, (int, float)) for one in present):
        whole = all(isinstance(one, int) for one in present)
        return "sizes as 64x32", lambda value: _several(value, _whole if whole else _number)
    return "what cannot be written as text", None


def _truth(value: Any) -> bool:
    found = {"true": True, "yes": True, "false": False, "no": False}.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or number != number:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    number = _number(value.replace("_", "") if isinstance(value, str) else value)
    if number != int(number):
        raise ValueError
    return int(number)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _several(value: Any, read: Callable[[Any], Any]) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [one for one in re.split(r"[x,\s()\[\]]+", value) if one]
    return tuple(read(one) for one in value)
