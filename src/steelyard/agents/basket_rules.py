"""Agents that hold baskets of shares, decided in two equal ways.

`train` answers with a rule on the view of the past, as an agent of anybody's own does. `prepare` is
the fast path of this package: it reads the arrays of a window whole and makes one compiled policy
of them. Both decide the same, to the last bit, at every row; a test over every agent says so.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.agents.allocation import (
    Booleans,
    active,
    estimated,
    money_basket,
    re_estimated,
    require_rows,
    too_few,
)
from steelyard.agents.baskets import BasketPolicy, market_of
from steelyard.agents.timed import Always
from steelyard.errors import ConfigError
from steelyard.ledger import MONEY
from steelyard.market import in_money, last_observed
from steelyard.past import Past, Rule
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats

YEAR = 252
"""Rows in a year of US stock days."""
MONTH = 21
"""Rows in a month of them."""

Log: TypeAlias = dict[str, Array]
"""One value per update; agents without learning have none."""

Weigh: TypeAlias = Callable[[Past, Floats | None], Floats | None]
"""(past, weights of the decision before or None) -> money (N,) in proportion; None = go on."""


class BasketAgent(eqx.Module):
    """An agent without learning, `learns = False`, that holds a basket of shares."""

    @abstractmethod
    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """What to hold from this close on; None = go on towards what was decided before.

        Args:
            before: (N,) weights of the decision before; None at the first one.

        Returns:
            (N,) money in each asset, in proportion to each other; all 0 = hold cash.
        """

    @abstractmethod
    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """The same for all rows of a window at once."""

    def always(self, env: Env, params: Params) -> Always | None:
        """The choice that is made where there are choices instead of baskets; None = no such."""
        del env, params
        return None

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy | Rule, Log]:
        """A rule on the view of the past; nothing of `params` but what may be traded is read.

        Raises:
            ConfigError: the environment does not trade shares of many assets.
        """
        del key
        choice = self.always(env, params)
        if choice is not None:
            return choice, {}
        market_of(env, params)
        return BasketRule(self.weigh), {}

    def prepare(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, Log]:
        """The policy for the window of `params`, whose arrays are read whole; for this package.

        Raises:
            ConfigError: as `train`, or called inside `jax.jit` or `jax.vmap`.
        """
        del key
        choice = self.always(env, params)
        return (self.whole(env, params) if choice is None else choice), {}


class Estimating(BasketAgent):
    """Weights that are estimated from returns, anew every so many rows.

    Attributes:
        every: rows between estimates.
        lookback: rows of simple returns in an estimate; fewer where the data start later.
        shortest: fewest rows of returns that make an estimate.
    """

    every: int = eqx.field(static=True, default=MONTH)
    lookback: int = eqx.field(static=True, default=YEAR)
    shortest: int = eqx.field(static=True, default=60)

    def __check_init__(self) -> None:
        """Refuse rows from which no variance can be estimated."""
        require_whole("every", self.every)
        if not 2 <= self.shortest <= self.lookback:
            raise ConfigError(
                "an estimate needs 2 <= shortest <= lookback rows, got "
                f"{self.shortest} and {self.lookback}",
                hint=f"lookback={YEAR}, shortest=60",
            )

    @property
    def largest(self) -> float:
        """Largest weight of one asset, a fraction in (0, 1]."""
        return 1.0

    @abstractmethod
    def allocate(self, returns: Floats) -> Floats:
        """Simple returns (R, n) -> weights (n,)."""

    def weigh(self, past: Past, before: Floats | None) -> Floats | None:
        """An estimate every `every` closes, or the weights as they were where none can be made.

        Raises:
            ConfigError: fewer than `shortest` rows lie before the first decision, or there are too
                few assets for weights under the cap to add up to 1.
        """
        if past.step % self.every:
            return None
        if before is None:
            require_rows(len(past) - 1, self.shortest, "the first decision")
        closes, trading = ledger_closes(past, self.lookback + 1), past.account.trading
        found = estimated(closes, trading, self.allocate, self.largest)
        if found is None and before is None:
            raise too_few(closes, trading, self.largest)
        return before if found is None else found

    def whole(self, env: Env, params: Params) -> BasketPolicy:
        """Estimates at every decision of the window.

        Raises:
            ConfigError: see `weigh`.
        """
        mark, trading = whole_prices(env, params)
        weights = re_estimated(
            mark,
            trading,
            window(params),
            self.allocate,
            every=self.every,
            lookback=self.lookback,
            shortest=self.shortest,
            cap=self.largest,
        )
        return follow(
            money_basket(mark, weights), trading, every_rows(self.every, len(mark), params)
        )


class BasketRule:
    """Puts the whole account into a basket where that is decided, and works towards it between.

    `BasketPolicy`, told one close after another: a decision fixes whole units of each asset, and an
    order that `max_shares` cuts goes on at the next closes until these are held.

    Args:
        weigh: says what to hold.
    """

    def __init__(self, weigh: Weigh) -> None:
        self._weigh = weigh
        self._weights: Floats | None = None
        self._target: Floats | None = None

    def decide(self, past: Past) -> NDArray[np.float32]:
        """(N,) the order of this close as an action."""
        weights = self._weigh(past, self._weights)
        if weights is not None:
            self._weights = weights
            # in float32, as all rows of a window are held at once
            basket = money_basket(ledger_marks(past), weights).astype(np.float32)
            self._target = past.affordable(basket)
        if self._target is None:
            self._target = past.account.units
        return past.order(self._target - past.account.units)


def ledger_marks(past: Past) -> Floats:
    """(N,) the account's prices as the exact ledger counts them; 0 before the listing."""
    return np.round(past.account.mark * MONEY)


def ledger_closes(past: Past, rows: int) -> Floats:
    """(R, N) last observed closes of the last `rows` rows, as the exact ledger counts them."""
    closes = last_observed(past["close"] * past.rules["lot"])[-rows:]
    return np.asarray(in_money(closes, "exact"), np.float64)


def whole_prices(env: Env, params: Params) -> tuple[Floats, Booleans]:
    """Closing prices (T, N) on the host, and whether each asset trades, as known at each row.

    Raises:
        ConfigError: called inside `jax.jit` or `jax.vmap`.
    """
    market = market_of(env, params)
    if isinstance(market.mark, jax.core.Tracer):
        raise ConfigError(
            "an agent without learning is prepared on the host, not inside a traced function",
            hint="call prepare(key, env, params) outside jax.jit and jax.vmap",
        )
    mark = np.asarray(market.mark, np.float64)
    return mark, active(mark, np.asarray(market.tradable))


def follow(basket: Floats, trading: Booleans, decides: Booleans) -> BasketPolicy:
    """The policy that holds `basket`, as `BasketPolicy` describes its arguments."""
    held = jnp.asarray(basket, jnp.float32), jnp.asarray(trading), jnp.asarray(decides)
    return BasketPolicy(*held)


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
