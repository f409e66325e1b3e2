"""The order book simulator of the 2024 contest kit, step for step: `as_published`.

The kits of the FinRL contests of 2024 and 2025 trade one bitcoin a decision, in
`trade_simulator.py`. Its rules are reproduced here, so that a published figure and one of ours can
be compared on the same rows; what no number should depend on is not.

Copied, though we hold it wrong:

* Orders fill at the mid plus or minus a slippage of 5e-5, in the training of the kit 7e-7: far
  less than the spread. The prices of the third level are read and never used, nor is any size.
* The stop loss is a distance in dollars, 0.001 in training and 0.0001 in evaluation, so that the
  first tick against a position closes it. The relative form stands there in a comment.
* The stop loss looks at the very mid at which it then fills.
* There is no capital: cash starts at 0, and nothing asks whether a position can be carried.
* A delay of one step is a setting that nothing reads; an order fills one step gap later.
* A position is closed one decision later than the longest holding time says.
* Gaps are not seen: the rows on either side of one are neighbours.
* The reward is in dollars, the factors are observed as they are.

Not copied:

* The step that ends an episode answers with the first observation of the next one.
* All simulators draw their start from one global generator, and end at the same step.
* Prices are cut to the length of the factors from the rear, though the factors lose rows at the
  front: what is shown is 900 s old or older. Here both are told apart by their time.
* The evaluator of the kit keeps a second account: from the agent's action instead of the executed
  one, without costs, with the prices of other rows than those that the agent sees (`step_i` where
  `step_is + step_i` is meant), over a window that is drawn at random.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.book import BookMarket, Precision, build_book
from steelyard.envs.book_rules import AGENT, END, STOP, TIME_OUT, agent_order
from steelyard.envs.orderbook import BookObs
from steelyard.errors import ConfigError, MissingDataError
from steelyard.ledger import Trade, trade
from steelyard.rollout import TimeStep
from steelyard.types import Panel, Space


class PublishedBookParams(eqx.Module):
    """The settings of `PublishedBookEnv`, with the values of the kit's training.

    Attributes:
        market: books and factors.
        first: first row on which an episode may start.
        last: last row that an episode may reach.
        length: decisions of an episode.
        max_position: largest position, long or short, in coins.
        step_gap: rows from one decision to the next, and to its fill.
        slippage: fraction of the mid.
        max_holding: decisions.
        stop_loss: dollars.
    """

    market: BookMarket
    first: int | Int[Array, ""]
    last: int | Int[Array, ""]
    length: int | Int[Array, ""] = 2_370
    max_position: int | Int[Array, ""] = 1
    step_gap: int | Int[Array, ""] = 2
    slippage: float | Float[Array, ""] = 7e-7
    max_holding: int | Int[Array, ""] = 1_800
    stop_loss: float | Float[Array, ""] = 1e-3


class PublishedBookState(NamedTuple):
    """An episode in progress: the account in dollars, and what its rules remember."""

    cash: Float[Array, ""]
    position: Float[Array, ""]
    holding: Int[Array, ""]
    best: Float[Array, ""]
    row: Int[Array, ""]
    steps: Int[Array, ""]


class PublishedBookEnv(eqx.Module):
    """The published simulator; see the head of this file.

    * Observation: `2 + D` float32. Position and holding time as fractions, then the factors.
    * Action: 0 sells one coin, 1 holds, 2 buys one.
    * Reward: change of cash and position at the mid, in dollars.
    * Ends: truncated after `length` decisions, with the position closed.
    * Info: as `OrderBookEnv`; the value starts at 0.
    """

    def reset(
        self, key: PRNGKeyArray, params: PublishedBookParams
    ) -> tuple[PublishedBookState, TimeStep]:
        """No cash, at a random row from which a whole episode fits."""
        market = params.market
        latest = jnp.asarray(params.last - params.length * params.step_gap, jnp.int32)
        first = jnp.asarray(params.first, jnp.int32)
        row = jax.random.randint(key, (), first, jnp.maximum(latest, first) + 1, jnp.int32)
        nothing, none = jnp.zeros((), market.mark.dtype), jnp.zeros((), jnp.int32)
        state = PublishedBookState(nothing, nothing, none, nothing, row, none)
        return state, _answer(state, params, nothing, Trade(nothing, nothing, nothing), none)

    def step(
        self,
        key: PRNGKeyArray,
        state: PublishedBookState,
        action: Int[Array, ""],
        params: PublishedBookParams,
    ) -> tuple[PublishedBookState, TimeStep]:
        """Everything happens at the row of the next observation."""
        del key  # history is deterministic
        market, held = params.market, state.position
        row = state.row + jnp.asarray(params.step_gap, jnp.int32)
        before, mark = market.mark[state.row], market.mark[row]
        wanted = jnp.clip(action, 0, 2).astype(held.dtype) - 1
        order, rule = agent_order(wanted, held, params.max_position)
        holding, best = state.holding + 1, _best(held, state.best, mark)
        forced = jnp.where(state.steps + 1 >= params.length, END, AGENT)
        forced = jnp.where(holding > params.max_holding, TIME_OUT, forced)
        stopped = (held != 0) & (jnp.abs(best - mark) > params.stop_loss)
        forced = jnp.where(stopped, STOP, forced)
        order = jnp.where(forced != AGENT, -held, order)
        slipped = jnp.abs(order) * mark * params.slippage
        filled = trade(state.cash, held, order, mark, slipped, 0.0, collateral=False)
        position = held + filled.order
        reward = held * (mark - before) - filled.paid
        state = PublishedBookState(
            cash=filled.cash,
            position=position,
            holding=jnp.where(held == 0, 0, holding),
            best=jnp.where(held == 0, mark, best),
            row=row,
            steps=state.steps + 1,
        )
        rule = jnp.where(forced != AGENT, forced, rule).astype(jnp.int32)
        return state, _answer(state, params, reward, filled, rule)

    def own(self, obs: BookObs, params: PublishedBookParams) -> Float[Array, "2"]:
        """Position and holding time as fractions."""
        return obs.own

    def table(self, params: PublishedBookParams) -> Float[Array, "T D"]:
        """The factors, row by row."""
        return params.market.table

    def observe(self, obs: BookObs, params: PublishedBookParams) -> Float[Array, " D"]:
        """The whole vector."""
        return jnp.concatenate([obs.own, params.market.table[obs.row]])

    def action_space(self, params: PublishedBookParams) -> Space:
        """Sell, hold, buy."""
        return Space(choices=3)


def _best(
    held: Float[Array, ""], best: Float[Array, ""], mark: Float[Array, ""]
) -> Float[Array, ""]:
    """The best mid since entry, that of the next row included."""
    extreme = jnp.where(held > 0, jnp.maximum(best, mark), jnp.minimum(best, mark))
    return jnp.where(held == 0, best, extreme)


def _answer(
    state: PublishedBookState,
    params: PublishedBookParams,
    reward: Float[Array, ""],
    filled: Trade,
    rule: Int[Array, ""],
) -> TimeStep:
    mark = params.market.mark[state.row]
    ended: Bool[Array, ""] = state.steps >= params.length
    own = (state.position / params.max_position, state.holding / params.max_holding)
    return TimeStep(
        obs=BookObs(jnp.stack([part.astype(jnp.float32) for part in own]), state.row),
        reward=reward,
        terminated=jnp.zeros((), bool),
        truncated=ended | (state.row + params.step_gap > params.last),
        info={
            "value": state.cash + state.position * mark,
            "cash": state.cash,
            "units": state.position[None],
            "order": filled.order[None],
            "traded": jnp.abs(filled.order) * mark,
            "paid": filled.paid,
            "rule": rule,
            "row": state.row,
            "fill": state.row,
        },
    )


def as_published(
    panel: Panel,
    factors: NDArray[np.float32],
    *,
    precision: Precision = "float32",
    **settings: float,
) -> tuple[PublishedBookEnv, PublishedBookParams]:
    """The published simulator over all rows of `panel`; see the head of this file.

    Args:
        panel: books of one asset; of its prices only the best of each side are used.
        factors: (T, D) as they are to be observed.
        precision: "float32" as the kit, or "float64" under `jax.enable_x64`.
        settings: of `PublishedBookParams`, as `step_gap=2`.

    Returns:
        The environment, and params of episodes that start anywhere.

    Raises:
        MissingDataError: a factor is not known, or there are too few rows for an episode.
        ConfigError: exact money, which the kit does not have.
    """
    if precision == "exact":
        raise ConfigError("the published simulator has no exact money", hint='precision="float64"')
    if not np.isfinite(factors).all():
        raise MissingDataError(
            "a factor has a gap, and the published simulator knows none",
            hint="cut the rows of the warm-up",
        )
    market = build_book(replace(panel, context={}), factors, precision=precision)
    with jax.enable_x64(precision == "float64"):
        params = PublishedBookParams(market, 0, len(panel) - 1, **settings)  # type: ignore[arg-type]
    if params.length * params.step_gap >= len(panel):
        raise MissingDataError(
            f"an episode takes {params.length * params.step_gap} rows, the panel has {len(panel)}",
            hint=f"length={(len(panel) - 1) // int(params.step_gap)}",
        )
    return PublishedBookEnv(), params
