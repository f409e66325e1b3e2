"""Policies that remember: what stands between the first layers and the head is interchangeable.

`tanh(MLP) -> memory -> linear head`, where the memory is an LSTM, a GRU, a dilated causal
convolution or a transformer. A network takes one observation vector (D,) and its carry at a time,
so that the loop, the environments and the ensembles treat it as any other; learners run it over
whole sequences, from a stored carry, and give it a fresh one where an episode begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.distributions import Categorical, Normal
from steelyard.agents.networks import MLP, Dense
from steelyard.agents.sequence import KINDS, Memory
from steelyard.errors import ConfigError
from steelyard.registry import did_you_mean
from steelyard.rollout import Act, Carry, Env, Obs, Params
from steelyard.types import Space


class MemoryNetwork(eqx.Module):
    """A network with memory, for an actor or for a critic."""

    encoder: MLP
    memory: Memory
    head: Dense

    def initial_carry(self) -> Carry:
        """The memory at the start of an episode."""
        return self.memory.initial()

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Float[Array, " O"], Any]:
        """Outputs at one observation vector, and the memory for the next step."""
        return self.after_encoder(self.encoder(vector), carry)

    def after_encoder(self, x: Float[Array, " H"], carry: Carry) -> tuple[Float[Array, " O"], Any]:
        """Everything behind the encoder, whose output is `x`; all that a sequence must scan."""
        remembered, carry = self.memory(jnp.tanh(x), carry)
        return self.head(remembered), carry

    def bind(self, env: Env, params: Params) -> Callable[[Obs, Carry], tuple[Any, Carry]]:
        """This network on stored observations; see `MLP.bind`."""
        encode = self.encoder.bind(env, params)
        return lambda obs, carry: self.after_encoder(encode(obs), carry)


class GaussianMemoryPolicy(eqx.Module):
    """A normal distribution over actions; the spread does not depend on the observation."""

    network: MemoryNetwork
    log_std: Float[Array, " A"]

    def initial_carry(self) -> Carry:
        """The memory at the start of an episode."""
        return self.network.initial_carry()

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Normal, Carry]:
        """The distribution at one observation vector, and the memory for the next step."""
        mean, carry = self.network(vector, carry)
        return Normal(mean, self.log_std), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)

        def act(obs: Obs, carry: Carry) -> tuple[Normal, Carry]:
            mean, carry = network(obs, carry)
            return Normal(mean, self.log_std), carry

        return act


class CategoricalMemoryPolicy(eqx.Module):
    """A distribution over a fixed number of choices."""

    network: MemoryNetwork

    def initial_carry(self) -> Carry:
        """The memory at the start of an episode."""
        return self.network.initial_carry()

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Categorical, Carry]:
        """The distribution at one observation vector, and the memory for the next step."""
        logits, carry = self.network(vector, carry)
        return Categorical(logits), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)

        def act(obs: Obs, carry: Carry) -> tuple[Categorical, Carry]:
            logits, carry = network(obs, carry)
            return Categorical(logits), carry

        return act


def create_memory_network(
    key: PRNGKeyArray,
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    kind: str,
    *,
    gain: float = 0.01,
    span: int = 16,
    blocks: int = 1,
    heads: int = 2,
) -> MemoryNetwork:
    """A network with memory.

    Args:
        inputs: length D of the observation vector.
        hidden: units of the layers; the last number is also the width H of the memory.
        kind: a key of `KINDS`.
        gain: of the head's weights.
        span: steps K that a convolution (a power of two) or a transformer looks back over.
        blocks, heads: of a transformer.

    Raises:
        ConfigError: there is no such kind, or the sizes do not fit each other.
    """
    if kind not in KINDS:
        raise ConfigError(f"no memory of kind `{kind}`", hint=did_you_mean(kind, list(KINDS)))
    if not hidden:
        raise ConfigError("a network with memory needs a hidden layer", hint="use hidden=(64, 32)")
    encoder_key, memory_key, head_key = jax.random.split(key, 3)
    encoder = MLP.create(encoder_key, inputs, hidden[:-1], hidden[-1], 2**0.5)
    memory = KINDS[kind](memory_key, hidden[-1], span, blocks, heads)
    return MemoryNetwork(encoder, memory, Dense.create(head_key, hidden[-1], outputs, gain))


def create_memory_policy(
    key: PRNGKeyArray,
    inputs: int,
    hidden: Sequence[int],
    space: Space,
    kind: str,
    *,
    log_std: float = 0.0,
    **sizes: int,
) -> GaussianMemoryPolicy | CategoricalMemoryPolicy:
    """A policy with memory for `space`: categorical where it has choices, else Gaussian.

    `sizes` are those of `create_memory_network`, which also names the errors.
    """
    outputs = space.choices or int(np.prod(space.shape))
    network = create_memory_network(key, inputs, hidden, outputs, kind, **cast(Any, sizes))
    if space.choices:
        return CategoricalMemoryPolicy(network)
    return GaussianMemoryPolicy(network, jnp.full(outputs, log_std, jnp.float32))
