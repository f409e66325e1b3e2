"""Classes of tests that count as code of the package, so that its own faults can be planted."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from steelyard import agents

Kind = TypeVar("Kind", bound=type)

PLANTED = ModuleType("steelyard.agents.planted")
PLANTED.__file__ = str(Path(agents.__path__[0]) / "planted.py")


def of_the_house(kind: Kind) -> Kind:
    """Let a class be one of a module in the room `agents`, which may read arrays whole."""
    sys.modules[PLANTED.__name__] = PLANTED
    kind.__module__, kind.__qualname__ = PLANTED.__name__, kind.__name__
    setattr(PLANTED, kind.__name__, kind)
    return kind
