"""empyrical's metrics, one equity curve after the other, as its users call them.

Maker: `metrics`. A round weighs `options["curves"]` curves; its samples are curves. `values` holds
the mean of each metric over the first of these, so that the other side can show that it computed
the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import empyrical
import numpy as np

from .serve import Work, serve

METRICS: Mapping[str, Callable[..., Any]] = {
    "cumulative_return": empyrical.cum_returns_final,
    "annual_return": empyrical.annual_return,
    "annual_volatility": empyrical.annual_volatility,
    "sharpe_ratio": empyrical.sharpe_ratio,
    "max_drawdown": empyrical.max_drawdown,
    "sortino_ratio": empyrical.sortino_ratio,
    "calmar_ratio": empyrical.calmar_ratio,
    "omega_ratio": empyrical.omega_ratio,
}
"""Our name of each metric -> empyrical's function of simple daily returns."""


def metrics(folder: Path, options: Mapping[str, Any]) -> Work:
    """The metrics named in `options["metrics"]`, on the returns of each curve."""
    path = folder / "curves.npy"
    curves = np.load(path, mmap_mode="r")[: options["curves"]]
    returns = np.asarray(curves[:, 1:] / curves[:, :-1] - 1.0)
    functions = [METRICS[name] for name in options["metrics"]]
    facts: dict[str, Any] = {
        "data": hashlib.sha256(path.read_bytes()).hexdigest(),
        "names": list(options["metrics"]),
    }

    def run() -> int:
        table = np.array([[function(row) for function in functions] for row in returns])
        facts["values"] = [float(value) for value in table[: options["compared"]].mean(axis=0)]
        return len(returns)

    return Work(facts, run)


MAKERS = {"metrics": metrics}

if __name__ == "__main__":
    serve(MAKERS)
