"""How stocks, or coins in lots, are traded and scored: the account of DESIGN section 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.rewards import REWARDS, require_reward
from steelyard.envs.constraints import Limits
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.backtest import Recorded, backtest
from steelyard.evaluation.results import Backtest
from steelyard.features import compute
from steelyard.features.scaling import FeatureTable
from steelyard.ledger import TICK
from steelyard.market import Fill, Market, Precision, build_market
from steelyard.rollout import Policy
from steelyard.types import EquityCurve, Floats, Panel

COARSE = 1_000
"""Ticks that a lot must cost at least: the exact ledger then rounds its price by 5 bp at most."""


@dataclass(frozen=True)
class StockRules:
    """Many assets, whole lots, one decision a bar.

    Attributes:
        kind: "stock".
        cost: commission on each side, fraction of the traded value.
        max_shares: lots of one asset that an action of 1 orders.
        lot: shares, or coins, in one lot; orders and holdings are whole lots.
        fill: "next_open", or "same_close" as the published kits trade.
        gates: gauge (a market-wide feature) -> threshold that closes the market.
        max_weight, leverage: see `envs.constraints.Limits`.
        reward: a key of `REWARDS`; what learners see, not what is scored.
    """

    kind: Literal["stock"] = "stock"
    cost: float = 1e-3
    max_shares: float = 100.0
    lot: float = 1.0
    fill: Fill = "next_open"
    gates: Mapping[str, float] = field(default_factory=dict)
    max_weight: float | None = None
    leverage: float | None = None
    reward: str = "value_change"

    def require(self) -> None:
        """Refuse settings that cannot hold.

        Raises:
            ConfigError: there are such.
        """
        require_reward(self.reward)
        if not 0 <= self.cost < 1 or self.max_shares < 1 or not 0 < self.lot < float("inf"):
            raise ConfigError(
                f"cost must lie in [0, 1), max_shares from 1 and lot above 0; got {self.cost}, "
                f"{self.max_shares}, {self.lot}",
                hint="cost=0.001 is 10 basis points a side",
            )

    def require_data(self, panel: Panel) -> None:
        """Refuse data without bars.

        Raises:
            MissingDataError: there are no opens.
        """
        if self.fill == "next_open" and "open" not in panel.fields:
            raise MissingDataError(
                f"`{panel.name}` has no open prices, at which orders fill",
                hint="--data files:PRICES.csv with open, high, low, close and volume",
            )

    @property
    def env(self) -> StockEnv:
        """The environment, the same for training and scoring."""
        return StockEnv(short=self.leverage is not None)

    def build(self, panel: Panel, warmup: int, precision: Precision) -> Market:
        """The market of all rows without observations; features are warmed up from row `warmup`."""
        prices = {
            name: panel[name] * self.lot for name in ("open", "close") if name in panel.fields
        }
        if self.lot != 1:
            _require_ticks(panel, prices["close"], self.lot)
        return build_market(
            panel if self.lot == 1 else replace(panel, fields={**panel.fields, **prices}),
            None,
            {name: compute([name], panel)[name] for name in self.gates},
            first=warmup,
            fill=self.fill,
            precision=precision,
        )

    def warm(self, panel: Panel, warmup: int) -> NDArray[np.bool_]:
        """(T,) rows on which all features are warmed up."""
        return np.asarray(np.arange(len(panel)) >= warmup)

    def shown(self, table: FeatureTable, warm: NDArray[np.bool_]) -> FeatureTable:
        """What agents observe: every feature, whether its row is warmed up or not."""
        del warm  # no episode starts before
        return table

    def params(
        self, market: Any, cash: float, first: Any, last: Any, episode: int | None = None
    ) -> StockParams:
        """One pass over the rows `first`..`last` of a market, or episodes that fit into them.

        Args:
            episode: most decisions of an episode; they end at different times.
        """
        length = last - first if episode is None else min(episode, last - first)
        return StockParams(
            market=market,
            first=jnp.asarray(first, jnp.int32),
            last=jnp.asarray(last, jnp.int32),
            length=jnp.asarray(length, jnp.int32),
            cash=cash,
            cost=self.cost,
            max_shares=self.max_shares,
            stagger=jnp.asarray(0 if episode is None else length // 2, jnp.int32),
            limits=Limits(
                gates=dict(self.gates), max_weight=self.max_weight, leverage=self.leverage
            ),
            reward=REWARDS[self.reward](),
        )

    def clock(self, market: Any, first: int, last: int) -> NDArray[np.int64]:
        """Rows on which the account of one pass is valued: its start, and after every decision."""
        return np.arange(first, last + 1)

    def trade(
        self,
        params: StockParams,
        policy: Policy | Recorded,
        timestamps: NDArray[np.datetime64],
        **how: Any,
    ) -> Backtest:
        """One pass of `policy` on the exact ledger; `how` as `backtest` takes it."""
        return backtest(self.env, params, policy, timestamps, **how)

    def ceiling(
        self, params: StockParams, timestamps: NDArray[np.datetime64], periods_per_year: float
    ) -> EquityCurve | None:
        """What nobody can pass in this window; not known where many assets share one account."""


def _require_ticks(panel: Panel, price: Floats, lot: float) -> None:
    """Refuse lots so cheap that whole ticks do not tell their prices apart."""
    least = np.nanmin(price, axis=0)
    cheap = least < COARSE * TICK
    if cheap.any():
        name = panel.assets[int(np.argmax(cheap))]
        raise ConfigError(
            f"{lot:g} of {name} cost {least[cheap][0]:.3g}, too little for ticks of {TICK:g}",
            hint=f"a larger lot: StockRules(lot={lot * COARSE * TICK / least.min():.1g})",
        )
