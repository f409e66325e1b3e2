"""Several agents on the same bars: every metric of all of them, resampled together.

What the market did to all agents cancels in a difference only where all of them see the same
resampled bars. So the blocks are drawn once, and every agent's curve is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steelyard.evaluation.bootstrap import block_length, estimate, redrawn, resampled_rows
from steelyard.evaluation.curves import Curves, paths_of, require_same_rows
from steelyard.evaluation.results import Estimate
from steelyard.metrics import summary
from steelyard.types import Floats


@dataclass(frozen=True)
class Paired:
    """Metrics of A agents over S runs and R resamples.

    Run s holds seed s of every agent; an agent with fewer seeds is taken again from its first.
    An ensemble is so compared with the members of its own run.

    Attributes:
        points: metric -> (A, S), in each run as it was.
        drawn: metric -> (A, R), on bars drawn again, the same for all agents.
    """

    points: Mapping[str, Floats]
    drawn: Mapping[str, Floats]

    def difference(
        self, metric: str, ones: Sequence[int], others: Sequence[int], level: float = 0.9
    ) -> Estimate:
        """Mean of the agents `ones` minus mean of the agents `others`, with its interval.

        The value is the median of the differences of the runs.
        """
        points, drawn = self.points[metric], self.drawn[metric]
        return estimate(_apart(points, ones, others), _apart(drawn, ones, others), level)


def resample_together(
    agents: Sequence[Curves],
    names: Iterable[str] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Paired:
    """Metrics of all `agents` on the same resampled bars.

    Blocks are as long as the one agent of a run needs them that needs the longest.

    Args:
        agents: the curves of each of them, as for `statistics.interval`.
        names: which metrics; all of the room where None.
        resamples: draws over all runs together.
        seed: of the draws; same input, same resamples.

    Raises:
        DataError: no curves, or curves that do not lie on identical rows.
    """
    paths = [paths_of(curves) for curves in agents]
    require_same_rows([one[0] for one in paths])
    runs = max(len(one) for one in paths)
    chosen = None if names is None else list(names)
    share = math.ceil(resamples / runs)
    points: list[list[Mapping[str, Floats]]] = []
    drawn: list[list[Mapping[str, Floats]]] = []
    for run, rng in enumerate(np.random.default_rng(seed).spawn(runs)):
        held = [one[run % len(one)] for one in paths]
        points.append([summary(path, chosen) for path in held])
        block = max(block_length(path.returns[0]) for path in held)
        drawn += [
            [summary(redrawn(path, bars, rng), chosen) for path in held]
            for bars in resampled_rows(held[0].bars, block, share, rng)
        ]
    return Paired(_stacked(points), _stacked(drawn))


def _stacked(pieces: Sequence[Sequence[Mapping[str, Floats]]]) -> dict[str, Floats]:
    """Metric -> (A, n), from pieces that hold a mapping metric -> (m,) per agent."""
    agents = range(len(pieces[0]))
    return {
        name: np.stack(
            [np.concatenate([piece[agent][name] for piece in pieces]) for agent in agents]
        )
        for name in pieces[0][0]
    }


def _apart(values: Floats, ones: Sequence[int], others: Sequence[int]) -> Floats:
    return np.asarray(values[list(ones)].mean(axis=0) - values[list(others)].mean(axis=0))
