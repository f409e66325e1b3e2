"""The protocol of every benchmark: two sides in turns, one core, and the ratio between them.

A case has our side and a peer's. Each runs in a process of its own on the same pinned core, with
one thread, on the same data. Both are opened, which compiles and warms them up (that time stands
apart), and where a side offers several settings its fastest one is found by a trial run. Then the
rounds alternate (ours, peer; peer, ours; ...), and each gives one ratio of samples per CPU-second,
so that what disturbs the machine disturbs both. The row is the median of the ratios with their
smallest and largest. What both sides must have in common is compared before anything is timed.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from steelyard.bench.peer_env import find_peer, interpreter
from steelyard.bench.result import LEAST_ROUNDS, Bench, Row
from steelyard.bench.worker import Program, Worker, peer_program
from steelyard.errors import BenchError, ConfigError, DependencyError

SHOWN = ("envs", "steps", "epochs", "batch", "precision", "curves", "observation")
"""Settings that the note of a row names."""


@dataclass(frozen=True)
class Side:
    """One side of a duel.

    Attributes:
        module: the program (`serve`) that has the maker.
        maker: the name of the maker in it.
        candidates: settings; where there are several the fastest is taken, as found by a trial.
        peer: the environment that it needs; empty = ours.
        command: a program that must be on the path; empty = none.
        ignores_actions: it is known that orders never reach the market of this side. The row says
            so and can have no bar; that it is so is checked like its opposite.
    """

    module: str
    maker: str
    candidates: tuple[Mapping[str, Any], ...] = ({},)
    peer: str = ""
    command: str = ""
    ignores_actions: bool = False

    def program(self) -> Program:
        """Where the side runs; a peer's environment is made first where it does not stand yet.

        Raises:
            DependencyError: the environment cannot be made, or the command is not there.
        """
        if self.command and shutil.which(self.command) is None:
            raise DependencyError(
                f"`{self.command}` is not on the path of this machine",
                hint=f"install `{self.command}`; the other rows do not need it",
            )
        if not self.peer:
            return Program(module=self.module)
        return peer_program(self.module, interpreter(find_peer(self.peer)))


@dataclass(frozen=True)
class Duel:
    """A case with two sides.

    Attributes:
        bar: least ratio; None = nothing is asked of this case, it is there to be known.
        agree: facts that both sides must report alike.
        tolerance: largest relative difference of the results that both report as `values`.
        versus: the other side in words.
        library: what `--against` takes beside the peer: whose agent or policy the other side runs.
    """

    suite: str
    name: str
    ours: Side
    peer: Side
    bar: float | None
    versus: str
    agree: tuple[str, ...] = ("data",)
    tolerance: float = 1e-6
    note: str = ""
    unit: str = "samples per CPU-second"
    library: str = ""

    def __post_init__(self) -> None:
        if self.bar is not None and (self.ours.ignores_actions or self.peer.ignores_actions):
            raise ConfigError(
                f"{self.name}: a side that ignores actions can be neither won nor lost against",
                hint="use bar=None",
            )

    @property
    def against(self) -> str:
        """The peer's name, empty where both sides are ours."""
        return self.peer.peer

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        return Row(
            suite=self.suite,
            name=self.name,
            unit=self.unit,
            bar=self.bar,
            versus=self.versus,
            against=self.against,
            **values,
        )

    def measure(self, bench: Bench) -> Row:
        """Run the protocol; see the head of this file.

        Where the peer cannot be had, our side is measured alone and the note says why. A case
        whose two sides do not run the same thing is not met.
        """
        try:
            with Worker(self.ours.program()) as ours:
                own = _enter(ours, self.ours, bench)
                try:
                    bench.report(f"{self.name}: preparing {self.versus}")
                    peer = Worker(self.peer.program())
                except DependencyError as error:
                    return self._alone(bench, own, error.message)
                with peer:
                    return self._alternate(bench, own, _enter(peer, self.peer, bench))
        except BenchError as error:
            return self.row(met=False, note=error.message)

    def _alone(self, bench: Bench, own: _Ready, reason: str) -> Row:
        """Our side without a peer."""
        rates = [own.rate() for _ in range(bench.rounds)]
        note = "; ".join(filter(None, [own.setting("ours"), reason]))
        return self.row(ours=median(rates), note=note, first={"ours": own.first})

    def _alternate(self, bench: Bench, own: _Ready, peer: _Ready) -> Row:
        """Both sides in turns, the first one changing from round to round."""
        check_agreement(self, own.facts, peer.facts)
        rates: list[tuple[float, float]] = []
        for turn in range(bench.rounds):
            bench.report(f"{self.name}: round {turn + 1} of {bench.rounds}")
            if turn % 2:
                rate_of_peer = peer.rate()
                rates.append((own.rate(), rate_of_peer))
            else:
                rates.append((own.rate(), peer.rate()))
        ratios = [rate_of_ours / rate_of_peer for rate_of_ours, rate_of_peer in rates]
        fault = "actions are ignored by the peer" if self.peer.ignores_actions else ""
        settings = [own.setting("ours"), peer.setting("peer"), fault, self.note]
        return self.row(
            ours=median(rate_of_ours for rate_of_ours, _ in rates),
            peer=median(rate_of_peer for _, rate_of_peer in rates),
            ratio=median(ratios),
            low=min(ratios),
            high=max(ratios),
            met=self._met(ratios, bench.rounds),
            note="; ".join(filter(None, settings)),
            first={"ours": own.first, "peer": peer.first},
            rounds=rates,
        )

    def _met(self, ratios: Sequence[float], rounds: int) -> bool | None:
        """Whether the bar is reached; None where there is none, or too few rounds to tell."""
        if self.bar is None or rounds < LEAST_ROUNDS:
            return None
        return bool(median(ratios) >= self.bar)


@dataclass(frozen=True)
class _Ready:
    """A side whose fastest setting is open."""

    worker: Worker
    key: str
    facts: Mapping[str, Any]
    options: Mapping[str, Any]
    first: float

    def rate(self) -> float:
        """Samples per CPU-second of one round."""
        return rate(self.worker.run(self.key))

    def setting(self, whose: str) -> str:
        """The settings for the note of the row."""
        known = {**self.options, "observation": self.facts.get("observation")}
        shown = ", ".join(f"{name} {known[name]}" for name in SHOWN if known.get(name))
        return f"{whose}: {shown}" if shown else ""


def rate(timing: Mapping[str, float]) -> float:
    """Samples per CPU-second; a round too short for the clock is an error, not infinity."""
    if timing["cpu_seconds"] <= 0 or timing["samples"] <= 0:
        raise BenchError(f"a round measured nothing: {dict(timing)}")
    return timing["samples"] / timing["cpu_seconds"]


def _enter(worker: Worker, side: Side, bench: Bench) -> _Ready:
    """Open every setting of a side and keep the fastest, found by one trial run of each."""
    ready = []
    for number, options in enumerate(side.candidates):
        opened = worker.open(str(number), side.maker, bench.folder, options)
        wall = float(opened["first"]["wall_seconds"])
        ready.append(_Ready(worker, str(number), opened["facts"], options, wall))
    return ready[0] if len(ready) == 1 else max(ready, key=lambda one: one.rate())


def check_agreement(case: Duel, ours: Mapping[str, Any], peer: Mapping[str, Any]) -> None:
    """Refuse to time two sides that do not run the same thing.

    Raises:
        BenchError: a fact of `agree` differs, results differ by more than `tolerance`, or on one
            of the sides the actions do not change the outcome; where a side is known for that,
            that they do.
    """
    for name in case.agree:
        if ours.get(name) is None or ours.get(name) != peer.get(name):
            raise BenchError(
                f"{case.name}: `{name}` is {ours.get(name)} here and {peer.get(name)} at the peer"
            )
    for whose, side, facts in (("ours", case.ours, ours), ("the peer", case.peer, peer)):
        matter = bool(facts.get("actions_matter", True))
        if matter == side.ignores_actions:
            change = (
                "change the outcome, which is said to ignore them,"
                if matter
                else ("do not change the outcome")
            )
            raise BenchError(f"{case.name}: actions {change} of {whose}")
    own, of_peer = ours.get("values", []), peer.get("values", [])
    pairs = zip(own, of_peer, strict=False)
    close = (math.isclose(a, b, rel_tol=case.tolerance, abs_tol=case.tolerance) for a, b in pairs)
    if len(own) != len(of_peer) or not all(close):
        raise BenchError(f"{case.name}: the results differ: {own} here, {of_peer} at the peer")
