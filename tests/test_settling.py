"""What a task leaves to its data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from steelyard.benchmark import StockRules, Task, Window, open_venue
from steelyard.benchmark.settling import settle
from steelyard.errors import ConfigError, MissingDataError
from steelyard.types import Panel
from tasks_for_tests import planted

SPLIT = replace(planted(), split=(0.5, 0.2, 0.3))
ELSEWHERE = replace(SPLIT, train=Window("train", "1990-01-01", "1990-12-31"))


def rows(count: int, seconds: int = 1) -> Panel:
    clock = np.datetime64("2024-01-01T00:00:00", "us") + np.arange(count) * np.timedelta64(
        seconds, "s"
    )
    return Panel(clock, ("A",), {"close": np.ones((count, 1))})


def test_periods_that_the_data_hold_stay_as_they_are() -> None:
    assert open_venue(SPLIT).task == SPLIT


def test_rows_are_cut_in_order_where_the_data_do_not_hold_the_periods() -> None:
    panel = rows(100)
    task = settle(ELSEWHERE, panel)
    assert task.validate is not None
    spans = [panel.span(one.start, one.end) for one in (task.train, task.validate, *task.windows)]
    assert spans == [(0, 49), (50, 69), (70, 99)]
    left = settle(replace(ELSEWHERE, split=(0.1, 0.4, 0.2, 0.3)), panel)
    assert panel.span(left.train.start, left.train.end) == (10, 49)
    chooses = settle(replace(ELSEWHERE, windows=(ELSEWHERE.validate,)), panel)
    assert panel.span(chooses.windows[0].start, chooses.windows[0].end) == (50, 69)
    nobody = settle(replace(ELSEWHERE, validate=None), panel)
    assert panel.span(nobody.train.start, nobody.train.end) == (0, 69)


@pytest.mark.parametrize("split", [(0.5, 0.5), (0.5, 0.2, 0.2), (0.0, 0.5, 0.5), (-0.5, 1.0, 0.5)])
def test_shares_that_are_none_are_refused(split: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        settle(replace(ELSEWHERE, split=split), rows(100))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(MissingDataError, match="has 4 rows, too few"):
        settle(ELSEWHERE, rows(4))


def test_the_clock_of_the_data_annualises_where_a_task_says_none() -> None:
    free = replace(ELSEWHERE, periods_per_year=0.0)
    assert settle(free, rows(100)).periods_per_year == 365 * 86_400
    assert settle(free, rows(100, 300)).periods_per_year == 105_120
    assert settle(ELSEWHERE, rows(100)).periods_per_year == ELSEWHERE.periods_per_year


def test_lots_that_ticks_cannot_tell_apart_are_refused() -> None:
    cheap = replace(planted(), rules=StockRules(lot=1e-4))
    with pytest.raises(ConfigError, match="too little for ticks") as error:
        open_venue(cheap)
    assert "StockRules(lot=" in error.value.hint


def test_a_task_that_trades_on_factors_names_the_command_that_mines_them() -> None:
    task: Task = replace(
        planted(), needs_factors=True, train=Window("t", "2001-01-01", "2002-06-28")
    )
    with pytest.raises(ConfigError, match="mined before it") as error:
        open_venue(task)
    assert error.value.hint.startswith('steelyard factors mine "synthetic:momentum')
    with pytest.raises(MissingDataError, match="no rows before"):
        open_venue(replace(task, train=planted().train))
