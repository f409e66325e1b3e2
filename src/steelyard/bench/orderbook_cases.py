"""What is measured in the order book: declarations only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.bench.protocol import Duel, Side

KIT: Mapping[str, Any] = {
    "step_gap": 2,
    "length": 2_370,
    "max_position": 1,
    "max_holding": 1_800,
    "slippage": 7e-7,
    "stop_loss_dollars": 1e-3,
    "net": [128, 128, 128],
}
"""The training configuration of the 2024 kit."""

SAME_RULES = ("data", "step_gap", "length", "max_position", "max_holding", "slippage")
"""Facts by which two sides trade by the same rules; their rewards are compared as well."""

MID: Mapping[str, Any] = {
    **{name: KIT[name] for name in ("step_gap", "length", "max_position", "max_holding")},
    "delay": 1,
    "slippage": KIT["slippage"],
    "stop_loss": 1e-3,
    "cash": 1_000_000.0,
    "reward_scale": 1e-2,
}
"""The market of the training rows: by our rules, but filled at the mid, as a peer easily has it."""

TRAINED_ALIKE = ("net", "batch", "gradients", "n_steps", "capacity", "learning_rate", "observation")
"""Facts by which two agents learn the same, beside those of their market."""

_SHARED: Mapping[str, Any] = {"discount": 0.99, "exploration_end": 0.05, "hidden": KIT["net"]}

SB3_DQN: Mapping[str, Any] = {
    **_SHARED,
    "envs": 1,
    "collect": 4,
    "gradient_steps": 1,
    "minibatch": 32,
    "warmup": 100,
    "capacity": 1_000_000,
    "n_steps": 1,
    "learning_rate": 1e-4,
    "tau": 1.0,
    "target_every": 10_000,
}
"""DQN at the defaults of stable-baselines3, but with the network of the kit."""

BATCHED_DQN: Mapping[str, Any] = {
    **_SHARED,
    "envs": 64,
    "collect": 1,
    "gradient_steps": 1,
    "minibatch": 256,
    "warmup": 4_096,
    "capacity": 100_000,
    "n_steps": 8,
    "learning_rate": 3e-4,
    "tau": 0.005,
    "target_every": 64,
}
"""DQN in batches, of the size of those on the card of `crypto-ensemble-2024`."""

_STEPS = 237
"""Steps in one call of ours: a tenth of an episode."""


def _duel(
    name: str, maker: str, bar: float, work: Mapping[int, tuple[int, int]], versus: str
) -> Duel:
    """A row at the numbers of environments of `work`: calls of ours and steps of the peer."""
    ours = tuple({**KIT, "envs": n, "horizon": _STEPS, "calls": c} for n, (c, _) in work.items())
    peer = tuple({**KIT, "envs": n, "steps": steps} for n, (_, steps) in work.items())
    return Duel(
        "orderbook",
        name,
        Side("steelyard.bench.ours_orderbook", maker, ours),
        Side("kit_2024_orderbook", maker, peer, peer="finrl"),
        bar=bar,
        versus=f"a torch simulator with the rules and the steps of the 2024 kit{versus}",
        agree=SAME_RULES if maker == "market" else (*SAME_RULES, "net"),
        tolerance=1e-3,
        note="observations made at every step; ours walks five levels, the peer fills at the mid",
    )


def _training(
    name: str,
    settings: Mapping[str, Any],
    horizon: int,
    work: tuple[int, int],
    bar: float | None,
    note: str,
) -> Duel:
    """A row of complete training.

    Args:
        settings: of both sides.
        horizon: steps of each of our environments per update.
        work: updates of ours and environment steps of the peer, per round.
    """
    shared = {**MID, "agent": "dqn", "settings": settings}
    # a training so long that the memory is not cut to what it can ever hold
    ours = {"extra": {"horizon": horizon, "steps": 4_000_000}, "updates": work[0]}
    peer = {"first": 2 * settings["warmup"], "samples": work[1]}
    return Duel(
        "orderbook",
        name,
        Side("steelyard.bench.ours_orderbook_train", "train", ({**shared, **ours},)),
        Side("sb3_orderbook", "train", ({**shared, **peer},), peer="finrl"),
        bar=bar,
        versus="DQN of stable-baselines3 on a NumPy environment of the same market, DummyVecEnv",
        agree=("data", *MID, *TRAINED_ALIKE),
        tolerance=1e-3,
        note="; ".join([", ".join(f"{key} {value}" for key, value in settings.items()), note]),
        unit="environment steps per CPU-second",
        library="sb3",
    )


_MARKET: Mapping[int, tuple[int, int]] = {64: (240, 1_500), 4_096: (10, 300)}
_BEST = {1_024: (20, 600), 4_096: (10, 300), 16_384: (3, 100)}
_NETWORK: Mapping[int, tuple[int, int]] = {64: (20, 1_000), 4_096: (1, 60)}

ORDERBOOK: tuple[Duel, ...] = (
    *(
        _duel(f"market, {envs:,} environments", "market", bar, {envs: _MARKET[envs]}, "")
        for envs, bar in ((64, 20), (4_096, 4))
    ),
    _duel("market, each at its best", "market", 4, _BEST, ""),
    *(
        _duel(
            f"3x128 Q-network, {envs:,} environments",
            "q_network",
            bar,
            {envs: _NETWORK[envs]},
            " and a torch network",
        )
        for envs, bar in ((64, 7), (4_096, 3.4))
    ),
    _training(
        "DQN, defaults of stable-baselines3",
        SB3_DQN,
        256,
        (64, 1_024),
        10,
        "a gradient step of 32 samples per four steps of one environment",
    ),
    _training(
        "DQN, 64 environments and minibatches of 256",
        BATCHED_DQN,
        16,
        (32, 8_192),
        None,
        "four fifths of our time are matrix products, at which the peer is nearly as fast",
    ),
)
"""With a network the matrix products are most of the work, and where minibatches are large too."""
