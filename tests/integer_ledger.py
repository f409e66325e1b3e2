"""The exact ledger in Python's big integers: slow, literal, nothing shared with the package.

Money is counted in 1e-7, prices in ticks of 1e-4, costs in parts per million.
"""

from __future__ import annotations

import numpy as np


def commission(ticks: int, parts: int) -> int:
    """Per unit, rounded up to a whole 1e-7."""
    return -(-ticks * parts // 1_000)


class IntegerLedger:
    def __init__(self, cash: int, assets: int, parts: int) -> None:
        self.cash, self.units, self.parts = cash, [0] * assets, parts

    def value(self, mark: list[int]) -> int:
        return self.cash + sum(u * p * 1_000 for u, p in zip(self.units, mark, strict=True))

    def execute(self, order: list[int], price: list[int], tradable: list[bool]) -> None:
        order = [o if ok else 0 for o, ok in zip(order, tradable, strict=True)]
        for i, wanted in enumerate(order):
            if wanted < 0:
                sold = min(-wanted, self.units[i])
                self.units[i] -= sold
                self.cash += sold * (price[i] * 1_000 - commission(price[i], self.parts))
        for i in sorted(range(len(order)), key=lambda i: (-order[i], i)):
            if order[i] > 0:
                each = price[i] * 1_000 + commission(price[i], self.parts)
                bought = min(order[i], self.cash // each)
                self.units[i] += bought
                self.cash -= bought * each


def replay(
    actions: np.ndarray,
    opens: np.ndarray,
    closes: np.ndarray,
    tradable: np.ndarray,
    *,
    cash: int,
    parts: int,
    max_shares: float,
) -> list[tuple[int, list[int], int]]:
    """(cash, units, value) after every step: decide at close t, fill at the next open."""
    ledger = IntegerLedger(cash, opens.shape[1], parts)
    history = []
    for t, action in enumerate(actions):
        wanted = np.float32(max_shares) * action.clip(-1, 1).astype(np.float32)
        order = [int(w) for w in wanted]
        ledger.execute(order, opens[t + 1].tolist(), tradable[t].tolist())
        history.append((ledger.cash, list(ledger.units), ledger.value(closes[t + 1].tolist())))
    return history
