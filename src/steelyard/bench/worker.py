"""One side of a benchmark as a process of its own, spoken to in JSON lines.

Both sides, ours and the peer's, run the same loop (`peers/serve.py`) in the same surroundings: one
pinned core, one thread for every numeric library, no GPU. Only one of them works at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from steelyard.errors import BenchError

_HERE = Path(__file__).resolve().parent

ONE_THREAD: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}
"""Environment variables that hold every library in use to one thread of the CPU."""


@dataclass(frozen=True)
class Program:
    """Where a side runs.

    Attributes:
        module: a module that calls `serve` when it is run.
        python: the interpreter.
        folder: appended to the module path, so that `module` is found.
        variables: environment variables that are set for it.
        pinned: on the one core that both sides share, instead of wherever the system puts it.
    """

    module: str
    python: Path = Path(sys.executable)
    folder: Path = _HERE.parent.parent
    variables: Mapping[str, str] = field(default_factory=lambda: ONE_THREAD)
    pinned: bool = True


def peer_program(module: str, python: Path) -> Program:
    """A program of `bench/peers`, run by the interpreter of a peer's environment."""
    return Program(module=f"peers.{module}", python=python, folder=_HERE)


def pinned_core() -> int:
    """The core on which both sides run: the last one that we may use, -1 where none can be set."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1


class Worker:
    """A running side. Use it in a `with` block; it is ended at the end of that."""

    def __init__(self, program: Program) -> None:
        core = pinned_core() if program.pinned else -1
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._program = program
        self._process = subprocess.Popen(
            [program.python, "-P", _HERE / "launch.py", str(core), program.folder, program.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=surroundings | dict(program.variables),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self, key: str, maker: str, folder: Path, options: Mapping[str, Any]) -> Any:
        """Prepare a case as `key`; returns its facts and the time of the first run."""
        return self._ask(
            {"open": key, "maker": maker, "folder": str(folder), "options": dict(options)}
        )

    def run(self, key: str) -> Any:
        """One round of the case `key`: samples, cpu_seconds, wall_seconds."""
        return self._ask({"run": key})

    def close(self) -> None:
        """End the process; it has nothing to save."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _ask(self, request: Mapping[str, Any]) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; the empty answer below says so, with its reason
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"`{self._program.module}` ended: {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        """The last line that the process wrote to standard error."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        spoken = [line.strip() for line in lines if line.strip()]
        return spoken[-1] if spoken else f"exit code {self._process.returncode}"
