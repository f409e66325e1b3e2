"""The book environment in Python's big integers: slow, literal, nothing shared with the package.

Prices are counted in half ticks, sizes in lots, money in half a tick times a lot; fees in parts of
1e-8, the stop loss in parts per million. Rules by name, from the weakest to the strongest: agent,
position limit, crossing, thin book, capital, time-out, stop loss, gap, end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RULES = ["agent", "position limit", "crossing", "thin book", "capital", "time-out", "stop loss",
         "gap", "end"]  # fmt: skip
FORCED = RULES[5:]


@dataclass(frozen=True)
class Books:
    """Books as whole numbers: row -> [(price, size), ...] from the best level."""

    bids: list[list[tuple[int, int]]]
    asks: list[list[tuple[int, int]]]
    segment: list[int]

    @classmethod
    def of(cls, panel, levels: int, tick: float, lot: float) -> Books:
        def side(name: str) -> list[list[tuple[int, int]]]:
            price = [2 * np.round(panel[f"{name}_{i + 1}"][:, 0] / tick).astype(int)
                     for i in range(levels)]  # fmt: skip
            size = [np.round(panel[f"{name}_size_{i + 1}"][:, 0] / lot).astype(int)
                    for i in range(levels)]  # fmt: skip
            rows = range(len(panel))
            return [[(int(p[t]), int(s[t])) for p, s in zip(price, size)] for t in rows]

        return cls(side("bid"), side("ask"), [int(s) for s in panel["segment"]])

    def mid(self, row: int) -> int:
        return (self.bids[row][0][0] + self.asks[row][0][0]) // 2


@dataclass(frozen=True)
class Settings:
    first: int
    last: int
    length: int
    cash: int
    unit: int
    order_size: int
    max_position: int
    step_gap: int
    delay: int
    taker_parts: int
    max_holding: int
    stop_parts: int


@dataclass(frozen=True)
class Lived:
    """What is known after a step; money whole, position in units."""

    row: int
    cash: int
    position: int
    order: int
    paid: int
    value: int
    gain: int
    rule: str
    ended: bool


def exchange(levels: list[tuple[int, int]], size: int) -> tuple[int, bool]:
    """Money that changes hands for `size` lots, and whether the levels hold them."""
    money, left = 0, size
    for price, available in levels:
        taken = min(left, available)
        money += taken * price
        left -= taken
    deepest = [price for price, available in levels if available][-1]
    return money + left * deepest, left == 0


def rounded_up(amount: int, parts: int) -> int:
    return -(-amount * parts // 10**8)


def live(books: Books, settings: Settings, actions: list[int]) -> list[Lived]:
    s, unit = settings, settings.unit
    row, cash, position, age, best = s.first, s.cash, 0, 0, 0
    history: list[Lived] = []
    for number, action in enumerate(actions):
        before = cash + position * unit * books.mid(row)
        left = sum(g == books.segment[row] for g in books.segment[row + 1 :])
        reach = max(s.delay, 1)
        last_before_gap = left < s.step_gap + reach
        window_ends = s.last - row < s.step_gap + reach
        order, rule = (action - 1) * s.order_size, "agent"
        after = max(-s.max_position, min(s.max_position, position + order))
        if after - position != order:
            order, rule = after - position, "position limit"
        if after * position < 0:
            order, rule = -position, "crossing"
        mark = books.mid(row)
        if position and age >= s.max_holding:
            order, rule = -position, "time-out"
        lost = best - mark if position > 0 else mark - best
        if position and lost * 10**6 > s.stop_parts * best:
            order, rule = -position, "stop loss"
        if last_before_gap:
            order, rule = -position, "gap"
        if window_ends or number + 1 >= s.length:
            order, rule = -position, "end"
        fill, paid = row + s.delay, 0
        if order:
            side = books.asks if order > 0 else books.bids
            money, fits = exchange(side[fill], abs(order) * unit)
            fee = rounded_up(money, s.taker_parts)
            spent = (money if order > 0 else -money) + fee
            held = position + order
            worth = cash - spent + held * unit * books.mid(fill)
            if not fits and rule not in FORCED:
                order, rule = 0, "thin book"
            elif abs(held) > abs(position) and abs(held) * unit * books.mid(fill) > worth:
                order, rule = 0, "capital"
            else:
                paid = spent - order * unit * books.mid(fill)
                cash -= spent
        opened = position == 0
        position += order
        if window_ends:
            row = s.last
        elif last_before_gap:
            row = min(row + left + 1, s.last)
        else:
            row += s.step_gap
        age = age + 1 if position else 0
        start = books.mid(fill) if opened and position else best
        best = max(start, books.mid(row)) if position > 0 else min(start, books.mid(row))
        value = cash + position * unit * books.mid(row)
        ended = number + 1 >= s.length or row + reach > s.last
        history.append(Lived(row, cash, position, order, paid, value, value - before, rule, ended))
        if ended:
            break
    return history
