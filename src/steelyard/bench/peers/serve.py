"""The worker's end of a benchmark: a loop that answers JSON lines, one answer for one request.

Both sides of a case run this loop, each in a process of its own, so that they are treated alike
and can take turns. It needs the standard library alone. Requests, on standard input:

```
{"open": KEY, "maker": NAME, "folder": PATH, "options": {}}   -> {"facts": {}, "first": TIMING}
{"run": KEY}                                                  -> TIMING
```

TIMING is `{"samples", "cpu_seconds", "wall_seconds"}`: CPU seconds of this process (user and
system), wall seconds beside them. Opening runs once what has to be compiled or warmed up and times
it as `first`, which no rate contains. Whatever the measured libraries print goes to standard error.
A failure ends the process with its traceback on standard error; the other end reports it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO


class Work(NamedTuple):
    """One side of a case, ready to be measured.

    Attributes:
        facts: what the row has to know, and what both sides must agree on.
        run: does one round and returns its samples; called again it goes on from there.
        warm: does the same on less, to compile and to fill caches; `run` where None.
    """

    facts: Mapping[str, Any]
    run: Callable[[], int]
    warm: Callable[[], int] | None = None


Maker = Callable[[Path, Mapping[str, Any]], Work]
"""Prepares one side of a case from the folder of shared data and the options of the case."""


def serve(makers: Mapping[str, Maker]) -> None:
    """Answer requests until standard input ends."""
    replies = _claim_stdout()
    open_works: dict[str, Work] = {}
    for line in sys.stdin:
        reply = _answer(json.loads(line), makers, open_works)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _answer(
    request: Mapping[str, Any], makers: Mapping[str, Maker], open_works: dict[str, Work]
) -> dict[str, Any]:
    if "run" in request:
        return timed(open_works[request["run"]].run)
    work = makers[request["maker"]](Path(request["folder"]), request["options"])
    open_works[request["open"]] = work
    first = timed(work.warm or work.run)
    return {"facts": dict(work.facts), "first": first}


def timed(run: Callable[[], int]) -> dict[str, Any]:
    """Samples of one call of `run`, with the CPU and the wall seconds it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    samples = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"samples": int(samples), "cpu_seconds": cpu, "wall_seconds": wall}


def _claim_stdout() -> TextIO:
    """A private copy of standard output; the public one is sent to standard error."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private
