"""Functions of one environment that run on many with the batch axis behind.

`vmap` puts the batch in front: thirty assets of 512 environments become (512, 30), and a processor
that adds sixteen numbers at once finds thirty neighbours. (30, 512) is what it likes: an operation
on an asset is one on 512 neighbours. Transpositions at the borders of two such functions cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped


def batch_last(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which under `vmap` is called once with the batch axes behind its own.

    Args:
        function: of pytrees of arrays, to pytrees of arrays. It must accept axes *behind* those of
            one environment and work along its own from the front, so that NumPy's rules of
            broadcasting do the rest: an asset array is (N, *B), a number of the account (*B).

    Returns:
        The same function. Arguments that are not batched arrive with axes of length 1.
    """

    @jax.custom_batching.custom_vmap
    def lanes(*args: Any) -> Any:
        return function(*args)

    @lanes.def_vmap
    def batched(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        def behind(leaf: Array, mapped: bool) -> Array:
            return jnp.moveaxis(leaf, 0, -1) if mapped else jnp.asarray(leaf)[..., None]

        def in_front(leaf: Array) -> Array:
            return jnp.moveaxis(jnp.broadcast_to(leaf, (*leaf.shape[:-1], axis_size)), -1, 0)

        # not `lanes` again: a plain call has a gradient, and further axes do no harm in front
        out = function(*jax.tree.map(behind, tuple(args), tuple(in_batched)))
        return jax.tree.map(in_front, out), jax.tree.map(lambda _: True, out)

    return lanes


@jax.custom_batching.custom_vmap
def take_row(table: Shaped[Array, "T N"], row: Int[Array, ""]) -> Shaped[Array, " N"]:
    """`table[row]`, 0 <= row < T; many rows of one table are read asset by asset."""
    return read(table, row)


@take_row.def_vmap
def _take_rows(
    axis_size: int, in_batched: list[bool], table: Shaped[Array, "..."], row: Int[Array, "..."]
) -> tuple[Shaped[Array, "..."], bool]:
    """Read number by number into the order that `batch_last` wants, so that nothing is turned."""
    if in_batched[0]:
        rows = jnp.broadcast_to(row, (axis_size,)) if not in_batched[1] else row
        return jax.vmap(read)(table, rows), True
    places = row * table.shape[1] + jnp.arange(table.shape[1], dtype=row.dtype)[:, None]
    values = read(table.reshape(-1), places)
    # alone the read would run over one flat axis, with a division for every number
    return jnp.where(row < table.shape[0], values, 0).T, True


def read(values: Shaped[Array, "T *N"], places: Int[Array, "*B"]) -> Shaped[Array, "*B *N"]:
    """`values[places]` for places that are known to exist."""
    return values.at[places].get(mode="promise_in_bounds", wrap_negative_indices=False)


def total(values: Float[Array, "N *B"]) -> Float[Array, "*B"]:
    """Sum along the first axis, as a matrix product: no later operation repeats it."""
    ones = jnp.ones(values.shape[0], values.dtype)
    return jnp.tensordot(ones, values, axes=1, precision=jax.lax.Precision.HIGHEST)


def draw_below(key: PRNGKeyArray, limits: Int[Array, "*K"]) -> Int[Array, "*K"]:
    """Whole numbers drawn evenly from 0 to below `limits`, each at least 1 and below 2**24.

    `jax.random.randint` divides integers, which no processor does on many at once.
    """
    share = (jax.random.bits(key, limits.shape, jnp.uint32) >> 8).astype(jnp.float32) * 2.0**-24
    return jnp.floor(share * limits.astype(jnp.float32)).astype(jnp.int32)
