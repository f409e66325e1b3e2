"""The process of somebody's own code: `python -m steelyard.isolation.worker FD`.

It is told an agent and then one command after another. It never holds a row of the market that the
agent may not know yet.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from steelyard.agents.answers import fault_of, guarded
from steelyard.errors import SteelyardError
from steelyard.isolation.desk import Desk, Learned
from steelyard.isolation.parcel import Parcel
from steelyard.isolation.watch import Watch
from steelyard.isolation.wire import Message, pack


@dataclass(frozen=True)
class Circumstances:
    """In what a process stands that is no business of an agent.

    Attributes:
        ahead: seconds by which its clock is ahead of ours.
        folder: where it works; "" = where the run does.
    """

    ahead: float = 0.0
    folder: str = ""


class Worker:
    """Answers commands about one agent.

    Args:
        connection: to the run.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._watch: Watch | None = None
        self._desk: Desk | None = None

    def serve(self) -> None:
        """Answer until the run hangs up."""
        while True:
            try:
                command, given = pickle.loads(self._connection.recv_bytes())  # made by the run
            except (EOFError, OSError):
                os._exit(0)
            self._connection.send_bytes(pack(self._answer(command, given)))

    def _answer(self, command: str, given: Any) -> Message:
        try:
            facts, arrays = getattr(self, f"_{command}")(given)
        except SteelyardError as error:
            facts, arrays = {"fault": error.message, "hint": error.hint}, {}
        except KeyboardInterrupt as error:  # nobody else interrupts this process
            facts, arrays = {"fault": fault_of(error)}, {}
        finally:
            opened = [] if self._watch is None else self._watch.take()
        return Message({**facts, "opened": opened, "closed": _closed()}, arrays)

    def _enter(self, given: tuple[Parcel, Circumstances]) -> tuple[Any, Any]:
        """Make the agent."""
        parcel, circumstances = given
        if circumstances.folder:
            os.chdir(circumstances.folder)
        if circumstances.ahead:
            _set_clock(circumstances.ahead)
        sys.path[:] = parcel.path
        self._watch = Watch(parcel.code)
        with guarded("cannot be made in a process of its own"):
            for name, file in parcel.files:
                _run_file(name, file)
            agent = pickle.loads(parcel.content)
        self._desk = Desk(agent)
        return {}, {}

    def _learn(self, lesson: Any) -> tuple[Any, Any]:
        """Train; progress is told in between."""
        learned: Learned = self._at_desk.learn(lesson, self._tell)
        arrays = {
            f"{number}/{name}": np.asarray(values)
            for number, log in enumerate(learned.logs)
            for name, values in log.items()
        }
        return {"digest": learned.digest, "updates": learned.updates, "of": learned.of}, arrays

    def _hand_over(self, _: Any) -> tuple[Any, Any]:
        """The policies as bytes, for another process of this agent; the run never reads them."""
        from steelyard.isolation.pickling import dumps

        with guarded("its policy cannot be kept"):
            content = dumps(_on_host(dict(self._at_desk.policies)))
        return {}, {"policies": np.frombuffer(content, np.uint8)}

    def _take_over(self, content: bytes) -> tuple[Any, Any]:
        """Policies that another process of this agent handed over."""
        self._at_desk.take_over(_on_device(pickle.loads(content)))
        return {}, {}

    def _begin(self, opening: Any) -> tuple[Any, Any]:
        self._at_desk.begin(opening)
        return {}, {}

    def _decide(self, moment: Any) -> tuple[Any, Any]:
        return {}, {"action": self._at_desk.decide(moment)}

    @property
    def _at_desk(self) -> Desk:
        assert self._desk is not None
        return self._desk

    def _tell(self, done: int, total: int) -> None:
        self._connection.send_bytes(pack(Message({"progress": [done, total]})))


def _closed() -> bool:
    """Whether the standard output was closed."""
    try:
        os.fstat(1)
        os.fstat(2)
    except OSError:
        return True
    return sys.stdout is None or sys.stdout.closed or sys.stderr is None or sys.stderr.closed


def _run_file(name: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _set_clock(ahead: float) -> None:
    """Let this process believe in another time; it goes on from there."""
    import time

    import time_machine

    time_machine.travel(time.time() + ahead, tick=True).start()


class _Key:
    """A random key as its numbers."""

    def __init__(self, data: Any) -> None:
        self.data = data


def _on_host(tree: Any) -> Any:
    """Arrays of a device as arrays of the host."""
    jax = sys.modules.get("jax")
    if jax is None:
        return tree

    def moved(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):
            return leaf
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return _Key(np.asarray(jax.random.key_data(leaf)))
        return np.asarray(leaf)

    return jax.tree.map(moved, tree)


def _on_device(tree: Any) -> Any:
    """Random keys as keys again."""
    jax = sys.modules.get("jax")
    if jax is None:
        return tree

    def moved(leaf: Any) -> Any:
        return jax.random.wrap_key_data(leaf.data) if isinstance(leaf, _Key) else leaf

    return jax.tree.map(moved, tree)


def main() -> None:
    """Serve the run that started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
