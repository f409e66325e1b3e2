"""Small tasks on planted markets, and agents with small budgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steelyard.agents.ppo import PPO
from steelyard.benchmark import Task, Window

QUICK = PPO(steps=2_048, envs=16, horizon=16, minibatch=64, epochs=2, hidden=(8,))


def planted(
    kind: str = "momentum",
    *,
    seed: int = 0,
    assets: int = 20,
    rows: int = 900,
    universe: tuple[str, ...] = (),
    **changes: Any,
) -> Task:
    """Train on two years, test on three months, leave a few rows; twenty assets fit a 5 % cap."""
    strength = "" if kind == "none" else "&strength=0.2&memory=1"
    task = Task(
        name="planted",
        version=1,
        summary="a planted market",
        data=f"synthetic:{kind}?seed={seed}&rows={rows}&assets={assets}{strength}",
        features=("return_1", "close_30_sma", "turbulence"),
        train=Window("train", "2000-01-03", "2002-06-28"),
        validate=Window("validate", "2002-07-01", "2002-09-30"),
        windows=(Window("test", "2002-10-01", "2002-12-31"),),
        episode=64,
        assets=universe,
    )
    return replace(task, **changes)
