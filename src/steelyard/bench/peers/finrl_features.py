"""FinRL's `FeatureEngineer` on the shared market: its eight indicators and its turbulence.

Makers: `indicators`, `turbulence`. A round is one pass over the whole panel; its samples are rows
of one asset (T x N). `values` holds means over the last row, so that the other side can show that
it computed the same thing. `dx_30` is left out of them: stockstats 0.6 smooths it in another way
than 0.5, which FinRL names and our definition follows (0.5 is several times slower).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .finrl_load import load
from .serve import Work, serve


def _frame(folder: Path) -> pd.DataFrame:
    market = np.load(folder / "market.npz")
    rows, assets = market["close"].shape
    return pd.DataFrame(
        {
            "date": np.repeat(market["dates"].astype(str), assets),
            "tic": np.tile(market["assets"].astype(str), rows),
            **{name: market[name].ravel() for name in ("open", "high", "low", "close", "volume")},
        }
    )


def _data(folder: Path) -> str:
    return hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest()


def indicators(folder: Path, options: Mapping[str, Any]) -> Work:
    """All eight technical indicators for all assets."""
    frame = _frame(folder)
    engineer = load("meta.preprocessor.preprocessors").FeatureEngineer()
    compared = [name for name in engineer.tech_indicator_list if name != "dx_30"]
    facts: dict[str, Any] = {"data": _data(folder), "names": compared}

    def run() -> int:
        table = engineer.add_technical_indicator(frame)
        last = table[table["date"] == table["date"].max()]
        facts["values"] = [float(last[name].mean()) for name in compared]
        return len(frame)

    return Work(facts, run)


def turbulence(folder: Path, options: Mapping[str, Any]) -> Work:
    """The turbulence index over the whole panel."""
    frame = _frame(folder)
    engineer = load("meta.preprocessor.preprocessors").FeatureEngineer()
    facts: dict[str, Any] = {"data": _data(folder)}

    def run() -> int:
        index = engineer.calculate_turbulence(frame)
        facts["values"] = [float(value) for value in index["turbulence"].to_numpy()[-5:]]
        return len(frame)

    return Work(facts, run)


MAKERS = {"indicators": indicators, "turbulence": turbulence}

if __name__ == "__main__":
    serve(MAKERS)
