"""The network that distils: an LSTM beside a GRU, from many features to a few factors.

    GELU MLP -> LSTM stack -> GELU MLP ┐
             └> GRU stack  -> GELU MLP ┴> GELU MLP -> (+ linear) -> tanh

The parts are those of the published kit (FinRL contest 2025, task 2); the sizes are settings. A
linear layer from the features to the factors stands beside them unless it is left out: what linear
regression can find is there from the first updates, and the memory learns the rest. What
goes into the gates from outside is multiplied for all rows at once, so that only what depends on
the row before is left in the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from steelyard.agents.networks import Dense
from steelyard.agents.sequence import GRU, LSTM, Memory
from steelyard.rollout import Carry


class Perceptron(eqx.Module):
    """Dense layers with a GELU between them (Hendrycks & Gimpel, 2016)."""

    layers: tuple[Dense, ...]

    @classmethod
    def create(cls, key: PRNGKeyArray, sizes: Sequence[int], gain: float = 2**0.5) -> Perceptron:
        """Layers from `sizes[0]` inputs to `sizes[-1]` outputs; the last one has `gain`."""
        keys = jax.random.split(key, len(sizes) - 1)
        gains = [2**0.5] * (len(sizes) - 2) + [gain]
        return cls(
            tuple(Dense.create(keys[i], sizes[i], sizes[i + 1], gains[i]) for i in range(len(keys)))
        )

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """Apply all layers."""
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = layer(jax.nn.gelu(x))
        return x


class FactorNetwork(eqx.Module):
    """Features of consecutive rows in, factors in (-1, 1) out; a pure function of the past.

    Attributes:
        encoder: (D) -> (W).
        lstm, gru: stacks of equal depth, W wide.
        after_lstm, after_gru: (W) -> (W).
        head: (2 W) -> (F).
        straight: (D) -> (F), or None.
    """

    encoder: Perceptron
    lstm: tuple[LSTM, ...]
    gru: tuple[GRU, ...]
    after_lstm: Perceptron
    after_gru: Perceptron
    head: Perceptron
    straight: Dense | None

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        inputs: int,
        factors: int,
        *,
        width: int,
        layers: int,
        straight: bool = True,
    ) -> FactorNetwork:
        """A network of `inputs` features.

        Args:
            key: of the first weights.
            inputs, factors: D and F.
            width: of every layer.
            layers: of each stack.
            straight: whether features also lead to the factors by a linear layer.
        """
        first, left, right, last, side, *cells = jax.random.split(key, 5 + 2 * layers)
        return cls(
            Perceptron.create(first, (inputs, width, width)),
            tuple(LSTM.create(k, width) for k in cells[:layers]),
            tuple(GRU.create(k, width) for k in cells[layers:]),
            Perceptron.create(left, (width, width, width)),
            Perceptron.create(right, (width, width, width)),
            Perceptron.create(last, (2 * width, 2 * width, factors), gain=0.1),
            Dense.create(side, inputs, factors, gain=0.1) if straight else None,
        )

    def initial_carry(self) -> Carry:
        """The memory before the first row of a segment."""
        memories: tuple[Memory, ...] = (*self.lstm, *self.gru)
        return tuple(part.initial() for part in memories)

    def __call__(
        self, x: Float[Array, "S D"], fresh: Bool[Array, " S"], carry: Carry
    ) -> tuple[Float[Array, "S F"], Carry]:
        """Factors of S consecutive rows.

        Args:
            x: scaled features.
            fresh: whether a row is the first of a segment: what came before is forgotten.
            carry: the memory after the row before `x`.

        Returns:
            The factors, and the memory after the last row.
        """
        left = right = jax.nn.gelu(self.encoder(x))
        after: list[Carry] = []
        for cell, held in zip(self.lstm, carry, strict=False):
            left, kept = lstm_over(cell, left, fresh, held)
            after.append(kept)
        for unit, held in zip(self.gru, carry[len(self.lstm) :], strict=True):
            right, kept = gru_over(unit, right, fresh, held)
            after.append(kept)
        both = jnp.concatenate([self.after_lstm(left), self.after_gru(right)], axis=-1)
        score = self.head(jax.nn.gelu(both))
        if self.straight is not None:
            score = score + self.straight(x)
        return jnp.tanh(score), tuple(after)


def lstm_over(
    memory: LSTM, x: Float[Array, "S W"], fresh: Bool[Array, " S"], carry: Carry
) -> tuple[Float[Array, "S W"], Carry]:
    """What `memory` returns on each of S rows: the same as one step after another."""
    cell = memory.cell
    outside = x @ cell.weight_ih.T + cast(Array, cell.bias)

    def step(carry: Carry, row: tuple[Array, Array]) -> tuple[Carry, Array]:
        gates, first = row
        output, state = (jnp.where(first, 0.0, part) for part in carry)
        parts = jnp.split(gates + cell.weight_hh @ output, 4)
        enter, forget, leave = (jax.nn.sigmoid(parts[i]) for i in (0, 1, 3))
        state = forget * state + enter * jnp.tanh(parts[2])
        output = leave * jnp.tanh(state)
        return (output, state), output

    carry, outputs = jax.lax.scan(step, carry, (outside, fresh))
    return outputs, carry


def gru_over(
    memory: GRU, x: Float[Array, "S W"], fresh: Bool[Array, " S"], carry: Carry
) -> tuple[Float[Array, "S W"], Carry]:
    """What `memory` returns on each of S rows: the same as one step after another."""
    cell = memory.cell
    outside = x @ cell.weight_ih.T + cast(Array, cell.bias)

    def step(output: Carry, row: tuple[Array, Array]) -> tuple[Carry, Array]:
        gates, first = row
        output = jnp.where(first, 0.0, output)
        given, own = jnp.split(gates, 3), jnp.split(cell.weight_hh @ output, 3)
        reset, update = (jax.nn.sigmoid(given[i] + own[i]) for i in (0, 1))
        candidate = jnp.tanh(given[2] + reset * (own[2] + cast(Array, cell.bias_n)))
        output = candidate + update * (output - candidate)
        return output, output

    carry, outputs = jax.lax.scan(step, carry, (outside, fresh))
    return outputs, carry
