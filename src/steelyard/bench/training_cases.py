"""What is measured of training: each agent against a peer's, and batching: declarations only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.bench.protocol import Duel, Side

ACCOUNT: Mapping[str, Any] = {"cash": 1_000_000, "cost": 0.001, "hmax": 100, "net": [64, 32]}
"""Settings that both sides of every market case share."""

SAME_MARKET = ("data", "hmax", "cash", "cost", "net", "actions_matter")
"""Facts by which two sides trade on the same market."""

_ON_POLICY, _OFF_POLICY = ("batch", "steps", "epochs"), ("batch", "gradients")

_PPO = {"envs": 1, "horizon": 2_048, "epochs": 10, "minibatch": 64}
_FLAT = {"anneal": 0.0, "log_std": 0.0}
"""What the peers of PPO do: a constant step size, a spread of 1."""
_LARGE = {
    **{"envs": 2_048, "horizon": 16, "epochs": 4, "minibatch": 4_096, "hidden": [64, 32]},
    **{"learning_rate": 3e-4, "discount": 0.99, "decay": 0.95, "clip": 0.2},
    **{"value_weight": 0.5, "max_gradient": 0.5},
}
_A2C = {"envs": 1, "horizon": 5}
_REPLAY = {"collect": 1, "capacity": 10_000, "minibatch": 64, "warmup": 160}
_EVERY_STEP = {**_REPLAY, "envs": 1, "gradient_steps": 1}
"""SB3's defaults: a gradient step per environment step, which is nearly all that is then timed:
the products of matrices, on which both sides are at the limit of the machine."""
_CARD = {**_REPLAY, "envs": 16, "gradient_steps": 2}
"""The card of `stock-ensemble`: two gradient steps per step of sixteen environments."""


def _against_sb3(
    agent: str,
    settings: Mapping[str, Any],
    extra: Mapping[str, Any],
    updates: int,
    samples: int,
    label: str = "",
    bars: tuple[float, float] = (50, 5),
) -> tuple[Duel, Duel]:
    """An agent against the same one of stable-baselines3 on both environments of FinRL.

    Args:
        settings: of both sides.
        extra: of our side.
        updates: of ours, per round.
        samples: environment steps of the peer, per round.
        bars: of the pandas and of the NumPy environment.
    """
    shared = {**ACCOUNT, "agent": agent, "settings": {**settings, "hidden": ACCOUNT["net"]}}
    ours = {**shared, "extra": extra, "updates": updates}
    peer = {**shared, "first": 2 * settings.get("warmup", 32), "samples": samples}
    same = _OFF_POLICY if "capacity" in settings else _ON_POLICY

    def duel(name: str, maker: str, bar: float) -> Duel:
        return Duel(
            "train",
            f"{agent.upper()}{label}, {name} environment",
            Side("steelyard.bench.ours_train", "train", (ours,)),
            Side("finrl_train", maker, (peer,), peer="finrl"),
            bar=bar,
            versus=f"{agent.upper()} of stable-baselines3 on FinRL's {name} environment",
            agree=(*SAME_MARKET, *same),
            note=", ".join(f"{name} {value}" for name, value in settings.items()),
            library="sb3",
        )

    pandas, numpy = bars
    return duel("pandas", "pandas_train", pandas), duel("NumPy", "numpy_train", numpy)


def _replaying(agent: str) -> tuple[Duel, ...]:
    """An agent with a memory, as the card has it and at the replay ratio of the peer."""
    return (
        *_against_sb3(agent, _CARD, {"horizon": 32}, 32, 512, " as on the card of Table 5"),
        *_against_sb3(agent, _EVERY_STEP, {"horizon": 256}, 8, 256, " step by step"),
    )


def _large_batch(updates: int) -> Duel:
    """PPO in batches of 32,768 steps against the same in torch, with one set of settings."""
    shared = {**ACCOUNT, "agent": "ppo", "settings": _LARGE, "updates": updates, "probe": "float64"}
    return Duel(
        "train",
        "PPO, large batch",
        Side("steelyard.bench.ours_train", "train", ({**shared, "extra": _FLAT},)),
        Side("torch_ppo", "train", (shared,), peer="torch"),
        bar=2,
        versus="PPO written for large batches in torch 2.13, on a torch market of the same rules",
        agree=(*SAME_MARKET, *_ON_POLICY),
        tolerance=1e-9,
        note=", ".join(f"{name} {value}" for name, value in _LARGE.items()),
    )


TRAIN: tuple[Duel, ...] = (
    # the bars of the core's PPO are higher than those that every agent has to reach
    *_against_sb3("ppo", _PPO, _FLAT, 16, 2_048, bars=(160, 15)),
    _large_batch(updates=2),
    *_against_sb3("a2c", _A2C, {}, 4_096, 1_024),
    *(duel for agent in ("ddpg", "td3", "sac", "dqn") for duel in _replaying(agent)),
)
"""CPPO and GRPO have no counterpart at the peer."""


def _batching(name: str, cold: bool, bar: float) -> Duel:
    """All windows, seeds and members in one program against one program each."""
    jobs = {"windows": 8, "seeds": 2, "members": 2, "days": 30, "programs": 2 if cold else 16}
    # the budget of the card of `stock-ensemble`
    agent = {"steps": 2_304, "envs": 16, "horizon": 128, "epochs": 10, "minibatch": 64}
    options = {**ACCOUNT, **jobs, "agent": agent, "cold": cold}
    module = "steelyard.bench.ours_windows"
    return Duel(
        "windows",
        name,
        Side(module, "batched", (options,)),
        Side(module, "separate", (options,)),
        bar=bar,
        versus="the same trainings one by one, a program of its own for each",
        agree=("data", "agent", "net"),
        tolerance=1e-3,
        note=(
            "PPO on 8 windows of 30 days x 2 seeds x 2 members, 2,048 steps each, by `fit`; "
            f"the other side trains {jobs['programs']} of the 32 a round and is extrapolated"
        ),
    )


WINDOWS: tuple[Duel, ...] = (
    _batching("cold start: everything compiled anew", cold=True, bar=3.0),
    _batching("warm: compiled before", cold=False, bar=1.0),
)
"""Batching must pay from a cold start and must not cost anything after it."""
