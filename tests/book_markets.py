"""Small random books that tests of several rooms trade on."""

from __future__ import annotations

import numpy as np

from steelyard.types import Floats, Panel

TICK, LOT = 0.01, 1e-3


def panel_of_books(
    bid: Floats, ask: Floats, bid_size: Floats, ask_size: Floats, segment: Floats | None = None
) -> Panel:
    """A panel from (T, L) prices and sizes; an hour lies between two segments."""
    rows = len(bid)
    segment = np.zeros(rows) if segment is None else segment
    seconds = np.arange(rows) + 3_600 * segment.astype(int)
    fields = {"close": (bid[:, :1] + ask[:, :1]) / 2}
    names = ("bid", "ask", "bid_size", "ask_size")
    for name, values in zip(names, (bid, ask, bid_size, ask_size), strict=True):
        fields |= {f"{name}_{i + 1}": values[:, i : i + 1] for i in range(values.shape[1])}
    start = np.datetime64("2021-04-07T11:32:42")
    times = start + seconds.astype("timedelta64[s]")
    return Panel(times, ("BTC",), fields, {"segment": segment}, name="books")


def random_books(
    seed: int,
    rows: int = 120,
    levels: int = 3,
    *,
    price: float = 100.0,
    volatility: float = 2e-3,
    least: float = 1.0,
    most: float = 4.0,
    segments: int = 1,
) -> Panel:
    """Prices on ticks of 0.01, sizes on lots of 1e-3, gaps at random rows."""
    random = np.random.default_rng(seed)
    mid = np.round(price * np.exp(np.cumsum(random.normal(0, volatility, rows))) / TICK)
    away = np.cumsum(random.integers(1, 6, (2, rows, levels)), axis=2)
    bid, ask = (mid[:, None] - away[0]) * TICK, (mid[:, None] + away[1]) * TICK
    sizes = np.round(random.uniform(least, most, (2, rows, levels)) / LOT) * LOT
    cuts = np.sort(random.choice(np.arange(1, rows), segments - 1, replace=False))
    segment = np.searchsorted(cuts, np.arange(rows), side="right").astype(float)
    return panel_of_books(bid, ask, sizes[0], sizes[1], segment)
