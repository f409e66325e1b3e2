"""Scripted orders by which the sides of a stock row show that they trade by the same rules.

Both sides report as `values` what the accounts are worth in the end. The scripts lean towards
buying, so that the cash is soon spent and the order of the fills decides; whole shares make orders
of one size common, so that the order among equals does too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

POOL = 16
"""Random actions per environment that the rounds go through again and again."""

ENVS, STEPS = 8, 64


def probe(rows: int, assets: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Twice the rows (ENVS,) on which accounts in cash start, and actions (STEPS, ENVS, N).

    Args:
        rows: of the market, more than `STEPS`; the scripts end before the last one.
        assets: N.
    """
    for seed in range(2):
        generator = np.random.default_rng(seed)
        start = generator.integers(0, rows - STEPS, ENVS, dtype=np.int32)
        yield start, generator.uniform(-0.5, 1, (STEPS, ENVS, assets)).astype(np.float32)


def pool_of(envs: int, assets: int) -> NDArray[np.float32]:
    """Random actions (POOL, envs, N), even in [-1, 1]."""
    generator = np.random.default_rng(1)
    return generator.uniform(-1, 1, (POOL, envs, assets)).astype(np.float32)


def stepping_one(env: Any, assets: int) -> Callable[[int], int]:
    """So many steps of one Gymnasium environment, with a reset where an episode ends."""
    pool = pool_of(1, assets)[:, 0]
    env.reset()

    def steps(samples: int) -> int:
        for number in range(samples):
            _, _, terminated, truncated, _ = env.step(pool[number % POOL])
            if terminated or truncated:
                env.reset()
        return samples

    return steps
