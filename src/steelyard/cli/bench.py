"""`steelyard bench`: speed, side by side, as ratios, and returns beside another library's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from steelyard.cli.output import emit, say

if TYPE_CHECKING:
    from steelyard.bench import Row


def bench(
    name: str | None = None,
    *,
    against: str | None = None,
    rounds: int = 5,
    envs: int | None = None,
    out: Path | None = None,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    accept: Annotated[bool, Parameter(negative=())] = False,
    json: bool = False,
) -> int:
    """Measure ourselves side by side with other libraries; exit 1 if a bar is not met.

    Suites: rollout, growth, train, windows, doors, orderbook, features, metrics, ledger, memory,
    start. Three more run only where they are named: ratios (what CI watches, a minute), leaks (what
    the search for leaks adds to a run, ten minutes) and returns (what trained agents reach; about
    an hour, once the peer's part is kept a few minutes).

    Parameters
    ----------
    name
        A suite; all but `ratios`, `leaks` and `returns` if omitted.
    against
        Only the cases against finrl, elegantrl, sb3 or torch; the peer is installed in an
        environment of its own.
    rounds
        Alternating rounds of each case; `returns` always takes ten seeds.
    envs
        Most environments of the suite `growth`, 65,536 if omitted.
    out
        Folder for bench.json, table.txt, bench.html and the figures as SVG.
    from_
        Show and draw the bench.json of an earlier run instead of measuring.
    accept
        Accept the ratios of the suite `ratios` as they are now.
    json
        Print one JSON document on stdout.
    """
    from steelyard.bench import as_text, document, read, run, write
    from steelyard.bench.result import from_document
    from steelyard.errors import ConfigError

    if accept and (name != "ratios" or from_ is not None):
        raise ConfigError(
            "only measured `ratios` can be accepted", hint="steelyard bench ratios --accept"
        )
    found = read(from_) if from_ is not None else document(run(name, against, rounds, envs))
    rows = from_document(found)
    if accept:
        _accept(rows)
    if json:
        emit(found)
    else:
        sys.stdout.write(as_text(rows) + "\n")
    if out is not None:
        say(f"written: {', '.join(path.name for path in write(found, out))} in {out}")
    return 1 if any(row.met is False for row in rows) and not accept else 0


def _accept(rows: list[Row]) -> None:
    """Take the measured ratios as those that the next ones are held against."""
    from steelyard.bench.ratios import ACCEPTED, accept

    accept(rows)
    say(f"accepted: {ACCEPTED}")
