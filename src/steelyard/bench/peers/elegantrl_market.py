"""ElegantRL's vectorised stock environment on the shared market, as published and repaired.

Makers: `market` and `repaired_market` (steps alone, random actions) and `policy` and
`repaired_policy` (a torch actor in the loop: sampled action and its log probability). Data, capital
and commission are the shared ones; every episode begins in cash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .elegantrl_load import load
from .serve import Work, serve
from .stock_probe import ENVS, pool_of, probe
from .torch_policy import Actor

PROBE_STEPS = 20
"""Steps of the two runs that show that actions reach the market."""


def create(folder: Path, options: Mapping[str, Any], repaired: bool, envs: int) -> Any:
    """`envs` environments of the peer in cash, at the first row."""
    with np.load(folder / "market.npz") as market:
        close, features = market["close"], market["features"]
    rows = len(close)

    class OnSharedMarket(load(repaired)):  # type: ignore[misc]
        """The peer's class, but for where its data come from."""

        def load_data_from_disk(self, tech_id_list: Any = None) -> Any:
            return close, features.reshape(rows, -1)

    env = OnSharedMarket(
        initial_amount=options["cash"],
        max_stock=options["hmax"],
        cost_pct=options["cost"],
        beg_idx=0,
        end_idx=rows,
        num_envs=envs,
        gpu_id=0 if options.get("device") == "cuda" else -1,
    )
    env.if_random_reset = False
    env.reset()
    return env


def scripted(folder: Path, options: Mapping[str, Any], repaired: bool) -> tuple[list[float], float]:
    """What accounts that follow the first script are worth in the end, and the least they held.

    What is held is cash or shares; negative means that something was sold that was not there.
    """
    env = create(folder, options, repaired, ENVS)
    _, actions = next(probe(env.max_step + 1, env.action_dim))
    least = float(options["cash"])
    for action in torch.tensor(actions, device=env.device):
        env.step(action)
        least = min(least, float(env.amount.min()), float(env.shares.min()))
    return env.total_asset.flatten().tolist(), least


def facts_of(folder: Path, options: Mapping[str, Any], repaired: bool) -> dict[str, Any]:
    """What both sides must agree on, and whether actions change the outcome."""
    ends = []
    traded, least = scripted(folder, options, repaired)
    for action in (0.0, 1.0):
        env = create(folder, options, repaired, 2)
        for _ in range(PROBE_STEPS):
            env.step(torch.full((2, env.action_dim), action, device=env.device))
        ends.append(float(env.total_asset[0]))
    return {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest(),
        **{name: options[name] for name in ("hmax", "cash", "cost")},
        "net": list(options["net"]),
        "actions_matter": ends[0] != ends[1],
        "observation": int(env.state_dim),
        "traded": traded,
        "least": least,
    }


def _rounds(env: Any, options: Mapping[str, Any], step: Callable[[int], Any]) -> Work:
    """Rounds of `steps` calls of `step`, counted in environment steps."""

    def run(steps: int) -> int:
        with torch.no_grad():
            for number in range(steps):
                step(number)
        if env.device.type == "cuda":
            torch.cuda.synchronize()
        return int(steps * env.num_envs)

    steps = int(options["steps"])
    return Work({}, lambda: run(steps), lambda: run(max(1, steps // 4)))


def market(repaired: bool) -> Callable[[Path, Mapping[str, Any]], Work]:
    """The maker of steps under random actions, each with the observations of all."""

    def maker(folder: Path, options: Mapping[str, Any]) -> Work:
        torch.set_num_threads(1)
        env = create(folder, options, repaired, int(options["envs"]))
        pool = torch.tensor(pool_of(env.num_envs, env.action_dim), device=env.device)
        work = _rounds(env, options, lambda number: env.step(pool[number % len(pool)]))
        return work._replace(facts=facts_of(folder, options, repaired))

    return maker


def policy(repaired: bool) -> Callable[[Path, Mapping[str, Any]], Work]:
    """The maker of steps with an actor in the loop, nothing stored."""

    def maker(folder: Path, options: Mapping[str, Any]) -> Work:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        env = create(folder, options, repaired, int(options["envs"]))
        actor = Actor(env.state_dim, options["net"], env.action_dim).to(env.device)
        vectors = env.reset()

        def step(number: int) -> None:
            nonlocal vectors
            action, _ = actor.act(vectors)
            vectors = env.step(action.clip(-1, 1))[0]

        work = _rounds(env, options, step)
        return work._replace(facts=facts_of(folder, options, repaired))

    return maker


MAKERS = {
    "market": market(repaired=False),
    "repaired_market": market(repaired=True),
    "policy": policy(repaired=False),
    "repaired_policy": policy(repaired=True),
}

if __name__ == "__main__":
    serve(MAKERS)
