"""The pass of somebody's own agent, and the one before it that nobody scores.

The same pass is played twice, in two processes that are told the same and differ in everything
that is no business of an agent: clock, environment, working folder and home. Where there is no
process of its own, an agent is asked in several futures instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.futures import cuts_of, futures
from steelyard.benchmark.hunt import Finding, equal, first_difference
from steelyard.benchmark.passes import Stopped, Tell, day_of, play
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.evaluation.backtest import Recorded, one_pass
from steelyard.isolation.here import Here
from steelyard.isolation.remote import Remote
from steelyard.rollout import Params

Stages = Sequence[tuple[int, Any]]
"""(row from which on, policies) in the order of time; () = the agent is its own policy."""
Actions = Sequence[NDArray[Any]]
"""Per seed (D, A), or (D,) choices."""

Compare = Callable[[Actions], Finding | None]
"""Holds the scored actions against those of a rehearsal."""

CHANGED = "another clock, environment, working folder and home"


@dataclass(frozen=True)
class Pass:
    """A window to be traded by somebody's own agent.

    Attributes:
        venue, window, params: where.
        stages: with what.
        seeds: one account each.
    """

    venue: Venue
    window: Window
    params: Params
    stages: Stages
    seeds: Sequence[int]

    @property
    def decisions(self) -> int:
        """How many there are."""
        return int(self.params.length)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(D,) row of each decision."""
        return self.venue.clock(self.window)[:-1]

    def play(
        self,
        desk: Remote | Here,
        tell: Tell | None = None,
        *,
        until: int | None = None,
        params: Params | None = None,
    ) -> Actions:
        """The actions of every seed.

        Raises:
            Stopped: the agent failed.
        """
        taking = [(row, partial(desk.take_over, policies)) for row, policies in self.stages]
        given = self.params if params is None else params
        return play(desk, self.venue, given, self.seeds, tell, until=until, stages=taking)

    def elsewhere(self, desk: Remote, tell: Tell | None = None) -> Compare:
        """Play in other circumstances; answers with what holds the scored actions against that."""
        try:
            others = self.play(desk, tell)
        except Stopped as stopped:
            return partial(self._failed, stopped)
        return lambda actions: self._apart(actions, others, self.decisions - 1, CHANGED)

    def in_futures(self, desk: Callable[[], Here], tell: Tell | None = None) -> Compare:
        """Play in several futures, each up to where it begins; answers as `elsewhere`."""
        tried = [
            (cut, self.play(desk(), tell, until=cut, params=other))
            for cut, other in futures(self.params, self.rows)
        ]

        def compared(actions: Actions) -> Finding | None:
            found = [self._apart(actions, other, cut, "another future") for cut, other in tried]
            return next((one for one in found if one is not None), None)

        return compared

    def told_alike(self, actions: Actions) -> Finding | None:
        """Whether all that the agent was told up to a cut is the same under another future.

        Rows of the data are sent as they come. The rest is made by the environment: the account,
        and the vector, of the row's observation and the table.
        """
        table, rows = np.asarray(self.params.market.table), self.rows
        given = [(recorded(one), seed) for one, seed in zip(actions, self.seeds, strict=True)]
        true = [self._seen(self.params, *one) for one in given]
        for cut, other in futures(self.params, rows):
            known = slice(0, int(rows[cut]) + 1)
            same = np.array_equal(table[known], np.asarray(other.market.table)[known])
            others = [self._seen(other, *one) for one in given]
            if not same or not equal(_until(true, cut), _until(others, cut)):
                date = day_of(self.venue, int(rows[cut]))
                return Finding(f"was told what changes with what comes after {date}", "", date)
        return None

    def _seen(self, params: Params, policy: Recorded, seed: int) -> Any:
        """What the environment stores of every observation of a pass."""
        how = self.venue.task.deterministic
        return one_pass(self.venue.env, params, policy, self.decisions, seed, deterministic=how).obs

    @property
    def cuts(self) -> int:
        """Decisions up to which actions were held against others."""
        return len(cuts_of(self.decisions))

    def _failed(self, stopped: Stopped, actions: Actions) -> Finding:
        """A pass that fails only where the circumstances are others depends on them."""
        date, names = day_of(self.venue, stopped.row), self.venue.panel.assets
        acted = np.asarray(actions[0][stopped.step]).ravel()
        name = names[int(np.argmax(np.abs(acted))) if len(acted) == len(names) else 0]
        text = f"{_acts(name, date)}: with {CHANGED} it {stopped.message}"
        return Finding(text, name, date)

    def _apart(self, actions: Actions, others: Actions, last: int, where: str) -> Finding | None:
        """The first decision up to `last` that is another one."""
        for one, other in zip(actions, others, strict=True):
            found = first_difference(one, other, last)
            if found is None:
                continue
            step, asset = found
            name = self.venue.panel.assets[min(asset, len(self.venue.panel.assets) - 1)]
            date = day_of(self.venue, int(self.rows[step]))
            return Finding(f"{_acts(name, date)}: other actions with {where}", name, date)
        return None


def recorded(actions: NDArray[Any]) -> Recorded:
    """The policy that repeats some actions."""
    with jax.enable_x64(True):
        return Recorded(jnp.asarray(actions, jnp.float32).reshape(len(actions), -1))


def _until(seen: Any, cut: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: cut + 1], seen)


def _acts(name: str, date: str) -> str:
    return f"acts on {name} at {date} by something it was not told"
