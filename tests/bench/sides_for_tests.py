"""A program with makers that misbehave in known ways, run as a side by the tests of the worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "src" / "steelyard" / "bench"))

from peers.serve import Work, serve


def _burn() -> None:
    """Enough work for the CPU clock to see it."""
    sum(i * i for i in range(100_000))


def turn(folder: Path, options: Mapping[str, Any]) -> Work:
    """Writes its name into a log each time it runs."""

    def run() -> int:
        _burn()
        with (folder / "turns").open("a") as log:
            log.write(options["name"] + "\n")
        return 10

    return Work({"data": "same"}, run, lambda: 0)


def chatty(folder: Path, options: Mapping[str, Any]) -> Work:
    """Prints to standard output while it works, as FinRL does."""

    def run() -> int:
        print("begin_total_asset: 1000000.00")
        os.system("echo from a child process")
        return 7

    return Work({}, run)


def broken(folder: Path, options: Mapping[str, Any]) -> Work:
    """Fails when it is opened."""
    raise ValueError("the market is closed")


def place(folder: Path, options: Mapping[str, Any]) -> Work:
    """Reports where it runs."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return Work({"cores": cores, "threads": os.environ.get("OMP_NUM_THREADS")}, lambda: 1)


def returns(folder: Path, options: Mapping[str, Any]) -> Work:
    """Reaches 10 times its seed and writes the seed into a log; fails where `broken` lies."""
    if (folder / "broken").exists():
        return broken(folder, options)
    with (folder / "trained").open("a") as log:
        log.write(f"{options['seed']}\n")
    reached = 10.0 * options["seed"]
    return Work({"returns": [reached - 1, reached + 1]}, lambda: 1)


if __name__ == "__main__":
    serve({"turn": turn, "chatty": chatty, "broken": broken, "place": place, "returns": returns})
