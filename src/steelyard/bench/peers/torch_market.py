"""The stock environment over all environments at once in torch: what a good torch version does.

Makers: `market` (steps under random actions, each with the observations of all) and `policy` (with
an actor in the loop). The rules are ours when orders fill at the close that is shown: sells first,
then buys from the largest order down and in asset order among equals, whole shares, as far as the
cash goes. No loop runs over environments, the one over assets works on contiguous rows, and the
observations are written into a buffer that is used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .serve import Work, serve
from .stock_probe import ENVS, pool_of, probe
from .torch_policy import Actor

SCALE = 1e-4
"""Reward of one unit of quote currency."""


class StockMarket:
    """`envs` environments; each has its own row of the market.

    Attributes:
        cash, value, row: (B,) of each environment.
        units, held: (B, N) shares, and what they are worth.
    """

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, Any],
        envs: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = torch.device(options.get("device", "cpu"))
        like: dict[str, Any] = {"dtype": dtype, "device": self.device}
        with np.load(folder / "market.npz") as market:
            close, features = market["close"], market["features"]
        self.rows, self.assets = close.shape
        table = np.concatenate([close / close[0] - 1, features.reshape(self.rows, -1)], axis=1)
        self.table = torch.tensor(table, dtype=torch.float32, device=self.device)
        mark = torch.tensor(close, **like)
        commission = mark * options["cost"]
        # what a share brings, takes and counts for in the end, side by side: one look-up a step
        after = mark.roll(-1, dims=0)
        self.quotes = torch.cat((mark - commission, mark + commission, after), dim=1)
        self.envs, self.capital, self.hmax = envs, float(options["cash"]), options["hmax"]
        self.lanes = 1 << (self.assets - 1).bit_length()
        self.place = torch.arange(self.assets - 1, -1, -1, dtype=torch.int32, device=self.device)
        self.cash, self.value = (torch.full((envs,), self.capital, **like) for _ in range(2))
        self.units, self.held = (torch.zeros(envs, self.assets, **like) for _ in range(2))
        self.quoted = torch.zeros(envs, self.quotes.shape[1], **like)
        self.row = torch.zeros(envs, dtype=torch.long, device=self.device)
        self.bought = torch.zeros(self.assets, envs, **like)
        self.vectors = torch.zeros(envs, self.size, device=self.device)

    @property
    def size(self) -> int:
        """Length of an observation vector."""
        return int(2 + self.assets + self.table.shape[1])

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Trade (B, N) at the shown close; rewards and whether the episodes ended, both (B,)."""
        torch.index_select(self.quotes, 0, self.row, out=self.quoted)
        proceeds, price, mark = self.quoted.split(self.assets, dim=1)
        order = (action.clamp(-1, 1) * self.hmax).to(torch.int32)
        sold = torch.minimum((-order).clamp_(min=0).to(self.units.dtype), self.units)
        self.units -= sold
        self.cash += (sold * proceeds).sum(dim=1)
        self._buy(order.clamp_(min=0), price)
        self.row += 1
        torch.mul(self.units, mark, out=self.held)
        value = self.cash + self.held.sum(dim=1)
        reward = (value - self.value) * SCALE
        self.value = value
        return reward, self.row >= self.rows - 1

    def _buy(self, wanted: torch.Tensor, price: torch.Tensor) -> None:
        """Fill (B, N) shares, the largest order first."""
        keys, asset = (wanted * self.lanes + self.place).sort(dim=1, descending=True)
        price = price.gather(1, asset).T.contiguous()
        size = (keys >> (self.lanes.bit_length() - 1)).to(price.dtype).T.contiguous()
        for line in range(self.assets):
            units = self.bought[line]
            torch.div(self.cash, price[line], out=units)
            torch.minimum(units.floor_(), size[line], out=units)
            self.cash.addcmul_(units, price[line], value=-1)
        self.cash.clamp_(min=0)
        self.units.scatter_add_(1, asset, self.bought.T)

    def restart(self, ended: torch.Tensor) -> bool:
        """Begin again where an episode ended; whether any did."""
        if not bool(ended.any()):
            return False
        self.cash[ended] = self.value[ended] = self.capital
        self.units[ended] = self.held[ended] = 0
        self.row[ended] = 0
        return True

    def observe(self, out: torch.Tensor | None = None) -> torch.Tensor:
        """(B, D): log growth, cash and holdings as fractions, the row of the table."""
        vectors = self.vectors if out is None else out
        own = 2 + self.assets
        vectors[:, 0] = (self.value / self.capital).log_()
        vectors[:, 1] = self.cash / self.value
        vectors[:, 2:own] = self.held / self.value[:, None]
        torch.index_select(self.table, 0, self.row, out=vectors[:, own:])
        return vectors

    def advance(self, action: torch.Tensor) -> torch.Tensor:
        """One step of all with resets; returns the next observations."""
        _, ended = self.step(action)
        self.restart(ended)
        return self.observe()


def scripted(folder: Path, options: Mapping[str, Any]) -> list[float]:
    """What the accounts are worth after the scripts, in float64."""
    values: list[float] = []
    with np.load(folder / "market.npz") as market:
        shape = market["close"].shape
    for rows, actions in probe(*shape):
        env = StockMarket(folder, {**options, "device": "cpu"}, ENVS, torch.float64)
        env.row = torch.tensor(rows, dtype=torch.long)
        for action in torch.tensor(actions):
            env.step(action)
        values += env.value.tolist()
    return values


def facts_of(folder: Path, options: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What both sides must agree on: settings, and what scripted orders come to."""
    values = scripted(folder, options)
    return {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest(),
        **{name: options[name] for name in ("hmax", "cash", "cost")},
        "net": list(options["net"]),
        "values": values,
        "actions_matter": values[:ENVS] != values[ENVS:],
        "observation": size,
    }


def _maker(with_actor: bool) -> Any:
    """The maker of steps, under random actions or with an actor in the loop."""

    def maker(folder: Path, options: Mapping[str, Any]) -> Work:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        env = StockMarket(folder, options, int(options["envs"]))
        pool = torch.tensor(pool_of(env.envs, env.assets), device=env.device)
        actor = Actor(env.size, options["net"], env.assets).to(env.device)
        vectors = env.observe()

        def run(steps: int) -> int:
            nonlocal vectors
            with torch.inference_mode():
                for number in range(steps):
                    drawn = actor.act(vectors)[0] if with_actor else pool[number % len(pool)]
                    vectors = env.advance(drawn)
            if env.device.type == "cuda":
                torch.cuda.synchronize()
            return steps * env.envs

        steps = int(options["steps"])
        return Work(
            facts_of(folder, options, env.size), lambda: run(steps), lambda: run(max(1, steps // 4))
        )

    return maker


MAKERS = {"market": _maker(with_actor=False), "policy": _maker(with_actor=True)}

if __name__ == "__main__":
    serve(MAKERS)
