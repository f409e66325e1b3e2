"""The ratios that CI watches: quick duels with programs that stand still, and what was accepted.

A case compares our rate with that of a program of `references`, by the protocol of every duel, and
fails where the ratio has fallen by more than `TOLERANCE` against the accepted one. Times are never
compared: a slower machine slows both sides. What fails is measured once more before it counts. Both
sides do the same kind of work with the same library, so that a ratio moves little from machine to
machine. Between kinds of processors it moves more: on one of another name than that of the accepted
ratios they are shown and not judged, and only the planted loss has to be caught.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steelyard.bench.protocol import Duel
from steelyard.bench.result import PROTOCOL, Bench, Row, machine
from steelyard.errors import BenchError

TOLERANCE = 0.25
"""Share of the accepted ratio that may be lost."""

ACCEPTED = Path(__file__).with_name("accepted.json")
"""The accepted ratios, with the machine on which they were seen."""

HINT = "steelyard bench ratios --accept"


@dataclass(frozen=True)
class Ratio(Duel):
    """A duel whose bar is what is left of the accepted ratio after `TOLERANCE`."""

    def measure(self, bench: Bench) -> Row:
        """Run the protocol, and once more where the ratio is too low."""
        row = super().measure(bench)
        if row.met is not False or row.ratio is None:
            return row
        bench.report(f"{self.name}: once more")
        return replace(super().measure(bench), note=f"first {row.ratio:.3g}x; measured again")


@dataclass(frozen=True)
class Planted:
    """A case with a slow path put into our side: met where the gate catches it.

    Attributes:
        case: the case with the slow path.
    """

    suite: str
    name: str
    case: Ratio
    against: str = ""

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        row = replace(self.case, suite=self.suite, name=self.name).row(**values)
        return replace(row, sense="at most")

    def measure(self, bench: Bench) -> Row:
        """Run the case; a loss that it does not see is a failure of the gate."""
        row = self.case.measure(bench)
        caught = None if row.met is None else row.ratio is not None and not row.met
        return replace(row, suite=self.suite, name=self.name, sense="at most", met=caught)


def bar_of(accepted: Mapping[str, float], name: str) -> float | None:
    """The least ratio that passes; None where none was accepted yet."""
    return accepted[name] * (1 - TOLERANCE) if name in accepted else None


def read_accepted(path: Path = ACCEPTED) -> dict[str, float]:
    """Name of a case -> its accepted ratio; empty where nothing was accepted.

    Raises:
        BenchError: the file is not one of accepted ratios, or of another protocol.
    """
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        ratios = {str(name): float(ratio) for name, ratio in stored["ratios"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"`{path}` holds no accepted ratios: {error}", hint=HINT) from error
    if stored.get("protocol") != PROTOCOL:
        raise BenchError(
            f"`{path}` is of protocol {stored.get('protocol')}, not {PROTOCOL}", hint=HINT
        )
    return ratios


def comparable(path: Path = ACCEPTED) -> bool:
    """Whether the accepted ratios were seen on a processor of this name.

    Caches and vector units move a ratio by more than `TOLERANCE` from one kind to another.
    """
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return bool(stored.get("machine", {}).get("processor") == machine()["processor"])


def accept(rows: Sequence[Row], path: Path = ACCEPTED) -> None:
    """Write the ratios of `rows` as accepted; rows whose sense is a ceiling are planted ones.

    Raises:
        BenchError: a row has no ratio; nothing is written then.
    """
    watched = [row for row in rows if row.sense == "at least"]
    for row in watched:
        if row.ratio is None:
            raise BenchError(f"{row.name} has no ratio to accept: {row.note}")
    ratios = {row.name: float(f"{row.ratio:.4g}") for row in watched}
    stored = {"protocol": PROTOCOL, "machine": machine(), "ratios": ratios}
    path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
