"""The rolling windows of a task as arrays: one environment setting per window, stacked.

Every round sees observations scaled on its own training rows, and a market that ends where its
rows end, so that all rounds of a task train in one program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.errors import ConfigError
from steelyard.evaluation.splits import Round, Span
from steelyard.features.scaling import Scaler
from steelyard.rollout import Params


@dataclass(frozen=True)
class Rounds:
    """The rounds of one test window.

    Attributes:
        rows: of each of the R rounds.
        learn, validate, again, trade: params of each phase; every leaf has a leading axis R. In
            `learn` and `again` episodes have the task's length, in the others they are one pass.
            `again` is None where the task does not train twice.
        window: one pass over the whole window on the exact ledger; each row is scaled as the round
            that trades it has learned to see it.
        starts: (R,) first row that each round trades.
    """

    rows: tuple[Round, ...]
    learn: Params
    validate: Params
    again: Params | None
    trade: Params
    window: Params
    starts: Int[Array, " R"]


def roll(venue: Venue, window: Window) -> Rounds:
    """Cut the rounds of `window` out of a task's market.

    Raises:
        ConfigError: the task has no rolling windows.
        MissingDataError: the rows before the window are too few for the first round.
    """
    task = venue.task
    if task.rolling is None:
        raise ConfigError(f"task {task.name} has no rolling windows", hint="Task(rolling=...)")
    first, last = venue.span(window)
    begin = venue.panel.span(task.train.start, task.train.end)[0]
    rounds = task.rolling.rounds(first, last, max(begin, venue.columns.warmup))
    seen = _scalers(venue, [one.learn for one in rounds])
    final = _scalers(venue, [one.again for one in rounds]) if task.rolling.retrain else seen
    learn, again = [one.learn for one in rounds], [one.again for one in rounds]
    return Rounds(
        rows=tuple(rounds),
        learn=_stacked(venue, learn, seen, episodes=True),
        validate=_stacked(venue, [one.validate for one in rounds], seen),
        again=_stacked(venue, again, final, episodes=True) if task.rolling.retrain else None,
        trade=_stacked(venue, [one.trade for one in rounds], final),
        window=_whole(venue, (first, last), rounds, final),
        starts=jnp.asarray([one.trade[0] for one in rounds], jnp.int32),
    )


def _scalers(venue: Venue, spans: Sequence[Span]) -> list[Scaler]:
    """One scaler per span, fitted on its rows alone, the last close among them."""
    return [venue.columns.fit((first, last + 1)) for first, last in spans]


def _stacked(
    venue: Venue, spans: Sequence[Span], scalers: Sequence[Scaler], *, episodes: bool = False
) -> Params:
    """Params whose leaves have a leading axis, one entry per span; rows count from its first.

    Each is one pass, or training episodes. Shorter spans are filled up with the rows behind them,
    which no episode reaches.
    """
    rows = max(last - first for first, last in spans) + 1
    params = []
    for (first, last), scaler in zip(spans, scalers, strict=True):
        market = _cut(venue, first, rows, scaler)
        params.append(venue.params(market, 0, last - first, episodes=episodes))
    stacked: Params = jax.tree.map(
        lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf, _kind(leaf)) for leaf in leaves])),
        *params,
    )
    return stacked


def _cut(venue: Venue, first: int, rows: int, scaler: Scaler) -> Any:
    """The training market from row `first`, as a scaler shows it; its last row is repeated."""
    market = venue.training.market
    picked = np.minimum(first + np.arange(rows), market.rows - 1)

    def of(leaf: Array) -> Array:
        return jnp.asarray(np.asarray(leaf)[picked]) if leaf.ndim else leaf

    table = jnp.asarray(scaler.scale(venue.columns.values[picked]).values)
    return replace(jax.tree.map(of, market), table=table, first=jnp.int32(0))


def _kind(leaf: object) -> type[np.float32] | None:
    """Python numbers take the precision of training."""
    return np.float32 if isinstance(leaf, float) else None


def _whole(venue: Venue, span: Span, rounds: Sequence[Round], scalers: Sequence[Scaler]) -> Params:
    """The window on the exact ledger, each traded row as its own round sees it."""
    market = venue.exact
    table = np.array(market.table)
    for one, scaler in zip(rounds, scalers, strict=True):
        traded = slice(one.trade[0], one.trade[1] + 1)
        table[traded] = scaler.scale(venue.columns.values[traded]).values
    with jax.enable_x64(True):
        seen = eqx.tree_at(lambda m: m.table, market, jnp.asarray(table))
    return venue.params(seen, *span)
