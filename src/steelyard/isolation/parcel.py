"""An agent on its way to a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path
from types import ModuleType
from typing import Any

from steelyard.agents.answers import LIBRARIES, PACKAGE, strangers_in
from steelyard.isolation.pickling import dumps
from steelyard.isolation.sources import own_modules


@dataclass(frozen=True)
class Parcel:
    """What a process needs to make the same agent.

    Attributes:
        path: where Python looks for modules.
        files: (module, file) that are run first, in this order: files of somebody's own that were
            named on the command line.
        content: the agent, pickled.
        code: files of its source, and of the modules that these import.
    """

    path: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    content: bytes
    code: tuple[str, ...]


def pack_agent(agent: Any) -> Parcel | None:
    """The parcel of an agent; None where it cannot be sent.

    Classes of an importable module travel by name, those of a script or notebook as they are.
    """
    own = [one for name in _modules_of(agent) if (one := sys.modules.get(name)) is not None]
    files = [one for one in own if one.__name__ != "__main__" and _has_file(one)]
    files = [one for one in files if not _importable(one)]
    carried = [one for one in own if one not in files and not _importable(one)]
    try:
        content = dumps(agent, [one for one in carried if one.__name__ != "__main__"])
    except Exception:  # noqa: BLE001 - whatever is inside decides what is raised
        return None
    return Parcel(
        path=tuple(str(Path(place).resolve()) if place else str(Path.cwd()) for place in sys.path),
        files=tuple((one.__name__, str(Path(str(one.__file__)).resolve())) for one in files),
        content=content,
        code=tuple(os.path.realpath(str(one.__file__)) for one in own_modules(own)),
    )


def _has_file(module: ModuleType) -> bool:
    return bool(getattr(module, "__file__", None))


def _modules_of(agent: Any) -> Sequence[str]:
    """Modules of everything in an agent that is not of this package."""
    found: dict[str, None] = {}
    for one in strangers_in(agent):
        named = callable(one) and getattr_static(one, "__name__", None) is not None
        place = one if named else type(one)
        for kind in getattr(place, "__mro__", (place,)):
            module = str(getattr(kind, "__module__", ""))
            if module.split(".")[0] not in (PACKAGE, *LIBRARIES, ""):
                found[module] = None
    return list(found)


def _importable(module: ModuleType) -> bool:
    """Whether another process finds the same module by its name."""
    import importlib.util

    name = module.__name__
    file = getattr(module, "__file__", None)
    if file is None:
        return name in sys.builtin_module_names
    held = sys.modules.pop(name, None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    finally:
        if held is not None:
            sys.modules[name] = held
    origin = getattr(spec, "origin", None)
    return bool(origin) and Path(str(origin)).resolve() == Path(file).resolve()
