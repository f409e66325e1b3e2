"""A pass through a window in which an agent is told one moment after another.

The accounts of all seeds move on the same clock, side by side. What an agent is told at a decision
are the rows up to it, and nothing that was ever sent holds a row behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.venue import Venue
from steelyard.book import BookMarket
from steelyard.errors import ContractError
from steelyard.isolation.desk import Moment, Opening
from steelyard.past import Holdings, rows_of
from steelyard.rollout import Env, Params
from steelyard.types import Space

Tell = Callable[[int, int], None]
"""Progress: (decisions made, decisions in all)."""


class Asked(Protocol):
    """Who is asked: a desk here, or one in a process of its own."""

    def begin(self, opening: Opening) -> None:
        """A pass begins."""
        ...

    def decide(self, moment: Moment) -> NDArray[Any]:
        """What is decided at a moment."""
        ...


class Stopped(ContractError):
    """Somebody's agent failed in the middle of a pass.

    Attributes:
        step: the decision at which it did, from 0.
        row: of the panel.
    """

    step: int = 0
    row: int = 0


class Account:
    """One account on the exact ledger, moved decision by decision.

    Args:
        env, params: of one pass over an exact market.
        seed: of the pass; see `backtest`.
    """

    def __init__(self, env: Env, params: Params, seed: int) -> None:
        self._env = env
        with jax.enable_x64(True):
            self._params = jax.tree.map(jnp.asarray, params)
            key, _ = jax.random.split(jax.random.key(seed))
            self._state, self._told = _reset(key, env, self._params)
        self.over = False

    @property
    def row(self) -> int:
        """Row of the market whose close is known."""
        return int(self._told["row"])

    @property
    def vector(self) -> NDArray[np.float32]:
        """(V,) what a learner observes."""
        return np.asarray(self._told["vector"], np.float32)

    @property
    def holdings(self) -> Holdings:
        """What is owned at this close."""
        told = {name: np.asarray(values) for name, values in self._told.items()}
        units = np.atleast_1d(told["units"]).astype(np.float64)
        value = float(told["value"])
        return Holdings(
            value if self.over else float(told["cash"]),  # the broker has closed what was left
            0 * units if self.over else units,
            value,
            np.atleast_1d(told["mark"]).astype(np.float64),
            np.atleast_1d(told["trading"]).astype(bool),
        )

    def move(self, action: NDArray[Any]) -> None:
        """Trade; after a ruin nothing moves any more."""
        if self.over:
            return
        with jax.enable_x64(True):
            self._state, self._told = _step(self._env, self._params, self._state, action)
        self.over = bool(self._told["terminated"])


@eqx.filter_jit
def _reset(key: Any, env: Env, params: Params) -> tuple[Any, dict[str, Any]]:
    state, step = env.reset(key, params)
    return state, _seen(env, params, step)


@eqx.filter_jit
def _step(env: Env, params: Params, state: Any, action: Any) -> tuple[Any, dict[str, Any]]:
    state, step = env.step(jax.random.key(0), state, action, params)
    return state, _seen(env, params, step)


def _seen(env: Env, params: Params, step: Any) -> dict[str, Any]:
    """What is told of a step, to an agent and to the loop."""
    market, row = params.market, step.obs.row
    if isinstance(market, BookMarket):
        mark, trading = market.mark[row] * market.lots / market.money, jnp.ones(1, bool)
    else:
        mark = market.mark[row] / market.money
        before = jnp.maximum(row - 1, 0)
        refused = (row > 0) & (market.mark[before] > 0) & ~market.tradable[before]
        trading = (mark > 0) & ~refused
    return {
        "row": row,
        "vector": env.observe(step.obs, params),
        "cash": step.info["cash"],
        "units": step.info["units"],
        "value": step.info["value"],
        "mark": mark,
        "trading": trading,
        "terminated": step.terminated,
    }


def play(
    asked: Asked,
    venue: Venue,
    params: Params,
    seeds: Sequence[int],
    tell: Tell | None = None,
    *,
    until: int | None = None,
    stages: Sequence[tuple[int, Callable[[], None]]] = (),
) -> list[NDArray[Any]]:
    """The actions (D, A) or (D,) of every seed in one pass over the window of `params`.

    Args:
        until: the last decision that is asked for; all where None.
        stages: (row, what is done before the first decision on it or behind it), in order of rows:
            how another policy takes over.

    Raises:
        Stopped: the agent failed; it says at which decision.
    """
    accounts = [Account(venue.env, params, seed) for seed in seeds]
    opening = opening_of(venue, params, tuple(seeds))
    idle = np.asarray(opening.actions.idle, np.int32)
    if not opening.actions.choices:
        idle = np.zeros(opening.actions.shape, np.float32)
    decisions = int(params.length) if until is None else until + 1
    table, waiting = np.asarray(params.market.table), list(stages)
    sent, made = 0, []
    row = accounts[0].row
    try:
        if not waiting:
            asked.begin(opening)
        for step in range(decisions):
            row = _row_of(accounts, row)
            while waiting and row >= waiting[0][0]:
                waiting.pop(0)[1]()
                asked.begin(opening)
                sent = 0
            moment = Moment(
                step,
                rows_of(venue.panel, table, sent, row + 1),
                np.stack([one.vector for one in accounts]),
                [one.holdings for one in accounts],
            )
            sent = row + 1
            actions = asked.decide(moment)
            made.append([idle if one.over else act for one, act in zip(accounts, actions)])
            for one, action in zip(accounts, made[-1]):
                one.move(action)
            if tell is not None:
                tell(step + 1, decisions)
    except ContractError as error:
        raise _stopped(error, venue, len(made), decisions, row) from error
    return [np.stack([each[number] for each in made]) for number in range(len(accounts))]


def _row_of(accounts: Sequence[Account], before: int) -> int:
    """The row that all accounts stand on; those that are ruined stay behind."""
    return max([one.row for one in accounts if not one.over], default=before)


def _stopped(error: ContractError, venue: Venue, step: int, decisions: int, row: int) -> Stopped:
    date = day_of(venue, row)
    at = f"decision {step + 1} of {decisions} ({date})"
    made = Stopped(f"{error.message}, at {at}", hint=error.hint)
    made.step, made.row = step, row
    return made


def day_of(venue: Venue, row: int) -> str:
    """The date of a row as people write it, with the time of day where there is one."""
    stamp = venue.panel.timestamps[row]
    day = stamp.astype("datetime64[D]")
    return str(day) if day == stamp else str(stamp).removesuffix(".000000")


def opening_of(venue: Venue, params: Params, seeds: tuple[int, ...]) -> Opening:
    """What an agent is told before a pass."""
    rules = {
        name: value
        for name, value in asdict(venue.task.rules).items()
        if isinstance(value, (int, float, str))
    }
    rules.pop("reward", None)
    rules.setdefault("cost", rules.get("taker_fee", 0.0))
    return Opening(
        seeds=seeds,
        assets=venue.panel.assets,
        columns=tuple(params.market.columns),
        actions=Space(*venue.env.action_space(params)),
        rules=rules,
        deterministic=venue.task.deterministic,
    )
