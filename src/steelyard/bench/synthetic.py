"""The data that both sides of a benchmark read: a market, books, and a sheaf of equity curves.

Made from a seed with NumPy alone and written once per run, so that a peer in another interpreter
reads the same bytes; the rows compare their sha256.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROWS = 3_300
"""Trading days of the market: thirteen years."""

ASSETS = 30
"""Stocks of the market, as many as the Dow Jones index has."""

FEATURES = 8
"""Indicators per stock and day."""

CURVES = 10_000
"""Equity curves of 1,250 returns each."""

BOOKS = 86_400
"""Order books: one day of seconds."""

LEVELS = 5
"""Levels on each side of a book."""

FACTORS = 8
"""Numbers that are observed of a book, as many as the kit's networks distil."""


def write_market(
    folder: Path, *, rows: int = ROWS, assets: int = ASSETS, features: int = FEATURES, seed: int = 0
) -> Path:
    """Write `market.npz`: prices (T, N) on a grid of 1e-4, volume and features (T, N, F).

    Closes follow a geometric Brownian motion with a common factor (daily volatilities of 1 % and
    1.5 %) from prices between 40 and 400. Features are the close over its mean of the last 2, 4,
    8, ... days, less one: in the range of a ratio, known at each row, cheap for every side.
    """
    generator = np.random.default_rng(seed)
    steps = 2e-4 + 0.01 * generator.standard_normal((rows, 1))
    steps = steps + 0.015 * generator.standard_normal((rows, assets))
    close = generator.uniform(40, 400, assets) * np.exp(np.cumsum(steps, axis=0))
    open_ = close * (1 + 0.003 * generator.standard_normal(close.shape))
    spread = 1 + 0.006 * generator.random((2, rows, assets))
    path = folder / "market.npz"
    np.savez(
        path,
        dates=np.busday_offset(np.datetime64("2010-01-04"), np.arange(rows)),
        assets=np.array([f"S{i:02d}" for i in range(assets)]),
        open=_on_grid(open_),
        high=_on_grid(np.maximum(open_, close) * spread[0]),
        low=_on_grid(np.minimum(open_, close) / spread[1]),
        close=_on_grid(close),
        volume=np.floor(generator.uniform(1e6, 1e7, close.shape)),
        features=_features(_on_grid(close), features),
        feature_names=np.array([f"over_mean_{i + 1}" for i in range(features)]),
    )
    return path


def write_curves(
    folder: Path, *, curves: int = CURVES, returns: int = 1_250, seed: int = 1
) -> Path:
    """Write `curves.npy`: (B, T+1) account values from 1e6, daily volatility of 1 %."""
    generator = np.random.default_rng(seed)
    steps = 3e-4 + 0.01 * generator.standard_normal((curves, returns))
    values = np.full((curves, returns + 1), 1e6)
    values[:, 1:] *= np.exp(np.cumsum(steps, axis=1))
    path = folder / "curves.npy"
    np.save(path, values)
    return path


def write_book(folder: Path, *, rows: int = BOOKS, seed: int = 2) -> Path:
    """Write `book.npz`: bid, ask and their sizes (T, L), factors (T, F).

    The mid walks at random from 50,000 with 3e-5 a second, spreads are up to four dollars, levels
    up to three apart, and every level shows a third of a coin to two.
    """
    generator = np.random.default_rng(seed)
    mid = np.round(50_000 * np.exp(np.cumsum(3e-5 * generator.standard_normal(rows))), 2)
    away = np.round(generator.uniform(0.01, 3, (2, rows, LEVELS)), 2).cumsum(axis=2)
    size = np.round(generator.uniform(0.3, 2, (2, rows, LEVELS)), 6)
    path = folder / "book.npz"
    np.savez(
        path,
        bid=np.round(mid[:, None] - away[0], 2),
        ask=np.round(mid[:, None] + away[1], 2),
        bid_size=size[0],
        ask_size=size[1],
        factors=generator.standard_normal((rows, FACTORS)).astype(np.float32),
    )
    return path


def _on_grid(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.round(prices, 4))


def _features(close: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Close over its mean of the last 2**(1 + i % 8) days, less one: (T, N, count)."""
    total = np.concatenate([np.zeros((1, close.shape[1])), np.cumsum(close, axis=0)])
    row = np.arange(1, len(close) + 1)
    columns = []
    for i in range(count):
        start = np.maximum(row - 2 ** (1 + i % 8), 0)
        mean = (total[row] - total[start]) / (row - start)[:, None]
        columns.append(close / mean - 1)
    return np.stack(columns, axis=2)
