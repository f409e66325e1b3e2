"""The words of a benchmark: `Row`, `Bench`, `Case`, and the result as text and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

from steelyard.errors import ConfigError

LEAST_ROUNDS = 5
"""Fewer alternating rounds than this make no row that can be met."""


@dataclass(frozen=True)
class Row:
    """One line of the result table.

    Attributes:
        suite, name: which case.
        unit: of `ours` and `peer` ("samples per CPU-second", "seconds", "bytes").
        ours, peer: medians over the rounds; None where not measured.
        ratio, low, high: median, smallest and largest of ours / peer over the rounds.
        bar: what has to be reached: by `ratio`, or by `ours` where the case has no peer or is
            `judged` by it; None where the peer would have set it.
        sense: whether the bar is a floor or a ceiling.
        judged: "ours" where both sides' figures are results and no speeds; `low` and `high` are
            then an interval around `ours`.
        met: whether it is; None where it was not measured.
        versus: the other side in words, empty where the case has none.
        against: the peer's name, as `--against` takes it; empty where it is ours or none.
        note: settings of both sides, and why a figure is missing.
        first: wall seconds of the first run of each side (compile, warm-up), in no rate.
        rounds: per round, the samples per CPU-second of ours and of the peer.
    """

    suite: str
    name: str
    unit: str
    bar: float | None
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    sense: Literal["at least", "at most"] = "at least"
    judged: Literal["ratio", "ours"] = "ratio"
    met: bool | None = None
    versus: str = ""
    against: str = ""
    note: str = ""
    first: Mapping[str, float] = field(default_factory=dict)
    rounds: Sequence[Sequence[float]] = ()

    def facts(self) -> dict[str, Any]:
        """The row as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Bench:
    """What every case of one run shares.

    Attributes:
        folder: holds the shared data (`market.npz`, `curves.npy`).
        rounds: alternating rounds of each case.
        report: told what is going on, for a progress display.
    """

    folder: Path
    rounds: int = LEAST_ROUNDS
    report: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, not {self.rounds}")


class Case(Protocol):
    """Anything that a suite can measure."""

    @property
    def suite(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def against(self) -> str: ...  # noqa: D102

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        ...

    def measure(self, bench: Bench) -> Row:
        """Measure the case; a figure that cannot be had is None, and the note says why."""
        ...


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """The whole result as plain values: the machine and one object per row."""
    return {"machine": machine(), "rows": [row.facts() for row in rows]}


def machine() -> dict[str, Any]:
    """What a figure has to be read with: the processor, its cores, and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "jax")},
    }


def as_text(rows: Sequence[Row]) -> str:
    """The rows as an aligned table, notes below it."""
    head = ("case", "ours", "peer", "ratio (low..high)", "bar", "met")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in lines]
    notes = [f"{row.suite}: {row.name}: {row.note}" for row in rows if row.note]
    return "\n".join(line.rstrip() for line in [*text, "", *notes]).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    spread = f"{_short(row.ratio)}x " if row.ratio is not None else ""
    spread += f"({_short(row.low)}..{_short(row.high)})" if row.low is not None else "-"
    open_end = "not measured" if row.bar is not None else "no bar"
    met = {True: "yes", False: "NO", None: open_end}[row.met]
    unit = "x" if row.versus and row.judged == "ratio" else f" {row.unit}"
    return (
        f"{row.suite}: {row.name}",
        _short(row.ours),
        _short(row.peer),
        spread,
        f"{row.sense} {_short(row.bar)}{unit}" if row.bar is not None else "-",
        met,
    )


def _short(number: float | None) -> str:
    """Three significant digits with thousands separated; a dash for nothing."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _version(package: str) -> str | None:
    """The installed version, None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as the system gives it."""
    cards = Path("/proc/cpuinfo")
    if cards.exists():
        for line in cards.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
