"""Speed, side by side, as ratios: what `steelyard bench` runs.

`run()` measures every case of `suites.CASES` and returns one `Row` each. A case is a duel of two
processes in turns on one core (`protocol`) or a gauge of our own (`gauges`); peers are installed
in environments of their own (`peer_env`). `document` and `as_text` present the rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steelyard.bench.result import LEAST_ROUNDS, Bench, Case, Row, as_text, document
from steelyard.errors import BenchError, UnknownNameError
from steelyard.registry import did_you_mean

__all__ = ["Row", "as_text", "choose", "document", "run", "suites"]


def suites() -> dict[str, str]:
    """Name of every suite -> what it measures."""
    from steelyard.bench.suites import SUITES

    return dict(SUITES)


def choose(name: str | None = None, against: str | None = None) -> list[Case]:
    """The cases of a suite, of a peer, or of both; without a name those of `ONLY_NAMED` stay out.

    Raises:
        UnknownNameError: no suite, or no peer, has that name.
        BenchError: the suite has no case against that peer.
    """
    from steelyard.bench.peer_env import find_peer
    from steelyard.bench.suites import CASES, ONLY_NAMED, SUITES

    if name is not None and name not in SUITES:
        raise UnknownNameError(f"no benchmark named `{name}`", hint=did_you_mean(name, SUITES))
    peer = find_peer(against).name if against is not None else None
    chosen = [
        case
        for case in CASES
        if (case.suite == name or (name is None and case.suite not in ONLY_NAMED))
        and (peer is None or case.against == peer)
    ]
    if not chosen:
        raise BenchError(
            f"benchmark `{name}` has no case against `{against}`", hint="leave --against out"
        )
    return chosen


def run(
    name: str | None = None, against: str | None = None, rounds: int = LEAST_ROUNDS
) -> list[Row]:
    """Measure a suite, or all of them; progress goes to standard error.

    Args:
        name: a key of `suites()`; all but `returns`, which takes an hour, where None.
        against: only cases against this peer ("finrl").
        rounds: alternating rounds of each case; with fewer than 5 no row counts as met.

    Returns:
        One row per case. A case that fails has a note that says why; the others still run.

    Raises:
        UnknownNameError, BenchError: see `choose`.
        ConfigError: `rounds` is below 1.
    """
    from steelyard.bench.synthetic import write_book, write_curves, write_market

    cases = choose(name, against)
    with tempfile.TemporaryDirectory(prefix="steelyard-bench-") as folder, _progress() as report:
        bench = Bench(Path(folder), rounds, report)
        write_market(bench.folder)
        if any(case.suite == "metrics" for case in cases):
            write_curves(bench.folder)
        if any(case.suite == "orderbook" for case in cases):
            write_book(bench.folder)
        return [_measure(case, bench) for case in cases]


def _measure(case: Case, bench: Bench) -> Row:
    """One row; a case that cannot be measured is a row too."""
    try:
        return case.measure(bench)
    except BenchError as error:
        return case.row(met=False, note=error.message)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is going on, where that is a terminal."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:  # a bare machine runs the benchmarks without a display
        yield lambda text: None
        return
    with Console(file=sys.stderr).status("benchmark") as status:
        yield lambda text: status.update(text)
