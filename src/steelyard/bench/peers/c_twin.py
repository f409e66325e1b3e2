"""The stock environment in scalar C, compiled where it runs: maker `steps`.

The C program (`twin.c`) has the same rules as ours and makes no observations. It is compiled by the
system's `cc` into the folder of the shared data, in three kinds of money: float32 and exact, which
are timed, and float64, in which the scripted orders show that it trades as ours does.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .serve import Work, serve
from .stock_probe import ENVS, STEPS, pool_of, probe

FLAGS = (
    *("-std=c99", "-O3", "-march=native", "-fPIC", "-shared"),
    # sums may be taken in any order, as ours are
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)

MONEY, TICK, PARTS = 10_000_000, 1e-4, 1_000_000
"""The exact ledger: smallest amounts in one unit of quote currency, price step, parts of a cost."""

LANES = 32
"""The C program's: most assets that it takes."""

KINDS: Mapping[str, tuple[Any, str]] = {
    "float32": (np.float32, "-DMONEY=float"),
    "float64": (np.float64, "-DMONEY=double"),
    "exact": (np.int64, "-DWHOLE"),
}
"""Precision -> type of money in NumPy, and how the C program is told."""


class Accounts(ctypes.Structure):
    """`Accounts` of the C program."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("cash", "value", "units", "row", "age", "reward", "ended")
    ]


def compiled(folder: Path, precision: str, source: Path | None = None) -> ctypes.CDLL:
    """The C program for that kind of money, compiled into `folder`.

    Raises:
        RuntimeError: the compiler refuses it; the message is the first line that it printed.
    """
    target = folder / f"twin_{precision}.so"
    source = source or Path(__file__).with_name("twin.c")
    command = ["cc", *FLAGS, KINDS[precision][1], "-o", str(target), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`cc` failed: {(done.stderr.strip() or 'no reason').splitlines()[0]}")
    return ctypes.CDLL(str(target))


def net_prices(
    close: NDArray[np.float64], cost: float, precision: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What a share brings, what it takes, and what it counts for, (T, N) in that money."""
    kind = KINDS[precision][0]
    if precision == "exact":
        ticks = np.round(close / TICK).astype(np.int64)
        mark = ticks * int(MONEY * TICK)
        # rounded up against the trader
        commission = -(-ticks * round(cost * PARTS) // int(PARTS / (MONEY * TICK)))
    else:
        mark = close.astype(kind)
        commission = mark * kind(cost)
    return mark - commission, mark + commission, mark


class Twin:
    """`envs` environments; arrays are the C program's own memory."""

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, Any],
        precision: str,
        envs: int,
        source: Path | None = None,
    ) -> None:
        self.library, self.envs = compiled(folder, precision, source), envs
        with np.load(folder / "market.npz") as market:
            close = market["close"]
        kind, (rows, self.assets) = KINDS[precision][0], close.shape
        if self.assets > LANES:
            raise ValueError(f"the C twin takes at most {LANES} assets, not {self.assets}")
        unit = MONEY if precision == "exact" else 1
        self.unit, capital = unit, kind(options["cash"] * unit)
        self.prices = [
            np.ascontiguousarray(p) for p in net_prices(close, options["cost"], precision)
        ]
        self.cash, self.value = (np.full(envs, capital) for _ in range(2))
        self.units = np.zeros((envs, self.assets), kind)
        self.row, self.age = (np.zeros(envs, np.int32) for _ in range(2))
        self.reward, self.ended = np.zeros(envs, np.float32), np.zeros(envs, np.uint8)
        held = (self.cash, self.value, self.units, self.row, self.age, self.reward, self.ended)
        self._accounts = Accounts(*(array.ctypes.data for array in held))
        self._market = market_type(kind)(
            rows,
            self.assets,
            rows - 1,
            options["hmax"],
            capital.item(),
            1e-4 / unit,
            *(array.ctypes.data for array in self.prices),
        )

    def run(self, pool: NDArray[np.float32], steps: int) -> None:
        """`steps` steps under the actions of a pool (P, envs, N), which are taken in turn."""
        market, accounts = ctypes.byref(self._market), ctypes.byref(self._accounts)
        actions = np.ascontiguousarray(pool)
        self.library.twin_run(
            market, accounts, self.envs, ctypes.c_void_p(actions.ctypes.data), len(pool), steps
        )


def market_type(kind: Any) -> type[ctypes.Structure]:
    """The layout of the C program's `Market` for that type of money."""
    money = np.ctypeslib.as_ctypes_type(kind)

    class Market(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_int32) for name in ("rows", "assets", "length")),
            ("max_shares", ctypes.c_float),
            ("cash", money),
            ("scale", ctypes.c_double),
            *((name, ctypes.c_void_p) for name in ("proceeds", "price", "mark")),
        ]

    return Market


def scripted(
    folder: Path, options: Mapping[str, Any], precision: str, source: Path | None = None
) -> list[float]:
    """What the accounts are worth after the scripts, in quote currency."""
    values: list[float] = []
    with np.load(folder / "market.npz") as market:
        shape = market["close"].shape
    for rows, actions in probe(*shape):
        twin = Twin(folder, options, precision, ENVS, source)
        twin.row[:] = rows
        twin.run(actions, STEPS)
        values += [float(value) / twin.unit for value in twin.value]
    return values


def steps(folder: Path, options: Mapping[str, Any]) -> Work:
    """Steps under random actions.

    Options: `envs`, `horizon` (steps per round), `precision` of the timed steps ("float32"),
    `probe` of the scripted ones, and the account's.
    """
    envs, horizon = int(options["envs"]), int(options["horizon"])
    twin = Twin(folder, options, options.get("precision", "float32"), envs)
    values = scripted(folder, options, options["probe"])
    pool = pool_of(envs, twin.assets)

    def run(length: int) -> int:
        twin.run(pool, length)
        return envs * length

    facts = {
        "data": hashlib.sha256((folder / "market.npz").read_bytes()).hexdigest(),
        **{name: options[name] for name in ("hmax", "cash", "cost")},
        "net": list(options["net"]),
        "values": values,
        "actions_matter": values[:ENVS] != values[ENVS:],
    }
    return Work(facts, lambda: run(horizon), lambda: run(max(1, horizon // 8)))


MAKERS = {"steps": steps}

if __name__ == "__main__":
    serve(MAKERS)
