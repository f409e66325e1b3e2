"""Loads modules of the published FinRL wheel (0.3.7), whose top level does not import.

The wheel declares no dependencies, and `finrl/__init__.py` imports brokers and download clients
that are dead or fight over versions. Everything measured here needs none of them, so the package
is entered by its folder, and two imports that the measured code never calls are replaced by empty
modules:

* `matplotlib`: plots at the end of an episode (`make_plots=False`);
* `finrl.meta.preprocessor.yahoodownloader`: fetches the VIX over the network (`add_vix`).

No file of FinRL is changed and none of its code is repeated.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def load(name: str) -> Any:
    """The module `finrl.NAME` of the installed package."""
    if "finrl" not in sys.modules:
        _enter()
    return importlib.import_module(f"finrl.{name}")


def _enter() -> None:
    """Register the package by its folder, without running its top level."""
    spec = importlib.util.find_spec("finrl")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("finrl is not installed in this environment")
    package = ModuleType("finrl")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["finrl"] = package
    _stand_in("matplotlib", use=lambda backend: None)
    _stand_in("matplotlib.pyplot")
    _stand_in("finrl.meta.preprocessor.yahoodownloader", YahooDownloader=None)


def _stand_in(name: str, **content: object) -> None:
    """An empty module `name` with `content`, hung into its parent where that is loaded."""
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
