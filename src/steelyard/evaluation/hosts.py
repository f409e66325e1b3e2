"""Calls on several hosts, as `jax.distributed` joins them: each does its share, all get everything.

On a single host nothing of this happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

CallT = TypeVar("CallT")
ResultT = TypeVar("ResultT")


def own_share(calls: Sequence[CallT], host: int | None = None) -> list[CallT]:
    """The calls of one host, of this one where None; the same one twice rather than none."""
    hosts = jax.process_count()
    host = jax.process_index() if host is None else host
    return list(calls[host::hosts]) or [calls[host % len(calls)]]


def from_all_hosts(
    calls: Sequence[CallT], done: Mapping[CallT, ResultT]
) -> Mapping[CallT, ResultT]:
    """The results of all calls on every host.

    Args:
        calls: all of them, on every host the same.
        done: of `own_share`; pytrees of arrays of the same shapes for every call.
    """
    hosts = jax.process_count()
    if hosts == 1:
        return done
    from jax.experimental.multihost_utils import process_allgather

    most = -(-len(calls) // hosts)
    own = own_share(calls)
    filled = [*own, *[own[-1]] * (most - len(own))]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[done[call] for call in filled])
    gathered: Any = process_allgather(stacked)  # leaves (hosts, most, ...)
    return {
        call: jax.tree.map(lambda leaf, at=(host, number): leaf[at], gathered)
        for host in range(hosts)
        for number, call in enumerate(own_share(calls, host))
    }
