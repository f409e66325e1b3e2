"""An agent that cannot be sent elsewhere, asked in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from steelyard.isolation.desk import Desk, Learned, Lesson, Moment, Opening, Progress


class Here:
    """The same face as `Remote`, without a process.

    Args:
        agent: somebody's own.
    """

    opened: tuple[str, ...] = ()

    def __init__(self, agent: Any) -> None:
        self._desk = Desk(agent)

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> Learned:
        """As `Desk.learn`."""
        return self._desk.learn(lesson, progress)

    def hand_over(self) -> Mapping[int, Any]:
        """The policies themselves."""
        return dict(self._desk.policies)

    def take_over(self, policies: Mapping[int, Any]) -> None:
        """Go on with policies that were made before."""
        self._desk.take_over(policies)

    def begin(self, opening: Opening) -> None:
        """As `Desk.begin`."""
        self._desk.begin(opening)

    def decide(self, moment: Moment) -> NDArray[Any]:
        """As `Desk.decide`; nothing limits its time."""
        return self._desk.decide(moment)

    def close(self) -> None:
        """Nothing is left open."""

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
