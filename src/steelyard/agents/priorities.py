"""Priorities of a replay memory, and draws in proportion to them (Schaul et al., 2016)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

LEAST = 1e-3
"""Smallest error that counts, so that nothing is forgotten for good."""


class Priorities(eqx.Module):
    """Priorities of L * E entries in blocks, with the sum of each block.

    A draw looks up a block by the running sum over blocks, and an entry by that inside of it: about
    2 sqrt(L * E) additions, without sorting.

    Attributes:
        entries: (blocks, width) priority of each entry, to the power of the exponent; 0 = never
            drawn. The E entries of a slot lie in one block.
        sums: (blocks,) of the entries.
        highest: () largest priority so far, which new entries get.
        envs: E.
    """

    entries: Float[Array, "K W"]
    sums: Float[Array, " K"]
    highest: Float[Array, ""]
    envs: int = eqx.field(static=True)

    @classmethod
    def create(cls, length: int, envs: int) -> Priorities:
        """Nothing to draw yet."""
        slots = max(1, round((length / envs) ** 0.5))
        blocks = -(-length // slots)
        entries = jnp.zeros((blocks, slots * envs), jnp.float32)
        return cls(entries, jnp.zeros(blocks, jnp.float32), jnp.ones((), jnp.float32), envs)

    def close(self, slot: Int[Array, ""]) -> Priorities:
        """The entries of a slot are not drawn until they are opened."""
        return self._fill(slot, jnp.zeros((), jnp.float32))

    def open(self, slot: Int[Array, ""], known: Bool[Array, ""]) -> Priorities:
        """The entries of a slot get the highest priority so far, where `known`."""
        return self._fill(slot, jnp.where(known, self.highest, 0))

    def put(
        self, place: Int[Array, " B"], error: Float[Array, " B"], exponent: float | Float[Array, ""]
    ) -> Priorities:
        """Priority (|error| + LEAST)^exponent for the entries at `place` = slot * E + env."""
        priority = (jnp.abs(error) + LEAST) ** exponent
        width = self.entries.shape[1]
        block = place // width
        entries = self.entries.at[block, place % width].set(priority)
        sums = self.sums.at[block].set(jnp.sum(entries[block], axis=1))
        highest = jnp.maximum(self.highest, jnp.max(priority))
        return Priorities(entries, sums, highest, self.envs)

    def sample(self, bits: UInt32[Array, " B"]) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
        """Places in proportion to their priorities, and the probability of each.

        One draw from each of B equal parts of the whole (appendix B.2.1), made of 32 random bits.
        """
        size = bits.shape[0]
        parts = jnp.arange(size) + (bits >> 8).astype(jnp.float32) / 2**24
        running = jnp.cumsum(self.sums)
        mark = parts / size * running[-1]
        block = _last_positive(jnp.searchsorted(running, mark, side="right"), self.sums)
        inside = jnp.maximum(mark - (running[block] - self.sums[block]), 0)
        rows = self.entries[block]
        found = jnp.sum(jnp.cumsum(rows, axis=1) <= inside[:, None], axis=1)
        column = jax.vmap(_last_positive)(found, rows)
        chance = jnp.take_along_axis(rows, column[:, None], axis=1)[:, 0] / running[-1]
        return block * rows.shape[1] + column, chance

    def _fill(self, slot: Int[Array, ""], priority: Float[Array, ""]) -> Priorities:
        width = self.entries.shape[1]
        first = slot * self.envs
        block, new = first // width, jnp.full((1, self.envs), 1.0, jnp.float32) * priority
        entries = jax.lax.dynamic_update_slice(self.entries, new, (block, first % width))
        sums = self.sums.at[block].set(jnp.sum(entries[block]))
        return Priorities(entries, sums, self.highest, self.envs)


def _last_positive(found: Int[Array, "*B"], weights: Float[Array, " W"]) -> Int[Array, "*B"]:
    """`found`, or the last place with a positive weight where rounding went beyond it."""
    last = weights.shape[0] - 1 - jnp.argmax(weights[::-1] > 0)
    return jnp.minimum(found, last)
