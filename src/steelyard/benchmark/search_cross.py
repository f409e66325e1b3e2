"""Choosing settings by combinatorial purged cross-validation, for tasks that ask for it.

The rows from the first of training to the last of validation (of training, where a task has no
validation period) are cut into groups. A trial trains once for every choice of held-out groups, all
of them in one program, and each training has a market of its own rows, scaled on these alone. Put
together, its policies trade whole paths through all rows on the exact ledger, and no policy trades
a row that it has learned from. See `evaluation.combinatorial`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import strangers_in
from steelyard.agents.rolling import RollingPolicy
from steelyard.benchmark.configure import resolve_agent
from steelyard.benchmark.rounds import stack
from steelyard.benchmark.search_ground import Ground
from steelyard.benchmark.settling import ending_with, settled
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.envs.spans import SpanEnv, SpanParams
from steelyard.errors import ConfigError
from steelyard.evaluation.combinatorial import Combinatorial, Split
from steelyard.evaluation.splits import Span
from steelyard.evaluation.trials import Trial
from steelyard.features.scaling import Scaler
from steelyard.metrics import Paths
from steelyard.registry import find
from steelyard.rollout import Params, SharedTable
from steelyard.types import EquityCurve, Floats, Panel


def period_of(task: Task) -> Window:
    """The rows that are cut into groups: those of training and of validation."""
    end = task.train if task.validate is None else task.validate
    return Window("cross_validation", task.train.start, end.end)


def open_cross_ground(
    task: Task, panel: Panel | None, seeds: Sequence[int], metric: str, width: int
) -> Ground:
    """The ground of a task with cross-validation.

    Args:
        panel: instead of `task.data`.
        seeds, metric, width: see `Ground`.

    Raises:
        MissingDataError: the period lies outside the data, or has too few rows.
        ConfigError: settings that cannot hold.
    """
    task, panel = settled(task, panel)
    cut = task.cross_validation
    assert cut is not None
    period, panel = ending_with(period_of(task), panel)
    venue = open_venue(replace(task, train=period, windows=(), validate=None), panel)
    first, last = (int(row) for row in (venue.training.first, venue.training.last))
    splits = cut.splits(first, last)
    scalers = [_scaler(venue, split) for split in splits]
    assert isinstance(venue.env, SharedTable)
    exam = CrossExam.of(venue, cut, (first, last), scalers, tuple(seeds), metric)
    return Ground(
        venue,
        period,
        SpanEnv(venue.env),
        _training(venue, splits, scalers),
        exam,
        tuple(seeds),
        metric,
        width,
        stacked=True,
    )


class Walk(NamedTuple):
    """What was earned along the paths.

    Attributes:
        returns: (P, T) simple returns per decision.
        rows: (T,) row of each decision.
    """

    returns: Floats
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class CrossExam:
    """The paths that the policies of a trial trade.

    Attributes:
        venue, cut: where, and how it is cut.
        groups: the rows of each group.
        paths: (P, N) which split's policy trades each group on each path.
        trading: of each path one pass over all rows on the exact ledger, each row scaled as the
            policy that trades it has learned to see it.
        level: (C,) what the metric of `cut.against` is on the held-out rows of each split; 0
            without it.
        seeds, metric: see `Ground`.
    """

    venue: Venue
    cut: Combinatorial
    groups: Sequence[Span]
    paths: NDArray[np.int64]
    trading: Sequence[Params]
    level: Floats
    seeds: tuple[int, ...]
    metric: str

    @classmethod
    def of(
        cls,
        venue: Venue,
        cut: Combinatorial,
        rows: Span,
        scalers: Sequence[Scaler],
        seeds: tuple[int, ...],
        metric: str,
    ) -> CrossExam:
        """The exam on some rows; `scalers` are those of the splits."""
        groups, paths = cut.spans(*rows), cut.paths()
        trading = [_path(venue, groups, [scalers[split] for split in path]) for path in paths]
        level = np.zeros(cut.count)
        exam = cls(venue, cut, groups, paths, trading, level, seeds, metric)
        if not cut.against:
            return exam
        return replace(exam, level=exam.worth(exam.baseline(venue.params(venue.exact, *rows))))

    def trial(self, settings: Mapping[str, Any], policies: Sequence[Any]) -> Trial:
        """The mean of the metric over the splits, and the returns of all paths as one account.

        Args:
            settings: of the trial.
            policies: per seed, leaves with a leading axis C, a policy per split.
        """
        lived = [self.walk(one, seed) for one, seed in zip(policies, self.seeds, strict=True)]
        worth = np.stack([self.worth(one) for one in lived]) - self.level
        returns = np.concatenate([one.returns for one in lived]).mean(axis=0)
        return Trial.across(settings, worth, returns)

    def walk(self, policies: Any, seed: int) -> Walk:
        """What one seed's policies earn along every path."""
        starts = jnp.asarray([first for first, _ in self.groups], jnp.int32)
        walks = []
        for path, params in zip(self.paths, self.trading, strict=True):
            own = jax.tree.map(lambda leaf, path=path: np.asarray(leaf)[path], policies)
            walks.append(self._traded(params, RollingPolicy(own, starts), seed))
        return Walk(np.concatenate([one.returns for one in walks]), walks[0].rows)

    def baseline(self, params: Params) -> Walk:
        """What `cut.against` earns, the same on every path.

        Raises:
            ConfigError: it learns, so that it has to be trained and searched like others, or it is
                somebody's own, which may not read the whole period.
        """
        name, agent = resolve_agent(self.cut.against)
        if getattr(agent, "learns", True):
            raise ConfigError(
                f"`{name}` learns, so that splits cannot be measured against it",
                hint='Combinatorial(against="equal_weight")',
            )
        if strangers_in(agent):
            raise ConfigError(
                f"`{name}` is not of this package: splits are measured against its own agents",
                hint='Combinatorial(against="equal_weight")',
            )
        policy = agent.prepare(jax.random.key(0), self.venue.env, params)[0]
        walk = self._traded(params, policy, 0)
        return Walk(np.tile(walk.returns, (len(self.paths), 1)), walk.rows)

    def worth(self, walk: Walk) -> Floats:
        """(C,) the metric on the held-out rows of every split."""
        measure, task = find("metrics", self.metric), self.venue.task
        group = np.searchsorted([last for _, last in self.groups], walk.rows, side="right")
        worth = []
        for split, choice in enumerate(self.cut.choices()):
            on = [int(np.flatnonzero(self.paths[:, one] == split)[0]) for one in choice]
            own = [walk.returns[path, group == one] for path, one in zip(on, choice, strict=True)]
            growth = np.cumprod(1 + np.append(0.0, np.concatenate(own)))
            clock = self.venue.panel.timestamps[: len(growth)]
            worth.append(measure(EquityCurve(clock, task.cash * growth, task.periods_per_year)))
        return np.array(worth)

    def _traded(self, params: Params, policy: Any, seed: int) -> Walk:
        """One pass over all rows; returns are 0 after a ruin."""
        curve = self.venue.trade(params, policy, seed).curve
        rows = np.searchsorted(self.venue.panel.timestamps, curve.timestamps[:-1])
        return Walk(Paths.of(curve).returns, rows)


def _scaler(venue: Venue, split: Split) -> Scaler:
    """The scaler of a split, fitted on what it learns from, the last close of every span too."""
    values = venue.columns.values
    seen = np.full_like(values, np.nan)
    for first, last in split.learn:
        seen[first : last + 1] = values[first : last + 1]
    rows = (split.learn[0][0], split.learn[-1][1] + 1)
    return replace(venue.columns, values=seen).fit(rows)


def _training(venue: Venue, splits: Sequence[Split], scalers: Sequence[Scaler]) -> SpanParams:
    """Params to train on; every leaf has a leading axis C, an entry per split.

    The market of a split is what it learns from, one span behind the other; its rows count anew.
    """
    most = max(len(split.learn) for split in splits)
    sizes = [[last - first + 1 for first, last in split.learn] for split in splits]
    length = max(sum(size) for size in sizes)
    params = []
    for split, size, scaler in zip(splits, sizes, scalers, strict=True):
        market = venue.learning_market(split.learn, scaler, length)
        ends = np.cumsum(size)
        unused = [(0, 0)] * (most - len(size))
        spans = jnp.asarray([*zip(ends - size, ends - 1, strict=True), *unused], jnp.int32)
        inner = venue.params(market, 0, int(ends[-1]) - 1, episodes=True)
        params.append(SpanParams(inner, spans))
    stacked: SpanParams = stack(params)
    return stacked


def _path(venue: Venue, groups: Sequence[Span], scalers: Sequence[Scaler]) -> Params:
    """One pass over all groups on the exact ledger, each scaled by its own scaler."""
    market = venue.exact_as(list(zip(groups, scalers, strict=True)))
    return venue.params(market, groups[0][0], groups[-1][1])
