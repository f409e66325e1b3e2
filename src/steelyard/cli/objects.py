"""Names on the command line: a member of a room, or an object in somebody's own file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from steelyard.errors import UnknownNameError
from steelyard.registry import did_you_mean, find


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
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise UnknownNameError(
            f"`{path}` defines no `{attribute}`", hint=did_you_mean(attribute, known)
        )
    found = getattr(module, attribute)
    return found() if isinstance(found, type) else found
