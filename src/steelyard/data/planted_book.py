"""What is planted in a synthetic order book, and what can be earned with it.

The book leans: a state s in {-1, 0, +1} lasts `memory` rows on average and then becomes one of the
other two, with equal odds. With P the (3, 3) matrix of these odds, all three states are equally
frequent in the long run. A state is visible at once, in every level of the book:

    size of a bid   ~ 1 + LEAN s,      size of an ask   ~ 1 - LEAN s

with noise that never hides it: the share of the bid in the best two sizes lies above 2/3, between
1/3 and 2/3, or below 1/3. From row t to row t + 1 the mid moves by `jump` ticks with probability
`activity`, else not at all; of the moves, the share (1 + strength s_t) / 2 goes up. So

    E[mid_{t+1} - mid_t | s_t = s] = drift s,      drift = activity * strength * jump * tick,

and beyond one row, E[mid_{t+j+1} - mid_{t+j} | s_t = s] = drift (P^j v)_s with v = (-1, 0, +1). For
this P, v is an eigenvector: P v = (1 - 1.5 / memory) v. Nothing else can be forecast. `none` has
the same book with strength 0: it leans, and that means nothing.

What a trader can earn is a Markov decision process. He holds a whole number of units p of
[-max_position, max_position]; each `step_gap` rows he orders a in {-1, 0, +1} units, which fill
`delay` rows later at the best price: half the spread and the fee are lost against the mid. In
state (s, p) with p' = p + a the step earns, on average,

    r(s, p, a) = p sum_{j < delay} drift (P^j v)_s + p' sum_{delay <= j < step_gap} drift (P^j v)_s
                 - |a| (spread tick / 2 + fee * price),

and leads to (s', p') with the odds (P^step_gap)_{s s'}. The gain g per step and the policy solve

    g + h(s, p) = max_a [ r(s, p, a) + sum_s' (P^step_gap)_{s s'} h(s', p') ],

by relative value iteration (Puterman, 1994, section 8.5). An episode starts with nothing and ends
with the sale of what is held; backward induction over its steps gives what it can earn on average.
The fee is taken at the first price: as the price wanders by x per cent, so does the true fee.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError, UnknownNameError
from steelyard.registry import did_you_mean
from steelyard.types import Floats, Panel

KINDS = {"imbalance": 0.6, "none": 0.0}
"""Kind -> its usual strength."""

STATES = np.array([-1, 0, 1])
LEAN = 0.6
"""How far sizes lean to one side."""

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class BookPlan:
    """Everything that a synthetic book is made from.

    Attributes:
        kind: "imbalance" or "none".
        seed: of the PCG64 generators.
        rows: of the book, one a second.
        levels: per side.
        strength: the odds by which a move follows the lean of the book, (1 + strength) / 2, in
            [0, 1).
        memory: rows that a state lasts on average, at least 1.5.
        activity: probability that the mid moves from one row to the next, in (0, 1].
        jump: ticks of a move.
        spread: ticks between best bid and best ask.
        price: first mid, quote currency.
        tick: grid of the prices, quote currency.
        size: mean size of the best level, units; its least is a tenth of that.
    """

    kind: str
    seed: int
    rows: int
    levels: int
    strength: float
    memory: float
    activity: float
    jump: int
    spread: int
    price: float
    tick: float
    size: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = did_you_mean(self.kind, KINDS)
            raise UnknownNameError(f"no synthetic book named `{self.kind}`", hint=hint)
        for name, least in (("seed", 0), ("rows", 2), ("levels", 1), ("jump", 1), ("spread", 1)):
            _require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")
        _require(0.0 <= self.strength < 1.0, "strength", self.strength, "in [0, 1)")
        _require(1.5 <= self.memory <= 1e4, "memory", self.memory, "in [1.5, 1e4]")
        _require(0.0 < self.activity <= 1.0, "activity", self.activity, "in (0, 1]")
        _require(self.tick > 0.0, "tick", self.tick, "above 0")
        _require(self.size >= 0.01, "size", self.size, "at least 0.01")
        wide = 20.0 * self.tick * (self.spread + 3 * self.levels + self.jump)
        _require(self.price > wide, "price", self.price, f"above {wide:g}")
        none = self.kind == "none" and self.strength != 0.0
        _require(not none, "strength", self.strength, "0 where nothing is planted")

    @property
    def address(self) -> str:
        """What `load` is asked for this book."""
        facts: dict[str, Any] = asdict(self)
        kind = facts.pop("kind")
        return f"book:{kind}?" + "&".join(f"{key}={value}" for key, value in facts.items())

    @property
    def transition(self) -> Floats:
        """(3, 3) odds of the next state, given this one: -1, 0, +1."""
        leave = 1.0 / self.memory
        return np.full((3, 3), leave / 2.0) + np.eye(3) * (1.0 - 1.5 * leave)

    @property
    def drift(self) -> float:
        """Mean move of the mid in state +1, quote currency per row."""
        return self.activity * self.strength * self.jump * self.tick


@dataclass(frozen=True)
class BookOptimum:
    """The best that a trader who sees the state can do on average.

    Attributes:
        gain: expected profit of a step after costs, quote currency per unit, in the long run.
        policy: (3, 2 M + 1) order in units, -1, 0 or +1, for states -1, 0, +1 and positions -M..M.
        reward: (3, 2 M + 1, 3) expected profit of a step for the orders -1, 0, +1; minus infinity
            where the order would exceed the position limit.
        transition: (3, 3) odds of the state at the next step.
        cost: what one unit traded loses against the mid, quote currency.
        step_gap, delay: rows from one decision to the next, and from a decision to its fill.
    """

    gain: float
    policy: Whole
    reward: Floats
    transition: Floats
    cost: float
    step_gap: int
    delay: int

    @property
    def max_position(self) -> int:
        """M, the position limit in units."""
        return int(self.policy.shape[1] // 2)

    def episode(self, steps: int) -> float:
        """Expected profit of the best `steps` decisions from nothing to nothing, per unit.

        What is held after the last step is sold for `cost`. The first state is any of the three.
        """
        positions = np.arange(-self.max_position, self.max_position + 1)
        value = np.tile(-self.cost * np.abs(positions), (3, 1)).astype(np.float64)
        for _ in range(steps):
            value = _lookahead(self.reward, self.transition, value).max(axis=2)
        return float(value[:, self.max_position].mean())

    def positions(self, states: Whole, position: int = 0) -> Whole:
        """Units held (D + 1,) before each of D decisions in `states` and after the last."""
        held = [position]
        for state in states:
            held.append(held[-1] + int(self.policy[state + 1, held[-1] + self.max_position]))
        return np.array(held)


def book_optimum(
    plan: BookPlan, *, fee: float = 0.0, max_position: int = 1, step_gap: int = 1, delay: int = 0
) -> BookOptimum:
    """Solve the planted market exactly.

    Args:
        plan: the book, see `synthetic_book.plan_of`.
        fee: fraction of the traded value, in [0, 1).
        max_position: largest number of units held, long or short.
        step_gap: rows from one decision to the next.
        delay: rows from a decision to its fill, at most `step_gap`.

    Raises:
        ConfigError: an argument is outside its range.
    """
    _require(0.0 <= fee < 1.0, "fee", fee, "in [0, 1)")
    _require(max_position >= 1, "max_position", max_position, "at least 1")
    _require(step_gap >= 1, "step_gap", step_gap, "at least 1")
    _require(0 <= delay <= step_gap, "delay", delay, "in [0, step_gap]")
    moves = np.stack([_powers(plan, rows) for rows in range(step_gap)])  # (G, 3)
    before, after = moves[:delay].sum(axis=0), moves[delay:].sum(axis=0)
    cost = plan.spread * plan.tick / 2.0 + fee * plan.price
    position = np.arange(-max_position, max_position + 1)[None, :, None]
    order = np.array([-1, 0, 1])[None, None, :]
    target = position + order
    reward = before[:, None, None] * position + after[:, None, None] * target - cost * np.abs(order)
    reward = np.where(np.abs(target) <= max_position, reward, -np.inf)
    odds = np.linalg.matrix_power(plan.transition, step_gap)
    gain, policy = _solve(reward, odds)
    return BookOptimum(gain, policy, reward, odds, cost, step_gap, delay)


def states_of(panel: Panel) -> Whole:
    """State (T,) that each row of a synthetic book shows, from its best two sizes."""
    bid, ask = panel["bid_size_1"][:, 0], panel["ask_size_1"][:, 0]
    share = bid / (bid + ask)
    return (share > 2.0 / 3.0).astype(np.int64) - (share < 1.0 / 3.0)


def _powers(plan: BookPlan, rows: int) -> Floats:
    """Mean move of the mid (3,) over one row, `rows` after the state was seen."""
    odds = np.linalg.matrix_power(plan.transition, rows)
    return np.asarray(odds @ (STATES * plan.drift))


def _solve(reward: Floats, odds: Floats) -> tuple[float, Whole]:
    """Gain and policy by relative value iteration; ties go to the order 0."""
    value, gain = np.zeros(reward.shape[:2]), 0.0
    tolerance = 1e-11 * float(np.abs(reward[np.isfinite(reward)]).max())
    spread = np.inf
    while spread > tolerance:
        following = _lookahead(reward, odds, value).max(axis=2)
        change = following - value
        spread, gain = float(np.ptp(change)), float(change.mean())
        value = following - following[1, reward.shape[1] // 2]
    worth = _lookahead(reward, odds, value)
    idle = worth[:, :, 1] >= worth.max(axis=2) - 100.0 * tolerance
    return gain, np.where(idle, 0, worth.argmax(axis=2) - 1)


def _lookahead(reward: Floats, odds: Floats, value: Floats) -> Floats:
    """(3, 2 M + 1, 3) worth of every order, where `value` is that of the state after it."""
    expected = odds @ value
    edge = np.full((3, 1), 0.0)  # never taken: the reward there is minus infinity
    padded = np.hstack([edge, expected, edge])
    width = value.shape[1]
    following = np.stack([padded[:, k : k + width] for k in range(3)], axis=2)
    return np.asarray(reward + following)


def _require(holds: bool, name: str, value: float, rule: str) -> None:
    if not holds:
        raise ConfigError(
            f"a synthetic book with {name} {value} cannot be", hint=f"{name} must be {rule}"
        )
