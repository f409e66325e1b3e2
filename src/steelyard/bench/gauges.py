"""Cases without a peer: a figure of our own under a ceiling."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from steelyard.bench.result import LEAST_ROUNDS, Bench, Row
from steelyard.bench.synthetic import ASSETS, FEATURES
from steelyard.bench.worker import Program, Worker
from steelyard.errors import BenchError

_SOURCE = Path(__file__).resolve().parents[2]

HELP = "import sys; sys.path.append({!r}); from steelyard.cli import main; sys.exit(main())"
"""What the installed `steelyard` command runs, wherever the package lies."""


@dataclass(frozen=True)
class Gauge:
    """A figure of our own that has to stay below `bar`, in `unit`."""

    suite: str
    name: str
    bar: float
    unit: str
    against: str = ""

    def row(self, **values: Any) -> Row:
        """A row of this case."""
        return Row(self.suite, self.name, self.unit, self.bar, sense="at most", **values)

    def row_of(self, seconds: Sequence[float], first: float) -> Row:
        """A row of repeated seconds, `first` of which stands apart."""
        middle = median(seconds)
        return self.row(
            ours=middle,
            low=min(seconds),
            high=max(seconds),
            met=middle <= self.bar if len(seconds) >= LEAST_ROUNDS else None,
            first={"ours": first},
            rounds=[[second] for second in seconds],
        )


@dataclass(frozen=True)
class Memory(Gauge):
    """How much of the memory that stored observations would take a rollout really takes.

    Two fresh processes run the same rollout on markets of which one has `more` times the features.
    Their peaks differ by the market's own growth, which does not depend on batch or time, and by
    nothing else where observations are rebuilt by index: then `growth` is close to 0. It is 1 and
    more where the vectors of the steps are kept.
    """

    unit: str = "of the bytes of the observations"
    options: Mapping[str, Any] = field(default_factory=dict)
    more: int = 8

    def measure(self, bench: Bench) -> Row:
        """Growth of the peak over the bytes of the added features of all steps."""
        peaks = []
        for repeat in (1, self.more):
            bench.report(f"{self.name}: {repeat} x features")
            with Worker(Program("steelyard.bench.ours_process")) as worker:
                options = {**self.options, "repeat": repeat}
                peaks.append(worker.open("0", "memory", bench.folder, options)["facts"]["peak"])
        if None in peaks:
            return self.row(note="this system does not count the peak memory of a process")
        steps = int(self.options["envs"]) * int(self.options["horizon"])
        added = 4 * steps * ASSETS * FEATURES * (self.more - 1)
        growth = (peaks[1] - peaks[0]) / added
        note = (
            f"{steps:,} steps; peak {peaks[0] >> 20} MiB with {FEATURES} features, "
            f"{peaks[1] >> 20} MiB with {FEATURES * self.more}"
        )
        return self.row(ours=growth, met=growth <= self.bar, note=note)


@dataclass(frozen=True)
class FirstUpdate(Gauge):
    """Wall seconds until the first PPO update of a fresh process is done.

    The process is free to use all cores, as for a user. Cold starts have an empty compilation cache
    each; warm ones share a cache that a cold start has filled. What stands apart as the row's
    `first` is one start that fills the caches of the system, and of warm starts the compilation
    cache as well.

    Attributes:
        cold: whether everything is compiled anew.
        imports: whether the time counts from the start of the process, or from the end of its
            imports on.
    """

    unit: str = "wall seconds"
    options: Mapping[str, Any] = field(default_factory=dict)
    cold: bool = False
    imports: bool = True

    def measure(self, bench: Bench) -> Row:
        """Median wall seconds of the starts."""
        with tempfile.TemporaryDirectory(prefix="steelyard-bench-") as place:
            cache = Path(place)
            starts = [self._start(bench, cache / "0")]
            for turn in range(bench.rounds):
                bench.report(f"{self.name}: start {turn + 1} of {bench.rounds}")
                starts.append(self._start(bench, cache / str(self.cold * (turn + 1))))
        whole, after = (list(column) for column in zip(*starts, strict=True))
        if self.imports:
            shown, other, what = whole, after, "after imports"
        else:
            shown, other, what = after, whole, "as a whole process"
        row = self.row_of(shown[1:], first=shown[0])
        return replace(row, note=f"{median(other[1:]):.2f} wall seconds {what}")

    def _start(self, bench: Bench, cache: Path) -> tuple[float, float]:
        """Wall seconds of one start: of the whole process, and after its imports."""
        variables = {"JAX_PLATFORMS": "cpu", "STEELYARD_HOME": str(cache)}
        program = Program("steelyard.bench.ours_process", variables=variables, pinned=False)
        begin = time.perf_counter()
        with Worker(program) as worker:
            opened = worker.open("0", "first_update", bench.folder, self.options)
            return time.perf_counter() - begin, float(opened["facts"]["after_imports"])


@dataclass(frozen=True)
class Alphas(Gauge):
    """CPU seconds of the 101 alphas on a synthetic book of `rows` seconds."""

    unit: str = "CPU seconds"
    rows: int = 86_373

    def measure(self, bench: Bench) -> Row:
        """Median CPU seconds; the first evaluation stands apart."""
        from steelyard.data import load
        from steelyard.features import compute

        bench.report(f"{self.name}: {self.rows:,} rows")
        panel = load(f"book:imbalance?rows={self.rows}")
        names = [f"alpha_{number:03d}" for number in range(1, 102)]
        seconds = []
        for _ in range(bench.rounds + 1):
            begin = time.process_time()
            compute(names, panel)
            seconds.append(time.process_time() - begin)
        return self.row_of(seconds[1:], first=seconds[0])


@dataclass(frozen=True)
class Help(Gauge):
    """Seconds that `steelyard --help` takes, as a whole process."""

    unit: str = "wall seconds"

    def measure(self, bench: Bench) -> Row:
        """Median wall seconds; one start before them fills the file cache."""
        bench.report(self.name)
        seconds = [self._start() for _ in range(bench.rounds + 1)]
        return self.row_of(seconds[1:], first=seconds[0])

    def _start(self) -> float:
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", HELP.format(str(_SOURCE)), "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise BenchError(f"`steelyard --help` failed: {last}")
        return time.perf_counter() - begin
