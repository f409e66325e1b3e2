"""Names on the command line: a member of a room, or an object in somebody's own file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from steelyard.errors import UnknownNameError
from steelyard.registry import did_you_mean, find

STATE = "__steelyard_state__"
"""Where a module keeps which state of its file it was made of."""


def find_object(room: str, name: str) -> Any:
    """The member of `room` called `name`, or the object of `file.py:NAME`.

    A class is called without arguments. The file is run: pass only files that you trust.

    Raises:
        UnknownNameError: no such member, file or object.
    """
    path, _, attribute = name.rpartition(":")
    if not path.endswith(".py"):
        find(room, name)
        return name
    file = Path(path)
    if not file.is_file():
        raise UnknownNameError(f"no file `{path}`", hint="give FILE.py:NAME")
    module = _loaded(file)
    if not hasattr(module, attribute):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise UnknownNameError(
            f"`{path}` defines no `{attribute}`", hint=did_you_mean(attribute, known)
        )
    found = getattr(module, attribute)
    return found() if isinstance(found, type) else found


def _loaded(file: Path) -> ModuleType:
    """The module of a file, which is run once; other modules of its name stay what they are."""
    place = str(file.resolve())
    number, name = 1, file.stem
    while (known := sys.modules.get(name)) is not None:
        if getattr(known, "__file__", None) == place and known.__dict__.get(STATE) == _state(file):
            return known
        number, name = number + 1, f"{file.stem}_{number + 1}"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    module.__dict__[STATE] = _state(file)
    return module


def _state(file: Path) -> tuple[int, int]:
    """What changes when somebody writes the file anew."""
    held = file.stat()
    return held.st_mtime_ns, held.st_size
