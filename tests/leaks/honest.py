"""Honest agents of all kinds: none of them may be taken for a reader of the future."""

import functools

import numpy as np

DRAWS = np.random.RandomState(7)


class Rule:
    learns = False


class Momentum(Rule):
    """Buys what rose over twenty rows."""

    def decide(self, past):
        close = past["close"]
        back = min(20, len(close) - 1)
        return 0.1 * np.sign(np.nan_to_num(close[-1] - close[-1 - back]))


class MeanReversion(Rule):
    """Remembers its own mean."""

    def __init__(self):
        self.mean = None

    def decide(self, past):
        mark = past.account.mark
        self.mean = mark if self.mean is None else 0.9 * self.mean + 0.1 * mark
        return np.clip(self.mean - mark, -0.1, 0.1)


class Once(Rule):
    """Buys once and holds."""

    def decide(self, past):
        if not hasattr(self, "target"):
            self.target = past.affordable(np.where(past.account.mark > 0, 1.0, 0.0))
        return past.order(self.target - past.account.units)


class Monthly(Rule):
    """Rebalances every 21 decisions."""

    def decide(self, past):
        if past.step % 21 == 0:
            mark = past.account.mark
            self.target = past.affordable(
                np.divide(1, mark, out=np.zeros_like(mark), where=mark > 0)
            )
        return past.order(self.target - past.account.units)


class RiskParity(Rule):
    """Weighs by inverse volatility of the last 60 rows."""

    def decide(self, past):
        close = past["close"][-61:]
        risk = np.nanstd(np.diff(np.log(close), axis=0), axis=0) + 1e-6
        basket = np.nan_to_num(1 / risk) / np.maximum(past.account.mark, 1e-6)
        return past.order(past.affordable(basket) - past.account.units)


class Covariance(Rule):
    """Minimum variance by a linear system."""

    def decide(self, past):
        returns = np.nan_to_num(np.diff(np.log(past["close"][-120:]), axis=0))
        matrix = np.cov(returns.T) + 1e-4 * np.eye(returns.shape[1])
        weights = np.clip(np.linalg.solve(matrix, np.ones(len(matrix))), 0, None)
        return past.order(past.affordable(weights / past.account.mark) - past.account.units)


class OwnSeed(Rule):
    """Draws from a seed of its own."""

    def __init__(self):
        self.random = np.random.default_rng(3)

    def decide(self, past):
        return self.random.normal(0, 0.05, past.actions.shape)


class ModuleSeed(Rule):
    """Draws from a generator of its module."""

    def decide(self, past):
        return DRAWS.uniform(-0.1, 0.1, past.actions.shape)


@functools.lru_cache
def trend_of(day, prices):
    """Keyed by the day, as people cache what is slow."""
    return np.sign(np.subtract(prices[1], prices[0]))


class Cached(Rule):
    """Caches by the day in its module."""

    def decide(self, past):
        close = past["close"]
        last = tuple(map(tuple, close[-2:]))
        if len(last) < 2:
            return np.zeros(past.actions.shape)
        return 0.1 * np.nan_to_num(trend_of(str(past.timestamps[-1]), last))


class Noise(Rule):
    """Adds up numbers of float32 in an order of its own."""

    def decide(self, past):
        close = np.nan_to_num(past["close"]).astype(np.float32)
        total = np.float32(0)
        for row in close[-50:]:
            total += row.sum(dtype=np.float32)
        mean = total / np.float32(close[-50:].size)
        return np.tanh((close[-1] - mean) / mean).astype(np.float32) * np.float32(0.1)


class Features(Rule):
    """Reads the scaled features."""

    def decide(self, past):
        count = len(past.assets)
        return np.clip(past.features[-1][count : 2 * count], -1, 1) * 0.1


class Listing(Rule):
    """Answers with a list of Python numbers."""

    def decide(self, past):
        return [0.05] * len(past.assets)


class Talking(Rule):
    """Prints a little."""

    def decide(self, past):
        print("deciding", past.step)
        return np.full(past.actions.shape, 0.02)


class Fitting(Rule):
    """Fits a regression to history at every 20th decision."""

    def decide(self, past):
        close = past["close"]
        if past.step % 20 == 0:
            returns = np.nan_to_num(np.diff(np.log(close), axis=0))
            x, y = returns[-200:-1].ravel(), returns[-199:].ravel()
            self.slope = float(x @ y / (x @ x + 1e-9))
        last = np.nan_to_num(np.log(close[-1] / close[-2]))
        return np.clip(self.slope * last * 100, -0.1, 0.1)


class Window(Rule):
    """Keeps its own list of what it saw."""

    def __init__(self):
        self.seen = []

    def decide(self, past):
        self.seen.append(past.account.value)
        return np.full(past.actions.shape, 0.05 if self.seen[-1] >= max(self.seen) else -0.05)


class Calendar(Rule):
    """Trades on Mondays."""

    def decide(self, past):
        monday = past.timestamps[-1].astype("datetime64[D]").astype(int) % 7 == 4
        return np.full(past.actions.shape, 0.05 if monday else 0.0)


class Lazy(Rule):
    """Imports a library when it is first needed."""

    def decide(self, past):
        from scipy import stats

        close = np.nan_to_num(past["close"][-30:], nan=1.0)
        slope = stats.linregress(np.arange(len(close)), close[:, 0]).slope
        return np.full(past.actions.shape, 0.05 * np.sign(slope))


class InABook(Rule):
    """Buys where bids weigh more than asks."""

    def decide(self, past):
        bid, ask = past["bid_size_1"][-1, 0], past["ask_size_1"][-1, 0]
        return past.actions.choices - 1 if bid > ask else 0


class InABookByMid(Rule):
    """Follows the mid of the last ten rows."""

    def decide(self, past):
        mid = (past["bid_1"] + past["ask_1"])[:, 0]
        change = mid[-1] - mid[-min(10, len(mid))]
        return past.actions.idle if change == 0 else (2 if change > 0 else 0)
