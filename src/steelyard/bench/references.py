"""Fixed programs that stand still, for the ratios that CI watches.

They do the kind of work that ours does, with the same libraries, and nothing else of ours: where
our figure falls and theirs does not, it was a change of ours. They are not rivals; a ratio says
nothing by itself. Whoever makes one of them faster has to accept all ratios anew.

Makers: `step`, `network`, `gradient`, `book_step`, `windows`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.bench.peers.serve import Work, serve

POOL = 16
"""Random actions that the rounds go through again and again."""


def step(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of a long-only market, buys in asset order, the vector of each step written."""
    with np.load(folder / "market.npz") as market:
        close = jnp.asarray(market["close"], jnp.float32)
        table = jnp.asarray(market["features"].reshape(len(market["close"]), -1), jnp.float32)
    envs, horizon, cost = int(options["envs"]), int(options["horizon"]), float(options["cost"])
    rows, assets = close.shape
    drawn = np.random.default_rng(0).integers(-100, 101, (POOL, envs, assets))
    pool = jnp.asarray(drawn, jnp.float32)

    def one(live: Any, index: jax.Array, close: jax.Array, table: jax.Array, pool: Any) -> Any:
        cash, units, _, row = live
        price, order = close[row], pool[index % POOL]
        sold = jnp.minimum(jnp.maximum(-order, 0), units)
        cash = cash + (sold * price).sum(axis=1) * (1 - cost)

        def buy(cash: jax.Array, line: Any) -> Any:
            wanted, ask = line
            filled = jnp.minimum(wanted, jnp.floor(cash / ask))
            return cash - filled * ask, filled

        cash, bought = jax.lax.scan(buy, cash, (jnp.maximum(order, 0).T, price * (1 + cost)))
        units, row = units - sold + bought.T, (row + 1) % rows
        value = cash + units @ close[row]
        held = units * close[row] / value[:, None]
        shown = jnp.broadcast_to(table[row], (envs, table.shape[1]))
        return (cash, units, jnp.concatenate([held, shown], axis=1), row), value

    @jax.jit
    def advance(live: Any, close: jax.Array, table: jax.Array, pool: jax.Array) -> Any:
        return jax.lax.scan(
            lambda live, index: one(live, index, close, table, pool), live, jnp.arange(horizon)
        )

    cash = jnp.full(envs, options["cash"], jnp.float32)
    vectors = jnp.zeros((envs, assets + table.shape[1]))
    live = (cash, jnp.zeros((envs, assets)), vectors, jnp.zeros((), jnp.int32))
    return _again(folder, "market", options, lambda: advance(live, close, table, pool), horizon)


def network(folder: Path, options: Mapping[str, Any]) -> Work:
    """A network of the size of the actor on vectors, with normal noise added to what it says."""
    envs, horizon, sizes = int(options["envs"]), int(options["horizon"]), options["sizes"]
    layers, vectors = _layers(sizes), _normal(1, (envs, sizes[0]))

    @jax.jit
    def advance(vectors: jax.Array, layers: Any) -> Any:
        def one(vectors: jax.Array, key: jax.Array) -> Any:
            said = _forward(layers, vectors)
            action = said + jax.random.normal(key, said.shape)
            return vectors.at[:, : sizes[-1]].set(action), action

        return jax.lax.scan(one, vectors, jax.random.split(jax.random.key(2), horizon))

    return _again(folder, "market", options, lambda: advance(vectors, layers), horizon)


def gradient(folder: Path, options: Mapping[str, Any]) -> Work:
    """Gradient steps of two networks of the size of actor and critic on the same minibatches."""
    batch, count, sizes = int(options["minibatch"]), int(options["gradients"]), options["sizes"]
    nets, vectors = (_layers(sizes), _layers([*sizes[:-1], 1])), _normal(1, (batch, sizes[0]))

    def loss(nets: Any, vectors: jax.Array) -> jax.Array:
        squares = [jnp.mean(jnp.square(_forward(layers, vectors))) for layers in nets]
        return squares[0] + squares[1]

    @jax.jit
    def advance(nets: Any, vectors: jax.Array) -> Any:
        def one(nets: Any, _: None) -> Any:
            slopes = jax.grad(loss)(nets, vectors)
            return jax.tree.map(lambda weight, slope: weight - 1e-3 * slope, nets, slopes), None

        return jax.lax.scan(one, nets, None, length=count)[0]

    return _again(folder, "market", options, lambda: advance(nets, vectors), count, batch)


def book_step(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps through the books at the best price, a unit at a time, the vector of each written."""
    with np.load(folder / "book.npz") as book:
        best = jnp.asarray(np.stack([book["bid"][:, 0], book["ask"][:, 0]], 1), jnp.float32)
        factors = jnp.asarray(book["factors"])
    envs, horizon = int(options["envs"]), int(options["horizon"])
    random = np.random.default_rng(0)
    pool = jnp.asarray(random.integers(-1, 2, (POOL, envs)), jnp.float32)
    first = jnp.asarray(random.integers(0, len(best) - 2 * horizon, envs), jnp.int32)

    def one(live: Any, index: jax.Array, best: jax.Array, factors: jax.Array, pool: Any) -> Any:
        cash, position, row, _ = live
        wanted = jnp.clip(position + pool[index % POOL], -1, 1)
        order, (bid, ask) = wanted - position, best[row].T
        cash = cash - jnp.where(order > 0, order * ask, order * bid)
        row = row + 2
        value = cash + wanted * best[row].mean(axis=1)
        vector = jnp.concatenate([wanted[:, None], value[:, None], factors[row]], axis=1)
        return (cash, wanted, row, vector), value

    @jax.jit
    def advance(live: Any, best: jax.Array, factors: jax.Array, pool: jax.Array) -> Any:
        return jax.lax.scan(
            lambda live, index: one(live, index, best, factors, pool), live, jnp.arange(horizon)
        )

    flat, vectors = jnp.zeros(envs), jnp.zeros((envs, 2 + factors.shape[1]))
    live = (flat, flat, first, vectors)
    return _again(folder, "book", options, lambda: advance(live, best, factors, pool), horizon)


def windows(folder: Path, options: Mapping[str, Any]) -> Work:
    """Mean, deviation, smallest and largest of a window of 30 rows, shift by shift, in NumPy."""
    with np.load(folder / "market.npz") as market:
        close = market["close"]

    def run() -> int:
        mean, square = np.zeros_like(close), np.zeros_like(close)
        low, high = close.copy(), close.copy()
        for shift in range(1, 30):
            before = close[:-shift]
            mean[shift:] += before
            square[shift:] += before * before
            np.minimum(low[shift:], before, out=low[shift:])
            np.maximum(high[shift:], before, out=high[shift:])
        np.sqrt(np.abs(square / 30 - np.square(mean / 30)))
        return int(close.size)

    return Work(_facts(folder, "market"), run)


def _again(
    folder: Path,
    data: str,
    options: Mapping[str, Any],
    call: Callable[[], Any],
    steps: int,
    batch: int | None = None,
) -> Work:
    """The same call `calls` times a round."""

    def run() -> int:
        for _ in range(int(options["calls"])):
            for leaf in jax.tree.leaves(call()):
                leaf.block_until_ready()
        return int(options["calls"]) * steps * int(batch or options["envs"])

    return Work(_facts(folder, data), run)


def _facts(folder: Path, data: str) -> dict[str, Any]:
    return {"data": hashlib.sha256((folder / f"{data}.npz").read_bytes()).hexdigest()}


def _layers(sizes: Any) -> Any:
    """Weights and biases of the layers."""
    return [
        (_normal(number, (before, after)) / before**0.5, jnp.zeros(after))
        for number, (before, after) in enumerate(pairwise(sizes))
    ]


def _forward(layers: Any, vectors: jax.Array) -> jax.Array:
    for weight, bias in layers[:-1]:
        vectors = jnp.tanh(vectors @ weight + bias)
    weight, bias = layers[-1]
    said: jax.Array = vectors @ weight + bias
    return said


def _normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


MAKERS = {
    "step": step,
    "network": network,
    "gradient": gradient,
    "book_step": book_step,
    "windows": windows,
}

if __name__ == "__main__":
    serve(MAKERS)
