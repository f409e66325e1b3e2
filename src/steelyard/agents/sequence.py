"""Networks that read a sequence one step at a time: LSTM, GRU, convolution, transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from steelyard.agents.networks import Dense
from steelyard.errors import ConfigError
from steelyard.rollout import Carry


class Memory(Protocol):
    """What remembers: H numbers in and H numbers out at every step."""

    def initial(self) -> Carry:
        """The carry at the start of an episode."""
        ...

    def __call__(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " H"], Carry]:
        """One step."""
        ...


class LSTM(eqx.Module):
    """Long short-term memory with a forget gate (Hochreiter & Schmidhuber, 1997; Gers, 2000).

    The carry is (output, cell), both (H,).
    """

    cell: eqx.nn.LSTMCell

    @classmethod
    def create(cls, key: PRNGKeyArray, width: int) -> LSTM:
        """Uniform weights, and a forget gate that starts open: bias 1 (Jozefowicz et al., 2015)."""
        cell = eqx.nn.LSTMCell(width, width, key=key, dtype=jnp.float32)
        gates = jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0], jnp.float32), width)
        return cls(eqx.tree_at(lambda c: c.bias, cell, gates))

    def initial(self) -> Carry:
        """Zeros."""
        zeros = jnp.zeros(self.cell.hidden_size, jnp.float32)
        return zeros, zeros

    def __call__(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " H"], Carry]:
        """One step."""
        carry = self.cell(x, carry)
        return carry[0], carry


class GRU(eqx.Module):
    """Gated recurrent unit (Cho et al., 2014); the carry is its output (H,)."""

    cell: eqx.nn.GRUCell

    @classmethod
    def create(cls, key: PRNGKeyArray, width: int) -> GRU:
        """Uniform weights."""
        return cls(eqx.nn.GRUCell(width, width, key=key, dtype=jnp.float32))

    def initial(self) -> Carry:
        """Zeros."""
        return jnp.zeros(self.cell.hidden_size, jnp.float32)

    def __call__(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " H"], Carry]:
        """One step."""
        carry = self.cell(x, carry)
        return carry, carry


class Convolution(eqx.Module):
    """Causal convolutions of kernel 2 and dilation 1, 2, 4, ... (van den Oord et al., 2016, eq. 2).

    Each layer is gated and residual. The carry is the last K inputs (K, H), the newest last; before
    the episode they are 0. Only the newest output is needed, and what it depends on is a binary
    tree over the K inputs: a layer joins neighbours, and halves the nodes.

    Attributes:
        layers: log2(K) of them, (2 H) -> (2 H): the older and the newer node; filter and gate.
    """

    layers: tuple[Dense, ...]
    width: int = eqx.field(static=True)

    @classmethod
    def create(cls, key: PRNGKeyArray, width: int, span: int) -> Convolution:
        """Layers enough to see `span` inputs, which must be a power of two."""
        if span < 1 or span & (span - 1):
            raise ConfigError(
                f"a convolution remembers a power of two of steps, not {span}",
                hint=f"use span={2 ** max(0, span - 1).bit_length()}",
            )
        keys = jax.random.split(key, max(1, span.bit_length() - 1))
        layers = [Dense.create(k, 2 * width, 2 * width, 1.0) for k in keys[: span.bit_length() - 1]]
        return cls(tuple(layers), width)

    def initial(self) -> Carry:
        """Zeros."""
        return jnp.zeros((2 ** len(self.layers), self.width), jnp.float32)

    def __call__(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " H"], Carry]:
        """One step."""
        nodes = carry = jnp.concatenate([carry[1:], x[None]])
        for layer in self.layers:
            pairs = nodes.reshape(-1, 2 * self.width)
            signal, gate = jnp.split(layer(pairs), 2, axis=-1)
            nodes = pairs[:, self.width :] + jnp.tanh(signal) * jax.nn.sigmoid(gate)
        return nodes[0], carry


class Window(NamedTuple):
    """The last K inputs of a transformer, the newest last.

    Attributes:
        inputs: (K, H).
        seen: (K,) whether the episode was already running.
    """

    inputs: Float[Array, "K H"]
    seen: Bool[Array, " K"]


class Block(eqx.Module):
    """Attention and a two-layer network, each residual and behind a norm (Xiong et al., 2020).

    The norms have no weights of their own: the linear layer behind each would absorb them.
    """

    query: Dense
    key_value: Dense
    out: Dense
    widen: Dense
    narrow: Dense
    heads: int = eqx.field(static=True)

    @classmethod
    def create(cls, key: PRNGKeyArray, width: int, heads: int) -> Block:
        """Close to the identity, as training starts most stably (Parisotto et al., 2020)."""
        keys = jax.random.split(key, 5)
        return cls(
            Dense.create(keys[0], width, width, 1.0),
            Dense.create(keys[1], width, 2 * width, 1.0),
            Dense.create(keys[2], width, width, 0.2),
            Dense.create(keys[3], width, 4 * width, 2**0.5),
            Dense.create(keys[4], 4 * width, width, 0.2),
            heads,
        )

    def __call__(
        self, x: Float[Array, "Q H"], context: Float[Array, "K H"], allowed: Bool[Array, "Q K"]
    ) -> Float[Array, "Q H"]:
        """Let `x` attend to the rows of `context` that it is allowed to (Vaswani et al., 2017)."""
        width = x.shape[1] // self.heads
        query = self.query(_norm(x)).reshape(-1, self.heads, width)
        key, value = jnp.split(self.key_value(_norm(context)), 2, axis=-1)
        key, value = (part.reshape(-1, self.heads, width) for part in (key, value))
        scores = jnp.einsum("qhw,khw->hqk", query, key) / width**0.5
        weights = jax.nn.softmax(jnp.where(allowed, scores, -1e9), axis=-1)
        x = x + self.out(jnp.einsum("hqk,khw->qhw", weights, value).reshape(x.shape))
        return x + self.narrow(jax.nn.relu(self.widen(_norm(x))))


class Transformer(eqx.Module):
    """Pre-norm attention blocks over the last K inputs, with a learned vector for each age.

    The carry is a `Window`; what lies before the episode is not attended to.
    """

    blocks: tuple[Block, ...]
    places: Float[Array, "K H"]
    span: int = eqx.field(static=True)

    @classmethod
    def create(
        cls, key: PRNGKeyArray, width: int, span: int, blocks: int, heads: int
    ) -> Transformer:
        """`blocks` blocks with `heads` heads each, which must divide `width`."""
        if min(span, blocks, heads) < 1 or width % heads:
            raise ConfigError(
                f"heads {heads} must divide the last hidden layer's {width} units, "
                f"and span {span} and blocks {blocks} must be positive",
                hint="use heads=1",
            )
        place_key, *keys = jax.random.split(key, blocks + 1)
        places = 0.1 * jax.random.normal(place_key, (span, width), jnp.float32)
        return cls(tuple(Block.create(k, width, heads) for k in keys), places, span)

    def initial(self) -> Carry:
        """Nothing seen."""
        zeros = jnp.zeros((self.span, self.places.shape[-1]), jnp.float32)
        return Window(zeros, jnp.zeros(self.span, bool))

    def __call__(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " H"], Carry]:
        """One step."""
        inputs = jnp.concatenate([carry.inputs[1:], x[None]])
        seen = jnp.concatenate([carry.seen[1:], jnp.ones(1, bool)])
        nodes, causal = inputs + self.places, jnp.tril(jnp.ones((self.span, self.span), bool))
        for block in self.blocks[:-1]:
            nodes = block(nodes, nodes, causal & seen)
        newest = self.blocks[-1](nodes[-1:], nodes, seen[None])
        return _norm(newest)[0], Window(inputs, seen)


def _norm(x: Float[Array, "*B H"]) -> Float[Array, "*B H"]:
    """Shift to mean 0 and scale to variance 1 along the last axis (Ba et al., 2016)."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)


KINDS: Mapping[str, Callable[[PRNGKeyArray, int, int, int, int], Memory]] = {
    "lstm": lambda key, width, *_: LSTM.create(key, width),
    "gru": lambda key, width, *_: GRU.create(key, width),
    "convolution": lambda key, width, span, *_: Convolution.create(key, width, span),
    "transformer": Transformer.create,
}
"""Kind of memory -> (key, width, span, blocks, heads) -> the memory."""
