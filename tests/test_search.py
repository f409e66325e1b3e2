"""A search chooses on validation rows alone, goes on where it stopped, and says how lucky it is."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.distributions import Deterministic
from steelyard.agents.ppo import PPO
from steelyard.benchmark import StockRules, Task, evaluate
from steelyard.benchmark import search as searching
from steelyard.benchmark.overrides import override, typed_settings
from steelyard.benchmark.search import search
from steelyard.benchmark.search_ground import Tell
from steelyard.benchmark.search_space import Choice, Range, search_space
from steelyard.benchmark.search_study import JOURNAL
from steelyard.data import load
from steelyard.errors import ConfigError, DependencyError, SteelyardError, TrainingError
from steelyard.evaluation.report.search import render
from steelyard.evaluation.results import Estimate
from steelyard.evaluation.splits import Rolling
from steelyard.evaluation.statistics import deflated_sharpe
from steelyard.evaluation.trials import Moments, Search, Trial, best_json, deflated, search_json
from steelyard.registry import find, members
from steelyard.types import EquityCurve
from tasks_for_tests import QUICK, planted

TASK = planted(assets=3)
TRACES: list[str] = []
FLAT = Moments(0.0, 0.0, 3.0, 60)


class Still(NamedTuple):
    """Always orders the same."""

    orders: jax.Array

    def initial_carry(self) -> None:
        return None

    def __call__(self, vector: jax.Array, carry: None) -> tuple[Deterministic, None]:
        return Deterministic(self.orders), carry


class Learning(NamedTuple):
    policy: Still


class Trend(eqx.Module):
    """Learns which prices have risen: a learner that compiles in no time and says when it does."""

    learning_rate: float | jax.Array = 3e-4
    updates: int = eqx.field(static=True, default=4)

    def init(self, key: jax.Array, env: Any, params: Any) -> Learning:
        return Learning(Still(jax.random.normal(key, (params.market.assets,))))

    def advance(self, state: Learning, env: Any, params: Any) -> tuple[Learning, dict[str, Any]]:
        TRACES.append("advance")
        mark = params.market.mark
        risen = jnp.log(mark[params.last] / mark[params.first])
        orders = state.policy.orders + 1e3 * self.learning_rate * risen
        return Learning(Still(orders)), {"orders": orders.sum()}


AGENT = Trend()


def train_for_real(place: Path, trials: int, **changes: Any) -> Search:
    space = search_space(AGENT, ["learning_rate=0.0003,0.003,0.03,1e38"])
    options: dict[str, Any] = {"seeds": (0, 1), "batch": 2, "space": space, "seed": 1}
    return search(TASK, ("trend", AGENT), place, trials=trials, **options | changes)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return train_for_real(tmp_path_factory.mktemp("real"), 6)


def test_the_first_trial_is_the_agent_as_given_traded_on_the_validation_rows(real: Search) -> None:
    assert TASK.validate is not None
    score = evaluate(replace(TASK, windows=(TASK.validate,), validate=None), [AGENT], seeds=(0, 1))
    expected = score.rows[0].windows[0].metrics["sharpe_ratio"]
    assert real.start is real.trials[0]
    assert real.start.value is not None
    assert real.start.value.value == pytest.approx(expected.value, rel=1e-6)
    assert real.period == (TASK.validate.start, TASK.validate.end)


def test_rows_behind_the_validation_period_change_nothing(real: Search, tmp_path: Path) -> None:
    panel = load(TASK.data)
    last = panel.span("2002-07-01", "2002-09-30")[1]
    rng = np.random.default_rng(5)
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[last + 1 :] *= np.exp(rng.normal(0, 0.5, values[last + 1 :].shape))
    changed = replace(panel, fields=fields)
    assert changed.digest() != panel.digest()
    traced = len(TRACES)
    other = train_for_real(tmp_path, 6, panel=changed)
    assert other.trials == real.trials
    assert other.fingerprint == real.fingerprint
    assert len(TRACES) == traced  # every batch ran the program that was there


def test_a_row_of_the_validation_period_does_change_the_search(tmp_path: Path) -> None:
    # the planted failure of the test above
    panel = load(TASK.data)
    first = panel.span("2002-07-01", "2002-09-30")[0]
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for name in ("open", "high", "low", "close"):
        fields[name][first + 20 :] *= 1.5
    train_for_real(tmp_path, 1)
    with pytest.raises(ConfigError, match="data was"):
        train_for_real(tmp_path, 1, panel=replace(panel, fields=fields))


def test_a_training_that_breaks_is_a_failed_trial_and_not_the_end(real: Search) -> None:
    for one in real.trials:
        assert (one.value is None) == (one.settings["learning_rate"] > 1)
        assert ("not finite" in one.note) == (one.value is None)
    assert 0 < real.failed < len(real.trials)
    assert real.chosen.value is not None


@pytest.mark.slow
def test_rolling_windows_roll_through_the_validation_rows(tmp_path: Path) -> None:
    task = replace(TASK, rolling=Rolling(train=100, validate=20, trade=25))
    assert task.validate is not None
    space = search_space(AGENT, ["learning_rate"])
    found = search(task, ("trend", AGENT), tmp_path, trials=2, seeds=(0, 1), space=space)
    score = evaluate(replace(task, windows=(task.validate,), validate=None), [AGENT], seeds=(0, 1))
    expected = score.rows[0].windows[0].metrics["sharpe_ratio"]
    assert found.start is not None
    assert found.start.value is not None
    assert found.start.value.value == pytest.approx(expected.value, rel=1e-6)


def test_an_ensemble_is_not_searched(tmp_path: Path) -> None:
    class Ensemble(Trend):
        population: int = 3

    with pytest.raises(ConfigError, match="one by one"):
        search(TASK, ("ensemble", Ensemble()), tmp_path)


def test_a_batch_gives_what_each_trial_gives_alone(real: Search, tmp_path: Path) -> None:
    alone = train_for_real(tmp_path, 6, batch=1)
    worth = {one.settings["learning_rate"]: one.value for one in real.trials}
    for one in alone.trials:
        same = worth.get(one.settings["learning_rate"], one.value)
        assert (one.value is None) == (same is None)
        if one.value is not None and same is not None:
            assert one.value.value == pytest.approx(same.value, rel=1e-6)


Worth = dict[str, Any]
"""How the fake trials go: `values` so far, what `fails`, and after how many calls to `stop`."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Worth:
    """Trials without training: worth how near the learning rate is to 1e-3."""
    how: Worth = {"fails": lambda number: False, "stop": 10**9, "calls": 0}

    def try_all(
        ground: Any, agent: Any, space: Any, proposed: Sequence[Mapping[str, Any]], tell: Tell
    ) -> list[Trial]:
        how["calls"] += 1
        if how["calls"] > how["stop"]:
            raise KeyboardInterrupt
        found = []
        for number, chosen in enumerate(proposed):
            value = -abs(np.log10(chosen["learning_rate"]) + 3)
            failed = how["fails"](number)
            note = "it broke" if failed else ""
            worth = None if failed else Estimate(value, value - 1, value + 1)
            found.append(Trial(chosen, worth, None if failed else FLAT, note))
        return found

    monkeypatch.setattr(searching, "try_all", try_all)
    return how


def pretend(place: Path, trials: int = 12, task: Task = TASK, **changes: Any) -> Search:
    return search(task, ("quick", QUICK), place, **{"trials": trials, "batch": 4} | changes)


def test_a_search_that_was_interrupted_ends_as_if_it_had_not_been(
    fake: Worth, tmp_path: Path
) -> None:
    whole = pretend(tmp_path / "whole")
    for trials, stop in ((6, 10**9), (12, 1), (12, 10**9)):  # fewer, then Ctrl-C, then the rest
        fake["calls"], fake["stop"] = 0, stop
        parts = pretend(tmp_path / "parts", trials)
        if stop == 1:
            assert parts.notes == ["interrupted after 8 of 12 trials; the same call goes on"]
    assert parts.trials == whole.trials
    assert parts.best == whole.best
    assert len({one.settings["learning_rate"] for one in whole.trials}) == 12
    fake["calls"] = 0
    assert pretend(tmp_path / "whole").trials == whole.trials
    assert fake["calls"] == 0  # nothing is left to do


def test_an_interruption_before_the_first_trial_is_one(fake: Worth, tmp_path: Path) -> None:
    fake["stop"] = 0
    with pytest.raises(KeyboardInterrupt):
        pretend(tmp_path)


def test_the_search_learns_from_its_trials(fake: Worth, tmp_path: Path) -> None:
    space = {"learning_rate": Range(1e-9, 1e2, log=True)}
    found = pretend(tmp_path, 40, space=space)
    distance = [-one.value.value for one in found.trials if one.value is not None]
    assert np.mean(distance[20:]) < np.mean(distance[1:20]) / 2


def test_the_best_of_a_metric_that_should_be_low_is_the_lowest(fake: Worth, tmp_path: Path) -> None:
    found = pretend(tmp_path, metric="annual_volatility")
    assert found.better == "lower"
    assert found.chosen.value is not None
    assert all(one.value and one.value.value >= found.chosen.value.value for one in found.trials)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"task": replace(TASK, rules=StockRules(cost=0.002))},
            "task.rules.cost was 0.001, is 0.002",
        ),
        ({"space": {"learning_rate": Range(1e-4, 1e-3)}}, "space.learning_rate was"),
        ({"metric": "romad"}, "metric was sharpe_ratio, is romad"),
        ({"seeds": (0,)}, "seeds was [0, 1, 2], is [0]"),
        ({"agent": replace(QUICK, steps=4096)}, "settings.steps was 2048, is 4096"),
    ],
)
def test_a_search_goes_on_only_with_what_it_began_with(
    fake: Worth, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    space = {"learning_rate": Range(1e-5, 1e-2, log=True)}
    begun = {"agent": QUICK, "space": space} | changes
    search(TASK, ("quick", QUICK), tmp_path, trials=1, space=space)
    with pytest.raises(ConfigError) as error:
        search(begun.pop("task", TASK), ("quick", begun.pop("agent")), tmp_path, trials=2, **begun)
    assert told in error.value.message
    assert "--out" in error.value.hint
    test_free = replace(TASK, windows=(replace(TASK.windows[0], end="2002-11-29"),), summary="new")
    assert len(search(test_free, ("quick", QUICK), tmp_path, trials=2, space=space).trials) == 2


def test_a_search_in_which_everything_fails_is_an_error(fake: Worth, tmp_path: Path) -> None:
    fake["fails"] = lambda number: True
    with pytest.raises(TrainingError, match="all 12 trials failed, the last one because it broke"):
        pretend(tmp_path)


def test_a_trial_that_was_not_written_to_its_end_is_tried_again(
    fake: Worth, tmp_path: Path
) -> None:
    whole = pretend(tmp_path)
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-40])
    assert pretend(tmp_path).trials == whole.trials


@pytest.mark.parametrize("content", ["not a journal\n", '{"op_code": 4}\n', "[]\n{}\n"])
def test_a_damaged_file_is_refused(fake: Worth, tmp_path: Path, content: str) -> None:
    (tmp_path / JOURNAL).write_text(content)
    with pytest.raises(ConfigError, match="damaged"):
        pretend(tmp_path)


def test_without_optuna_the_hint_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DependencyError) as error:
        pretend(tmp_path)
    assert error.value.hint == "pip install 'steelyard[tune]'"


def test_everything_that_an_agent_has_a_usual_range_for_is_searched() -> None:
    assert list(search_space(PPO())) == [
        "learning_rate", "discount", "decay", "clip", "entropy_weight", "log_std",
    ]  # fmt: skip
    assert "clip" not in search_space(PPO(), fixed=["clip"])


LEARNERS = [
    name
    for name, known in members("agents").items()
    if getattr(known.value, "learns", True) and not hasattr(known.value(), "population")
]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_usual_ranges_of_a_learner_hold_its_own_settings(name: str) -> None:
    agent = find("agents", name)()
    space = search_space(agent)
    assert len(space) >= 3
    assert [key for key, where in space.items() if not where.holds(getattr(agent, key))] == []


def test_a_search_space_is_what_people_write() -> None:
    wishes = [
        "clip",
        "learning_rate=1e-5:1e-2:log",
        "epochs=2:8",
        "hidden=64x32,8",
        "horizon=16,32",
    ]
    assert search_space(PPO(), wishes) == {
        "clip": Range(0.1, 0.4),
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "epochs": Range(2, 8, whole=True),
        "hidden": Choice(((64, 32), (8,))),
        "horizon": Choice((16, 32)),
    }
    assert str(search_space(PPO(), ["hidden=64x32,8"])["hidden"]) == "64x32,8"


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("learning_rat=1:2", "no setting named `learning_rat`"),
        ("value_weight", "where to search `value_weight`"),
        ("clip=0.4:0.1", "no range from low to high"),
        ("clip=0:inf", "no range from low to high"),
        ("clip=0.1:0.4:lin", "cannot search `clip`"),
        ("clip=0:1:log", "above 0"),
        ("clip=0.1", "no choice"),
        ("clip=0.1,0.1", "no choice"),
        ("clip=small,large", "takes a number"),
        ("epochs=1.5:3", "takes a whole number"),
        ("hidden=8:16", "cannot search `hidden`"),
    ],
)
def test_a_space_that_cannot_be_read_is_refused(wish: str, told: str) -> None:
    with pytest.raises(SteelyardError) as error:
        search_space(PPO(), [wish])
    assert told in error.value.message


class Bounded(eqx.Module):
    """Refuses what cannot hold, as agents do."""

    clip: float = 0.2

    def __check_init__(self) -> None:
        if not 0 < self.clip < 1:
            raise ConfigError(f"clip must lie in (0, 1), not {self.clip}")


def test_an_end_that_the_agent_refuses_is_refused_before_the_search() -> None:
    with pytest.raises(ConfigError, match=r"\(0, 1\), not 1.5"):
        search_space(Bounded(), ["clip=0.1:1.5"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"clip": "1e-1"}, {"clip": 0.1}),
        ({"hidden": "64x32"}, {"hidden": (64, 32)}),
        ({"hidden": "(64, 32)"}, {"hidden": (64, 32)}),
        ({"hidden": [8]}, {"hidden": (8,)}),
        ({"steps": "1_000"}, {"steps": 1000}),
        ({"steps": "1e6"}, {"steps": 1_000_000}),
        ({"target_kl": "inf"}, {"target_kl": np.inf}),
    ],
)
def test_a_setting_is_read_as_what_it_is(text: dict[str, Any], value: dict[str, Any]) -> None:
    changed = override(PPO(), text)
    assert {name: getattr(changed, name) for name in value} == value


def test_all_settings_survive_being_written() -> None:
    assert override(PPO(), json.loads(json.dumps(typed_settings(QUICK)))) == QUICK


@pytest.mark.parametrize(
    "changes", [{"clip": "small"}, {"clip": "nan"}, {"steps": "1.5"}, {"clp": 1}, {"hidden": "a"}]
)
def test_a_setting_that_cannot_be_read_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SteelyardError) as error:
        override(PPO(), changes)
    assert error.value.hint


def made(ratios: Sequence[float | None]) -> Search:
    """A search whose trials have these Sharpe ratios per bar."""
    trials = [
        Trial({"clip": 0.1 + n / 100, "hidden": (8,) if n % 2 else (64, 32)}, note="<b>broke</b>")
        if ratio is None
        else Trial(
            {"clip": 0.1 + n / 100, "hidden": (64, 32)},
            Estimate(16 * ratio, 16 * ratio - 1, 16 * ratio + 1),
            Moments(ratio, 0.0, 3.0, 252),
        )
        for n, ratio in enumerate(ratios)
    ]
    space = {"clip": "0.1:0.4", "hidden": "64x32,8"}
    return Search(
        "a<b", "0123", "ppo", {"clip": 0.2, "steps": 10}, "sharpe_ratio", "higher",
        ("2001-01-02", "2001-12-31"), 2, len(trials), space, trials,
    )  # fmt: skip


def test_the_luck_of_the_best_grows_with_the_number_of_tries() -> None:
    few, many = made([0.0, 0.1]), made([0.0, 0.1] * 20)
    spread = np.std([0.0, 0.1], ddof=1)
    assert deflated(few) == pytest.approx(deflated_sharpe(0.1, 2, 252, spread=float(spread)))
    assert deflated(made([0.1])) > deflated(few) > deflated(many)


def test_the_moments_of_a_curve_are_those_worked_by_hand() -> None:
    days = np.arange("2001-01-01", "2001-01-06", dtype="datetime64[D]")
    curve = EquityCurve(days, np.cumprod([1.0, 1.02, 1.00, 1.02, 1.00]))
    found = Moments.of(curve)
    # returns 0.02, 0, 0.02, 0: mean 0.01, sample deviation 0.01 * sqrt(4 / 3), two points
    assert found.sharpe == pytest.approx(np.sqrt(3 / 4))
    assert (found.skewness, found.kurtosis) == (pytest.approx(0), pytest.approx(1))
    assert Moments.of(replace(curve, value=np.full(5, 7.0))) == Moments(0.0, 0.0, 3.0, 4)


def test_the_page_shows_every_trial_and_escapes_every_text() -> None:
    page = render(made([0.05, None, 0.1, -0.02]))
    assert "a&lt;b" in page
    assert "<b>" not in page
    assert "&lt;b&gt;broke&lt;/b&gt;" in page
    assert page.count('scope="row"') == 2 + 4
    assert page.count('class="dots top') == 3  # the chart of trials and one per setting
    assert "<script" not in page


def test_the_documents_hold_what_run_takes_and_strict_json() -> None:
    found = made([None, 0.1])
    document = best_json(found)
    assert document["settings"] == {"clip": 0.11, "steps": 10, "hidden": [64, 32]}
    assert document["trials"] == 2
    assert document["failed"] == 1
    rows = json.loads(json.dumps(search_json(found, "o", "r", "b"), allow_nan=False))["trials"]
    assert [row["value"] for row in rows] == [None, 1.6]
