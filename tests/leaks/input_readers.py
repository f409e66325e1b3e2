"""Features, and a reward, that know too much; `test_readers.py` says what becomes of them.

No global of this file holds prices: every feature of this file would be found with them.
"""

import numpy as np

from steelyard.envs.rewards import ValueChange


def next_row(values):
    return np.vstack([values[1:], values[-1:]])


def tomorrow(panel):
    return next_row(panel["close"])


def centred(panel):
    close, made = panel["close"], np.full(panel["close"].shape, np.nan)
    made[2:-2] = (close[:-4] + close[2:-2] + close[4:]) / 3
    return made


def filled_backwards(panel):
    close = panel["close"].copy()
    close[::7] = np.nan
    for row in range(len(close) - 2, -1, -1):
        close[row] = np.where(np.isnan(close[row]), close[row + 1], close[row])
    return close


def with_holdings(values):
    def closed(panel):
        made = np.zeros(panel["close"].shape)
        rows = min(len(made), len(values))
        made[:rows] = values[:rows]
        return made

    return closed


FEATURES = {
    "a feature shifted by -1": (tomorrow, {}),
    "a centred window": (centred, {"warmup": 2}),
    "a scale of the whole sample": (lambda p: p["close"] / np.nanstd(p["close"], axis=0), {}),
    "a gap filled from behind": (filled_backwards, {}),
    "the mean of the next row, for the market": (
        lambda p: next_row(p["close"]).mean(axis=1),
        {"scope": "market"},
    ),
    "a rank of the next row": (
        lambda p: next_row(p["close"]).argsort(axis=1).argsort(axis=1).astype(float),
        {"scope": "cross_section"},
    ),
    "the number of rows to come": (
        lambda p: np.tile((len(p) - np.arange(len(p)))[:, None] * 1.0, (1, len(p.assets))),
        {},
    ),
    "the last close of the data": (lambda p: p["close"] / p["close"][-1], {}),
}


class Peeking(ValueChange):
    """A reward that closes over prices of the test."""

    table: object = None

    def __call__(self, memory, before, after):
        return super().__call__(memory, before, after)
