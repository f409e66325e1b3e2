"""Our side of the ratios that CI watches: the makers of the other suites, and a slow path.

With the option `sorts` the environment sorts every order and puts it back before it trades: the
same result, later. That is the loss which the gate has to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from steelyard.bench import ours_growth, ours_host, ours_orderbook
from steelyard.bench.peers.serve import Work, serve
from steelyard.envs.stock import StockEnv, StockParams, StockState
from steelyard.rollout import TimeStep


class SortingEnv(StockEnv):
    """A market that sorts every order and puts it back: the same trades, at a loss."""

    def step(
        self, key: jax.Array, state: StockState, action: jax.Array, params: StockParams
    ) -> tuple[StockState, TimeStep]:
        """As `StockEnv.step`."""
        order = jnp.argsort(action)
        return super().step(key, state, action[order][jnp.argsort(order)], params)


def market(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps under random orders, with `sorts` on the slow path."""
    env = SortingEnv() if options.get("sorts") else StockEnv()
    return bare(ours_growth.market(folder, options, env))


def exact(folder: Path, options: Mapping[str, Any]) -> Work:
    """The same in exact money."""
    return bare(ours_growth.market(folder, {**options, "precision": "exact"}))


def bare(work: Work) -> Work:
    """Without the results, of which a fixed program has none to compare."""
    known = {name: work.facts[name] for name in ("data", "actions_matter") if name in work.facts}
    return work._replace(facts=known)


MAKERS = {
    "market": market,
    "exact": exact,
    "policy": lambda folder, options: bare(ours_growth.policy(folder, options)),
    "learning": lambda folder, options: bare(ours_growth.learning(folder, options)),
    "book": lambda folder, options: bare(ours_orderbook.market(folder, options)),
    "indicators": lambda folder, options: bare(ours_host.indicators(folder, options)),
}

if __name__ == "__main__":
    serve(MAKERS)
