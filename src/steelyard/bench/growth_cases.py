"""What is measured of growth, and the figure of the sampling speed: declarations only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.bench.growth import ENVIRONMENTS, Growth
from steelyard.bench.protocol import Side
from steelyard.bench.synthetic import ASSETS, FEATURES, ROWS
from steelyard.bench.training_cases import ACCOUNT

MODULE = "steelyard.bench.ours_growth"

GRID = (1, 8, 64, 256, 1_024, 2_048, 4_096, 16_384, 65_536)
"""Environments: those of the published figure, and on to 65,536."""

SPARSE = (1, 32, 1_024, 8_192, 65_536)
"""Environments of the row that trains, which takes ten times as long for a sample."""

SIZES: Mapping[str, tuple[int, ...]] = {
    "assets": (5, 15, 50, 150, 500),
    "features": (1, 4, 12, 32, 64),
    "rows": (250, 1_000, 4_000, 10_000, 20_000),
}
"""What else grows; features are per asset, beside its close, and an episode goes over all rows."""

SIDE: Mapping[str, int] = {"rows": 1_000, "assets": ASSETS, "features": FEATURES, "envs": 256}
"""What stays as it is while one of them grows."""

LEARNING_HORIZON = 16


@dataclass(frozen=True)
class Kind:
    """What an environment step includes.

    Attributes:
        maker: of our program.
        label: what the line of a plot is called.
        samples: of a round on the market of the other suites; fewer where a step is more work.
        grid: environments.
        rise: most that a sample may cost with the most environments, over the best; None = no bar.
        shortest: least steps of a call; the groups of a batch leave the caches after each.
    """

    maker: str
    label: str
    samples: int
    grid: tuple[int, ...]
    rise: float | None
    shortest: int = 8

    def options(self, size: Mapping[str, int]) -> dict[str, Any]:
        """Options of the maker at a size of market and batch."""
        envs = size["envs"]
        usual = ASSETS * (FEATURES + 1)
        work = max(1.0, size["assets"] * (size["features"] + 1) / usual)
        steps = max(1, round(self.samples / work / envs))
        if self.maker == "learning":
            settings = {
                "envs": envs,
                "horizon": LEARNING_HORIZON,
                "epochs": 4,
                "minibatch": envs * LEARNING_HORIZON // 8,
                "hidden": ACCOUNT["net"],
            }
            updates = min(128, max(1, steps // LEARNING_HORIZON))
            plan = {"agent": "ppo", "settings": settings, "extra": {}, "updates": updates}
        else:
            horizon = min(4_096, max(self.shortest, steps))
            plan = {"horizon": horizon, "calls": max(1, steps // horizon)}
        return {**ACCOUNT, **size, **plan}

    def bytes_of(self, envs: int) -> int:
        """Bytes that so many environments need, roughly: vectors, accounts, stored steps."""
        options = self.options({"rows": ROWS, "assets": ASSETS, "features": FEATURES, "envs": envs})
        stored = 4 if self.maker == "market" else 8 * options.get("horizon", LEARNING_HORIZON)
        vectors = 2 * ASSETS * (FEATURES + 2)
        return 4 * envs * int(vectors + ASSETS * (16 + stored))


KINDS = (
    Kind("market", "market with observations", 131_072, GRID, 1.4, shortest=32),
    Kind("policy", "with policy", 65_536, GRID, 1.4),
    Kind("learning", "with learning", 16_384, SPARSE, None),
)
"""The three lines of the figure: market only, with the policy, with complete training."""


def _along_environments(kind: Kind) -> Growth:
    """The cost of a sample as the batch grows."""
    market = {"rows": ROWS, "assets": ASSETS, "features": FEATURES}
    return Growth(
        "growth",
        f"{kind.label}, environments",
        Side(MODULE, kind.maker),
        ENVIRONMENTS,
        kind.label,
        kind.grid,
        lambda envs: kind.options({**market, "envs": envs}),
        kind.rise,
        bytes_of=kind.bytes_of,
    )


def _along(kind: Kind, axis: str) -> Growth:
    """The cost of a step as the market grows."""
    return Growth(
        "growth",
        f"{kind.label}, {axis}",
        Side(MODULE, kind.maker),
        axis,
        kind.label,
        SIZES[axis],
        lambda size: kind.options({**SIDE, axis: size}),
        1.0,
    )


def _peer(label: str, side: Side, count: str, samples: Mapping[int, int]) -> Growth:
    """A line of the figure: a peer with a policy in its loop, at so many environments.

    Args:
        side: whose candidates are not used.
        count: whether the maker counts "samples" or "steps" of all its environments.
        samples: environments -> environment steps of a round.
    """

    def options(envs: int) -> dict[str, Any]:
        work = samples[envs] if count == "samples" else max(4, samples[envs] // envs)
        return {**ACCOUNT, "envs": envs, count: work}

    sizes = tuple(samples)
    return Growth("growth", label, side, ENVIRONMENTS, label, sizes, options, None)


def _peers() -> tuple[Growth, ...]:
    """Where they cannot be installed, the rows say so and the figure is without them."""
    batches = {1: 256, 64: 8_192, 512: 32_768, 2_048: 65_536, 8_192: 131_072}
    torch = {1: 2_048, 64: 32_768, 512: 65_536, 2_048: 131_072, 16_384: 262_144}
    elegantrl = "elegantrl_market"
    broken = Side(elegantrl, "policy", peer="elegantrl", ignores_actions=True)
    return (
        _peer(
            "FinRL, pandas",
            Side("finrl_market", "pandas_rollout", peer="finrl"),
            "samples",
            {1: 128, 2: 128, 4: 128, 8: 128},
        ),
        _peer(
            "FinRL, NumPy",
            Side("finrl_market", "numpy_rollout", peer="finrl"),
            "samples",
            {1: 2_048, 8: 4_096, 64: 4_096, 512: 8_192},
        ),
        _peer("ElegantRL as it is", broken, "steps", batches),
        _peer(
            "ElegantRL repaired",
            Side(elegantrl, "repaired_policy", peer="elegantrl"),
            "steps",
            batches,
        ),
        _peer("torch", Side("torch_market", "policy", peer="torch"), "steps", torch),
    )


GROWTH: tuple[Growth, ...] = (
    *(_along_environments(kind) for kind in KINDS),
    *_peers(),
    *(_along(kind, axis) for axis in SIZES for kind in KINDS),
)
"""The batch, for us and for others; assets, features and time."""
