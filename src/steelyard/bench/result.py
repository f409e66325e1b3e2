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

MOST_ENVS = 65_536
"""Environments up to which the growth of cost is asked for."""

LEAST_ENVS = 1_024
"""Up to fewer environments than this there is no growth to be seen."""

PROTOCOL = 2
"""Version of how figures are taken; documents of another one are not compared."""


@dataclass(frozen=True)
class Point:
    """The rate at one size: median, smallest and largest over the rounds."""

    size: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """Rates along an axis, and how cost grows beyond the point of saturation.

    Attributes:
        axis: what grows ("environments", "assets").
        label: what is measured.
        peer: whose it is, empty = ours.
        points: by size.
        slope, error: of the logarithm of cost over that of size, and its standard error.
        knot: the size from which on that slope holds: the point of saturation.
    """

    axis: str
    label: str
    peer: str
    points: Sequence[Point]
    slope: float
    error: float
    knot: float


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
        rounds: per round, the samples per CPU-second of ours and of the peer, or of every size.
        curve: the rates behind a row about growth.
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
    curve: Curve | None = None

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
        envs: most environments of a row about growth.
    """

    folder: Path
    rounds: int = LEAST_ROUNDS
    report: Callable[[str], None] = lambda text: None
    envs: int = MOST_ENVS

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, not {self.rounds}")
        if self.envs < LEAST_ENVS:
            raise ConfigError(f"growth needs at least {LEAST_ENVS} environments, not {self.envs}")


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
    """The whole result as plain values: protocol, machine and versions, one object per row."""
    return {
        "protocol": PROTOCOL,
        "steelyard": _version("steelyard"),
        "machine": machine(),
        "rows": [row.facts() for row in rows],
    }


def from_document(found: Mapping[str, Any]) -> list[Row]:
    """The rows of a `document`, also of one that went through JSON.

    Raises:
        KeyError, TypeError: it is no such document.
    """
    rows = []
    for facts in found["rows"]:
        curve = facts["curve"]
        if curve is not None:
            curve = Curve(**{**curve, "points": tuple(Point(**p) for p in curve["points"])})
        rows.append(Row(**{**facts, "curve": curve}))
    return rows


def machine() -> dict[str, Any]:
    """What a figure has to be read with: the processor, its cores, and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "jax", "jaxlib", "equinox", "optax")},
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
    spread = f"{three_digits(row.ratio)}x " if row.ratio is not None else ""
    spread += f"({three_digits(row.low)}..{three_digits(row.high)})" if row.low is not None else "-"
    open_end = "not measured" if row.bar is not None else "no bar"
    met = {True: "yes", False: "NO", None: open_end}[row.met]
    unit = "x" if row.versus and row.judged == "ratio" else f" {row.unit}"
    return (
        f"{row.suite}: {row.name}",
        three_digits(row.ours),
        three_digits(row.peer),
        spread,
        f"{row.sense} {three_digits(row.bar)}{unit}" if row.bar is not None else "-",
        met,
    )


def three_digits(number: float | None) -> str:
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
