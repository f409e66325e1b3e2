"""Many small arrays as one buffer of 32-bit words, for programs that are called from Python.

What a call of a compiled program costs beside its work grows with the arrays that go in and come
out: a few tenths of a microsecond for each that goes in, one or two for each that comes out. An
environment that is stepped alone works for a few microseconds, so that its state and its answer
cross the border as one buffer.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32
from numpy.typing import NDArray


class Slot(NamedTuple):
    """Where a leaf lies: its place among the leaves, its words, its shape and type.

    `impl` is the kind of random stream where the leaf is made of keys, of which the data are kept.
    """

    leaf: int
    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    impl: Any = None


class Layout(NamedTuple):
    """How a pytree of arrays lies in one buffer; hashable.

    Leaves of eight bytes come first, so that each starts at a multiple of its size. Smaller ones
    than four bytes, bools among them, take a word per number.

    Attributes:
        tree: the structure.
        slots: the leaves in the order of the buffer.
        size: words in all.
    """

    tree: Any
    slots: tuple[Slot, ...]
    size: int

    @classmethod
    def of(cls, content: Any) -> Self:
        """The layout of a pytree of arrays."""
        leaves, tree = jax.tree.flatten(content)
        slots, start = [], 0
        for wide in (True, False):
            for place, leaf in enumerate(leaves):
                raw, impl = _raw(leaf)
                if (raw.dtype.itemsize == 8) is wide:
                    stop = start + raw.size * (2 if wide else 1)
                    slots.append(Slot(place, start, stop, raw.shape, np.dtype(raw.dtype), impl))
                    start = stop
        return cls(tree, tuple(slots), start)

    def pack(self, content: Any) -> UInt32[Array, " W"]:
        """The leaves of `content` as words, bit by bit."""
        leaves = jax.tree.leaves(content)
        return jnp.concatenate(
            [jnp.zeros(0, jnp.uint32), *(_words(leaves[slot.leaf]) for slot in self.slots)]
        )

    def unpack(self, words: UInt32[Array, " W"]) -> Any:
        """The pytree whose `pack` gave `words`."""
        leaves: list[Any] = [None] * len(self.slots)
        for slot in self.slots:
            leaves[slot.leaf] = _leaf(words[slot.start : slot.stop], slot)
        return jax.tree.unflatten(self.tree, leaves)


class Reader:
    """Reads the pytree of a layout on the host; what can be is worked out once.

    Single numbers come as those of Python, arrays of four and eight bytes as views of the words.
    """

    def __init__(self, layout: Layout) -> None:
        self._tree = layout.tree
        self._views = tuple({slot.dtype for slot in layout.slots if slot.dtype.itemsize >= 4})
        self._truths: list[tuple[int, int]] = []
        self._numbers: list[tuple[int, int, int]] = []
        self._parts: list[tuple[int, int, slice, tuple[int, ...]]] = []
        self._narrow: list[Slot] = []
        for slot in layout.slots:
            if slot.dtype == np.bool_ and not slot.shape:
                self._truths.append((slot.leaf, slot.start))
            elif slot.dtype.itemsize < 4:
                self._narrow.append(slot)
            else:
                view, width = self._views.index(slot.dtype), slot.dtype.itemsize // 4
                first, last = slot.start // width, slot.stop // width
                if slot.shape:
                    self._parts.append((slot.leaf, view, slice(first, last), slot.shape))
                else:
                    self._numbers.append((slot.leaf, view, first))
        self._count = len(layout.slots)
        self._wide = any(dtype.itemsize == 8 for dtype in self._views)

    def __call__(self, words: NDArray[np.uint32]) -> Any:
        """The pytree whose words stand at the start of `words`."""
        leaves: list[Any] = [None] * self._count
        even = words[:-1] if self._wide and len(words) % 2 else words
        views = [(even if dtype.itemsize == 8 else words).view(dtype) for dtype in self._views]
        for leaf, place in self._truths:
            leaves[leaf] = words.item(place) != 0
        for leaf, view, place in self._numbers:
            leaves[leaf] = views[view].item(place)
        for leaf, view, part, shape in self._parts:
            leaves[leaf] = (
                views[view][part] if len(shape) == 1 else views[view][part].reshape(shape)
            )
        for slot in self._narrow:
            values = _narrow(words[slot.start : slot.stop], slot.dtype).reshape(slot.shape)
            leaves[slot.leaf] = values if slot.shape else values.item()
        return self._tree.unflatten(leaves)


def _raw(leaf: Array) -> tuple[Array, Any]:
    """A leaf as numbers, and the kind of its streams where it is made of keys."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(leaf), jax.random.key_impl(leaf)
    return leaf, None


def _words(leaf: Array) -> UInt32[Array, " W"]:
    raw, _ = _raw(leaf)
    if raw.dtype == jnp.bool_:
        raw = raw.astype(jnp.uint32)
    if raw.dtype.itemsize < 4:
        narrow = jnp.uint8 if raw.dtype.itemsize == 1 else jnp.uint16
        raw = jax.lax.bitcast_convert_type(raw, narrow).astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(raw, jnp.uint32).reshape(-1)


def _leaf(words: UInt32[Array, " W"], slot: Slot) -> Array:
    if slot.dtype == np.bool_:
        return (words != 0).reshape(slot.shape)
    if slot.dtype.itemsize < 4:
        words = words.astype(jnp.uint8 if slot.dtype.itemsize == 1 else jnp.uint16)
    if slot.dtype.itemsize == 8:
        words = words.reshape(-1, 2)
    raw = jax.lax.bitcast_convert_type(words, slot.dtype).reshape(slot.shape)
    return raw if slot.impl is None else jax.random.wrap_key_data(raw, impl=slot.impl)


def _narrow(words: NDArray[np.uint32], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == np.bool_:
        return np.asarray(words != 0)
    numbers = words.astype(np.uint8 if dtype.itemsize == 1 else np.uint16)
    narrow: NDArray[Any] = numbers.view(dtype)
    return narrow
