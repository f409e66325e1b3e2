"""Our side of the rows about growth: makers `market`, `policy`, `learning` and `free`.

Each writes the market of its size (`rows`, `assets`, `features`) into a folder of its own, where
that does not stand yet, and measures there what the rows with a peer measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.bench import ours_device, ours_market, ours_train
from steelyard.bench.peers.serve import Work, serve
from steelyard.bench.synthetic import ASSETS, FEATURES, ROWS, write_market
from steelyard.capacity import available_memory
from steelyard.envs.stock import StockEnv


def sized(folder: Path, options: Mapping[str, Any]) -> Path:
    """The folder of the market that `options` ask for."""
    rows, assets, features = (
        int(options.get(name, usual))
        for name, usual in (("rows", ROWS), ("assets", ASSETS), ("features", FEATURES))
    )
    place = folder / f"market-{rows}-{assets}-{features}"
    if not (place / "market.npz").exists():
        place.mkdir(exist_ok=True)
        write_market(place, rows=rows, assets=assets, features=features)
    return place


def market(folder: Path, options: Mapping[str, Any], env: StockEnv | None = None) -> Work:
    """Steps under random orders, the vector of each step written over the last one."""
    return ours_market.stepping(sized(folder, options), options, observed=True, env=env)


def policy(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps with the actor in the loop; what an update needs of each step is stored."""
    return ours_device.policy(sized(folder, options), options)


def learning(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete updates of PPO."""
    return ours_train.train(sized(folder, options), options)


def free(folder: Path, options: Mapping[str, Any]) -> Work:
    """`free`: bytes that this process may still take."""
    return Work({"free": available_memory()}, lambda: 0)


MAKERS = {"market": market, "policy": policy, "learning": learning, "free": free}

if __name__ == "__main__":
    serve(MAKERS)
