"""Both sides of the batching rows: makers `batched` and `separate`.

A job is one training: a window, a seed, a member with hyper-parameters of its own. `batched` gives
all jobs to `fit` at once, `separate` one after another. With `cold` every program is compiled anew,
as a script does that trains window by window; nothing is kept on disk. `values` in the facts are
losses of the jobs on the first window, by which both show that they trained the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.ppo import PPO
from steelyard.bench.ours_device import load_params
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.evaluation.training import Trained, fit


def cut_windows(folder: Path, options: Mapping[str, Any]) -> StockParams:
    """The first `windows` stretches of `days` steps; every leaf has a leading axis W."""
    whole, days = load_params(folder, options), int(options["days"])
    rows = whole.market.rows

    def window(number: int) -> StockParams:
        own = slice(number * days, (number + 1) * days + 1)
        market = jax.tree.map(
            lambda leaf: leaf[own] if leaf.ndim and len(leaf) == rows else leaf, whole.market
        )
        return replace(whole, market=market, last=days, length=days)

    windows = [window(number) for number in range(options["windows"])]
    stacked: StockParams = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *windows
    )
    return stacked


def members(options: Mapping[str, Any]) -> tuple[PPO, list[int]]:
    """All seeds of all members: an agent whose discounts have a leading axis, and the seeds."""
    discounts = np.repeat(np.linspace(0.9, 0.99, options["members"]), options["seeds"])
    agent = PPO(hidden=tuple(options["net"]), **options["agent"])
    agent = eqx.tree_at(lambda a: a.discount, agent, jnp.asarray(discounts, jnp.float32))
    return agent, list(range(options["seeds"])) * int(options["members"])


def batched(folder: Path, options: Mapping[str, Any]) -> Work:
    """All windows, seeds and members in one call of `fit`."""
    params = cut_windows(folder, options)
    agent, seeds = members(options)
    facts, compared = _facts(folder, options), min(options["programs"], len(seeds))

    def run() -> int:
        _forget(options)
        trained = fit(agent, StockEnv(), params, seeds, windows=True, variants=True)
        facts["values"] = [_loss(trained, job, 0) for job in range(compared)]
        return len(seeds) * int(options["windows"]) * _steps(agent)

    return Work(facts, run)


def separate(folder: Path, options: Mapping[str, Any]) -> Work:
    """One call of `fit` per job, `programs` of them a round, the first window's first."""
    params = cut_windows(folder, options)
    agent, seeds = members(options)
    facts = _facts(folder, options)

    def train(job: int) -> Trained:
        window, seed = divmod(job, len(seeds))
        own = jax.tree.map(lambda leaf: leaf[window : window + 1], params)
        member = eqx.tree_at(lambda a: a.discount, agent, jnp.asarray(agent.discount)[seed])
        return fit(member, StockEnv(), own, [seeds[seed]], windows=True)

    def run() -> int:
        values = []
        for job in range(options["programs"]):
            _forget(options)
            trained = train(job)
            values.append(_loss(trained, 0, 0))
        facts["values"] = values[: len(seeds)]
        return int(options["programs"]) * _steps(agent)

    return Work(facts, run)


def _facts(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    data = hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest()
    return {"data": data, "agent": dict(options["agent"]), "net": list(options["net"])}


def _forget(options: Mapping[str, Any]) -> None:
    """Before a cold program: drop every compiled one."""
    if options["cold"]:
        jax.clear_caches()  # type: ignore[no-untyped-call]


def _steps(agent: PPO) -> int:
    """Environment steps of one job."""
    return agent.updates * agent.envs * agent.horizon


def _loss(trained: Trained, seed: int, window: int) -> float:
    """Error of the critic of a job, averaged over its gradient steps."""
    return float(np.mean(trained.logs[seed]["value_error"][window]))


MAKERS = {"batched": batched, "separate": separate}

if __name__ == "__main__":
    serve(MAKERS)
