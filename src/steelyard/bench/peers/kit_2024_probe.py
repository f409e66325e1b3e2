"""Scripted actions by which both sides of the order book show that they trade by the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

POOL = 16
"""Random actions per environment that the rounds go through again and again."""

ENVS, STEPS = 64, 40


def probe(options: Mapping[str, Any]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Twice the rows on which `ENVS` episodes start, and their actions (STEPS, ENVS)."""
    for seed in range(2):
        generator = np.random.default_rng(seed)
        rows = np.arange(ENVS, dtype=np.int32) * 7
        steps = min(STEPS, options["length"] - 1)
        yield rows, generator.integers(0, 3, (steps, ENVS)).astype(np.int32)
