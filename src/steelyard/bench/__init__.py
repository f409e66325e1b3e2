"""Speed, side by side, as ratios: what `steelyard bench` runs.

`run()` measures every case of `suites.CASES` and returns one `Row` each. A case is a duel of two
processes in turns on one core (`protocol`), a gauge of our own (`gauges`) or the growth of a cost
(`growth`); peers are installed in environments of their own (`peer_env`). `document` and `as_text`
present the rows, and `write` draws them. `ratios` holds what CI watches.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steelyard.bench.result import (
    LEAST_ROUNDS,
    MOST_ENVS,
    PROTOCOL,
    Bench,
    Case,
    Row,
    as_text,
    document,
    from_document,
)
from steelyard.errors import BenchError, ConfigError, MemoryLimitError, UnknownNameError
from steelyard.registry import did_you_mean

__all__ = ["Row", "as_text", "choose", "document", "read", "run", "suites", "write"]


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
    from steelyard.bench.peer_env import PEERS
    from steelyard.bench.suites import CASES, LIBRARIES, ONLY_NAMED, SUITES

    if name is not None and name not in SUITES:
        raise UnknownNameError(f"no benchmark named `{name}`", hint=did_you_mean(name, SUITES))
    known = [*PEERS, *LIBRARIES]
    if against is not None and against not in known:
        raise UnknownNameError(f"no peer named `{against}`", hint=did_you_mean(against, known))
    chosen = [
        case
        for case in CASES
        if (case.suite == name or (name is None and case.suite not in ONLY_NAMED))
        and (against is None or against in (case.against, _library(case)))
    ]
    if not chosen:
        raise BenchError(
            f"benchmark `{name}` has no case against `{against}`", hint="leave --against out"
        )
    return chosen


def _library(case: Case) -> str:
    """The library that `--against` names beside the environment in which it runs."""
    from steelyard.bench.protocol import Duel
    from steelyard.bench.returns import Returns

    return case.library if isinstance(case, Duel | Returns) else ""


def run(
    name: str | None = None,
    against: str | None = None,
    rounds: int = LEAST_ROUNDS,
    envs: int | None = None,
) -> list[Row]:
    """Measure a suite, or all of them; progress goes to standard error.

    Args:
        name: a key of `suites()`; all but those of `ONLY_NAMED` where None.
        against: only cases against this peer ("finrl") or library ("sb3").
        rounds: alternating rounds of each case; with fewer than 5 no row counts as met.
        envs: most environments of the rows about growth; 65,536 where None.

    Returns:
        One row per case. A case that fails has a note that says why; the others still run.

    Raises:
        UnknownNameError, BenchError: see `choose`.
        ConfigError: `rounds` is below 1, or `envs` too small for a slope.
        MemoryLimitError: `envs` do not fit into memory; said before anything is measured.
    """
    from steelyard.bench.growth import Growth
    from steelyard.bench.synthetic import write_book, write_curves, write_market

    cases = choose(name, against)
    with tempfile.TemporaryDirectory(prefix="steelyard-bench-") as folder, _progress() as report:
        bench = Bench(Path(folder), rounds, report, MOST_ENVS if envs is None else envs)
        if envs is not None:
            for case in cases:
                if isinstance(case, Growth):
                    case.require(bench)
        write_market(bench.folder)
        if any(case.suite == "metrics" for case in cases):
            write_curves(bench.folder)
        if any(case.suite in ("orderbook", "ratios") for case in cases):
            write_book(bench.folder)
        return [_measure(case, bench) for case in cases]


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a `document` into `folder`: bench.json, table.txt, bench.html and a file per figure.

    Returns:
        What was written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from steelyard.bench.plots import draw

    table = as_text(from_document(found))
    texts = {"bench.json": json.dumps(found, indent=2), "table.txt": table, **draw(found, table)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"`{folder}` cannot be written: {error}") from error
    return [folder / name for name in texts]


def read(path: Path) -> dict[str, Any]:
    """The document of an earlier result, as `bench.json` holds it.

    Raises:
        BenchError: the file holds no result, or one of another protocol.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        from_document(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"`{path}` holds no result of a benchmark: {error}") from error
    if found.get("protocol") != PROTOCOL:
        raise BenchError(f"`{path}` is of protocol {found.get('protocol')}, not {PROTOCOL}")
    return dict(found)


def _measure(case: Case, bench: Bench) -> Row:
    """One row; a case that cannot be measured is a row too."""
    try:
        return case.measure(bench)
    except (BenchError, MemoryLimitError) as error:
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
