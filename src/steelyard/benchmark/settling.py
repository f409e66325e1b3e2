"""What a task leaves to its data: periods where they have none of its own, and the clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from steelyard.benchmark.task import Task, Window
from steelyard.data import load
from steelyard.errors import ConfigError, MissingDataError
from steelyard.types import Panel

YEAR = np.timedelta64(365, "D")
"""A year of a market that never rests."""


def settle(task: Task, panel: Panel) -> Task:
    """The task with every period and the clock stated, as `panel` has them.

    Raises:
        ConfigError: the shares of the rows do not add up to one.
    """
    if task.split is not None and not holds(task, panel):
        task = _divided(task, panel, task.split)
    if not task.periods_per_year:
        task = replace(task, periods_per_year=_points_per_year(task, panel))
    return task


def settled(task: Task, panel: Panel | None = None) -> tuple[Task, Panel]:
    """A task with its data, loaded where they are not given, and every period stated."""
    panel = load(task.data) if panel is None else panel
    task.rules.require_data(panel)
    return settle(task, panel), panel


def ending_with(window: Window, panel: Panel) -> tuple[Window, Panel]:
    """The panel up to the last row of a window, and the window as that panel holds it.

    Where a window ends on a day without a row, its end becomes the last row that it has.

    Raises:
        MissingDataError: the window lies outside the data, or holds no row.
    """
    last = panel.span(window.start, window.end)[1]
    cut = panel.rows(0, last + 1)
    try:
        cut.span(window.start, window.end)
    except MissingDataError:
        window = replace(window, end=instant(cut.timestamps[-1].astype("datetime64[us]")))
    return window, cut


def holds(task: Task, panel: Panel) -> bool:
    """Whether the data hold every period of the task."""
    periods = [task.train, *task.windows, *([task.validate] if task.validate else [])]
    try:
        for period in periods:
            panel.span(period.start, period.end)
    except MissingDataError:
        return False
    return True


def instant(stamp: np.datetime64) -> str:
    """A time as people write it, without a fraction of a second that says nothing."""
    return str(stamp).removesuffix(".000000")


def _divided(task: Task, panel: Panel, split: tuple[float, ...]) -> Task:
    """Train, validate and trade on shares of the rows, in that order."""
    if len(split) not in (3, 4) or min(split) <= 0 or not np.isclose(sum(split), 1):
        raise ConfigError(
            f"shares of the rows to train, validate and trade on must be positive and add up to "
            f"1, got {split}",
            hint="split=(0.6, 0.2, 0.2)",
        )
    ends = np.round(np.cumsum((0.0, *split)) * len(panel)).astype(int)[-4:]
    if np.diff(ends).min() < 2:
        raise MissingDataError(
            f"`{panel.name}` has {len(panel)} rows, too few to train, validate and trade on",
            hint="load more rows",
        )
    clock = panel.timestamps.astype("datetime64[us]")
    train, validate, test = (
        Window(name, instant(clock[start]), instant(clock[end - 1]))
        for name, start, end in zip(("train", "validate", "test"), ends[:-1], ends[1:], strict=True)
    )
    if task.validate is None:  # nobody else needs those rows
        train = Window("train", train.start, validate.end)
    chooses = task.validate is not None and task.windows == (task.validate,)
    return replace(
        task,
        train=train,
        validate=validate if task.validate else None,
        windows=(validate if chooses else test,),
    )


def _points_per_year(task: Task, panel: Panel) -> float:
    """Points of a curve in a year of the usual distance between them."""
    row = np.median(np.diff(panel.timestamps.astype("datetime64[ns]")).astype(np.int64))
    return float(YEAR / np.timedelta64(int(row), "ns")) / getattr(task.rules, "step_gap", 1)
