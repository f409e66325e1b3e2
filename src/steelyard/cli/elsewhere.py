"""Where a run trains: `--on processes:4`, `--on ray`, `--on ray://HOST:PORT`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steelyard.cli.output import say
from steelyard.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from steelyard.benchmark import Venue
    from steelyard.benchmark.fanout import Crew, Job
    from steelyard.benchmark.learning import Report
    from steelyard.types import Facts

WORKER = (sys.executable, "-P", "-m", "steelyard.cli.worker")
"""A worker process; `-P` keeps the modules of the current folder out."""

WAYS = "--on processes, --on processes:4, --on ray or --on ray://HOST:PORT"


@dataclass(frozen=True)
class Where:
    """Who trains.

    Attributes:
        kind: processes of this machine, or Ray.
        count: processes, at least 1.
        address: of a Ray cluster; empty for a Ray of the run's own.
    """

    kind: Literal["processes", "ray"]
    count: int = 1
    address: str = ""


def read_where(words: str | None) -> Where | None:
    """What `--on` says; None = in this process.

    Raises:
        ConfigError: there is no such place, or nobody answers there.
        DependencyError: Ray is not installed.
    """
    if words is None:
        return None
    kind, _, rest = words.partition(":")
    if kind == "processes":
        return Where("processes", count=_count(words, rest))
    if words == "ray" or (words.startswith("ray://") and _is_address(words)):
        from steelyard.benchmark.fanout_ray import require_ray

        address = "" if words == "ray" else words
        require_ray(address)
        return Where("ray", address=address)
    raise ConfigError(f"--on {words} is no place to train", hint=WAYS)


def train_elsewhere(
    where: Where,
    venue: Venue,
    order: Facts,
    report: Report,
    plan: Callable[[], Sequence[Job]],
) -> None:
    """Make the trainings that `plan` finds missing, so that their checkpoints are there.

    Raises:
        WorkerError: the worker of a training died twice.
    """
    from steelyard.benchmark.fanout import fan_out

    jobs = plan()
    if not jobs:
        return
    say(f"{len(jobs)} trainings to do, on {where.address or where.kind}")
    try:
        fan_out(jobs, _crew(where, venue, order, report), report)
    except KeyboardInterrupt:
        kept = len(jobs) - len(plan())
        say(f"{kept} of {len(jobs)} trainings are kept; the same with --resume does the others")
        raise
    except TrainingError as error:  # one agent's failure is one row, which the run makes
        say(f"{error.message}; what is left is trained here")


def _crew(where: Where, venue: Venue, order: Facts, report: Report) -> Crew:
    if where.kind == "processes":
        from steelyard.benchmark.fanout_processes import Processes

        return Processes(where.count, WORKER, order, report)
    from steelyard.benchmark.fanout_ray import RayCrew
    from steelyard.cli.worker import perform_with_ray

    place = Path(order["place"])
    return RayCrew(where.address, perform_with_ray, order, venue.panel, place, report)


def _count(words: str, rest: str) -> int:
    """Processes that were asked for; as many as there are cores where no number is named."""
    if words == "processes":
        allowed: Any = getattr(os, "sched_getaffinity", None)
        return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    if not rest.isdecimal() or int(rest) < 1:
        raise ConfigError(
            f"--on {words}: there must be at least one process", hint="--on processes:4"
        )
    return int(rest)


def _is_address(words: str) -> bool:
    host, _, port = words.removeprefix("ray://").rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536
