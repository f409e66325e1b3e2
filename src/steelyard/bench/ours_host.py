"""Our side of the benchmarks that run on the host: features and metrics.

Makers: `indicators`, `turbulence`, `metrics`. As in the peers' programs `values` holds a digest of
the results by which both sides show that they computed the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.bench.peers.serve import Work, serve
from steelyard.features import compute
from steelyard.metrics import summary
from steelyard.types import EquityCurve, Panel

INDICATORS = (
    "macd",
    "boll_ub",
    "boll_lb",
    "rsi_30",
    "cci_30",
    "dx_30",
    "close_30_sma",
    "close_60_sma",
)
"""FinRL's eight, in its order."""


def load_panel(folder: Path) -> Panel:
    """The shared market as a panel."""
    with np.load(folder / "market.npz") as market:
        return Panel(
            timestamps=market["dates"].astype("datetime64[ns]"),
            assets=tuple(str(name) for name in market["assets"]),
            fields={name: market[name] for name in ("open", "high", "low", "close", "volume")},
            name="bench",
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def indicators(folder: Path, options: Mapping[str, Any]) -> Work:
    """All eight technical indicators for all assets; `dx_30` is computed but not compared."""
    panel = load_panel(folder)
    compared = [name for name in INDICATORS if name != "dx_30"]
    facts: dict[str, Any] = {"data": _digest(folder / "market.npz"), "names": compared}

    def run() -> int:
        table = compute(INDICATORS, panel)
        facts["values"] = [float(table[name][-1].mean()) for name in compared]
        return len(panel) * len(panel.assets)

    return Work(facts, run)


def turbulence(folder: Path, options: Mapping[str, Any]) -> Work:
    """The turbulence index over the whole panel."""
    panel = load_panel(folder)
    facts: dict[str, Any] = {"data": _digest(folder / "market.npz")}

    def run() -> int:
        index = compute(["turbulence"], panel)["turbulence"]
        facts["values"] = [float(value) for value in index[-5:]]
        return len(panel) * len(panel.assets)

    return Work(facts, run)


def metrics(folder: Path, options: Mapping[str, Any]) -> Work:
    """The metrics named in `options["metrics"]` of all `options["curves"]` curves at once."""
    path = folder / "curves.npy"
    values = np.load(path)[: options["curves"]]
    curve = EquityCurve(np.arange(values.shape[1]).astype("datetime64[D]"), values)
    facts: dict[str, Any] = {"data": _digest(path), "names": list(options["metrics"])}

    def run() -> int:
        table = summary(curve, options["metrics"])
        first = [table[name][: options["compared"]] for name in options["metrics"]]
        facts["values"] = [float(column.mean()) for column in first]
        return len(values)

    return Work(facts, run)


MAKERS = {"indicators": indicators, "turbulence": turbulence, "metrics": metrics}

if __name__ == "__main__":
    serve(MAKERS)
