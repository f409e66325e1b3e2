"""What goes over the wire between a run and the process of somebody's own code.

The run may send pickles, which it made itself. What comes back was made by code that nobody knows:
JSON and raw numbers, sizes read before anything else, never a pickle.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import WorkerError
from steelyard.types import Facts

MOST = 2**30
"""Bytes of an answer at most."""

HEAD = struct.Struct("<I")


@dataclass(frozen=True)
class Message:
    """Facts, ready for JSON, and arrays of numbers by name."""

    facts: Facts
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack(message: Message) -> bytes:
    """The bytes of a message."""
    arrays = {name: np.asarray(values, order="C") for name, values in message.arrays.items()}
    told = {
        "facts": message.facts,
        "arrays": [[name, one.dtype.str, list(one.shape)] for name, one in arrays.items()],
    }
    head = json.dumps(told).encode()
    return b"".join([HEAD.pack(len(head)), head, *(one.tobytes() for one in arrays.values())])


def unpack(content: bytes) -> Message:
    """The message of some bytes, which may come from anybody.

    Raises:
        WorkerError: they are no message.
    """
    try:
        (size,) = HEAD.unpack_from(content)
        told = json.loads(content[HEAD.size : HEAD.size + size])
        at, arrays = HEAD.size + size, {}
        for name, kind, shape in told["arrays"]:
            dtype = np.dtype(str(kind))
            if dtype.kind not in "biuf" or min(shape, default=0) < 0:
                raise ValueError(f"{name} holds {kind}")
            count = int(np.prod(shape, dtype=object)) if shape else 1
            arrays[str(name)] = np.frombuffer(content, dtype, count, at).reshape(shape).copy()
            at += count * dtype.itemsize
        return Message(dict(told["facts"]), arrays)
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as error:
        raise WorkerError(f"its process answered with what is no message: {error}") from None


def receive(connection: Connection, seconds: float | None) -> bytes | None:
    """The next bytes; None where nothing comes in time.

    Raises:
        EOFError, OSError: the other side is gone, or sends more than `MOST`.
    """
    if not connection.poll(seconds):
        return None
    return connection.recv_bytes(MOST)
