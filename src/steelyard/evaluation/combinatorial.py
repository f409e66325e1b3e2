"""Combinatorial purged cross-validation: every group of rows is held out many times.

Lopez de Prado (2018), "Advances in Financial Machine Learning", chapter 12. The rows are cut into
groups; every choice of some of them is held out once, and the rest is learned from. Held-out groups
put together make whole backtests ("paths") in which nothing was learned from the rows it trades.

Rows are learned from as separate spans. An episode, and whatever else looks at rows that follow
each other, stays inside one of them: two spans with a hole between them are never put together.

Spans are as in `splits`: `(first, last)` holds `last - first` decisions, and spans may share an
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.splits import Span

MOST_SPLITS = 1_000
"""Trainings of one trial and seed; more are a mistake."""


class Split(NamedTuple):
    """One choice of groups to hold out.

    Attributes:
        held_out: numbers of the groups, from 0.
        learn: what is learned from, in the order of time, with a hole between any two.
    """

    held_out: tuple[int, ...]
    learn: tuple[Span, ...]


@dataclass(frozen=True)
class Combinatorial:
    """How rows are held out; lengths are rows.

    Attributes:
        groups: N, pieces of the rows of about equal length.
        held_out: k, groups that a split holds out.
        purge: rows before a held-out stretch that are not learned from: as many as what is learned
            at a row looks ahead.
        embargo: rows behind a held-out stretch that are not learned from: as many as what is seen
            at a row looks back, or what is judged at its last row looks ahead.
        against: an agent without learning, whose metric on the same rows is taken off; none where
            empty.
    """

    groups: int = 5
    held_out: int = 2
    purge: int = 0
    embargo: int = 0
    against: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.held_out < self.groups or min(self.purge, self.embargo) < 0:
            raise ConfigError(
                "some groups must be held out and some left, purge and embargo be at least 0; got "
                f"{self.held_out} of {self.groups}, {self.purge} and {self.embargo}",
                hint="Combinatorial(groups=5, held_out=2)",
            )
        if self.count > MOST_SPLITS:
            raise ConfigError(
                f"{self.held_out} of {self.groups} groups make {self.count:,} splits, more than "
                f"{MOST_SPLITS:,}",
                hint="Combinatorial(groups=5, held_out=2) makes 10",
            )

    @property
    def count(self) -> int:
        """Splits: C(N, k)."""
        return comb(self.groups, self.held_out)

    @property
    def path_count(self) -> int:
        """Paths: C(N - 1, k - 1), in how many splits a group is held out."""
        return comb(self.groups - 1, self.held_out - 1)

    def choices(self) -> list[tuple[int, ...]]:
        """The groups that each split holds out, in lexicographic order."""
        return list(combinations(range(self.groups), self.held_out))

    def spans(self, first: int, last: int) -> list[Span]:
        """The groups of the rows `first`..`last`; lengths differ by one row at most.

        Raises:
            MissingDataError: the rows are too few.
        """
        if last - first < 2 * self.groups:
            raise MissingDataError(
                f"{self.groups} groups need {2 * self.groups} decisions, the rows hold "
                f"{last - first}",
                hint="take a longer period, or fewer groups",
            )
        ends = [first + (last - first) * n // self.groups for n in range(self.groups + 1)]
        return list(pairwise(ends))

    def splits(self, first: int, last: int) -> list[Split]:
        """Every split of the rows `first`..`last`.

        Raises:
            MissingDataError: the rows are too few, or purge and embargo leave a split none.
        """
        groups = self.spans(first, last)
        found = []
        for choice in self.choices():
            spans = self._learned(groups, choice)
            if not spans:
                raise MissingDataError(
                    f"purge {self.purge} and embargo {self.embargo} leave nothing to learn from "
                    f"where the groups {', '.join(str(one + 1) for one in choice)} are held out",
                    hint="take a longer period, or shorten purge and embargo",
                )
            found.append(Split(choice, spans))
        return found

    def paths(self) -> NDArray[np.int64]:
        """(P, N) which split trades each group on each path.

        Path p takes a group from the p-th of the splits that hold it out, so that every pair of a
        split and a group that it holds out stands on one path exactly.
        """
        choices = self.choices()
        own = [[n for n, one in enumerate(choices) if group in one] for group in range(self.groups)]
        return np.array(own, np.int64).T

    def _learned(self, groups: Sequence[Span], choice: Sequence[int]) -> tuple[Span, ...]:
        """The spans between held-out stretches, without purged rows and those under embargo."""
        spans, begin = [], groups[0][0]
        for number in choice:
            first, last = groups[number]
            spans.append((begin, first - self.purge))
            begin = last + self.embargo
        spans.append((begin, groups[-1][1]))
        return tuple((first, last) for first, last in spans if last - first >= 2)
