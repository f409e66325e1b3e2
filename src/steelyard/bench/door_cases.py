"""What is measured of the doors for other libraries: declarations, and where our sides run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from steelyard.bench.gauges import Gauge
from steelyard.bench.peer_env import find_peer, interpreter
from steelyard.bench.protocol import Duel, Side, rate
from steelyard.bench.result import LEAST_ROUNDS, Bench, Case, Row
from steelyard.bench.training_cases import ACCOUNT, SAME_MARKET
from steelyard.bench.worker import Program, Worker
from steelyard.errors import BenchError, DependencyError

_OURS = "steelyard.bench.ours_doors"

ENVS = 1_024
"""Environments of the vector rows."""


@dataclass(frozen=True)
class Visitor(Side):
    """A side of ours that runs in the environment `host`, which has the library of its door."""

    host: str = "doors"

    def program(self) -> Program:
        """Our source, run by the interpreter of the host.

        Raises:
            BenchError: that environment cannot be made.
        """
        try:
            python = interpreter(find_peer(self.host))
        except DependencyError as error:
            raise BenchError(error.message, hint=error.hint) from error
        return Program(module=self.module, python=python)


@dataclass(frozen=True)
class Pace(Gauge):
    """Samples per CPU-second of one of our sides, which have to reach `bar`."""

    unit: str = "samples per CPU-second"
    maker: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        return Row(self.suite, self.name, self.unit, self.bar, sense="at least", **values)

    def measure(self, bench: Bench) -> Row:
        """Median rate; the first round, which compiles, stands apart."""
        with Worker(Program(_OURS)) as worker:
            opened = worker.open("0", self.maker, bench.folder, self.options)
            if not opened["facts"]["actions_matter"]:
                raise BenchError(f"{self.name}: actions do not change the outcome")
            rates = []
            for turn in range(bench.rounds):
                bench.report(f"{self.name}: round {turn + 1} of {bench.rounds}")
                rates.append(rate(worker.run("0")))
        middle = median(rates)
        return self.row(
            ours=middle,
            low=min(rates),
            high=max(rates),
            met=middle >= self.bar if bench.rounds >= LEAST_ROUNDS else None,
            note=f"ours: envs {self.options['envs']}",
            first={"ours": float(opened["first"]["wall_seconds"])},
            rounds=[[one] for one in rates],
        )


def _ours(envs: int, samples: int) -> Mapping[str, Any]:
    return {**ACCOUNT, "envs": envs, "samples": samples}


_NUMPY_ENVS = Side(
    "finrl_doors",
    "dummy_steps",
    (_ours(1, 8_192), _ours(8, 8_192), _ours(64, 8_192)),
    peer="finrl",
)

_PPO = {"envs": 64, "horizon": 32, "epochs": 4, "minibatch": 512}


def _ppo(side: type[Side], module: str, maker: str, peer: str) -> Side:
    settings = {**_PPO, "hidden": ACCOUNT["net"]}
    options = {**ACCOUNT, "agent": "ppo", "settings": settings, "samples": 8_192, "first": 2_048}
    return side(module, maker, (options,), peer=peer)


def _vector(door: str, side: type[Side], maker: str) -> Duel:
    """Many environments through a door, against the peer's at its best number."""
    return Duel(
        "doors",
        f"{door}, 1,024 environments",
        side(_OURS, maker, (_ours(ENVS, 262_144),)),
        _NUMPY_ENVS,
        bar=None,
        versus="FinRL's NumPy environment in a DummyVecEnv",
        agree=SAME_MARKET,
    )


DOORS: tuple[Case, ...] = (
    Duel(
        "doors",
        "Gymnasium, one environment",
        Side(_OURS, "gym_single", (_ours(1, 32_768),)),
        Side("finrl_doors", "numpy_steps", (_ours(1, 16_384),), peer="finrl"),
        bar=2.5,
        versus="FinRL's NumPy environment, stepped alone",
        agree=SAME_MARKET,
        note="random actions, no policy; ours checks the action and tells the whole account",
    ),
    _vector("Gymnasium", Side, "gym_vector"),
    Pace(
        "doors",
        "Gymnasium, steps of 1,024 environments",
        bar=1e6,
        maker="gym_vector",
        options=_ours(ENVS, 262_144),
    ),
    _vector("torch", Visitor, "torch_vector"),
    _vector("stable-baselines3", Visitor, "sb3_vector"),
    Duel(
        "doors",
        "PPO of stable-baselines3",
        _ppo(Visitor, _OURS, "sb3_train", ""),
        _ppo(Side, "finrl_doors", "ppo", "finrl"),
        bar=None,
        versus="the same PPO on FinRL's NumPy environment in a DummyVecEnv",
        agree=(*SAME_MARKET, "batch", "steps", "epochs"),
        note=", ".join(f"{name} {value}" for name, value in _PPO.items()),
    ),
)
"""Both sides are called from Python step by step, by what their users call."""
