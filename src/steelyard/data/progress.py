"""Who is told how far a long reading has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]
"""Is called with what is done, how much of it, and how much in all."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within this, sources tell `watcher` how far they have come."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)


def tell(what: str, done: int, total: int) -> None:
    """Report that `what` has come to `done` of `total`; nobody may be listening."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(what, done, total)
