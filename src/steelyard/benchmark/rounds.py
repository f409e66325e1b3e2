"""The rolling windows of a task as arrays: one environment setting per window, stacked.

Every round sees observations scaled on its own training rows, and learns from a market of its own
rows alone, so that all rounds of a task train in one program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
    """The rounds of one test window; what is traded is only made when it is asked for.

    Attributes:
        rows: of each of the R rounds.
        learn, validate, again: params of each phase; every leaf has a leading axis R. In `learn`
            and `again` episodes have the task's length, `validate` is one pass. `again` is None
            where the task does not train twice.
        starts: (R,) first row that each round trades.
    """

    rows: tuple[Round, ...]
    learn: Params
    validate: Params
    again: Params | None
    starts: Int[Array, " R"]
    _venue: Venue = field(repr=False)
    _scalers: Sequence[Scaler] = field(repr=False)

    @cached_property
    def trade(self) -> Params:
        """One pass over the rows that each round trades, in float32; a leading axis R."""
        return _stacked(self._venue, [one.trade for one in self.rows], self._scalers)

    @cached_property
    def window(self) -> Params:
        """One pass over the whole window on the exact ledger.

        Each row is scaled as the round that trades it has learned to see it.
        """
        traded = [one.trade for one in self.rows]
        market = self._venue.exact_as(list(zip(traded, self._scalers, strict=True)))
        return self._venue.params(market, traded[0][0], traded[-1][1])


def roll(venue: Venue, window: Window) -> Rounds:
    """Cut the rounds of `window` out of a task's rows.

    Raises:
        ConfigError: the task has no rolling windows.
        MissingDataError: the rows before the window are too few for the first round.
    """
    task = venue.task
    if task.rolling is None:
        raise ConfigError(f"task {task.name} has no rolling windows", hint="Task(rolling=...)")
    first, last = venue.span(window)
    begin = venue.panel.span(task.train.start, task.train.end)[0]
    rounds = task.rolling.rounds(first, last, max(begin, venue.rows.warmup))
    learn, again = [one.learn for one in rounds], [one.again for one in rounds]
    seen = _scalers(venue, learn)
    final = _scalers(venue, again) if task.rolling.retrain else seen
    return Rounds(
        rows=tuple(rounds),
        learn=_stacked(venue, learn, seen, episodes=True),
        validate=_stacked(venue, [one.validate for one in rounds], seen),
        again=_stacked(venue, again, final, episodes=True) if task.rolling.retrain else None,
        starts=jnp.asarray([one.trade[0] for one in rounds], jnp.int32),
        _venue=venue,
        _scalers=final,
    )


def _scalers(venue: Venue, spans: Sequence[Span]) -> list[Scaler]:
    """One scaler per span, fitted on its rows alone, the last close among them."""
    return [venue.columns.fit((first, last + 1)) for first, last in spans]


def _stacked(
    venue: Venue, spans: Sequence[Span], scalers: Sequence[Scaler], *, episodes: bool = False
) -> Params:
    """Params whose leaves have a leading axis, one entry per span; rows count from its first.

    Each is one pass, or training episodes, on a market of its own rows. The last one is repeated in
    shorter spans.
    """
    length = max(last - first for first, last in spans) + 1
    params = []
    for (first, last), scaler in zip(spans, scalers, strict=True):
        market = venue.learning_market([(first, last)], scaler, length)
        params.append(venue.params(market, 0, last - first, episodes=episodes))
    return stack(params)


def stack(params: Sequence[Params]) -> Params:
    """Params of one structure put together along a leading axis."""
    stacked: Params = jax.tree.map(
        lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf, _kind(leaf)) for leaf in leaves])),
        *params,
    )
    return stacked


def _kind(leaf: object) -> type[np.float32] | None:
    """Python numbers take the precision of training."""
    return np.float32 if isinstance(leaf, float) else None
