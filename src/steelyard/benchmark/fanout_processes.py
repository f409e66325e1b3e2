"""Workers that are processes of this machine.

A worker is a program. It reads JSON lines on stdin, first the order, then one job after another,
and answers each job with JSON lines on stdout: `{"progress": [done, total]}` while it works, then
`{"done": true}` or `{"error": ...}`. Nothing is pickled. When its stdin ends, it ends.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from threading import Thread
from typing import IO, Any

from steelyard.benchmark.fanout import Ended, Job, as_error
from steelyard.benchmark.learning import Report
from steelyard.types import Facts

GRACE = 2.0
"""Seconds that a worker has to end when it is told to."""


class Processes:
    """Up to `count` workers, each begun when there is a job for it.

    Args:
        count: at least 1.
        command: of a worker.
        order: what it needs to know of the run, ready for JSON.
        report: hears how far every job is.
    """

    def __init__(
        self, count: int, command: Sequence[str], order: Facts, report: Report | None = None
    ) -> None:
        self._count, self._command, self._order = count, command, order
        self._report = report
        self._heard: queue.Queue[tuple[_Worker, Facts | None]] = queue.Queue()
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Job] = {}

    @property
    def free(self) -> bool:
        """Whether one more job can begin."""
        return len(self._busy) < self._count

    def begin(self, job: Job) -> None:
        """Give a job to a worker that is idle, or to a new one."""
        if self._idle:
            worker = self._idle.pop()
        else:
            worker = _Worker(self._command, self._heard)
            worker.send(self._order)
        self._busy[worker] = job
        worker.send(asdict(job))

    def wait(self) -> Ended:
        """The next job that ends.

        Raises:
            SteelyardError: what the worker refused, or where its training failed.
        """
        while True:
            worker, told = self._next()
            job = self._busy.get(worker)
            if told is None:
                how = worker.end()
                if job is None:
                    self._idle.remove(worker)
                    continue
                del self._busy[worker]
                return Ended(job, lost=how)
            if job is None:
                continue
            if "progress" in told:
                if self._report is not None:
                    self._report(job.name, *told["progress"])
                continue
            del self._busy[worker]
            self._idle.append(worker)
            if "error" in told:
                raise as_error(told["error"])
            return Ended(job)

    def close(self) -> None:
        """End all workers, at once."""
        for worker in (*self._busy, *self._idle):
            worker.end()
        self._busy.clear()
        self._idle.clear()

    def _next(self) -> tuple[_Worker, Facts | None]:
        while True:  # a wait without a limit hears no Ctrl-C on Windows
            try:
                return self._heard.get(timeout=0.5)
            except queue.Empty:
                continue


class _Worker:
    """One process, and a thread that hears it."""

    def __init__(
        self, command: Sequence[str], heard: queue.Queue[tuple[_Worker, Facts | None]]
    ) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile(  # noqa: SIM115  closed where it ends
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the run, which then ends its workers
        )
        self._ear = Thread(target=self._hear, args=(heard,), daemon=True)
        self._ear.start()

    def send(self, facts: Facts) -> None:
        """One line; a worker that is gone does not mind, its end is heard."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(facts) + "\n")
            self._process.stdin.flush()
        except OSError:
            return

    def end(self) -> str:
        """Be sure that it has ended; returns how, and the last line that it wrote."""
        process = self._process
        process.terminate()
        try:
            code = process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._ear.join()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        for file in (process.stdin, process.stdout, self._errors):
            assert file is not None
            with suppress(OSError):  # what it was never told
                file.close()
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
        return f"{how}, {lines[-1]}" if lines else how

    def _hear(self, heard: queue.Queue[tuple[_Worker, Facts | None]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: Any = json.loads(line)
            heard.put((self, told))
        self._process.wait()
        heard.put((self, None))
