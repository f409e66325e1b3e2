"""`steelyard check`: does somebody's own agent, feature or environment keep its contract?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steelyard.cli.output import emit, say
from steelyard.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from steelyard.benchmark import Task
    from steelyard.benchmark.checking import Fault

ROOMS = ("features", "agents", "envs")
"""Rooms whose members can be checked by name."""


def check(name: str, *, task: str | None = None, limit: float = 60.0, json: bool = False) -> int:
    """Look for leaks and broken contracts as a run does, with a small budget; exit 1 for errors.

    Parameters
    ----------
    name
        `file.py:OBJECT` for your own agent, feature, environment or reward, or the name of a
        member.
    task
        On the universe, rules and windows of this task; on a small market of stocks and a small
        order book if omitted.
    limit
        Seconds that one decision of an agent may take.
    json
        Print one JSON document on stdout.
    """
    if not limit > 0:
        raise ConfigError(f"--limit must be above 0 seconds, got {limit:g}", hint="--limit 60")
    from steelyard.benchmark.checking import CHECKS, ok
    from steelyard.compilation import use_cache

    use_cache()
    room, found = _find(name)
    faults = CHECKS[room](found, **_how(room, task, limit))
    if json:
        emit({"ok": ok(faults), "findings": [one.to_dict() for one in faults]} | _named(name, room))
    else:
        _show(name, room, faults)
    return 0 if ok(faults) else 1


def _named(name: str, room: str) -> dict[str, str]:
    return {"name": name, "room": room}


def _how(room: str, task: str | None, limit: float) -> dict[str, Any]:
    """What a room's check takes besides the object."""
    chosen: Task | None = None
    if task is not None:
        from steelyard.registry import find

        chosen = find("tasks", task)
    if room == "agents":
        return {"task": chosen, "limit": limit}
    return {"task": chosen} if room == "features" else {}


def _show(name: str, room: str, faults: list[Fault]) -> None:
    for one in faults:
        say(f"{name}: {one.message}" + ("" if one.severity == "error" else " (a warning)"))
        if one.hint:
            say(f"hint: {one.hint}")
    if not any(one.severity == "error" for one in faults):
        say(f"{name}: keeps the contract of the room `{room}`")


def _find(name: str) -> tuple[str, Any]:
    """The object and its room: by its shape for a file's object, by its name for a member."""
    from steelyard.benchmark.checking import room_of
    from steelyard.cli.objects import find_object
    from steelyard.registry import did_you_mean, members
    from steelyard.types import Feature

    if ".py:" in name:
        found = find_object("agents", name)
        return room_of(found), found
    known = {member: room for room in ROOMS for member in members(room)}
    if name not in known:
        raise UnknownNameError(f"nothing named `{name}`", hint=did_you_mean(name, known))
    value = members(known[name])[name].value
    return known[name], value if isinstance(value, Feature) else value()
