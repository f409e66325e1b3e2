"""A torch simulator with the rules and the per-step work of the 2024 contest kit's order book.

Written from its description, not from its code. Like it, this one keeps prices and factors beside
the simulators and gathers the rows of all of them at every step, tests six masks on the host,
fills at the mid plus or minus a slippage, and answers with `[position, holding time, factors]`.

Makers: `market` (steps alone, observations included) and `q_network` (with a network of the kit's
size that picks the actions, and now and then a random one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .kit_2024_probe import ENVS, POOL, probe
from .serve import Work, serve

EXPLORE = 0.005
"""Share of random actions, the kit's."""


class Simulators:
    """`envs` simulators that start at different rows and make the same steps."""

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        with np.load(folder / "book.npz") as book:
            mid = (book["bid"][:, 0] + book["ask"][:, 0]) / 2
            prices = np.stack([book["bid"][:, 2], book["ask"][:, 2], mid], axis=1)
            self.factors = torch.tensor(book["factors"], dtype=torch.float32)
        self.prices = torch.tensor(prices, dtype=torch.float32)
        self.device = torch.device("cpu")
        self.envs, self.step_gap = options["envs"], options["step_gap"]
        self.length, self.max_position = options["length"], options["max_position"]
        self.max_holding, self.slippage = options["max_holding"], options["slippage"]
        self.stop_loss = options["stop_loss_dollars"]
        self.random = np.random.default_rng(0)
        self.reset()

    def reset(self, start: Any = None) -> torch.Tensor:
        """All simulators at new rows, random ones where none are given."""
        latest = len(self.prices) - self.length * self.step_gap - 1
        start = self.random.integers(0, latest, self.envs) if start is None else start
        self.start, self.step_number = torch.as_tensor(start, dtype=torch.long), 0
        self.cash, self.asset, self.best = (torch.zeros(self.envs) for _ in range(3))
        self.position, self.holding = (torch.zeros(self.envs, dtype=torch.long) for _ in range(2))
        return self.observe(self.start)

    def observe(self, row: torch.Tensor) -> torch.Tensor:
        """(envs, 10) position and holding time as fractions, and the factors of the row."""
        factors = self.factors[row, :].to(self.device)
        account = (
            (self.position.float() / self.max_position)[:, None],
            (self.holding.float() / self.max_holding)[:, None],
        )
        return torch.cat((*account, factors), dim=1)

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One decision of all; all are reset together when their episodes end."""
        self.step_number += self.step_gap
        row = (self.start + self.step_number).to(torch.device("cpu"))
        order = action.squeeze(1).to(self.device) - 1
        mid = self.prices[row, 2].to(self.device)
        held, ended = self.position, self.step_number >= self.length * self.step_gap
        order = -held if ended else self._limit(order, held)
        self.holding = self.holding + 1
        expired = self.holding.gt(self.max_holding)
        if expired.sum() > 0:
            order[expired] = -held[expired]
        self.holding[held == 0] = 0
        order = self._stop(order, held, mid)
        position = held + order
        flat = held.eq(0)
        if flat.sum() > 0:
            self.best[flat] = mid[flat]
        slipped = torch.where(order.gt(0), 1 + self.slippage, 1 - self.slippage)
        cash = self.cash - order * mid * slipped
        asset = cash + position * mid
        reward = asset - self.asset
        self.cash, self.asset, self.position = cash, asset, position
        if ended:
            return self.reset(), reward, torch.ones_like(position, dtype=torch.bool)
        return self.observe(row), reward, torch.zeros_like(position, dtype=torch.bool)

    def _limit(self, order: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """Position limit, and flattening instead of crossing."""
        after = (held + order).clip(-self.max_position, self.max_position)
        order = after - held
        crossed = (after * held).lt(0) & held.ne(0)
        if crossed.sum() > 0:
            order[crossed] = -held[crossed]
        return order

    def _stop(self, order: torch.Tensor, held: torch.Tensor, mid: torch.Tensor) -> torch.Tensor:
        """Exit where the best price is further away than the threshold, in dollars."""
        long, short = held.gt(0), held.lt(0)
        if long.sum() > 0:
            self.best[long] = torch.maximum(self.best[long], mid[long])
        if short.sum() > 0:
            self.best[short] = torch.minimum(self.best[short], mid[short])
        stopped = (self.best - mid).abs().gt(self.stop_loss) & held.ne(0)
        if stopped.sum() > 0:
            order[stopped] = -held[stopped]
        return order


def facts_of(folder: Path, options: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What both sides must agree on: settings, and the rewards of scripted actions."""
    simulators, told = Simulators(folder, {**options, "envs": ENVS}), []
    for rows, actions in probe(options):
        simulators.reset(rows)
        rewards = [simulators.step(torch.tensor(a).long()[:, None])[1] for a in actions]
        told.append(float(torch.stack(rewards).abs().sum(dtype=torch.float64)))
    shared = ("step_gap", "length", "max_position", "max_holding", "slippage")
    return {
        "data": hashlib.sha256((folder / "book.npz").read_bytes()).hexdigest(),
        "values": told,
        "actions_matter": told[0] != told[1],
        "observation": size,
        **{name: options[name] for name in shared},
    }


def market(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps of the simulators under random actions, the observation of each step made."""
    torch.set_num_threads(1)
    simulators = Simulators(folder, options)
    facts = facts_of(folder, options, simulators.reset().shape[1])
    pool = torch.tensor(np.random.default_rng(1).integers(0, 3, (POOL, options["envs"], 1)))

    def run(steps: int) -> int:
        with torch.no_grad():
            for number in range(steps):
                simulators.step(pool[number % POOL])
        return int(steps * options["envs"])

    return Work(facts, lambda: run(options["steps"]), lambda: run(options["steps"] // 4))


def q_network(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps with a Q-network that picks the actions."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    simulators = Simulators(folder, options)
    observation = simulators.reset()
    facts = facts_of(folder, options, observation.shape[1])
    layers: list[torch.nn.Module] = []
    sizes = [observation.shape[1], *options["net"]]
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 3))

    def run(steps: int) -> int:
        nonlocal observation
        with torch.no_grad():
            for _ in range(steps):
                if float(torch.rand(1)) < EXPLORE:
                    action = torch.randint(3, (options["envs"], 1))
                else:
                    action = network(observation).argmax(dim=1, keepdim=True)
                observation, _, _ = simulators.step(action)
        return int(steps * options["envs"])

    facts["net"] = list(options["net"])
    return Work(facts, lambda: run(options["steps"]), lambda: run(options["steps"] // 4))


MAKERS = {"market": market, "q_network": q_network}

if __name__ == "__main__":
    serve(MAKERS)
