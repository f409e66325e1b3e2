"""Workers on a Ray cluster, or on a Ray that is started here for one run.

Ray carries objects of Python between its processes: whoever reaches its address can run code in
all of them. An address is trusted as a shell on those machines is.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from steelyard.benchmark.fanout import Ended, Job, as_error
from steelyard.benchmark.learning import Report
from steelyard.errors import ConfigError, DependencyError, WorkerError
from steelyard.evaluation.directory import write_file
from steelyard.types import Facts, Panel

PATIENCE = 5.0
"""Seconds until an address counts as unreachable."""

TRIES = {"RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "3", "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "5"}
"""How long Ray waits for its like, of three times each; a minute in all where nothing is said."""

Perform = Callable[[str, list[Any], str], dict[str, Any]]
"""Do a job: (order, a reference to the data, job), both JSON -> `files` by name, or an `error`."""


def require_ray(address: str = "") -> None:
    """Whether Ray is there, and something listens at the address, known within seconds.

    Args:
        address: `ray://HOST:PORT`; empty for a Ray of one's own.

    Raises:
        DependencyError: Ray is not installed.
        ConfigError: nobody answers there.
    """
    for name, seconds in TRIES.items():
        os.environ.setdefault(name, seconds)  # Ray reads them when it is imported
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            "Ray is not installed", hint="pip install 'steelyard[ray]'"
        ) from error
    if not address:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        raise ConfigError(
            f"nothing answers at {address}: {error}",
            hint="`ray start --head --ray-client-server-port=10001` on that machine",
        ) from error


class RayCrew:
    """Ray's workers: one core each, or one accelerator where the run has one.

    Args:
        address: `ray://HOST:PORT`; empty starts a Ray of its own, which `close` ends.
        perform: what a worker does; a function of a module that the workers have.
        order: what it needs to know of the run, ready for JSON.
        panel: the data, which travel once to every machine.
        place: where checkpoints are kept here.
        report: hears what is in work.

    Raises:
        ConfigError: no Ray cluster answers at the address.
        DependencyError: this Ray cannot be a client.
    """

    def __init__(
        self,
        address: str,
        perform: Perform,
        order: Facts,
        panel: Panel,
        place: Path,
        report: Report | None = None,
    ) -> None:
        self._ray = _connect(address)
        self._order, self._place, self._report = json.dumps(order), place, report
        self._panel = self._ray.put(panel)
        cores = 0 if jax.default_backend() != "cpu" else 1
        self._perform = self._ray.remote(num_cpus=cores, num_gpus=1 - cores, max_retries=0)(perform)
        self._jobs: dict[Any, Job] = {}

    @property
    def free(self) -> bool:
        """Ray lets jobs wait until there is room."""
        return True

    def begin(self, job: Job) -> None:
        """Hand a job to Ray."""
        # within a list, a reference stays one: a worker looks only once at the data
        reference = self._perform.remote(self._order, [self._panel], json.dumps(asdict(job)))
        self._jobs[reference] = job

    def wait(self) -> Ended:
        """The next job that ends.

        Raises:
            SteelyardError: what the worker refused, or where its training failed.
            WorkerError: the cluster is gone.
        """
        try:
            reference = self._next()
            job = self._jobs.pop(reference)
            answer = self._answer(reference)
        except ConnectionError as error:
            raise WorkerError(
                f"the connection to Ray broke: {_last_line(error)}",
                hint="steelyard run ... --resume goes on from what is finished",
            ) from error
        if "error" in answer:
            raise as_error(answer["error"])
        for name, content in answer.get("files", {}).items():
            _receive(self._place / Path(name).name, content)
        return Ended(job, lost=answer.get("lost", ""))

    def close(self) -> None:
        """Cancel what is in work, and leave Ray."""
        try:
            for reference in self._jobs:
                self._ray.cancel(reference, force=True)
        except ConnectionError:
            self._jobs.clear()
        self._jobs.clear()
        self._ray.shutdown()

    def _next(self) -> Any:
        while True:
            ended, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=1.0)
            if ended:
                return ended[0]
            if self._report is not None:
                self._report(next(iter(self._jobs.values())).name, 0, 1)

    def _answer(self, reference: Any) -> dict[str, Any]:
        """What a worker returned, or how it ended."""
        from ray.exceptions import RayError

        try:
            answer: dict[str, Any] = self._ray.get(reference)
        except RayError as error:
            return {"lost": _last_line(error)}
        return answer


def _connect(address: str) -> Any:
    """Ray, ready to take jobs."""
    import ray

    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": _environment()},
    }
    if not address:
        return _started(ray, settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error says it
            ray.init(address, **settings)
    except ImportError as error:
        raise DependencyError(
            f"this Ray cannot be a client: {error}", hint="pip install 'steelyard[ray]'"
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise ConfigError(
            f"no Ray cluster answers at {address}: {_last_line(error)}",
            hint="the same Ray and Python must run there; with tokens, RAY_AUTH_MODE=token",
        ) from error
    return ray


def _started(ray: Any, settings: dict[str, Any]) -> Any:
    """A Ray of one's own, on all cores of this machine."""
    try:
        ray.init("local", include_dashboard=False, **settings)
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise WorkerError(
            f"Ray does not start here: {_last_line(error)}", hint="--on processes"
        ) from error
    return ray


def _environment() -> dict[str, str]:
    """What makes a worker compute as this process does: its threads, and its kind of device."""
    allowed = getattr(os, "sched_getaffinity", None)
    threads = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    found = {"NPROC": os.environ.get("NPROC", str(threads))}  # XLA's pool of threads
    if jax.default_backend() == "cpu":
        found["JAX_PLATFORMS"] = "cpu"
    return found


def _receive(path: Path, content: bytes) -> None:
    """A file that came back, complete or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    write_file(part, content)
    part.replace(path)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}" + (f", {lines[-1]}" if lines else "")
