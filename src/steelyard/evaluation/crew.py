"""Calls that are dealt out to devices; what is lost with one is done again by another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Generic, TypeAlias, TypeVar

from steelyard.devices import answering
from steelyard.errors import DeviceError

Place: TypeAlias = tuple[Any, ...]
"""Devices that work on one call together; one, where the calls are dealt out."""

CallT = TypeVar("CallT", bound=Hashable)
ResultT = TypeVar("ResultT")


class Crew(Generic[CallT, ResultT]):
    """Places that take calls from one queue, a thread each.

    A call that a place loses goes back into the queue, once. A place whose devices no longer
    answer takes no further call; those of its devices that do may make a smaller place.

    Args:
        work: does a call in a place; it stops early once the event is set, with None if it has
            nothing to show by then.
        regroup: the place that some devices make, () if none; None where places are never made
            of what is left.
    """

    def __init__(
        self,
        work: Callable[[CallT, Place, Event], ResultT | None],
        regroup: Callable[[Place], Place] | None = None,
    ) -> None:
        self._work, self._regroup = work, regroup
        self._waiting: deque[CallT] = deque()
        self._places: list[Place] = []
        self._again: set[CallT] = set()
        self._lost: DeviceError | None = None
        self._stop = Event()
        self.done: dict[CallT, ResultT] = {}

    def run(self, calls: Sequence[CallT], places: Sequence[Place]) -> None:
        """All calls; `done` holds their results.

        The first one is done alone, so that everything is compiled once. An interruption lets the
        calls in work end, and no other begins.

        Args:
            places: the same one several times where calls fit beside each other.

        Raises:
            DeviceError: a call was lost twice, or no place is left.
        """
        self._waiting.extend(calls)
        self._places = list(places)
        self._serve(self._places[0], once=True)
        while self._waiting and not self._stop.is_set():
            if not self._places:
                raise self._lost or DeviceError("there is no device to work on")
            if len(self._places) == 1:
                self._serve(self._places[0])
            else:
                self._serve_beside()

    def _serve_beside(self) -> None:
        with ThreadPoolExecutor(len(self._places)) as pool:
            serving = [pool.submit(self._serve, place) for place in self._places]
            try:
                for one in serving:
                    one.result()
            except BaseException:
                self._stop.set()
                raise

    def _serve(self, place: Place, *, once: bool = False) -> None:
        """Take calls until none is left, or a single one."""
        while self._waiting and not self._stop.is_set():
            try:
                call = self._waiting.popleft()
            except IndexError:  # another was faster
                return
            try:
                result = self._work(call, place, self._stop)
            except DeviceError as error:
                if call in self._again:
                    raise
                self._lost = error
                self._again.add(call)
                self._waiting.append(call)
                if self._retire(place):
                    return
                continue
            if result is not None:
                self.done[call] = result
            if once:
                return

    def _retire(self, place: Place) -> bool:
        """Whether some devices of a place no longer answer; it is replaced by what is left."""
        left = answering(place)
        if left == place:
            return False
        smaller = self._regroup(left) if self._regroup is not None and left else ()
        self._places = [one for one in self._places if one != place] + [smaller] * bool(smaller)
        return True
