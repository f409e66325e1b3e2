from dataclasses import replace

import numpy as np
import pytest

from steelyard import registry
from steelyard.benchmark import StockRules, Task, Window, evaluate, open_venue
from steelyard.benchmark.learning import Trainer
from steelyard.data import load
from steelyard.errors import ConfigError, MissingDataError, UnknownNameError
from steelyard.evaluation.results import Score
from steelyard.registry import find, members
from steelyard.types import Feature, Panel
from tasks_for_tests import QUICK, planted

CLASSIC = ("equal_weight", "min_variance")
"""Of the agents without learning: prepared on the window, alone or on what came before it."""


def with_garbage_after(panel: Panel, day: str) -> Panel:
    """Every number after `day` replaced by another of the same size."""
    rows = panel.timestamps > np.datetime64(day)
    rng = np.random.default_rng(99)
    fields = {}
    for name, values in panel.fields.items():
        changed = values.copy()
        changed[rows] *= np.exp(rng.normal(0, 0.5, (rows.sum(), len(panel.assets))))
        fields[name] = changed
    context = {name: np.where(rows, 77.0, values) for name, values in panel.context.items()}
    return replace(panel, fields=fields, context=context)


def actions_and_values(task: Task, panel: Panel, agents: list[object]) -> list[np.ndarray]:
    score = evaluate(task, agents, seeds=(0, 1), venue=open_venue(task, panel))
    passes = [b for row in score.rows for w in row.windows for b in w.backtests]
    return [array for one in passes for array in (one.actions, one.curve.value)]


def changes_the_score(task: Task, agents: list[object], day: str) -> bool:
    panel = load(task.data)
    one, other = (
        actions_and_values(task, p, agents) for p in (panel, with_garbage_after(panel, day))
    )
    return any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_comes_after_the_test_window_changes_no_action_and_no_score() -> None:
    task = planted()
    assert not changes_the_score(task, [QUICK, *CLASSIC], "2002-12-31")


def test_what_comes_after_training_changes_nothing_that_was_learned() -> None:
    task = planted()
    panel = load(task.data)
    trained = [
        evaluate(task, [QUICK], seeds=(0, 1), venue=open_venue(task, p))
        .rows[0]
        .training[0]["reward"]
        for p in (panel, with_garbage_after(panel, task.train.end))
    ]
    assert np.array_equal(*trained)


def orders(task: Task, panel: Panel) -> np.ndarray:
    """What a learner orders in the test window, without anybody who looks for leaks."""
    venue, window = open_venue(task, panel), task.windows[0]
    policy = Trainer(venue).learn("quick", QUICK, (0,), window).policies[0]
    return venue.trade(venue.window(window), policy, 0).actions


def test_a_leak_of_the_future_changes_what_is_ordered() -> None:
    leak = Feature("tomorrow", lambda p: np.vstack([p["close"][1:], p["close"][-1:]]), "price", 0)
    registry.register("features", "tomorrow", leak, summary="a planted leak")
    try:
        task = planted(features=("return_1", "tomorrow", "turbulence"))
        panel = load(task.data)
        other = with_garbage_after(panel, "2002-12-30")
        assert not np.array_equal(orders(task, panel), orders(task, other))
    finally:
        del registry._members["features"]["tomorrow"]


@pytest.fixture(scope="module")
def score() -> Score:
    return evaluate(planted(), [QUICK, "buy_and_hold", "hold_cash"], seeds=(0, 1))


def test_every_agent_is_scored_on_the_same_rows_with_the_same_capital(score: Score) -> None:
    curves = [curve for row in score.rows for w in row.windows for curve in w.curves]
    assert [row.seeds for row in score.rows] == [(0, 1), (0,), (0,)]
    assert all(np.array_equal(c.timestamps, curves[0].timestamps) for c in curves)
    assert {float(c.value[0]) for c in curves} == {1_000_000.0}


def test_doing_nothing_scores_nothing(score: Score) -> None:
    idle = score.rows[2].windows[0].metrics
    assert all(idle[name].value == 0 for name in ("sharpe_ratio", "cumulative_return", "romad"))


def test_the_same_input_gives_the_same_score(score: Score) -> None:
    again = evaluate(planted(), [QUICK], seeds=(0, 1))
    assert again.fingerprint == score.fingerprint
    assert again.rows[0].windows[0].metrics == score.rows[0].windows[0].metrics


def test_costs_and_fills_add_up_to_the_cash(score: Score) -> None:
    for one in (b for row in score.rows for b in row.windows[0].backtests):
        value = one.cash + (one.weights * one.curve.value[:, None]).sum(axis=1)
        np.testing.assert_allclose(value, one.curve.value, rtol=1e-12)
        np.testing.assert_allclose(one.costs, 1e-3 * one.traded, rtol=1e-6, atol=1e-9)


def test_the_fingerprint_moves_with_data_rules_and_version_but_not_with_texts() -> None:
    base = open_venue(planted()).fingerprint
    assert open_venue(planted(summary="other words", agents=("ppo",))).fingerprint == base
    for change in (
        {"version": 2},
        {"rules": StockRules(cost=0.002)},
        {"rules": StockRules(fill="same_close")},
        {"seed": 1},
    ):
        assert open_venue(planted(**change)).fingerprint != base


def test_a_task_comes_back_from_its_card() -> None:
    for name, known in members("tasks").items():
        assert Task.from_card(known.value.card()) == known.value, name


def test_the_index_rows_are_those_of_the_published_table() -> None:
    task = replace(find("tasks", "stock-2023"), features=("return_1",))
    score = evaluate(task, ["hold_cash"])
    index = score.rows[-1]
    first, second = (w.metrics for w in index.windows)
    assert index.agent == "DJIA"
    for metrics, gain, drawdown, sharpe in (
        (first, 5.42, -1.87, 0.45),
        (second, 0.81, -0.18, 0.49),
    ):
        assert round(100 * metrics["cumulative_return"].value, 2) == gain
        assert round(100 * metrics["max_drawdown"].value, 2) == drawdown
        assert round(metrics["daily_sharpe_ratio"].value, 2) == sharpe


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            {"windows": (Window("late", "2003-01-01", "2010-01-01"),)},
            MissingDataError,
            "not inside",
        ),
        ({"windows": (Window("dot", "2002-10-01", "2002-10-01"),)}, MissingDataError, "1 rows"),
        ({"train": Window("train", "2000-01-03", "2000-06-30")}, ConfigError, "warm-up"),
        ({"rules": StockRules(reward="valuechange")}, ConfigError, "no reward named"),
        ({"rules": StockRules(cost=1.5)}, ConfigError, "cost must lie"),
        ({"features": ("macdd",)}, UnknownNameError, "macdd"),
        ({"universe": ("NOPE",)}, MissingDataError, "NOPE"),
        ({"rules": StockRules(fill="yesterday")}, ConfigError, "no fill named"),
    ],
)
def test_a_task_that_cannot_hold_is_refused_with_a_hint(
    change: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        evaluate(planted(**change), ["hold_cash"])
    assert raised.value.hint
