"""Our side of the benchmarks that run on the device: rollout and ledger.

Makers: `rollout` (environment steps with actor and critic in the loop) and `ledger` (environment
steps alone, in float32 or exact money); training is in `ours_train`. The market is the one
of the peers: same closes, fills at the close that is shown, same cost, capital and shares per unit
of action. Compiled programs take it as an argument.
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
from steelyard.agents.policies import create_policy, vector_size
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.market import Precision, build_market
from steelyard.rollout import rollout as run_policy
from steelyard.rollout import start
from steelyard.types import Panel

PROBE_STEPS = 20
"""Steps of the two runs that show that actions reach the market."""

POOL = 16
"""Random actions per environment that the ledger's rounds go through again and again."""


def load_params(
    folder: Path, options: Mapping[str, Any], precision: Precision = "float32", repeat: int = 1
) -> StockParams:
    """The shared market as the environment takes it; its features `repeat` times over."""
    with np.load(folder / "market.npz") as market:
        names = ("open", "high", "low", "close", "volume")
        panel = Panel(
            timestamps=market["dates"].astype("datetime64[ns]"),
            assets=tuple(str(name) for name in market["assets"]),
            fields={name: market[name] for name in names},
            name="bench",
        )
        close, rows = market["close"], len(market["dates"])
        features = market["features"].reshape(rows, -1)
    table = np.concatenate([close / close[0] - 1, *[features] * repeat], axis=1)
    device = build_market(panel, table.astype(np.float32), fill="same_close", precision=precision)
    return StockParams(
        device,
        first=0,
        last=rows - 1,
        length=rows - 1,
        cash=options["cash"],
        cost=options["cost"],
        max_shares=options["hmax"],
    )


def facts_of(folder: Path, options: Mapping[str, Any], params: StockParams) -> dict[str, Any]:
    """What both sides must agree on, and whether actions change the outcome."""
    env = StockEnv()

    def end(action: jax.Array) -> jax.Array:
        key = jax.random.key(0)
        state, _ = env.reset(key, params)
        _, steps = jax.lax.scan(
            lambda state, _: env.step(key, state, action, params), state, length=PROBE_STEPS
        )
        value: jax.Array = steps.info["value"][-1]
        return value

    held, bought = (float(jax.jit(end)(jnp.full(params.market.assets, a))) for a in (0.0, 1.0))
    return {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest(),
        "hmax": options["hmax"],
        "cash": options["cash"],
        "cost": options["cost"],
        "net": list(options["net"]),
        "actions_matter": held != bought,
        "observation": vector_size(env, params),
    }


def finish(arrays: Any) -> None:
    """Wait until the device has computed `arrays`."""
    for leaf in jax.tree.leaves(arrays):
        leaf.block_until_ready()


def collector(
    params: StockParams, options: Mapping[str, Any]
) -> tuple[Callable[..., Any], Any, Any, Any]:
    """A compiled rollout of `envs` x `horizon` steps, and its networks and fresh episodes."""
    env, envs, horizon = StockEnv(), int(options["envs"]), int(options["horizon"])
    size = vector_size(env, params)

    @jax.jit
    def fresh(key: jax.Array, params: StockParams) -> Any:
        actor_key, critic_key, live_key = jax.random.split(key, 3)
        actor = create_policy(actor_key, size, options["net"], env.action_space(params))
        critic = MLP.create(critic_key, size, options["net"], 1, 1.0)
        keys = jax.random.split(live_key, envs)
        return actor, critic, jax.vmap(lambda k: start(k, env, params, actor))(keys)

    @jax.jit
    def collect(key: jax.Array, live: Any, actor: Any, critic: Any, params: StockParams) -> Any:
        live, steps = jax.vmap(
            lambda k, one: run_policy(k, env, params, actor, horizon, one), out_axes=(0, 1)
        )(jax.random.split(key, envs), live)
        worth = critic.bind(env, params)
        # one batch axis: a matrix product per layer, four times as fast as one within another
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), steps.obs)
        value = jax.vmap(lambda obs: worth(obs)[0])(flat).reshape(horizon, envs)
        return live, (steps, value)

    return collect, *fresh(jax.random.key(0), params)


def rollout(folder: Path, options: Mapping[str, Any]) -> Work:
    """Environment steps with actor and critic; what an update needs of each step is stored.

    Options: `envs`, `horizon` (steps per call), `calls` (per round), `net` and the account's.
    """
    params = load_params(folder, options)
    collect, actor, critic, live = collector(params, options)

    @jax.jit
    def round_of(key: jax.Array, live: Any, actor: Any, critic: Any, params: Any) -> Any:
        live, (steps, value) = collect(key, live, actor, critic, params)
        kept = (steps.obs, steps.action, steps.log_prob, steps.reward)
        return live, (kept, steps.terminated, steps.truncated, value)

    key = jax.random.key(1)

    def run(calls: int) -> int:
        nonlocal live, key
        for _ in range(calls):
            key, now = jax.random.split(key)
            live, stored = round_of(now, live, actor, critic, params)
            finish(stored)
        return calls * int(options["envs"]) * int(options["horizon"])

    facts = facts_of(folder, options, params)
    return Work(facts, lambda: run(int(options["calls"])), lambda: run(1))


def ledger(folder: Path, options: Mapping[str, Any]) -> Work:
    """Environment steps without a policy, random orders, in the `precision` of the options."""
    precision: Precision = options["precision"]
    with jax.enable_x64(precision != "float32"):
        params = load_params(folder, options, precision)
        facts = facts_of(folder, options, params)
    env, envs, horizon = StockEnv(), int(options["envs"]), int(options["horizon"])
    pool = jax.random.uniform(
        jax.random.key(2), (POOL, envs, params.market.assets), jnp.float32, -1, 1
    )

    @jax.jit
    def steps(state: Any, pool: jax.Array, params: StockParams) -> Any:
        def step(state: Any, index: jax.Array) -> Any:
            action = pool[index % POOL]
            state, after = jax.vmap(lambda s, a: env.step(jax.random.key(0), s, a, params))(
                state, action
            )
            return state, after.reward

        return jax.lax.scan(step, state, jnp.arange(horizon, dtype=jnp.int32))

    def run() -> int:
        with jax.enable_x64(precision != "float32"):
            state, _ = jax.jit(jax.vmap(lambda key: env.reset(key, params)))(
                jax.random.split(jax.random.key(3), envs)
            )
            finish(steps(state, pool, params))
        return envs * horizon

    return Work(facts, run)


MAKERS = {"rollout": rollout, "ledger": ledger}

if __name__ == "__main__":
    serve(MAKERS)
