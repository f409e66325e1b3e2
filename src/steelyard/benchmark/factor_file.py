"""Stage two of factor mining: a task that trades on factors that were mined before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard.benchmark.settling import instant
from steelyard.errors import ConfigError, MissingDataError
from steelyard.types import Feature, Panel

if TYPE_CHECKING:
    from steelyard.benchmark.task import Task


LONG = 10_000
"""Rows below which the windows of the paper, up to 900 rows ahead, are too long to mine for."""


def factor_features(task: Task, panel: Panel) -> tuple[Feature, ...]:
    """The factors of a task as features, after a look at whether they may be used.

    Raises:
        ConfigError: the task needs factors and has none, or its agents would learn on rows that
            the factors were fitted on.
        MissingDataError: the folder is not there.
        DataError: it was changed, or holds factors of other data.
    """
    first, last = panel.span(task.train.start, task.train.end)
    if task.factors is None:
        if task.needs_factors:
            raise ConfigError(
                f"task {task.name} trades on factors, which are mined before it",
                hint=_first_stage(task, panel, first),
            )
        return ()
    from steelyard.factors.artefact import align, load

    artefact = load(task.factors.path, task.factors.sha256)
    align(artefact, panel)
    artefact.require_unseen(panel.timestamps[first : last + 1])
    return artefact.features()


def _first_stage(task: Task, panel: Panel, until: int) -> str:
    """The command that mines on the rows before those that agents learn from.

    Raises:
        MissingDataError: there are none.
    """
    if until < 4:
        raise MissingDataError(
            f"`{panel.name}` has no rows before {task.train.start} to mine factors on",
            hint="load earlier rows, or train agents later",
        )
    cut = until * 3 // 4
    short = "" if until > LONG else " --windows 5,10,20,30"
    clock = panel.timestamps.astype("datetime64[us]")
    train, validate = (
        f"{instant(clock[a])}..{instant(clock[b])}" for a, b in ((0, cut - 1), (cut, until - 1))
    )
    return (
        f'steelyard factors mine "{task.data}" --train {train} --validate {validate} '
        f"--out factors{short}, then run the task with --factors factors"
    )
