"""Our side of rollouts, and the market that all of our sides share.

Makers: `rollout` (environment steps with actor and critic in the loop) and `policy` (the actor
alone); steps without a policy are in `ours_market`, training in `ours_train`. The market is that
of the peers: same closes, fills at the close that is shown, same cost, capital and shares per unit
of action. Compiled programs take it as an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.networks import MLP
from steelyard.agents.policies import create_policy, vector_size
from steelyard.bench.ours_probe import probe_values
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.lockstep import rollouts
from steelyard.market import Precision, build_market
from steelyard.rollout import start
from steelyard.types import Panel

PROBE_STEPS = 20
"""Steps of the two runs that show that actions reach the market."""


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
    data = hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest()
    rules = (data, options["cash"], options["cost"], options["hmax"])
    if rules not in _MATTER:
        _MATTER[rules] = actions_matter(params)
    return {
        "data": data,
        "hmax": options["hmax"],
        "cash": options["cash"],
        "cost": options["cost"],
        "net": list(options["net"]),
        "actions_matter": _MATTER[rules],
        "observation": vector_size(StockEnv(), params),
        **({"values": probe_values(folder, options)} if "probe" in options else {}),
    }


_MATTER: dict[tuple[Any, ...], bool] = {}
"""What was found of a market; it does not depend on the number of environments."""


def actions_matter(params: StockParams) -> bool:
    """Whether an account that buys ends with another value than one that holds."""
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
    return held != bought


def finish(arrays: Any) -> None:
    """Wait until the device has computed `arrays`."""
    for leaf in jax.tree.leaves(arrays):
        leaf.block_until_ready()


def collector(
    params: StockParams, options: Mapping[str, Any], *, values: bool = True
) -> tuple[Callable[..., Any], Any, Any, Any]:
    """A rollout of `envs` x `horizon` steps to be traced, its networks and fresh episodes.

    Args:
        values: with those of a critic, at every step.
    """
    env, envs, horizon = StockEnv(), int(options["envs"]), int(options["horizon"])
    size = vector_size(env, params)

    @jax.jit
    def fresh(key: jax.Array, params: StockParams) -> Any:
        actor_key, critic_key, live_key = jax.random.split(key, 3)
        actor = create_policy(actor_key, size, options["net"], env.action_space(params))
        critic = MLP.create(critic_key, size, options["net"], 1, 1.0)
        keys = jax.random.split(live_key, envs)
        return actor, critic, jax.vmap(lambda k: start(k, env, params, actor))(keys)

    def collect(key: jax.Array, live: Any, actor: Any, critic: Any, params: StockParams) -> Any:
        worth = critic.bind_to_act(env, params) if values else None
        live, steps, said = rollouts(key, env, params, actor, horizon, live, worth)
        return live, (steps, said)

    return collect, *fresh(jax.random.key(0), params)


def rollout(folder: Path, options: Mapping[str, Any], *, values: bool = True) -> Work:
    """Environment steps with actor and critic; what an update needs of each step is stored.

    Options: `envs`, `horizon` (steps per rollout), `calls` (rollouts per round, in one program),
    `net` and the account's. All are written to the same memory, as in a training.
    """
    params, calls = load_params(folder, options), int(options["calls"])
    collect, actor, critic, live = collector(params, options, values=values)

    def once(key: jax.Array, live: Any, networks: Any, params: Any) -> Any:
        live, (steps, value) = collect(key, live, *networks, params)
        kept = (steps.obs, steps.action, steps.log_prob, steps.reward)
        return live, (kept, steps.terminated, steps.truncated, value)

    @partial(jax.jit, donate_argnums=1)
    def round_of(key: jax.Array, held: Any, networks: Any, params: Any) -> Any:
        keys = jax.random.split(key, calls)
        return jax.lax.fori_loop(
            0, calls, lambda i, held: once(keys[i], held[0], networks, params), held
        )

    key, networks = jax.random.key(1), (actor, critic)
    shape = jax.eval_shape(once, key, live, networks, params)[1]
    held = (live, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape))

    def run() -> int:
        nonlocal held, key
        key, now = jax.random.split(key)
        held = round_of(now, held, networks, params)
        finish(held)
        return calls * int(options["envs"]) * int(options["horizon"])

    return Work(facts_of(folder, options, params), run)


def policy(folder: Path, options: Mapping[str, Any]) -> Work:
    """`rollout` with the actor alone."""
    return rollout(folder, options, values=False)


MAKERS = {"rollout": rollout, "policy": policy}

if __name__ == "__main__":
    serve(MAKERS)
