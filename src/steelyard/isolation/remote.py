"""The run's end of the wire: an agent in a process of its own."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import as_action
from steelyard.errors import ContractError, WorkerError
from steelyard.isolation.desk import Learned, Lesson, Moment, Opening, Progress
from steelyard.isolation.parcel import Parcel
from steelyard.isolation.wire import Message, receive, unpack
from steelyard.isolation.worker import Circumstances
from steelyard.types import Space

LIMIT = 60.0
"""Seconds that a decision may take."""

START = 180.0
"""Seconds that a process may take to start and to make its agent."""

LONGEST = 1_000
"""Letters of a line that the process of somebody's own code wrote."""

LOUD = 2**24
"""Bytes that an agent may print."""

TECHNICAL = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH",
             "DYLD_LIBRARY_PATH")  # fmt: skip
TECHNICAL_HEADS = ("JAX_", "XLA_", "OPENBLAS", "OMP_", "MKL_", "CUDA_", "NVIDIA_", "PYTHON")
"""Variables that other circumstances keep, because programs need them to run as they do."""

AHEAD = 86_400.0 * 2_741 + 29_713
"""Seconds by which another clock is ahead: years, and hours of a day."""


class Remote:
    """An agent in a process that was spawned for it, and what is known about it.

    Args:
        parcel: the agent.
        changed: let it live in another environment, folder, home and time.
        limit: seconds that a decision may take.

    Raises:
        ContractError: the agent cannot be made there.
    """

    def __init__(self, parcel: Parcel, *, changed: bool = False, limit: float = LIMIT) -> None:
        self._limit, self._opened, self._printed = limit, dict[str, None](), 0
        self._actions, self._accounts = Space(), 0
        self._room = tempfile.TemporaryDirectory(prefix="steelyard-")
        ours, theirs = socket.socketpair()
        folder = self._room.name if changed else ""
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "steelyard.isolation.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=_changed_environment(folder) if changed else _environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self._tail = b""
        for stream in (self._process.stdout, self._process.stderr):
            Thread(target=self._drain, args=(stream,), daemon=True).start()
        try:
            self._call("enter", (parcel, Circumstances(AHEAD if changed else 0.0, folder)), START)
        except BaseException:
            self.close()
            raise

    @property
    def opened(self) -> tuple[str, ...]:
        """What the agent was seen to open."""
        return tuple(self._opened)

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> Learned:
        """As `Desk.learn`; takes as long as it takes."""
        told = self._call("learn", lesson, None, progress)
        logs: list[dict[str, Any]] = [{} for _ in lesson.seeds]
        with _reading():
            for name, values in told.arrays.items():
                number, _, log = name.partition("/")
                logs[int(number)][log] = np.asarray(values, np.float64)
            facts = told.facts
            return Learned(logs, str(facts["digest"]), int(facts["updates"]), int(facts["of"]))

    def hand_over(self) -> bytes:
        """The policies, for another process of the same agent; never to be read here."""
        told = self._call("hand_over", None, START)
        with _reading():
            return told.arrays["policies"].astype(np.uint8).tobytes()

    def take_over(self, policies: bytes) -> None:
        """Go on with the policies of another process."""
        self._call("take_over", policies, START)

    def begin(self, opening: Opening) -> None:
        """As `Desk.begin`."""
        self._actions, self._accounts = opening.actions, len(opening.seeds)
        self._call("begin", opening, max(self._limit, START))

    def decide(self, moment: Moment) -> NDArray[Any]:
        """As `Desk.decide`, within the limit of time."""
        told = self._call("decide", moment, self._limit)
        with _reading():
            answers = told.arrays["action"]
            if len(answers) != self._accounts:
                raise ValueError(f"{len(answers)} actions for {self._accounts} accounts")
        return np.stack([as_action(one, self._actions) for one in answers])

    def close(self) -> None:
        """End the process and all that it started."""
        with _quiet():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._room.cleanup()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self, command: str, given: Any, seconds: float | None, progress: Progress | None = None
    ) -> Message:
        try:
            self._connection.send_bytes(pickle.dumps((command, given)))
            told = self._wait(seconds)
            while "progress" in told.facts:
                with _reading():
                    done, total = (int(number) for number in told.facts["progress"])
                if progress is not None:
                    progress(done, total)
                told = self._wait(seconds)
        except (EOFError, OSError, WorkerError) as error:
            raise self._ended(error) from None
        facts: Mapping[str, Any] = told.facts
        with _reading():
            self._opened.update(dict.fromkeys(_line(what) for what in facts.get("opened", ())))
        if "forked" in self._opened:
            raise ContractError("forked", hint="an agent decides in the process that it is given")
        if "fault" in facts:
            raise ContractError(_line(facts["fault"]), hint=_line(facts.get("hint", "")))
        if facts.get("closed"):
            raise ContractError("closed its standard output", hint="leave sys.stdout open")
        return told

    def _wait(self, seconds: float | None) -> Message:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            content = receive(self._connection, 0.2)
            if self._printed > LOUD:
                raise ContractError(
                    f"printed more than {LOUD >> 20} MiB", hint="print less, or nothing"
                )
            if content is not None:
                return unpack(content)
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
            if until is not None and time.monotonic() > until:
                raise ContractError(
                    f"did not answer within {seconds:g} s", hint="--limit SECONDS gives it longer"
                )

    def _ended(self, error: Exception) -> ContractError:
        """What is said of a process that is gone."""
        if isinstance(error, WorkerError):
            return ContractError(error.message)
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return ContractError("hung up")
        last = self._tail.decode(errors="replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else f"ended itself with exit code {code}"
        return ContractError(how + (f": {last[-1][:200]}" if code > 0 and last else ""))

    def _drain(self, stream: Any) -> None:
        """Read what is printed, so that nobody waits for a reader; only its end is kept."""
        with _quiet():
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._printed += len(chunk)
                self._tail = (self._tail + chunk)[-2_000:]


@contextmanager
def _reading() -> Iterator[None]:
    """Read from an answer, which may say anything: its process is somebody else's."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        told = f"{type(error).__name__}: {_line(error)}"
        raise ContractError(f"its process answered with what was not asked for, {told}") from None


def _line(told: object) -> str:
    """What somebody else's code wrote, as one line of no great length."""
    return " ".join(str(told).split())[:LONGEST]


class _quiet:
    """Closed files and processes that are gone are no matter when all ends."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, (OSError, ValueError))


def _environment() -> dict[str, str]:
    """The environment of the run, with this package where the run has it."""
    home = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [home, known]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _changed_environment(folder: str) -> dict[str, str]:
    """Another user's environment, in which the same programs run."""
    kept = {
        name: value
        for name, value in _environment().items()
        if name in TECHNICAL or name.startswith(TECHNICAL_HEADS)
    }
    return {
        **kept,
        "HOME": folder,
        "USERPROFILE": folder,
        "USER": "somebody",
        "LOGNAME": "somebody",
        "STEELYARD_HOME": folder,
        "TZ": "Pacific/Kiritimati",
    }
