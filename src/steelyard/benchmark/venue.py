"""A task with its data loaded: everything that agents meet."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.benchmark.factor_file import factor_features
from steelyard.benchmark.settling import settled
from steelyard.benchmark.task import Task, Window
from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.backtest import Recorded
from steelyard.evaluation.results import Backtest
from steelyard.features.scaling import Columns, columns
from steelyard.market import Precision
from steelyard.rollout import Env, Params, Policy
from steelyard.types import EquityCurve, Panel

PRECISIONS: tuple[Precision, Precision] = ("float32", "exact")
"""Of training, and of every score."""


@dataclass(frozen=True)
class Venue:
    """A task with its data loaded: everything that agents meet.

    Attributes:
        panel: all rows that the task names, the universe as columns.
        env: the environment, the same for training and scoring.
        training: params over the training rows, float32 market.
        exact: the same market on the exact ledger.
        columns: the observations of the market before scaling.
        fingerprint: see `Score`.
    """

    task: Task
    panel: Panel
    env: Env
    training: Params
    exact: Any
    columns: Columns
    fingerprint: str

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
        _require_rows(self.task, window, first, last, self.columns.warmup)
        return first, last

    def params(self, market: Any, first: int, last: int, *, episodes: bool = False) -> Params:
        """The task's money and rules on rows of `market`: one pass, or training episodes."""
        most = self.task.episode if episodes else None
        return self.task.rules.params(market, self.task.cash, first, last, most)

    def clock(self, window: Window) -> NDArray[np.int64]:
        """Rows of the curves of `window`: where accounts are valued."""
        return self.task.rules.clock(self.exact, *self.span(window))

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


def open_venue(task: Task, panel: Panel | None = None) -> Venue:
    """Load a task's data, fit the scaling on its training rows and build its markets.

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
    table = columns(panel, (*task.features, *factor_features(task, panel)))
    scaled = table.fit((first, last + 1)).scale(table.values)
    _require_rows(task, task.train, first, last, table.warmup)
    _require_order(task, panel, last)
    learning, exact = (
        task.rules.build(panel, scaled, table.warmup, precision) for precision in PRECISIONS
    )
    start = max(first, table.warmup)
    return Venue(
        task=task,
        panel=panel,
        env=task.rules.env,
        training=task.rules.params(learning, task.cash, start, last, task.episode),
        exact=exact,
        columns=table,
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
