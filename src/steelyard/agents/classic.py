"""Agents without learning, for others to be weighed against.

They trade like everybody else: same environment, same ledger, same costs, same `max_shares`. What
sets them apart is the attribute `learns = False`: such an agent is not trained on earlier rows but
*prepared on the window that it trades*, by `train(key, env, params)` with the params of that
window, on the host and not under `jax.jit`. It must be causal in it: what it decides at row t may
depend on rows up to t and on nothing later, which `steelyard.agents.check.check_agent` tests.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from steelyard.agents.allocation import (
    Booleans,
    active,
    equal_money,
    maximum_ratio,
    minimum_variance,
    money_basket,
    re_estimated,
)
from steelyard.agents.baskets import BasketPolicy, RandomPolicy, market_of
from steelyard.agents.timed import Always
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats

Log: TypeAlias = dict[str, Array]
"""One value per update; agents without learning have none."""

YEAR = 252
"""Rows in a year of US stock days."""
MONTH = 21
"""Rows in a month of them."""


@member("agents", "hold_cash")
class HoldCash(eqx.Module):
    """Never trades."""

    learns: ClassVar[bool] = False

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """An empty basket, or the choice that does nothing."""
        del key
        space = env.action_space(params)
        if space.choices:
            return Always(space.idle), {}
        mark, trading = prices(env, params)
        return follow(np.zeros(mark.shape), trading, np.zeros(len(mark), bool))


@member("agents", "random")
class Random(eqx.Module):
    """Uniform over all actions at every step; another seed, other draws."""

    learns: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """Draws made of `key`."""
        return RandomPolicy(key, env.action_space(params)), {}


@member("agents", "buy_and_hold")
class BuyAndHold(eqx.Module):
    """The same money in each asset that trades at the start, bought at once and kept.

    In an order book, as long as its rules allow.
    """

    learns: ClassVar[bool] = False

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """One decision, at the start; in an order book, always to buy."""
        del key
        space = env.action_space(params)
        if space.choices:
            return Always(space.choices - 1), {}
        mark, trading = prices(env, params)
        return follow(equal_money(mark, trading), trading, np.zeros(len(mark), bool))


@member("agents", "equal_weight")
class EqualWeight(eqx.Module):
    """The same money in each asset that trades, rebalanced every month.

    Attributes:
        every: rows between decisions.
    """

    every: int = eqx.field(static=True, default=MONTH)
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse settings that cannot hold."""
        require_whole("every", self.every)

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """A decision every `every` rows from the first of the window."""
        del key
        mark, trading = prices(env, params)
        return follow(
            equal_money(mark, trading), trading, every_rows(self.every, len(mark), params)
        )


@member("agents", "index")
class Index(eqx.Module):
    """The same number of shares of each listed asset: a price-weighted index that can be traded.

    The Dow Jones method (`steelyard.agents.allocation.price_weighted`): held without costs, the
    account grows as the sum of the members' prices over the divisor does. An asset joins at its
    first close, the only other time of trading, and stays. Prices are those of the market, so
    adjusted ones reinvest dividends, which the published average does not.
    """

    learns: ClassVar[bool] = False

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """A decision at the start and where an asset joins."""
        del key
        mark, trading = prices(env, params)
        listed = mark > 0
        joins = np.append(False, (listed[1:] & ~listed[:-1]).any(axis=1))
        return follow(listed.astype(np.float64), trading, joins)


@member("agents", "min_variance")
class MinVariance(eqx.Module):
    """Minimum-variance weights from a year of daily returns, estimated anew every month.

    Long only and fully invested (Markowitz, 1952), through skfolio.

    Attributes:
        every: rows between estimates.
        lookback: rows of simple returns in an estimate; fewer where the data start later.
        shortest: fewest rows of returns that make an estimate.
    """

    every: int = eqx.field(static=True, default=MONTH)
    lookback: int = eqx.field(static=True, default=YEAR)
    shortest: int = eqx.field(static=True, default=60)
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse settings that cannot hold."""
        require_estimate(self.every, self.lookback, self.shortest)

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """Estimate at every decision of the window.

        Raises:
            ConfigError: fewer than `shortest` rows lie before the window.
        """
        del key
        mark, trading = prices(env, params)
        weights = re_estimated(
            mark,
            trading,
            window(params),
            minimum_variance,
            every=self.every,
            lookback=self.lookback,
            shortest=self.shortest,
        )
        return follow(
            money_basket(mark, weights), trading, every_rows(self.every, len(mark), params)
        )


@member("agents", "mean_variance")
class MeanVariance(eqx.Module):
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

    every: int = eqx.field(static=True, default=MONTH)
    lookback: int = eqx.field(static=True, default=YEAR)
    shortest: int = eqx.field(static=True, default=60)
    cap: float = eqx.field(static=True, default=0.05)
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse settings that cannot hold."""
        require_estimate(self.every, self.lookback, self.shortest)
        if not 0 < self.cap <= 1:
            raise ConfigError(f"cap must lie in (0, 1], got {self.cap}", hint="cap=0.05")

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """Estimate at every decision of the window.

        Raises:
            ConfigError: fewer than `shortest` rows lie before the window, or there are too few
                assets for weights under the cap to add up to 1.
        """
        del key
        mark, trading = prices(env, params)
        weights = re_estimated(
            mark,
            trading,
            window(params),
            lambda returns: maximum_ratio(returns, self.cap),
            every=self.every,
            lookback=self.lookback,
            shortest=self.shortest,
            cap=self.cap,
        )
        return follow(
            money_basket(mark, weights), trading, every_rows(self.every, len(mark), params)
        )


def follow(basket: Floats, trading: Booleans, decides: Booleans) -> tuple[BasketPolicy, Log]:
    """The policy that holds `basket`, as `BasketPolicy` describes its arguments, and no log."""
    held = jnp.asarray(basket, jnp.float32), jnp.asarray(trading), jnp.asarray(decides)
    return BasketPolicy(*held), {}


def prices(env: Env, params: Params) -> tuple[Floats, Booleans]:
    """Closing prices (T, N) on the host, and whether each asset trades, as known at each row.

    Raises:
        ConfigError: called inside `jax.jit` or `jax.vmap`.
    """
    market = market_of(env, params)
    if isinstance(market.mark, jax.core.Tracer):
        raise ConfigError(
            "an agent without learning is prepared on the host, not inside a traced function",
            hint="call train(key, env, params) outside jax.jit and jax.vmap",
        )
    mark = np.asarray(market.mark, np.float64)
    return mark, active(mark, np.asarray(market.tradable))


def window(params: Params) -> tuple[int, int]:
    """First and last row of `params`, both inclusive."""
    return int(params.first), int(params.last)


def every_rows(every: int, rows: int, params: Params) -> Booleans:
    """(T,) every `every`-th row from the first of the window on."""
    since = np.arange(rows) - window(params)[0]
    return np.asarray((since >= 0) & (since % every == 0))


def require_whole(name: str, value: int) -> None:
    """Refuse anything but a positive number of rows."""
    if value < 1:
        raise ConfigError(f"{name} must be at least 1 row, got {value}", hint=f"{name}={MONTH}")


def require_estimate(every: int, lookback: int, shortest: int) -> None:
    """Refuse rows from which no variance can be estimated."""
    require_whole("every", every)
    if not 2 <= shortest <= lookback:
        raise ConfigError(
            f"an estimate needs 2 <= shortest <= lookback rows, got {shortest} and {lookback}",
            hint=f"lookback={YEAR}, shortest=60",
        )
