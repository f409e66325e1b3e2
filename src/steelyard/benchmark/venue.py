"""A task with its data loaded: everything that agents meet.

What an agent learns from is a market that ends where its rows end. The market of all rows exists on
the exact ledger alone, which scored passes go over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.factor_file import factor_features
from steelyard.benchmark.market_rows import MarketRows
from steelyard.benchmark.settling import settled
from steelyard.benchmark.task import Task, Window
from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.backtest import Recorded
from steelyard.evaluation.results import Backtest
from steelyard.evaluation.splits import Span
from steelyard.features import resolve
from steelyard.features.scaling import Columns, Scaler
from steelyard.rollout import Env, Params, Policy
from steelyard.types import EquityCurve, Panel


@dataclass(frozen=True)
class Venue:
    """A task with its data loaded: everything that agents meet.

    Attributes:
        panel: all rows that the task names, the universe as columns.
        env: the environment, the same for training and scoring.
        training: params over the training rows, on a float32 market that ends with them. Its rows
            count as those of the panel.
        rows: all rows, from which other markets are made.
        scaler: of the observations, as the training rows taught it.
        fingerprint: see `Score`.
    """

    task: Task
    panel: Panel
    env: Env
    training: Params
    rows: MarketRows
    scaler: Scaler
    fingerprint: str

    @property
    def columns(self) -> Columns:
        """The observations of all rows before scaling."""
        return self.rows.columns

    @cached_property
    def exact(self) -> Any:
        """The market of all rows on the exact ledger, for scored passes and for nothing else."""
        seen = self.rows.table(np.arange(len(self.panel)), self.scaler)
        return self.rows.exact.showing(seen.values, seen.columns)

    def exact_as(self, pieces: Sequence[tuple[Span, Scaler]]) -> Any:
        """`exact`, where the rows of each span are shown as a scaler of its own shows them."""
        table = np.array(self.exact.table)
        for (first, last), scaler in pieces:
            own = np.arange(first, last + 1)
            table[own] = self.rows.table(own, scaler).values
        return self.exact.showing(table, self.exact.columns)

    def window(self, window: Window) -> Params:
        """Params of one pass over `window` on the exact ledger."""
        first, last = self.span(window)
        return self.params(self.exact, first, last)

    def span(self, window: Window) -> tuple[int, int]:
        """First and last row of a window.

        Raises:
            MissingDataError: it lies outside the data, or is shorter than the warm-up.
        """
        first, last = self.panel.span(window.start, window.end)
        _require_rows(self.task, window, first, last, self.rows.warmup)
        return first, last

    def params(self, market: Any, first: int, last: int, *, episodes: bool = False) -> Params:
        """The task's money and rules on rows of `market`: one pass, or training episodes."""
        most = self.task.episode if episodes else None
        return self.task.rules.params(market, self.task.cash, first, last, most)

    def learning_market(
        self, spans: Sequence[Span], scaler: Scaler, length: int | None = None
    ) -> Any:
        """A float32 market of some rows and no other; see `MarketRows.learning_market`."""
        return self.rows.learning_market(spans, scaler, length)

    def validation(self) -> Params | None:
        """One pass over the validation rows, as the training rows taught to see them.

        Its float32 market ends with them. None where the task has no such rows.
        """
        return None if self.task.validate is None else self.passing(self.task.validate)

    def passing(self, window: Window) -> Params:
        """One pass over `window` in float32, for what is not scored; its market ends with it.

        Make it when nothing is left to be trained: it holds the prices of the window.
        """
        return self._ending_with(*self.span(window))

    def before(self, window: Window) -> Params:
        """One pass over the rows from the first of training to the one before `window`, in float32.

        Its market ends with them: what somebody may know who is about to trade the window.

        Raises:
            MissingDataError: there are too few such rows.
        """
        train = self.task.train
        first, last = self.panel.span(train.start, train.end)[0], self.span(window)[0] - 1
        if last <= max(first, self.rows.warmup):
            raise MissingDataError(
                f"{max(last - first + 1, 0)} rows of {self.task.name} lie from {train.start} to "
                f"`{window.name}` ({window.start}); the features need {self.rows.warmup}",
                hint="start the window later, or the training earlier",
            )
        return self._ending_with(max(first, self.rows.warmup), last)

    def clock(self, window: Window) -> NDArray[np.int64]:
        """Rows of the curves of `window`: where accounts are valued."""
        return self.task.rules.clock(self.rows.exact, *self.span(window))

    def trade(self, params: Params, policy: Policy | Recorded, seed: int) -> Backtest:
        """One pass of `policy` over the window of `params`."""
        return self.task.rules.trade(
            params,
            policy,
            self.panel.timestamps,
            seed=seed,
            periods_per_year=self.task.periods_per_year,
            deterministic=self.task.deterministic,
        )

    def ceiling(self, window: Window) -> EquityCurve | None:
        """What nobody can pass in `window`; None where that is not known."""
        task = self.task
        return task.rules.ceiling(self.window(window), self.panel.timestamps, task.periods_per_year)

    def _ending_with(self, first: int, last: int) -> Params:
        """One pass over `first`..`last` on a float32 market of the rows up to `last`."""
        market = self.rows.until(last).learning_market([(0, last)], self.scaler)
        return self.params(market, first, last)


def open_venue(task: Task, panel: Panel | None = None) -> Venue:
    """Load a task's data, fit the scaling on its training rows and make the market they are.

    Args:
        panel: instead of `task.data`, for people who bring their own.

    Raises:
        MissingDataError: a period lies outside the data, or is shorter than the warm-up.
        ConfigError: settings that cannot hold.
    """
    task.rules.require()
    if task.cash <= 0:
        raise ConfigError(f"cash must lie above 0, got {task.cash}", hint="cash=1_000_000")
    task, panel = settled(task, panel)
    panel = panel.select(task.assets) if task.assets else panel
    first, last = panel.span(task.train.start, task.train.end)
    features = (*resolve(task.features), *factor_features(task, panel))
    rows = MarketRows(task.rules, panel, features)
    known = rows.until(last)
    scaler = known.columns.fit((first, last + 1))
    _require_rows(task, task.train, first, last, rows.warmup)
    _require_order(task, panel, last)
    _ = rows.exact  # rules that cannot hold on later rows are refused here
    market = known.learning_market([(0, last)], scaler)
    start = max(first, rows.warmup)
    return Venue(
        task=task,
        panel=panel,
        env=task.rules.env,
        training=task.rules.params(market, task.cash, start, last, task.episode),
        rows=rows,
        scaler=scaler,
        fingerprint=fingerprint(task, panel),
    )


def fingerprint(task: Task, panel: Panel) -> str:
    """16 hex digits that are equal exactly where scores may be compared.

    They cover the task's card without its texts and default agents, every value of the data, and
    the library's version.
    """
    card = task.card()
    if task.factors is not None:
        del card["factors"]["path"]  # the same factors elsewhere are the same
    for free in ("summary", "agents", "published", "index", "claims"):
        del card[free]
    stated = json.dumps([card, panel.digest(), version("steelyard")], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def _require_order(task: Task, panel: Panel, trained: int) -> None:
    """What is learned from and chosen on lies before what is traded; ends may be shared."""
    periods = [*([task.validate] if task.validate else []), *task.windows]
    spans = [panel.span(one.start, one.end) for one in periods]
    for one, (first, last) in zip(periods, spans, strict=True):
        known = trained
        if task.validate and one != task.validate:
            known = max(known, spans[0][1])
        if first < known and last > first:
            day = panel.timestamps[known].astype("datetime64[D]")
            raise ConfigError(
                f"`{one.name}` of {task.name} begins on {one.start}, before the end ({day}) of the "
                "rows that are learned from or chosen on",
                hint="train first, then validate, then trade",
            )


def _require_rows(task: Task, window: Window, first: int, last: int, warmup: int) -> None:
    """A window must hold at least two rows behind the warm-up of the features."""
    name = f"window `{window.name}` of {task.name} ({window.start}..{window.end})"
    if last <= max(first, warmup):
        raise MissingDataError(
            f"{name} has {last - first + 1} rows, the features need {warmup} before the first",
            hint="start earlier, end later, or choose features with a shorter warm-up",
        )
