"""What is measured of environment steps, without a policy and with one: declarations only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.bench.protocol import Duel, Side
from steelyard.bench.training_cases import ACCOUNT, SAME_MARKET

SAME_DATA = tuple(name for name in SAME_MARKET if name != "actions_matter")
"""Facts that a side which ignores actions can still share."""

BEST = (256, 512, 1_024, 2_048)
"""Numbers of our environments among which the fastest is taken."""

PROBED: Mapping[str, Any] = {"probe": "float64"}
"""Both sides report what scripted orders come to, in that money."""

_SUITE = "rollout"


def _ours(maker: str, envs: tuple[int, ...], calls: int = 16, **options: Any) -> Side:
    """Our side at several numbers of environments, each with about a million steps a round."""
    module = "ours_market" if maker in ("market", "steps") else "ours_device"
    return Side(
        f"steelyard.bench.{module}",
        maker,
        tuple(
            {**ACCOUNT, **options, "envs": n, "horizon": 65_536 // n, "calls": calls} for n in envs
        ),
    )


def _finrl(maker: str, *settings: tuple[int, int]) -> Side:
    """FinRL at several numbers of environments, with that many samples a round."""
    candidates = tuple({**ACCOUNT, "envs": envs, "samples": samples} for envs, samples in settings)
    return Side("finrl_market", maker, candidates, peer="finrl")


def _many(
    module: str, maker: str, peer: str, envs: tuple[int, ...], samples: int, **options: Any
) -> Side:
    """A torch side at several numbers of environments, with about that many samples a round."""
    candidates = tuple(
        {**ACCOUNT, **options, "envs": n, "steps": max(8, samples // n)} for n in envs
    )
    ignores = peer == "elegantrl" and not maker.startswith("repaired")
    return Side(module, maker, candidates, peer=peer, ignores_actions=ignores)


def _elegantrl(
    name: str, ours: Side, maker: str, envs: tuple[int, ...], bar: float | None = None
) -> Duel:
    """A row against ElegantRL's vectorised environment, as published or repaired."""
    peer = _many("elegantrl_market", maker, "elegantrl", envs, 131_072)
    state = "as published" if peer.ignores_actions else "with four faults repaired as it is read"
    return Duel(
        _SUITE,
        name,
        ours,
        peer,
        bar=bar,
        versus=f"StockTradingVecEnv of ElegantRL 0.3.6, {state}",
        agree=SAME_DATA if peer.ignores_actions else SAME_MARKET,
        note="the peer fills in asset order, all at one day, and ignores orders below a tenth",
    )


def _sb3(name: str, settings: tuple[tuple[int, int], ...], bar: float, note: str) -> Duel:
    """A row against a policy of stable-baselines3 on one of FinRL's environments."""
    return Duel(
        _SUITE,
        f"policy in the loop, {name} environment",
        _ours("rollout", (512, 2_048, 4_096)),
        _finrl(f"{name.lower()}_rollout", *settings),
        bar=bar,
        versus=f"FinRL's {name} environment, policy of stable-baselines3, DummyVecEnv",
        agree=SAME_MARKET,
        note=note,
        library="sb3",
    )


def _torch(name: str, maker: str) -> Duel:
    """A row against the torch version of ours."""
    return Duel(
        _SUITE,
        name,
        _ours(maker, BEST, **PROBED),
        _many("torch_market", maker, "torch", (1_024, 2_048, 4_096), 65_536, **PROBED),
        bar=None,
        versus="a vectorised torch 2.13 version of the same rules",
        agree=SAME_MARKET,
        tolerance=1e-9,
        note="same fills in the same order; values compared in float64",
    )


def _twin(name: str, ours: Side, precision: str, bar: float | None) -> Duel:
    """A row against the C program in the same kind of money."""
    probe = ours.candidates[0]["probe"]
    peer = tuple(
        {
            **{**ACCOUNT, "precision": precision, "probe": probe},
            **{"envs": envs, "horizon": 2_097_152 // envs},
        }
        for envs in (64, 512, 2_048)
    )
    exact = probe == "exact"
    return Duel(
        _SUITE,
        name,
        ours,
        Side("steelyard.bench.peers.c_twin", "steps", peer, command="cc"),
        bar=bar,
        versus="a scalar C program of the same rules, `cc -O3 -march=native`",
        agree=SAME_MARKET,
        tolerance=0.0 if exact else 1e-9,
        note="no observations; " + ("equal to the last digit" if exact else "compared in float64"),
    )


ROLLOUT: tuple[Duel, ...] = (
    Duel(
        _SUITE,
        "market only, pandas environment",
        _ours("market", (2_048,)),
        _finrl("pandas_market", (1, 512)),
        bar=14_000,
        versus="FinRL's pandas environment, steps alone",
        agree=SAME_MARKET,
        note="observations made at every step; both fill at the shown close, largest buy first",
    ),
    _elegantrl(
        "market only, ElegantRL repaired, each at its best",
        _ours("market", BEST),
        "repaired_market",
        (2_048, 4_096, 16_384),
        bar=4,
    ),
    _elegantrl(
        "market only, ElegantRL repaired, 2,048 environments",
        _ours("market", (2_048,)),
        "repaired_market",
        (2_048,),
        bar=12,
    ),
    _elegantrl(
        "market only, ElegantRL as is, each at its best",
        _ours("market", BEST),
        "market",
        (2_048, 4_096, 16_384),
    ),
    _torch("market only, torch version, each at its best", "market"),
    _twin("market only, against a scalar C twin", _ours("steps", BEST, **PROBED), "float32", 0.5),
    _twin(
        "exact money, against a scalar C twin",
        _ours("steps", BEST, precision="exact", probe="exact"),
        "exact",
        None,
    ),
    _sb3(
        "pandas",
        ((1, 512), (4, 512)),
        2_000,
        "ours fills at the shown close, as the peer; ours stores what an update needs",
    ),
    _sb3(
        "NumPy",
        ((1, 8_192), (8, 16_384)),
        150,
        "the peer ignores orders of a tenth of hmax and less; ours fills them all",
    ),
    _elegantrl(
        "actor in the loop, ElegantRL repaired, 2,048 environments",
        _ours("policy", (2_048,)),
        "repaired_policy",
        (2_048,),
        bar=6.5,
    ),
    _elegantrl(
        "actor in the loop, ElegantRL as is, 2,048 environments",
        _ours("policy", (2_048,)),
        "policy",
        (2_048,),
    ),
    _torch("actor in the loop, torch version, each at its best", "policy"),
)
"""Ours at 2,048 environments where the row says so, else at its best."""
