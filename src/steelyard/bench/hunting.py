"""What the search for leaks costs: the same run with and without it, in turns."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from steelyard.bench.gauges import HELP, Gauge
from steelyard.bench.result import LEAST_ROUNDS, Bench, Row
from steelyard.errors import BenchError

_SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Hunt(Gauge):
    """CPU seconds of a whole run over those of the same run with `--trust`.

    Both are processes of their own that share a compilation cache, which a run of each has filled
    before; the time of processes that they start is counted too.

    Attributes:
        words: what is run.
    """

    unit: str = "CPU seconds"
    words: Sequence[str] = ("run", "stock-dow30", "ppo")

    def measure(self, bench: Bench) -> Row:
        """Median of the ratios of alternating rounds."""
        with tempfile.TemporaryDirectory(prefix="steelyard-bench-") as place:
            first = [self._seconds(Path(place), trust) for trust in (False, True)]
            rounds = []
            for turn in range(bench.rounds):
                bench.report(f"{self.name}: round {turn + 1} of {bench.rounds}")
                sides = (False, True) if turn % 2 == 0 else (True, False)
                taken = {trust: self._seconds(Path(place), trust) for trust in sides}
                rounds.append([taken[False], taken[True]])
        ratios = [searched / trusted for searched, trusted in rounds]
        middle = median(ratios)
        return self.row(
            ours=median(one for one, _ in rounds),
            peer=median(one for _, one in rounds),
            ratio=middle,
            low=min(ratios),
            high=max(ratios),
            met=middle <= self.bar if len(rounds) >= LEAST_ROUNDS else None,
            versus="the same with --trust",
            first={"ours": first[0], "peer": first[1]},
            rounds=rounds,
        )

    def _seconds(self, place: Path, trust: bool) -> float:
        """CPU seconds of one run and of all that it started."""
        out = str(place / ("trusted" if trust else "searched"))
        words = [*self.words, "--out", out, *(["--trust"] if trust else [])]
        before = os.times()
        done = subprocess.run(
            [sys.executable, "-c", HELP.format(str(_SOURCE)), *words],
            env={**os.environ, "STEELYARD_HOME": str(place / "home"), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise BenchError(f"`steelyard {' '.join(words)}` failed: {last}")
        after = os.times()
        return (after.children_user - before.children_user) + (
            after.children_system - before.children_system
        )
