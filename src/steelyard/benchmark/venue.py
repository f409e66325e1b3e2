"""A task with its data loaded: everything that agents meet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import jax.numpy as jnp

from steelyard.benchmark.task import Task, Window
from steelyard.data import load
from steelyard.envs.constraints import Limits
from steelyard.envs.rewards import DifferentialSharpe, Reward, RiskPenalised, ValueChange
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.backtest import Recorded, backtest
from steelyard.evaluation.results import Backtest
from steelyard.features import compute
from steelyard.features.scaling import Columns, columns
from steelyard.market import Market, build_market
from steelyard.registry import did_you_mean
from steelyard.rollout import Policy
from steelyard.types import Panel

REWARDS: Mapping[str, Callable[[], Reward]] = {
    "value_change": ValueChange,
    "risk_penalised": RiskPenalised,
    "differential_sharpe": DifferentialSharpe,
}


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
    env: StockEnv
    training: StockParams
    exact: Market
    columns: Columns
    fingerprint: str

    def window(self, window: Window) -> StockParams:
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

    def params(self, market: Market, first: Any, last: Any, length: Any = None) -> StockParams:
        """The task's money and rules on rows of `market`; one pass where no length is given."""
        return _params(self.task, market, first, last, last - first if length is None else length)

    def trade(self, params: StockParams, policy: Policy | Recorded, seed: int) -> Backtest:
        """One pass of `policy` over the window of `params`."""
        return backtest(
            self.env,
            params,
            policy,
            self.panel.timestamps,
            seed=seed,
            periods_per_year=self.task.periods_per_year,
            deterministic=self.task.deterministic,
        )


def open_venue(task: Task, panel: Panel | None = None) -> Venue:
    """Load a task's data, fit the scaling on its training rows and build its markets.

    Args:
        panel: instead of `task.data`, for people who bring their own.

    Raises:
        MissingDataError: a period lies outside the data, or is shorter than the warm-up.
        ConfigError: settings that cannot hold.
    """
    if task.reward not in REWARDS:
        raise ConfigError(
            f"no reward named `{task.reward}`", hint=did_you_mean(task.reward, list(REWARDS))
        )
    if not 0 <= task.cost < 1 or task.cash <= 0 or task.max_shares < 1:
        raise ConfigError(
            f"cost must lie in [0, 1), cash above 0 and max_shares from 1; got {task.cost}, "
            f"{task.cash}, {task.max_shares}",
            hint="cost=0.001 is 10 basis points a side",
        )
    panel = load(task.data) if panel is None else panel
    panel = panel.select(task.assets) if task.assets else panel
    first, last = panel.span(task.train.start, task.train.end)
    table = columns(panel, task.features)
    scaled = table.fit((first, last + 1)).scale(table.values)
    _require_rows(task, task.train, first, last, table.warmup)
    _require_order(task, panel, last)
    gauges = {name: compute([name], panel)[name] for name in task.gates}
    learning, exact = (
        build_market(
            panel,
            scaled.values,
            gauges,
            first=table.warmup,
            fill=task.fill,
            precision=precision,
            columns=scaled.columns,
        )
        for precision in ("float32", "exact")
    )
    start = max(first, table.warmup)
    length = min(task.episode, last - start)
    return Venue(
        task=task,
        panel=panel,
        env=StockEnv(short=task.leverage is not None),
        training=_params(task, learning, start, last, length, stagger=length // 2),
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
    for free in ("summary", "agents", "published", "index", "claims"):
        del card[free]
    stated = json.dumps([card, panel.digest(), version("steelyard")], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def _params(
    task: Task, market: Market, first: Any, last: Any, length: Any, stagger: Any = 0
) -> StockParams:
    return StockParams(
        market=market,
        first=jnp.asarray(first, jnp.int32),
        last=jnp.asarray(last, jnp.int32),
        length=jnp.asarray(length, jnp.int32),
        cash=task.cash,
        cost=task.cost,
        max_shares=task.max_shares,
        stagger=jnp.asarray(stagger, jnp.int32),
        limits=Limits(gates=dict(task.gates), max_weight=task.max_weight, leverage=task.leverage),
        reward=REWARDS[task.reward](),
    )


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
