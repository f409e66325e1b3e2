"""Random panels of stocks and of books, for tests of features."""

from dataclasses import replace

import numpy as np

from steelyard.types import Panel

ROWS = 420


def random_panel(seed: int, rows: int = ROWS, assets: int = 5) -> Panel:
    random = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.015, (rows, assets)), axis=0))
    open_ = close * np.exp(random.normal(0.0, 0.005, close.shape))
    high = np.maximum(open_, close) * (1.0 + random.exponential(0.005, close.shape))
    low = np.minimum(open_, close) * (1.0 - random.uniform(0.0, 0.01, close.shape))
    volume = random.integers(1_000, 100_000, close.shape).astype(float)
    return Panel(
        timestamps=np.datetime64("2019-01-01", "D") + np.arange(rows),
        assets=tuple("ABCDEFGHIJ"[:assets]),
        fields={"open": open_, "high": high, "low": low, "close": close, "volume": volume},
        context={"vix": random.uniform(10.0, 40.0, rows)},
        name=f"random {seed}",
    )


def random_book(seed: int, rows: int = ROWS, assets: int = 1, levels: int = 3) -> Panel:
    """Books on ticks of 0.01 that often stand still, with all flows, and no bars."""
    random = np.random.default_rng(seed)
    shape = (rows, assets)
    moves = random.integers(-2, 3, shape) * (random.random(shape) < 0.6)
    mid = 23_600 + np.cumsum(moves, axis=0)
    bid, ask = mid - random.integers(1, 4, shape), mid + random.integers(1, 4, shape)
    fields = {"close": (bid / 100 + ask / 100) / 2}
    for level in range(1, levels + 1):
        fields[f"bid_{level}"], fields[f"ask_{level}"] = (
            (bid - level + 1) / 100,
            (ask + level - 1) / 100,
        )
        for side in ("bid", "ask"):
            changed = np.where(random.random(shape) < 0.6, np.arange(rows)[:, None], 0)
            size = np.round(random.lognormal(0.0, 1.0, shape), 4)
            kept = np.take_along_axis(size, np.maximum.accumulate(changed, axis=0), axis=0)
            fields[f"{side}_size_{level}"] = kept
            for flow in ("limit", "cancel", "market"):
                fields[f"{side}_{flow}_{level}"] = random.lognormal(5.0, 1.0, shape)
    fields |= {side: random.lognormal(6.0, 1.0, shape) for side in ("buys", "sells")}
    return Panel(
        timestamps=np.datetime64("2021-04-07", "s") + np.arange(rows),
        assets=tuple("ABCDEFGHIJ"[:assets]),
        fields=fields,
        name=f"random book {seed}",
    )


def with_gaps(panel: Panel) -> Panel:
    """Asset B lists on row 90, C has single holes and a long one, D is delisted on row 330."""
    seen = np.ones((len(panel), len(panel.assets)), dtype=bool)
    seen[:90, 1] = False
    seen[[3, 4, 50, 118], 2] = False
    seen[200:225, 2] = False
    seen[330:, 3] = False
    return replace(
        panel, fields={name: np.where(seen, v, np.nan) for name, v in panel.fields.items()}
    )


def with_book(panel: Panel, seed: int) -> Panel:
    """The panel with the fields of a book besides its bars, for features of both."""
    book = random_book(seed, len(panel), len(panel.assets))
    return replace(panel, fields={**book.fields, **panel.fields})
