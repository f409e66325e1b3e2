"""`steelyard bench`: speed, side by side, as ratios, and returns beside another library's."""

from __future__ import annotations

import sys

from steelyard.cli.output import emit


def bench(
    name: str | None = None, *, against: str | None = None, rounds: int = 5, json: bool = False
) -> int:
    """Measure ourselves side by side with other libraries; exit 1 if a bar is not met.

    Suites: rollout, train, windows, orderbook, features, metrics, ledger, memory, start (ratios of
    speed) and returns (what trained agents reach; about an hour, once the peer's part is kept a few
    minutes).

    Parameters
    ----------
    name
        A suite; all but `returns` if omitted.
    against
        Only the cases against this peer; it is installed in an environment of its own.
    rounds
        Alternating rounds of each case; `returns` always takes ten seeds.
    json
        Print one JSON document on stdout.
    """
    from steelyard.bench import as_text, document, run

    rows = run(name, against=against, rounds=rounds)
    if json:
        emit(document(rows))
    else:
        sys.stdout.write(as_text(rows) + "\n")
    return 1 if any(row.met is False for row in rows) else 0
