"""Our side of the order book: makers `market` and `q_network`.

Whole episodes of the environment as it is by default: orders walk the levels of the book. That
both sides trade by the same rules is shown on the published form of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.networks import MLP
from steelyard.bench.ours_device import finish
from steelyard.bench.peers.kit_2024_probe import POOL, probe
from steelyard.bench.peers.serve import Work, serve
from steelyard.book import build_book
from steelyard.envs.orderbook import BookParams, OrderBookEnv, book_window
from steelyard.envs.orderbook_published import as_published
from steelyard.types import Panel

EXPLORE = 0.005
"""Share of steps with random actions, the kit's."""


def load(folder: Path) -> tuple[Panel, Any]:
    """The shared books, and the factors that are observed."""
    with np.load(folder / "book.npz") as book:
        fields = {
            f"{name}_{level + 1}": book[name][:, level : level + 1]
            for name in ("bid", "ask", "bid_size", "ask_size")
            for level in range(book[name].shape[1])
        }
        factors = book["factors"]
    start = np.datetime64("2021-04-07T00:00:00")
    seconds = np.arange(len(factors)).astype("timedelta64[s]")
    return Panel(start + seconds, ("BTC",), fields, name="bench"), factors


def facts_of(folder: Path, options: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What both sides must agree on: settings, and the rewards of scripted actions."""
    panel, factors = load(folder)
    env, params = as_published(
        panel,
        factors,
        length=options["length"],
        max_position=options["max_position"],
        step_gap=options["step_gap"],
        slippage=options["slippage"],
        max_holding=options["max_holding"],
        stop_loss=options["stop_loss_dollars"],
    )

    key = jax.random.key(0)  # nothing is drawn

    @jax.jit
    def earned(rows: jax.Array, actions: jax.Array) -> jax.Array:
        state, _ = jax.vmap(lambda key: env.reset(key, params))(jax.random.split(key, len(rows)))
        _, rewards = jax.lax.scan(
            lambda s, a: _reward_only(jax.vmap(env.step, (None, 0, 0, None))(key, s, a, params)),
            state._replace(row=rows),
            actions,
        )
        return jnp.sum(jnp.abs(rewards))

    told = [float(earned(jnp.asarray(rows), jnp.asarray(acts))) for rows, acts in probe(options)]
    shared = ("step_gap", "length", "max_position", "max_holding", "slippage")
    return {
        "data": hashlib.sha256((folder / "book.npz").read_bytes()).hexdigest(),
        "values": told,
        "actions_matter": told[0] != told[1],
        "observation": size,
        **{name: options[name] for name in shared},
    }


def _reward_only(answer: tuple[Any, Any]) -> tuple[Any, jax.Array]:
    state, step = answer
    return state, step.reward


def _work(
    folder: Path, options: Mapping[str, Any], choose: Callable[[BookParams], Any]
) -> tuple[Work, int]:
    """Whole episodes of `envs` environments; every step makes the observations of all.

    Args:
        choose: from the params a pytree of arrays and a function of it, the observations, and the
            random actions of the step, to actions.
    """
    panel, factors = load(folder)
    market = build_book(panel, factors)
    env, envs, horizon = OrderBookEnv(), int(options["envs"]), int(options["horizon"])
    params = book_window(
        market,
        0,
        market.rows - 1,
        length=options["length"],
        max_position=options["max_position"],
        step_gap=options["step_gap"],
        max_holding=options["max_holding"],
        stop_loss=1e-3,
    )
    held, act = choose(params)
    pool = jax.random.randint(jax.random.key(2), (POOL, envs), 0, 3, jnp.int32)
    observe, key = jax.vmap(env.observe, (0, None)), jax.random.key(0)

    @jax.jit
    def fresh(key: jax.Array, params: BookParams) -> Any:
        state, step = jax.vmap(env.reset, (0, None))(jax.random.split(key, envs), params)
        return state, observe(step.obs, params)

    @jax.jit
    def advance(live: Any, held: Any, pool: jax.Array, params: BookParams) -> Any:
        def step(live: Any, index: jax.Array) -> Any:
            state, vectors = live
            action = act(held, vectors, pool[index % POOL], index)
            state, after = jax.vmap(env.step, (None, 0, 0, None))(key, state, action, params)
            ended = after.terminated | after.truncated
            return (state, observe(after.obs, params)), (after.reward, ended)

        return jax.lax.scan(step, live, jnp.arange(horizon, dtype=jnp.int32))

    calls_of_episode, made, live = max(1, options["length"] // horizon), 0, None

    def run(calls: int) -> int:
        nonlocal live, made
        for _ in range(calls):
            if made % calls_of_episode == 0:
                live = fresh(jax.random.key(made), params)
            live, stored = advance(live, held, pool, params)
            finish(stored)
            made += 1
        return calls * envs * horizon

    size = int(market.table.shape[1]) + 3
    facts = facts_of(folder, options, size)
    return Work(facts, lambda: run(int(options["calls"])), lambda: run(1)), size


def market(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps under random actions, the observation of each step made."""
    return _work(folder, options, lambda params: ((), lambda held, vectors, drawn, i: drawn))[0]


def q_network(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps with a Q-network that picks the actions, and now and then random ones."""

    def choose(params: BookParams) -> Any:
        inputs = int(params.market.table.shape[1]) + 3
        network = MLP.create(jax.random.key(3), inputs, options["net"], 3, 1.0, "relu")
        explore = jax.random.bernoulli(jax.random.key(4), EXPLORE, (int(options["horizon"]),))

        def act(held: Any, vectors: jax.Array, drawn: jax.Array, index: jax.Array) -> jax.Array:
            network, explore = held
            best = jnp.argmax(network(vectors), axis=1).astype(jnp.int32)
            return jnp.where(explore[index], drawn, best)

        return (network, explore), act

    work, _ = _work(folder, options, choose)
    return work._replace(facts={**work.facts, "net": list(options["net"])})


MAKERS = {"market": market, "q_network": q_network}

if __name__ == "__main__":
    serve(MAKERS)
