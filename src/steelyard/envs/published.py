"""The stock environment of the published kits, step for step: `as_published`.

The kits of the FinRL contests trade in `env_stocktrading.py` of the FinRL library or in a copy of
it. What makes its numbers is reproduced here, so that a published figure and one of ours can be
compared on the same rows; what no number should depend on is not.

Copied, though we hold it wrong:

* Orders fill at the close that the agent has just observed.
* The observation is `[cash, closes, shares, indicators]`, indicator by indicator, unscaled.
* No gate fires on the first day: an episode starts with a turbulence of 0, whatever the data say.
* A closed gate ignores the agent: everything is sold, whatever `max_shares` is, nothing bought.

Not copied:

* The step after the last day answers with the last state and the last reward again, so that one
  reward counts twice. Here the episode is truncated when it reaches the last day.
* Whether a stock can be traded is read from its first indicator, so that a MACD of exactly 1 stops
  trading. Here everything that has a price can be traded.
* Orders of equal size fill as an unstable sort leaves them. Here they fill in asset order.
* Gaps are filled across tickers, or a ticker that has one is dropped. Here gaps are refused.
* Actions beyond [-1, 1] pass. Here they are clipped, as the usual agents of the kits do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steelyard.envs.constraints import Limits
from steelyard.envs.rewards import ValueChange
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ConfigError, MissingDataError
from steelyard.market import Precision, build_market
from steelyard.types import Floats, Panel


def as_published(
    panel: Panel,
    indicators: Mapping[str, Floats],
    *,
    turbulence: Floats | None = None,
    threshold: float | None = None,
    cash: float = 1_000_000.0,
    cost: float = 1e-3,
    max_shares: float = 100.0,
    reward_scale: float = 1e-4,
    precision: Precision = "float64",
) -> tuple[StockEnv, StockParams]:
    """The published environment over all rows of `panel`; see the head of this file.

    Args:
        panel: close prices (T, N) without gaps. The kits adjust the close alone for dividends.
        indicators: name -> (T, N), as they are to be observed, in that order.
        turbulence: (T,) the risk gauge, turbulence or VIX; needed with `threshold`.
        threshold: at or above it everything is sold and nothing bought; None = no gate. The kits
            train without one and test the VIX at 70.
        cash: starting capital, in quote currency.
        cost: commission on each side, as a fraction of the traded value.
        max_shares: shares that an action of 1 orders (`hmax`).
        reward_scale: reward per change of value.
        precision: "float64" as the kits; under `jax.enable_x64`, unless it is "float32".

    Returns:
        The environment, and params of one episode from the first row to the last.

    Raises:
        MissingDataError: a close or an indicator is NaN.
        ConfigError: an indicator has another shape, or the gate lacks its gauge.
    """
    _require_complete(panel, indicators, turbulence, threshold)
    close = panel["close"]
    market = build_market(
        panel,
        np.hstack([close, *indicators.values()]).astype(np.float32),
        {} if turbulence is None else {"turbulence": turbulence},
        fill="same_close",
        precision=precision,
    )
    gates = {} if threshold is None else {"turbulence": threshold}
    params = StockParams(
        market,
        first=0,
        last=len(panel) - 1,
        length=len(panel) - 1,
        cash=cash,
        cost=cost,
        max_shares=max_shares,
        limits=Limits(gates, gate_first_row=False),
        reward=ValueChange(reward_scale),
    )
    return StockEnv(published=True), params


def _require_complete(
    panel: Panel,
    indicators: Mapping[str, Floats],
    turbulence: Floats | None,
    threshold: float | None,
) -> None:
    """The published environment knows no gaps, and its gate needs a gauge."""
    close = panel["close"]
    for name, values in {"close": close, **indicators}.items():
        if values.shape != close.shape:
            raise ConfigError(f"indicator `{name}` has shape {values.shape}, not {close.shape}")
        if not np.isfinite(values).all():
            raise MissingDataError(
                f"`{name}` has a gap, and the published environment knows none",
                hint="cut the rows of the warm-up, and choose assets that have every day",
            )
    if threshold is not None and turbulence is None:
        raise ConfigError(
            f"a threshold of {threshold:g} came without a gauge to hold against it",
            hint="as_published(..., turbulence=panel['vix'], threshold=70.0)",
        )
