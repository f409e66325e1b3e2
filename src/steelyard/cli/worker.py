"""A worker of `steelyard run --on`: `python -m steelyard.cli.worker`, or a task of Ray.

It reads an order, opens the task once, and then does one job after another.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import SteelyardError

if TYPE_CHECKING:
    from steelyard.benchmark import Task
    from steelyard.benchmark.learning import Report
    from steelyard.types import Facts, Panel


def order_of(
    task: Task, fingerprint: str, names: Sequence[str], steps: int | None, changes: Any, place: Path
) -> Facts:
    """What a worker needs to know of a run, ready for JSON.

    Args:
        task: with every period stated.
        names: of all agents, as they were asked for.
        steps, changes: settings of the agents that were asked for.
        place: where checkpoints are kept.
    """
    from steelyard.benchmark.fanout import circumstances

    card = task.card()
    if card["factors"]:
        card["factors"]["path"] = str(Path(card["factors"]["path"]).resolve())
    return {
        "card": card,
        "same": {**circumstances(), "fingerprint": fingerprint},
        "agents": [_anywhere(name) for name in names],
        "steps": steps,
        "changes": changes,
        "place": str(place),
    }


class Workplace:
    """A task that is opened once for many jobs.

    Args:
        order: see `order_of`.
        place: where checkpoints are kept.
        panel: the data, where they came with the order.

    Raises:
        ConfigError: a version, the backend, the data or an agent is not that of the run.
    """

    def __init__(
        self,
        order: Facts,
        place: Path,
        panel: Panel | None = None,
        report: Report | None = None,
    ) -> None:
        from steelyard.benchmark import Task, open_venue
        from steelyard.benchmark.fanout import circumstances, require_same
        from steelyard.benchmark.learning import Trainer
        from steelyard.cli.run import chosen_members
        from steelyard.compilation import use_cache
        from steelyard.evaluation.checkpoints import Checkpoints

        found = circumstances()
        require_same({name: order["same"].get(name) for name in found}, found)
        use_cache()
        self._venue = open_venue(Task.from_card(order["card"]), panel)
        require_same(order["same"], {**found, "fingerprint": self._venue.fingerprint})
        self._members = chosen_members(
            self._venue.task, order["agents"], order["steps"], order["changes"]
        )
        self.place = place
        self._checkpoints = Checkpoints(place)
        self._trainer = Trainer(self._venue, report, self._checkpoints)

    def perform(self, facts: Facts) -> None:
        """Do one job."""
        from steelyard.benchmark.fanout import Job, perform

        job = Job.of(facts)
        perform(self._trainer, self._venue, self._members[job.member], job, self._checkpoints)


def perform_with_ray(order: str, data: list[Any], job: str) -> dict[str, Any]:
    """Do one job as a task of Ray: its checkpoints by name, or the error."""
    from steelyard.benchmark.fanout import as_facts

    try:
        place = _workplace(order, data[0])
        place.perform(json.loads(job))
    except SteelyardError as error:
        return {"error": as_facts(error)}
    files = {file.name: file.read_bytes() for file in place.place.iterdir()}
    for name in files:
        (place.place / name).unlink()
    return {"files": files}


@lru_cache(maxsize=1)
def _workplace(order: str, data: Any) -> Workplace:
    import ray

    place = Path(tempfile.mkdtemp(prefix="steelyard-"))
    return Workplace(json.loads(order), place, ray.get(data))


def main() -> None:
    """Read JSON lines on stdin, an order and then jobs; answer on stdout. End when stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever an agent prints is no answer
    lines: queue.Queue[str] = queue.Queue()
    Thread(target=_read, args=(sys.stdin, lines), daemon=True).start()
    order = json.loads(lines.get())
    place: Workplace | None = None

    def tell(facts: Facts) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    def report(_: str, done: int, total: int) -> None:
        tell({"progress": [done, total]})

    while True:
        job = json.loads(lines.get())
        try:
            if place is None:
                place = Workplace(order, Path(order["place"]), report=report)
            place.perform(job)
        except SteelyardError as error:
            from steelyard.benchmark.fanout import as_facts

            tell({"error": as_facts(error)})
        else:
            tell({"done": True})


def _read(stdin: IO[str], lines: queue.Queue[str]) -> None:
    """Whoever ordered is gone when stdin ends; nobody waits for the job in work."""
    for line in stdin:
        lines.put(line)
    os._exit(0)


def _anywhere(name: str) -> str:
    """`FILE.py:NAME` with the whole path of the file."""
    path, _, attribute = name.rpartition(":")
    return f"{Path(path).resolve()}:{attribute}" if path.endswith(".py") else name


if __name__ == "__main__":
    main()
