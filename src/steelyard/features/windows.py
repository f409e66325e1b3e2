"""What `rolling.join_to` joins for the operators of formulas: windows of `size` rows by doubling.

Entry k belongs to rows k..k+size-1, as in `rolling`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steelyard.types import Floats

TIE = 2.0**-28
"""Values that differ by less than this share of themselves are equal where order decides."""


class Best(NamedTuple):
    """The largest value of each window, and where it stands first (1 = the oldest row)."""

    size: int
    value: Floats
    position: Floats

    def then(self, newer: Best) -> Best:
        """Windows in which the rows of `newer` follow those of this one."""
        count = max(len(newer.value) - self.size, 0)
        first, last = self.value[:count], newer.value[self.size :]
        later = last > first + TIE * np.abs(first)
        position = np.where(later, newer.position[self.size :] + self.size, self.position[:count])
        return Best(self.size + newer.size, np.maximum(first, last), position)


class Products(NamedTuple):
    """The product of each window."""

    size: int
    product: Floats

    def then(self, newer: Products) -> Products:
        """Windows in which the rows of `newer` follow those of this one."""
        count = max(len(newer.product) - self.size, 0)
        joined = self.product[:count] * newer.product[self.size :]
        return Products(self.size + newer.size, joined)


class Weighted(NamedTuple):
    """Sums of each window, and sums with weights 1 (its oldest row) to `size`."""

    size: int
    total: Floats
    weighted: Floats

    def then(self, newer: Weighted) -> Weighted:
        """Windows in which the rows of `newer` follow those of this one."""
        count = max(len(newer.total) - self.size, 0)
        last = newer.total[self.size :]
        weighted = self.weighted[:count] + newer.weighted[self.size :] + self.size * last
        return Weighted(self.size + newer.size, self.total[:count] + last, weighted)


class CoMoments(NamedTuple):
    """Sums of two series over each window, and sums of products of distances from their means."""

    size: int
    one: Floats
    other: Floats
    ones: Floats
    others: Floats
    both: Floats

    def then(self, newer: CoMoments) -> CoMoments:
        """Joined as by Chan, Golub & LeVeque (1983, eq. 2.1), for products as for squares."""
        size, count = self.size + newer.size, max(len(newer.one) - self.size, 0)
        older, later = slice(None, count), slice(self.size, None)
        ratio, weight = newer.size / self.size, self.size / (newer.size * size)
        gap_one = self.one[older] * ratio - newer.one[later]
        gap_other = self.other[older] * ratio - newer.other[later]
        weighted = gap_one * weight
        ones = self.ones[older] + newer.ones[later] + weighted * gap_one
        both = self.both[older] + newer.both[later] + weighted * gap_other
        others = self.others[older] + newer.others[later] + gap_other * gap_other * weight
        return CoMoments(
            size,
            self.one[older] + newer.one[later],
            self.other[older] + newer.other[later],
            ones,
            others,
            both,
        )
