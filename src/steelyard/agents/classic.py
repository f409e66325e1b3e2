"""Agents without learning, for others to be weighed against.

They trade like everybody else: same environment, same ledger, same costs, same `max_shares`. What
sets them apart is the attribute `learns = False`: nobody trains them, and they decide by what they
have seen. `train(key, env, params)` answers with a rule on the view of the past
(`steelyard.past.Past`), or with a policy that reads the vector of an observation, and the market in
`params` ends before the first decision.

This package scores its own agents by `prepare(key, env, params)` instead, with the params of the
window that is traded: the same decisions from whole arrays, much faster.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

import equinox as eqx
import numpy as np
from jaxtyping import PRNGKeyArray

from steelyard.agents.allocation import equal_money, maximum_ratio, minimum_variance
from steelyard.agents.basket_rules import (
    MONTH,
    BasketAgent,
    Estimating,
    Log,
    every_rows,
    follow,
    ledger_marks,
    require_whole,
    whole_prices,
)
from steelyard.agents.baskets import BasketPolicy, RandomPolicy
from steelyard.agents.timed import Always
from steelyard.errors import ConfigError, ContractError
from steelyard.past import Past
from steelyard.registry import member
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats


@member("agents", "hold_cash")
class HoldCash(BasketAgent):
    """Never trades."""

    learns: ClassVar[bool] = False

    def always(self, env: Env, params: Params) -> Always | None:
        """The choice that does nothing."""
        space = env.action_space(params)
        return Always(space.idle) if space.choices else None

    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """An empty basket."""
        return np.zeros(len(past.assets)) if before is None else None

    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """An empty basket on every row."""
        mark, trading = whole_prices(env, params)
        return follow(np.zeros(mark.shape), trading, np.zeros(len(mark), bool))


@member("agents", "random")
class Random(eqx.Module):
    """Uniform over all actions at every step; another seed, other draws."""

    learns: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """Draws made of `key`."""
        return RandomPolicy(key, env.action_space(params)), {}

    def prepare(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """The same draws: they need nothing of the rows that are traded."""
        return self.train(key, env, params)


@member("agents", "buy_and_hold")
class BuyAndHold(BasketAgent):
    """The same money in each asset that trades at the start, bought at once and kept.

    In an order book, as long as its rules allow.
    """

    learns: ClassVar[bool] = False

    def always(self, env: Env, params: Params) -> Always | None:
        """The choice that buys."""
        space = env.action_space(params)
        return Always(space.choices - 1) if space.choices else None

    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """One decision, at the start."""
        return past.account.trading.astype(np.float64) if before is None else None

    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """One decision, on the first row."""
        mark, trading = whole_prices(env, params)
        return follow(equal_money(mark, trading), trading, np.zeros(len(mark), bool))


@member("agents", "equal_weight")
class EqualWeight(BasketAgent):
    """The same money in each asset that trades, rebalanced every month.

    Attributes:
        every: rows between decisions.
    """

    every: int = eqx.field(static=True, default=MONTH)
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse settings that cannot hold."""
        require_whole("every", self.every)

    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """A decision every `every` closes from the first one on."""
        del before
        return None if past.step % self.every else past.account.trading.astype(np.float64)

    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """A decision every `every` rows from the first of the window."""
        mark, trading = whole_prices(env, params)
        return follow(
            equal_money(mark, trading), trading, every_rows(self.every, len(mark), params)
        )


@member("agents", "index")
class Index(BasketAgent):
    """The same number of shares of each listed asset: a price-weighted index that can be traded.

    The Dow Jones method (`steelyard.agents.allocation.price_weighted`): held without costs, the
    account grows as the sum of the members' prices over the divisor does. An asset joins at its
    first close, the only other time of trading, and stays. Prices are those of the market, so
    adjusted ones reinvest dividends, which the published average does not.
    """

    learns: ClassVar[bool] = False

    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """A decision at the start and where an asset joins; as much money as a share costs."""
        closed = np.isfinite(past["close"])
        joins = closed[-1] & ~closed[:-1].any(axis=0)
        return ledger_marks(past) if before is None or joins.any() else None

    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """A decision at the start and where an asset joins."""
        mark, trading = whole_prices(env, params)
        listed = mark > 0
        joins = np.append(False, (listed[1:] & ~listed[:-1]).any(axis=1))
        return follow(listed.astype(np.float64), trading, joins)


@member("agents", "min_variance")
class MinVariance(Estimating):
    """Minimum-variance weights from a year of daily returns, estimated anew every month.

    Long only and fully invested (Markowitz, 1952), through skfolio.

    Attributes:
        every: rows between estimates.
        lookback: rows of simple returns in an estimate; fewer where the data start later.
        shortest: fewest rows of returns that make an estimate.
    """

    learns: ClassVar[bool] = False

    def allocate(self, returns: Floats) -> Floats:
        """Those of the smallest variance."""
        return minimum_variance(returns)


@member("agents", "mean_variance")
class MeanVariance(Estimating):
    """Weights of the largest Sharpe ratio in a year of daily returns, each at most 5 %.

    The baseline of the paper (section 5.1.1): long only, fully invested, estimated anew every
    month, through skfolio. Where no portfolio under the cap had a positive mean return, the
    weights are those of minimum variance under the same cap.

    Attributes:
        every: rows between estimates.
        lookback: rows of simple returns in an estimate; fewer where the data start later.
        shortest: fewest rows of returns that make an estimate.
        cap: largest weight of one asset, a fraction in (0, 1].
    """

    cap: float = eqx.field(static=True, default=0.05)
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse a cap that cannot hold."""
        if not 0 < self.cap <= 1:
            raise ConfigError(f"cap must lie in (0, 1], got {self.cap}", hint="cap=0.05")

    @property
    def largest(self) -> float:
        """The cap."""
        return self.cap

    def allocate(self, returns: Floats) -> Floats:
        """Those of the largest ratio under the cap."""
        return maximum_ratio(returns, self.cap)


def prices(env: Env, params: Params) -> NoReturn:
    """Always raises: nobody is handed the prices of a whole window.

    Raises:
        ContractError: it names the view of the past.
    """
    del env, params
    raise ContractError(
        "prices of a whole window are not handed out: an agent that computes from history gives "
        "its policy decide(past), see steelyard.past.Past",
        hint='def decide(self, past): close = past["close"]; ...',
    )
