"""Which modules are somebody's own, and which belong to what is installed."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
"""The folder of this package, which may lie outside of what is installed."""


@cache
def library_folders() -> tuple[str, ...]:
    """Folders of what is installed, each with a separator at its end."""
    found = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix}
    return tuple(os.path.realpath(path) + os.sep for path in found if path and path != os.sep)


def is_own(module: ModuleType) -> bool:
    """Whether a module was loaded from a file that is neither ours nor a library's."""
    file = str(getattr(module, "__file__", None) or "")
    return bool(file) and not os.path.realpath(file).startswith((PACKAGE, *library_folders()))


def own_modules(modules: Iterable[ModuleType]) -> Iterator[ModuleType]:
    """Those of some modules, and of what they import, that are somebody's own; each once."""
    waiting, seen = list(modules), set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or not is_own(one):
            continue
        seen.add(id(one))
        yield one
        held = list(vars(one).values())
        waiting += [value for value in held if isinstance(value, ModuleType)]
        names = {
            getattr(value, "__module__", None) for value in held if hasattr(value, "__module__")
        }
        waiting += [
            sys.modules[name] for name in names if isinstance(name, str) and name in sys.modules
        ]


def source_of(file: str) -> str:
    """The file of source that compiled code was made of; another file as it is."""
    import importlib.util

    if not file.endswith(".pyc"):
        return file
    try:
        return importlib.util.source_from_cache(file)
    except ValueError:
        return file
