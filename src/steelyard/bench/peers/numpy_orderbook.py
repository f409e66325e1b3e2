"""Trading one asset in its book at the mid, as a single-process environment of Gymnasium.

Written from the rules of `steelyard.envs.book_rules`, for books without a gap. It needs NumPy
alone; whoever has Gymnasium adds the base class and the spaces. Prices and the account are numbers
of Python, which are faster one by one than those of NumPy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kit_2024_probe import probe

SETTINGS = (
    "step_gap",
    "delay",
    "length",
    "max_position",
    "max_holding",
    "stop_loss",
    "slippage",
    "cash",
    "reward_scale",
)
"""What of the market both sides must share, beside the books."""

Vector = NDArray[np.float32]


class Books(NamedTuple):
    """What all environments read: the mid of every row, and (T, F) what is observed of it."""

    mid: list[float]
    factors: NDArray[np.float32]


def load(folder: Path) -> Books:
    """The shared books."""
    with np.load(folder / "book.npz") as book:
        mid = (book["bid"][:, 0] + book["ask"][:, 0]) / 2
        return Books(mid.tolist(), book["factors"])


class OrderBook:
    """One environment: 0 sells, 1 holds, 2 buys one unit, which fills `delay` rows later.

    Observed are position, age and profit of the position, and the factors of the row. Orders of one
    unit cross no position, and at the mid no book is too thin, so that there are no rules for that.
    """

    def __init__(self, books: Books, options: Mapping[str, Any]) -> None:
        self.mid, self.factors = books
        self.step_gap, self.delay = options["step_gap"], options["delay"]
        self.length, self.max_position = int(options["length"]), int(options["max_position"])
        self.max_holding, self.stop_loss = options["max_holding"], options["stop_loss"]
        self.slippage, self.capital = options["slippage"], options["cash"]
        self.reward_scale = options["reward_scale"]
        self.size = 3 + self.factors.shape[1]
        self.random = np.random.default_rng(0)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """All cash, at row `options["row"]` or a random one from which a whole episode fits."""
        if seed is not None:
            self.random = np.random.default_rng(seed)
        latest = len(self.mid) - 1 - self.length * self.step_gap
        self.row = options["row"] if options else int(self.random.integers(latest + 1))
        self.cash, self.position, self.age, self.steps = self.capital, 0, 0, 0
        self.profit, self.best = 0.0, self.mid[self.row]
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Decide on this row, fill `delay` rows later, value at the next decision."""
        held, before = self.position, self.mid[self.row]
        price, mark = self.mid[self.row + self.delay], self.mid[self.row + self.step_gap]
        order, paid = self._fill(self._decide(int(action) - 1, before), price)
        position = held + order
        gain = held * (price - before) + position * (mark - price) - paid
        self.cash -= order * price + paid
        self.row, self.steps, self.position = self.row + self.step_gap, self.steps + 1, position
        if position:
            base = self.best if held else price
            self.best = max(base, mark) if position > 0 else min(base, mark)
            self.age, self.profit = self.age + 1, self.profit + gain
        else:
            self.age, self.profit = 0, 0.0
        ruined, ended = self.cash + position * mark <= 0, self.steps >= self.length
        return self.observe(), self.reward_scale * gain, ruined, ended, {}

    def observe(self) -> Vector:
        """(3 + F,) the account's part, and the factors of the row."""
        vector = np.empty(self.size, np.float32)
        position = self.position
        vector[0] = position / self.max_position
        vector[1] = self.age / self.max_holding
        worth = abs(position) * self.mid[self.row]
        vector[2] = math.tanh(100 * self.profit / worth) if position else 0.0
        vector[3:] = self.factors[self.row]
        return vector

    def _decide(self, wanted: int, mark: float) -> int:
        """The order: what closes the position where a rule says so, else the agent's, shaped."""
        held = self.position
        if held:
            lost = self.best - mark if held > 0 else mark - self.best
            if self.age >= self.max_holding or lost > self.stop_loss * self.best:
                return -held
        if self.steps + 1 >= self.length:
            return -held
        return max(-self.max_position, min(self.max_position, held + wanted)) - held

    def _fill(self, order: int, price: float) -> tuple[int, float]:
        """What fills of the order, and what it pays; no position is worth more than the account."""
        held, paid = self.position, abs(order) * price * self.slippage
        position = held + order
        if abs(position) > abs(held):
            worth = self.cash - order * price - paid + position * price
            if abs(position) * price > worth:
                return 0, 0.0
        return order, paid


def facts_of(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What both sides must agree on: settings, and the rewards of scripted actions."""
    env, told = OrderBook(load(folder), options), []
    for rows, actions in probe(options):
        total = 0.0
        for row, chosen in zip(rows, actions.T, strict=True):
            env.reset(options={"row": int(row)})
            total += sum(abs(env.step(action)[1]) for action in chosen)
        told.append(total)
    return {
        "data": hashlib.sha256((folder / "book.npz").read_bytes()).hexdigest(),
        "values": told,
        "actions_matter": told[0] != told[1],
        "observation": env.size,
        **{name: options[name] for name in SETTINGS},
    }
