"""The rooms and their members: a file in a room is its registration.

A member is an object that a decorator of its room has marked with `member`. A room is a package
(or module) whose files are imported when somebody first asks for its members; plug-ins join by the
entry point `steelyard.<room>`. Nothing is listed by hand anywhere.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from steelyard.errors import ConfigError, UnknownNameError

T = TypeVar("T")

ROOMS: Mapping[str, str] = {
    "sources": "steelyard.data",
    "features": "steelyard.features",
    "metrics": "steelyard.metrics",
    "envs": "steelyard.envs",
    "agents": "steelyard.agents",
    "tasks": "steelyard.tasks",
}
"""Room -> the package or module whose files hold its members."""


@dataclass(frozen=True)
class Member:
    """One registered object with the facts that its room lists about it."""

    room: str
    name: str
    value: Any
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)


_members: dict[str, dict[str, Member]] = {room: {} for room in ROOMS}


def register(room: str, name: str, value: T, *, summary: str = "", **facts: Any) -> T:
    """Add `value` to `room` as `name` and return it.

    Args:
        room: a key of `ROOMS`.
        name: unique in its room; what users type.
        summary: one line; the first line of the docstring where empty.
        facts: whatever the room wants to list (`unit`, `warmup`, `better`, ...).

    Raises:
        ConfigError: another object already has that name.
    """
    known = _members[room].get(name)
    if known is not None and known.value is not value and not _same_definition(known.value, value):
        raise ConfigError(
            f"{room} has two members named `{name}`: {known.value!r} and {value!r}",
            hint="rename one of them",
        )
    text = summary or (getattr(value, "__doc__", "") or "").strip().split("\n")[0]
    _members[room][name] = Member(room, name, value, text, facts)
    return value


def member(room: str, name: str = "", **facts: Any) -> Callable[[T], T]:
    """Decorator form of `register`; the name defaults to that of the object."""

    def mark(value: T) -> T:
        return register(room, name or str(getattr(value, "__name__", value)), value, **facts)

    return mark


def members(room: str) -> dict[str, Member]:
    """All members of `room` by name, its files and plug-ins imported first."""
    _open(room)
    return dict(sorted(_members[room].items()))


def find(room: str, name: str) -> Any:
    """The object that `room` knows as `name`.

    Raises:
        UnknownNameError: no member has that name; the hint names the nearest ones.
    """
    return card(room, name).value


def card(room: str, name: str) -> Member:
    """Like `find`, with the summary and the facts."""
    known = members(room)
    if name in known:
        return known[name]
    raise UnknownNameError(
        f"no {room.removesuffix('s')} named `{name}`", hint=did_you_mean(name, known)
    )


def did_you_mean(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """A hint that names what is closest to `name`, or everything where nothing is close."""
    options = list(known)
    near = difflib.get_close_matches(name, options, n=2, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"`{option}`" for option in near) + "?"
    return "known: " + ", ".join(sorted(options))


def _same_definition(one: Any, other: Any) -> bool:
    """Whether both come from the same place, as after a reload."""
    place = [
        (getattr(v, "__module__", None), getattr(v, "__qualname__", None)) for v in (one, other)
    ]
    return place[0] == place[1] and None not in place[0]


@cache
def _open(room: str) -> None:
    """Import every file of `room` once, then its plug-ins.

    What a room names as its `DOORS` has no members and is left to those who have the library.
    """
    if room not in ROOMS:
        raise UnknownNameError(f"no room named `{room}`", hint=did_you_mean(room, ROOMS))
    module = importlib.import_module(ROOMS[room])
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_") and info.name not in getattr(module, "DOORS", ()):
            importlib.import_module(f"{module.__name__}.{info.name}")
    for entry in entry_points(group=f"steelyard.{room}"):
        entry.load()
