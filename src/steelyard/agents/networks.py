"""Networks without memory, on vectors or on observations as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.lanes import batch_last, read, take_row
from steelyard.rollout import Env, Obs, Params, SharedTable

Activation: TypeAlias = Literal["tanh", "relu"]


class Dense(eqx.Module):
    """A linear layer `x @ weight + bias`; weight is (inputs, outputs)."""

    weight: Float[Array, "I O"]
    bias: Float[Array, " O"]

    @classmethod
    def create(cls, key: PRNGKeyArray, inputs: int, outputs: int, gain: float) -> Dense:
        """Normal weights with singular values around `gain`, zero bias.

        The scale of the orthogonal start usual for PPO, whose columns have norm `gain` where the
        layer narrows and its rows where it widens, without compiling a QR for every shape. Without
        the second half a layer of 4 inputs and 64 outputs starts saturated.
        """
        scale = gain / max(inputs, outputs) ** 0.5
        weight = jax.random.normal(key, (inputs, outputs), jnp.float32) * scale
        return cls(weight, jnp.zeros(outputs, jnp.float32))

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """Apply the layer."""
        return x @ self.weight + self.bias


class MLP(eqx.Module):
    """Dense layers with a nonlinear function between them.

    Attributes:
        activation: name of that function, "tanh" or "relu".
    """

    layers: tuple[Dense, ...]
    activation: Activation = eqx.field(static=True, default="tanh")

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        gain: float,
        activation: Activation = "tanh",
    ) -> MLP:
        """Hidden layers with gain sqrt(2), the last one with `gain`."""
        sizes = [inputs, *hidden, outputs]
        gains = [2**0.5] * len(hidden) + [gain]
        keys = jax.random.split(key, len(gains))
        layers = [
            Dense.create(keys[i], sizes[i], sizes[i + 1], gains[i]) for i in range(len(gains))
        ]
        return cls(tuple(layers), activation)

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """Apply all layers."""
        return self.after_first(self.layers[0](x))

    def after_first(self, x: Float[Array, "*B H"]) -> Float[Array, "*B O"]:
        """Everything behind the first linear layer, whose output is `x`."""
        for layer in self.layers[1:]:
            x = layer(self.between(x))
        return x

    def between(self, x: Float[Array, "*B"]) -> Float[Array, "*B"]:
        """The function between two layers."""
        return jnp.tanh(x) if self.activation == "tanh" else jax.nn.relu(x)

    def bind(self, env: Env, params: Params) -> Callable[[Obs], Float[Array, " O"]]:
        """This network on stored observations.

        Where the environment shares a table, its part of the first layer is computed once for
        every row of the table instead of once for every step: the same function up to rounding,
        and the vector is never built.
        """
        if shares_table(env):
            return self._bind_to_table(env, params)
        return lambda obs: self(env.observe(obs, params))

    def _bind_to_table(self, env: SharedTable, params: Params) -> Callable[[Obs], Any]:
        first = self.layers[0]
        table = env.table(params)
        split = first.weight.shape[0] - table.shape[1]
        turned = getattr(env, "turned", None)
        rows = product(table, table.T if turned is None else turned, first.weight[split:])
        rows = rows + first.bias
        return lambda obs: self.after_first(
            env.own(obs, params) @ first.weight[:split] + read(rows, obs.row)
        )

    def bind_to_act(self, env: Env, params: Params) -> Callable[[Obs], Float[Array, " O"]]:
        """`bind` for many environments at once, which nobody differentiates.

        The batch lies behind the numbers of one (see `lanes`), in the layers too, so that neither
        account nor action is turned on its way through the network.
        """
        if not shares_table(env):
            return self.bind(env, params)
        first = self.layers[0]
        table = env.table(params)
        split = first.weight.shape[0] - table.shape[1]
        rows = table @ first.weight[split:] + first.bias
        weights = [first.weight[:split].T, *(layer.weight.T for layer in self.layers[1:])]

        @batch_last
        def forward(own: Float[Array, "I *B"], shared: Float[Array, "H *B"]) -> Any:
            x = shared + jnp.tensordot(weights[0], own, axes=1)
            for weight, layer in zip(weights[1:], self.layers[1:], strict=True):
                bias = layer.bias[:, *(None,) * (x.ndim - 1)]
                x = jnp.tensordot(weight, self.between(x), axes=1) + bias
            return x

        return lambda obs: forward(env.own(obs, params), take_row(rows, obs.row))


@jax.custom_vjp
def product(
    table: Float[Array, "T D"], turned: Float[Array, "D T"], weight: Float[Array, "D H"]
) -> Float[Array, "T H"]:
    """`table @ weight`, with a gradient of `weight` alone.

    It is a product with the table as it lies there turned, which takes half the time of one that
    has to turn it.
    """
    return table @ weight


def _product_forward(table: Array, turned: Array, weight: Array) -> tuple[Array, Array]:
    return product(table, turned, weight), turned


def _product_backward(turned: Array, slope: Array) -> tuple[None, None, Array]:
    return None, None, turned @ slope


product.defvjp(_product_forward, _product_backward)


def shares_table(env: Any) -> TypeGuard[SharedTable]:
    """Whether the vector of `env` is its own part followed by a row of a shared table."""
    return isinstance(env, SharedTable) and not getattr(env, "published", False)
