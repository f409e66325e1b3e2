"""What CI watches: our hot paths against fixed programs with the same kind of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steelyard.bench.orderbook_cases import KIT
from steelyard.bench.protocol import Side
from steelyard.bench.ratios import Planted, Ratio, bar_of, comparable, read_accepted
from steelyard.bench.synthetic import ASSETS, FEATURES
from steelyard.bench.training_cases import ACCOUNT

_OURS, _FIXED = "steelyard.bench.ours_ratios", "steelyard.bench.references"

_BATCH = {"envs": 1_024, "horizon": 64}
_INPUTS = 2 + ASSETS + ASSETS * (FEATURES + 1)
_ACTOR = [_INPUTS, *ACCOUNT["net"], ASSETS]
_PPO = {"envs": 256, "horizon": 16, "epochs": 4, "minibatch": 512, "hidden": ACCOUNT["net"]}
_GRADIENTS = _PPO["epochs"] * _PPO["envs"] * _PPO["horizon"] // _PPO["minibatch"]


def _case(
    name: str,
    maker: str,
    ours: Mapping[str, Any],
    fixed: str,
    options: Mapping[str, Any],
    accepted: Mapping[str, float],
    versus: str,
) -> Ratio:
    return Ratio(
        "ratios",
        name,
        Side(_OURS, maker, ({**ACCOUNT, **ours},)),
        Side(_FIXED, fixed, ({**ACCOUNT, **options},)),
        bar=bar_of(accepted, name),
        versus=versus,
    )


def ratio_cases(accepted: Mapping[str, float]) -> tuple[Ratio, ...]:
    """The watched ratios, with the bars that `accepted` ratios give them."""
    books = {**KIT, "envs": 1_024, "horizon": 237, "calls": 2}
    batch, longer = {"calls": 3, **_BATCH}, {"calls": 8, **_BATCH}
    return (
        _case(
            "environment step",
            "market",
            batch,
            "step",
            longer,
            accepted,
            "a fixed market in JAX that fills in asset order",
        ),
        _case(
            "rollout with policy",
            "policy",
            batch,
            "network",
            {**batch, "sizes": _ACTOR},
            accepted,
            "the network of the actor alone, and its noise",
        ),
        _case(
            "PPO update",
            "learning",
            {"agent": "ppo", "settings": _PPO, "extra": {}, "updates": 4},
            "gradient",
            {"minibatch": 512, "gradients": _GRADIENTS, "sizes": _ACTOR, "calls": 4},
            accepted,
            "the same number of plain gradient steps on minibatches of that size",
        ),
        _case(
            "order book step",
            "book",
            books,
            "book_step",
            {**books, "calls": 8},
            accepted,
            "a fixed book in JAX that trades at the best price",
        ),
        _case(
            "exact money",
            "exact",
            batch,
            "step",
            longer,
            accepted,
            "the fixed market in float32",
        ),
        _case(
            "indicators",
            "indicators",
            {},
            "windows",
            {},
            accepted,
            "windows of 30 rows shift by shift in NumPy",
        ),
    )


def _planted(case: Ratio) -> Planted:
    """The case with a sort of every order in the step, which changes no result."""
    options = {**case.ours.candidates[0], "sorts": True}
    slow = replace(case, ours=replace(case.ours, candidates=(options,)))
    return Planted(case.suite, "a sort in the step is caught", slow)


_KNOWN = read_accepted()

RATIOS: tuple[Ratio | Planted, ...] = (
    *ratio_cases(_KNOWN if comparable() else {}),
    _planted(ratio_cases(_KNOWN)[0]),
)
"""Six ratios, and a slow path that has to be seen."""
