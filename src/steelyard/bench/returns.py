"""Returns: our agents against stable-baselines3's on the classic problems, seed by seed.

Both sides train with the same budget and the same settings, as many seeds each, and are weighed on
whole episodes without exploration. A row gives the mean over the seeds with an interval that a
bootstrap over the seeds draws around it. It is met where our interval reaches the peer's: where we
are better, or not worse by more than the seeds differ.

The peer trains for minutes per seed, so what it reached is kept in the benchmark's folder, under
a name made from the settings and the pins, and an interrupted run goes on where it stopped. Ours
is trained anew each time, all seeds in one program.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.bench.peer_env import find_peer, interpreter
from steelyard.bench.result import Bench, Row
from steelyard.bench.worker import ONE_THREAD, Program, Worker
from steelyard.errors import BenchError, DependencyError
from steelyard.home import home

EPISODES = 20
"""Episodes on which a trained agent is weighed."""

LEVEL = 0.9
"""Coverage of the intervals."""

RESAMPLES = 10_000
"""Draws of the bootstrap over seeds."""


@dataclass(frozen=True)
class Returns:
    """An agent of ours and the same one of stable-baselines3 on one problem.

    Attributes:
        agent: its name on both sides.
        problem: Gymnasium's name of it; a key of `control.PROBLEMS`.
        settings: of both sides, by our names: `steps`, `envs`, `hidden`, `learning_rate`, ...
        extra: of our side alone: what makes its defaults those of the peer.
        seeds: trainings of each side.
    """

    suite: str
    agent: str
    problem: str
    settings: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 10
    against: str = "finrl"
    library: str = "sb3"

    @property
    def name(self) -> str:
        """Agent and problem."""
        return f"{self.agent.upper()} on {self.problem}"

    def row(self, **values: Any) -> Row:
        """A row of this case; the bar is the lower end of the peer's interval."""
        return Row(
            suite=self.suite,
            name=self.name,
            unit="return of an episode",
            bar=values.pop("bar", None),
            judged="ours",
            versus="the same agent of stable-baselines3, same settings and budget",
            against=self.against,
            **values,
        )

    def measure(self, bench: Bench) -> Row:
        """Train both sides; without the peer our figure stands alone and the note says why."""
        try:
            bench.report(f"{self.name}: ours, {self.seeds} seeds")
            own = self.ours(bench)
            try:
                peer = self.peer(bench)
            except DependencyError as error:
                low, high = interval(own)
                return self.row(ours=float(np.mean(own)), low=low, high=high, note=error.message)
        except BenchError as error:
            return self.row(met=False, note=error.message)
        return self.compare(own, peer)

    def compare(self, own: Sequence[float], peer: Sequence[float]) -> Row:
        """The row of two samples of returns, one per seed."""
        (low, high), (peer_low, peer_high) = interval(own), interval(peer)
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        note = (
            f"{LEVEL:.0%} intervals over {self.seeds} seeds: ours {low:.4g}..{high:.4g}, "
            f"peer {peer_low:.4g}..{peer_high:.4g}; {settings}"
        )
        return self.row(
            ours=float(np.mean(own)),
            peer=float(np.mean(peer)),
            low=low,
            high=high,
            bar=peer_low,
            met=high >= peer_low,
            note=note,
            rounds=list(zip(own, peer, strict=True)),
        )

    def ours(self, bench: Bench) -> list[float]:
        """Mean return of our episodes, seed by seed."""
        variables = {"JAX_PLATFORMS": "cpu"}
        program = Program("steelyard.bench.ours_control", variables=variables, pinned=False)
        options = {
            "agent": self.agent,
            "problem": self.problem,
            "settings": {**self.settings, **self.extra},
            "seeds": self.seeds,
            "episodes": EPISODES,
        }
        with Worker(program) as worker:
            facts = worker.open("0", "returns", bench.folder, options)["facts"]
        return [float(np.mean(episodes)) for episodes in facts["returns"]]

    def peer(self, bench: Bench) -> list[float]:
        """Mean return of the peer's episodes, seed by seed; what is kept is not trained again.

        Raises:
            DependencyError: seeds are missing, and the peer cannot be installed.
            BenchError: a training failed; what was done before it is kept.
        """
        options = {
            "agent": self.agent,
            "problem": self.problem,
            "settings": dict(self.settings),
            "episodes": EPISODES,
        }
        environment = find_peer(self.against)
        kept = Kept(home() / "bench" / "returns", environment.key, options)
        missing = [seed for seed in range(self.seeds) if seed not in kept.returns]
        if missing:
            program = _peer_program(interpreter(environment))
            self._train_peers(program, bench, options, missing, kept)
        return [float(np.mean(kept.returns[seed])) for seed in range(self.seeds)]

    def _train_peers(
        self,
        program: Program,
        bench: Bench,
        options: Mapping[str, Any],
        seeds: Sequence[int],
        kept: Kept,
    ) -> None:
        """Train `seeds` side by side; each is kept as soon as it is done."""
        with ThreadPoolExecutor(_cores()) as pool:
            jobs = {
                pool.submit(_train_peer, program, bench.folder, {**options, "seed": seed}): seed
                for seed in seeds
            }
            try:
                for done in as_completed(jobs):
                    kept.add(jobs[done], done.result())
                    count = f"{len(kept.returns)} of {self.seeds} seeds"
                    bench.report(f"{self.name}: stable-baselines3, {count}")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


class Kept:
    """What a peer reached, kept in one file per case and added to seed by seed.

    Attributes:
        path: the file; its name is made from the peer's pins and the options of the case.
        returns: seed -> returns of its episodes.
    """

    def __init__(self, folder: Path, peer: str, options: Mapping[str, Any]) -> None:
        self._facts = {"peer": peer, **options}
        digest = hashlib.sha256(json.dumps(self._facts, sort_keys=True).encode()).hexdigest()[:12]
        self.path = folder / f"{options['agent']}-{options['problem']}-{digest}.json".lower()
        self.returns: dict[int, list[float]] = {}
        if self.path.exists():
            held = json.loads(self.path.read_text(encoding="utf-8"))
            self.returns = {int(seed): values for seed, values in held["returns"].items()}

    def add(self, seed: int, values: list[float]) -> None:
        """Keep the episodes of one more seed; a file half written is never seen."""
        self.returns[seed] = values
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        text = json.dumps({**self._facts, "returns": self.returns}, indent=1)
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(self.path)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron, 1979) of the mean over seeds, at `LEVEL`."""
    rng = np.random.default_rng(0)
    draws = rng.choice(np.asarray(values), (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _peer_program(python: Path) -> Program:
    """The peer's program; its seeds run side by side, one thread each."""
    folder = Path(__file__).resolve().parent
    return Program("peers.sb3_returns", python, folder, ONE_THREAD, pinned=False)


def _train_peer(program: Program, folder: Path, options: Mapping[str, Any]) -> list[float]:
    """Returns of the episodes after one training of the peer, in a process of its own."""
    with Worker(program) as worker:
        facts = worker.open("0", "returns", folder, options)["facts"]
    return [float(value) for value in facts["returns"]]


def _cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
