"""How one asset is traded in its order book, and scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.rewards import REWARDS, require_reward
from steelyard.book import BookMarket, build_book
from steelyard.envs.book_settings import decision_rows
from steelyard.envs.orderbook import BookParams, OrderBookEnv, book_window
from steelyard.envs.rewards import Reward, ValueChange
from steelyard.errors import MissingDataError
from steelyard.evaluation.backtest import Recorded
from steelyard.evaluation.book_backtest import book_backtest
from steelyard.evaluation.hindsight import hindsight
from steelyard.evaluation.results import Backtest
from steelyard.factors.labels import segment_of
from steelyard.factors.lesson import age
from steelyard.features.scaling import FeatureTable
from steelyard.market import Precision
from steelyard.rollout import Policy
from steelyard.types import EquityCurve, Panel


@dataclass(frozen=True)
class BookRules:
    """One asset in its order book: sell, hold or buy; see `envs.orderbook.OrderBookEnv`.

    Attributes:
        kind: "orderbook".
        unit: base units (coins, shares) by which positions are counted.
        order_size, max_position: units of an order, and of the largest position on either side.
        step_gap, delay: rows from one decision to the next, and from a decision to its fill.
        execution: "walk" the levels of the book, or "mid" as the published kit trades.
        taker_fee, maker_fee, slippage: fractions; see `BookParams`.
        max_holding: decisions after which a position is closed.
        stop_loss: loss from the best mid since entry that closes it, as a fraction; None = none.
        levels: of the book that orders may walk; all where None.
        tick, lot: smallest steps of prices and sizes on the exact ledger.
        thin: "refuse" data whose levels do not hold the largest position, or "skip" such orders.
        reward: a key of `REWARDS`; what learners see, not what is scored. A "value_change" of 1 is
            a basis point of the largest position at the first price.
    """

    kind: Literal["orderbook"] = "orderbook"
    unit: float = 1.0
    order_size: int = 1
    max_position: int = 1
    step_gap: int = 1
    delay: int = 1
    execution: Literal["walk", "mid"] = "walk"
    taker_fee: float = 0.0
    maker_fee: float = 0.0
    slippage: float = 0.0
    max_holding: int = 3_600
    stop_loss: float | None = None
    levels: int | None = None
    tick: float = 1e-2
    lot: float = 1e-6
    thin: Literal["refuse", "skip"] = "skip"
    reward: str = "value_change"

    def require(self) -> None:
        """Refuse settings that cannot hold before any data is read; others show when it is there.

        Raises:
            ConfigError: there are such.
        """
        require_reward(self.reward)

    def require_data(self, panel: Panel) -> None:
        """Refuse data that are no book.

        Raises:
            MissingDataError: there is no best bid.
        """
        if "bid_1" not in panel.fields:
            raise MissingDataError(
                f"`{panel.name}` has no bids and asks, which an order book is made of",
                hint="--data books:FILE, or bundled:lob_btc_trademaster_small_5lvl",
            )

    @property
    def env(self) -> OrderBookEnv:
        """The environment, the same for training and scoring."""
        return OrderBookEnv()

    def build(self, panel: Panel, warmup: int, precision: Precision) -> BookMarket:
        """The market of all rows without observations; see `warm` for those that are waited for."""
        waits = np.where(self.warm(panel, warmup), np.float32(0), np.float32(np.nan))
        market = build_book(
            panel,
            waits[:, None],
            levels=self.levels,
            tick=self.tick,
            lot=self.lot,
            precision=precision,
        )
        return market.showing(np.zeros((len(panel), 0), np.float32), ())

    def warm(self, panel: Panel, warmup: int) -> NDArray[np.bool_]:
        """(T,) rows behind the first `warmup` rows of their segment."""
        return np.asarray(age(segment_of(panel)) >= warmup)

    def shown(self, table: FeatureTable, warm: NDArray[np.bool_]) -> FeatureTable:
        """What agents observe: every feature but the level of the price; 0 where not warmed up.

        What the level was in the training rows of a few hours or days says nothing about the next
        ones.
        """
        shown = [n for n, name in enumerate(table.columns) if not name.startswith("log_close/")]
        values = np.where(warm[:, None], table.values[:, shown], np.float32(0))
        names = tuple(table.columns[n] for n in shown)
        return FeatureTable(values, table.observed[:, shown], names)

    def params(
        self, market: Any, cash: float, first: Any, last: Any, episode: int | None = None
    ) -> BookParams:
        """One pass over the rows `first`..`last` of a market, or episodes that fit into them.

        Args:
            episode: most decisions of an episode; they end at different times.

        Raises:
            ConfigError, MissingDataError: see `book_window`.
        """
        first, last = int(first), int(last)
        length = None
        if episode is not None:
            length = min(episode, len(self.clock(market, first, last)) - 1)
        made = book_window(
            market,
            first,
            last,
            length=length,
            thin=self.thin,
            cash=cash,
            stop_loss=np.inf if self.stop_loss is None else self.stop_loss,
            reward=self._reward(market),
            stagger=0 if length is None else length // 2,
            **{name: getattr(self, name) for name in SETTINGS},
        )
        rows = ("first", "last", "length", "stagger")
        placed: BookParams = eqx.tree_at(
            lambda p: [getattr(p, name) for name in rows],
            made,
            [jnp.asarray(getattr(made, name), jnp.int32) for name in rows],
        )
        return placed

    def _reward(self, market: BookMarket) -> Reward:
        """What learners see, on a scale that does not depend on the coin or on the unit."""
        if self.reward != "value_change":
            return REWARDS[self.reward]()
        price = float(market.mark[0] * market.lots / market.money)
        return ValueChange(1e4 / (price * self.unit * self.max_position))

    def clock(self, market: Any, first: int, last: int) -> NDArray[np.int64]:
        """Rows on which the account of one pass is valued: its start, and after every decision."""
        return decision_rows(market, first, last, self.step_gap, self.delay)

    def trade(
        self,
        params: BookParams,
        policy: Policy | Recorded,
        timestamps: NDArray[np.datetime64],
        **how: Any,
    ) -> Backtest:
        """One pass of `policy` on the exact ledger; `how` as `book_backtest` takes it."""
        return book_backtest(self.env, params, policy, timestamps, **how)

    def ceiling(
        self, params: BookParams, timestamps: NDArray[np.datetime64], periods_per_year: float
    ) -> EquityCurve:
        """What nobody can pass in this window: the best path in hindsight."""
        return hindsight(params, timestamps, periods_per_year).curve


SETTINGS = (
    "unit", "order_size", "max_position", "step_gap", "delay", "execution", "taker_fee",
    "maker_fee", "slippage", "max_holding",
)  # fmt: skip
