"""Our side of training in the order book: maker `train`, complete updates of a learning agent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steelyard.bench.ours_agent import create, settings_of
from steelyard.bench.ours_orderbook import load
from steelyard.bench.ours_train import rounds_of
from steelyard.bench.peers.kit_2024_probe import probe
from steelyard.bench.peers.numpy_orderbook import SETTINGS
from steelyard.bench.peers.serve import Work, serve
from steelyard.book import Precision, build_book
from steelyard.envs.orderbook import BookParams, OrderBookEnv, book_window
from steelyard.envs.rewards import ValueChange


def load_params(
    folder: Path, options: Mapping[str, Any], precision: Precision = "float32"
) -> BookParams:
    """Episodes anywhere in the shared books, with the fills of the peer: at the mid."""
    panel, factors = load(folder)
    market = build_book(panel, factors, precision=precision)
    known = {name: options[name] for name in SETTINGS if name != "reward_scale"}
    reward = ValueChange(options["reward_scale"])
    return book_window(market, 0, market.rows - 1, execution="mid", reward=reward, **known)


@jax.jit
def scripted(
    params: BookParams, rows: Int[Array, " E"], actions: Int[Array, "T E"]
) -> tuple[Float[Array, "E T"], Any]:
    """Rewards and info of episodes that start on `rows` and take `actions`."""
    env, key = OrderBookEnv(), jax.random.key(0)  # nothing is drawn but the row

    def episode(row: Int[Array, ""], chosen: Int[Array, " T"]) -> tuple[Float[Array, " T"], Any]:
        begins = eqx.tree_at(lambda p: (p.first, p.extent), params, (row, params.last - row))
        state, _ = env.reset(key, begins)
        _, steps = jax.lax.scan(lambda s, a: env.step(key, s, a, params), state, chosen)
        return steps.reward, (steps.info, steps.obs.own)

    return jax.vmap(episode, (0, 1))(rows, actions)


def facts_of(folder: Path, options: Mapping[str, Any], params: BookParams) -> dict[str, Any]:
    """What both sides must agree on: settings, and the rewards of scripted actions."""
    told = [
        float(jnp.sum(jnp.abs(scripted(params, jnp.asarray(rows), jnp.asarray(actions))[0])))
        for rows, actions in probe(options)
    ]
    return {
        "data": hashlib.sha256((folder / "book.npz").read_bytes()).hexdigest(),
        "values": told,
        "actions_matter": told[0] != told[1],
        "observation": 3 + int(params.market.table.shape[1]),
        **{name: options[name] for name in SETTINGS},
    }


def train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete training as `fit` runs it: `updates` of them in one program per round.

    Options: `agent`, `settings` and `extra` of it, `updates`, and the market's.
    """
    params = load_params(folder, options)
    agent = create(options["agent"], {**options["settings"], **options["extra"]})
    shared, per_update = settings_of(agent)
    trained = {
        "capacity": agent.capacity,
        "n_steps": agent.n_steps,
        "learning_rate": agent.learning_rate,
        "net": list(agent.hidden),
        **shared,
    }
    run = rounds_of(agent, OrderBookEnv(), params, int(options["updates"]), per_update)
    return Work(facts_of(folder, options, params) | trained, run)


MAKERS = {"train": train}

if __name__ == "__main__":
    serve(MAKERS)
