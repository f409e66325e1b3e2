"""Weigh trading agents honestly: one market, one ledger, one clock, one ruler.

The public names are imported when first used, so that `import steelyard` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.agents.ppo import PPO
    from steelyard.benchmark import Task, Window, evaluate, open_venue, verify
    from steelyard.data import load
    from steelyard.envs.stock import StockEnv, StockParams
    from steelyard.features import feature
    from steelyard.ledger import Account, execute
    from steelyard.market import Market, build_market
    from steelyard.types import EquityCurve, Feature, Panel

_PLACES = {
    "PPO": "agents.ppo",
    "Account": "ledger",
    "EquityCurve": "types",
    "Feature": "types",
    "Market": "market",
    "Panel": "types",
    "StockEnv": "envs.stock",
    "StockParams": "envs.stock",
    "Task": "benchmark",
    "Window": "benchmark",
    "build_market": "market",
    "evaluate": "benchmark",
    "execute": "ledger",
    "feature": "features",
    "load": "data",
    "open_venue": "benchmark",
    "verify": "benchmark",
}

__all__ = [
    "PPO",
    "Account",
    "EquityCurve",
    "Feature",
    "Market",
    "Panel",
    "StockEnv",
    "StockParams",
    "Task",
    "Window",
    "build_market",
    "evaluate",
    "execute",
    "feature",
    "load",
    "open_venue",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module `steelyard` has no attribute `{name}`")
    return getattr(importlib.import_module(f"steelyard.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
