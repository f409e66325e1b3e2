"""Trainings cut by seeds, and put together again by seeds or by rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np

from steelyard.evaluation.training import Trained


def seeds_of(trained: Trained, numbers: Sequence[int]) -> Trained:
    """Some seeds of a training."""
    return replace(
        trained,
        policies=[trained.policies[number] for number in numbers],
        logs=[trained.logs[number] for number in numbers],
        state=None,
    )


def together(parts: Sequence[Trained]) -> Trained:
    """Trainings of some seeds each as one training of all of them."""
    return Trained(
        policies=[policy for part in parts for policy in part.policies],
        logs=[log for part in parts for log in part.logs],
        updates=parts[0].updates,
        complete=True,
    )


def in_line(rounds: Sequence[Trained]) -> Trained:
    """Trainings of one round each as one training of all rounds."""
    per_seed = list(zip(*[one.policies for one in rounds], strict=True))
    logs = [
        {name: np.concatenate([log[name] for log in own]) for name in own[0]}
        for own in zip(*[one.logs for one in rounds], strict=True)
    ]
    policies = [jax.tree.map(lambda *leaves: np.concatenate(leaves), *own) for own in per_seed]
    return Trained(policies, logs, rounds[-1].updates, all(one.complete for one in rounds))
