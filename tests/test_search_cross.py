"""A search by cross-validation: no policy trades what it has learned from, and luck is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from other_rows import differences
from steelyard import registry
from steelyard.agents.distributions import Deterministic
from steelyard.benchmark import Task, open_venue
from steelyard.benchmark import search as searching
from steelyard.benchmark.market_rows import packed
from steelyard.benchmark.search import search
from steelyard.benchmark.search_cross import CrossExam, open_cross_ground, period_of
from steelyard.benchmark.search_ground import Ground
from steelyard.benchmark.search_space import search_space
from steelyard.cli import main
from steelyard.data import load
from steelyard.errors import ConfigError
from steelyard.evaluation.combinatorial import Combinatorial
from steelyard.evaluation.overfitting import backtest_overfitting
from steelyard.evaluation.report.search import render, sentences
from steelyard.evaluation.search_table import table
from steelyard.evaluation.splits import Rolling
from steelyard.evaluation.training import fit
from steelyard.evaluation.trials import Search, Trial, best_json
from steelyard.metrics import sharpe_ratio
from steelyard.rollout import rollout
from steelyard.types import EquityCurve
from tasks_for_tests import QUICK, planted

CUT = Combinatorial(groups=5, held_out=2, purge=1, embargo=31)
TASK = planted(assets=2, features=("return_1", "close_30_sma"), episode=40, cross_validation=CUT)
SEEDS = (0, 1)


class Knowing(NamedTuple):
    """Buys on every row whose prices it knows, and does nothing on others.

    Attributes:
        known: (M, 2) closes of the rows that it has visited; 0 for others.
        boldness: what it orders.
    """

    known: jax.Array
    boldness: jax.Array

    def initial_carry(self) -> None:
        return None

    def bind(self, env: Any, params: Any) -> Any:
        market = params.market

        def act(obs: Any, carry: None) -> tuple[Deterministic, None]:
            close = (market.mark[obs.row] / market.money).astype(jnp.float32)
            met = (jnp.abs(self.known / close - 1) < 5e-6).all(axis=1).any()
            return Deterministic(jnp.full(market.assets, self.boldness * met)), carry

        return act


class Wandering(NamedTuple):
    policy: Knowing
    key: jax.Array


class Explorer(eqx.Module):
    """Learns on which rows it has been: a learner that tells what it was shown."""

    boldness: float | jax.Array = 0.5
    updates: int = eqx.field(static=True, default=16)

    def init(self, key: jax.Array, env: Any, params: Any) -> Wandering:
        boldness = jnp.asarray(self.boldness, jnp.float32)
        return Wandering(Knowing(jnp.zeros(params.market.mark.shape), boldness), key)

    def advance(self, state: Wandering, env: Any, params: Any) -> tuple[Wandering, dict[str, Any]]:
        key, now = jax.random.split(state.key)
        still = state.policy._replace(boldness=jnp.zeros(()))
        walk = jax.vmap(lambda one: rollout(one, env, params, still, 40)[1])
        rows = walk(jax.random.split(now, 64)).obs.row
        known = state.policy.known.at[rows].set(params.market.mark[rows])
        return Wandering(state.policy._replace(known=known), key), {"known": (known > 0).sum()}


@pytest.fixture(scope="module")
def ground() -> Ground:
    return open_cross_ground(TASK, None, SEEDS, "sharpe_ratio", 8)


@pytest.fixture(scope="module")
def policies(ground: Ground) -> list[Knowing]:
    return list(fit(Explorer(), ground.env, ground.training, SEEDS, windows=True).policies)


def exam_of(ground: Ground) -> CrossExam:
    assert isinstance(ground.exam, CrossExam)
    return ground.exam


def rows_of(ground: Ground) -> tuple[int, int]:
    groups = exam_of(ground).groups
    return groups[0][0], groups[-1][1]


def test_a_training_visits_all_rows_of_its_split_and_no_other(
    ground: Ground, policies: list[Knowing]
) -> None:
    splits = CUT.splits(*rows_of(ground))
    for seed in policies:
        for known, split in zip(seed.known, splits, strict=True):
            rows, _ = packed(split.learn)
            visited = np.isin(np.arange(rows[-1] + 1), rows[known[: len(rows), 0] > 0])
            learned = np.zeros(len(visited), bool)
            for first, last in split.learn:
                learned[first:last] = True
            assert not visited[~learned].any()
            assert not known[len(rows) :].any()
            assert visited[learned].mean() > 0.95  # the last rows of a span are reached rarely


def test_no_policy_trades_a_row_that_it_has_learned_from(
    ground: Ground, policies: list[Knowing]
) -> None:
    exam = exam_of(ground)
    walk = exam.walk(policies[0], seed=0)
    assert walk.returns.shape == (4, rows_of(ground)[1] - rows_of(ground)[0])
    assert (walk.returns == 0).all()
    # the planted failure: the policies of other splits know rows of these groups
    mixed = jax.tree.map(lambda leaf: leaf[::-1], policies[0])
    assert (exam.walk(mixed, seed=0).returns != 0).any(axis=1).all()


def always(value: float) -> Knowing:
    """Policies of all splits that order the same on every row."""
    close = load(TASK.data)["close"].astype(np.float32)
    return Knowing(np.tile(close, (CUT.count, 1, 1)), np.full(CUT.count, value, np.float32))


def test_a_trial_is_worth_the_mean_of_the_metric_over_the_held_out_rows(ground: Ground) -> None:
    exam, (first, last) = exam_of(ground), rows_of(ground)
    venue = ground.venue
    one, two = (always(value) for value in (0.01, 0.03))
    passes = []
    for policy in (one, two):
        alone = Knowing(jnp.asarray(policy.known[0]), jnp.asarray(policy.boldness[0]))
        passes.append(venue.trade(venue.params(venue.exact, first, last), alone, 0).curve.returns)
    # the same policy everywhere, so every path is the plain pass, and a split is its own rows of it
    values = np.empty((2, CUT.count))
    for seed, returns in enumerate(passes):
        for number, choice in enumerate(CUT.choices()):
            own = [np.array(exam.groups[group]) - first for group in choice]
            held = np.concatenate([returns[slice(*rows)] for rows in own])
            curve = EquityCurve(np.arange(len(held) + 1), np.cumprod(np.append(1, 1 + held)))
            values[seed, number] = sharpe_ratio(curve)
    trial = exam.trial({"boldness": 0.5}, [one, two])
    assert trial.value is not None
    assert trial.value.value == pytest.approx(np.median(values.mean(axis=1)), rel=1e-6)
    assert trial.value.low == pytest.approx(np.quantile(values, 0.05), rel=1e-6)
    assert trial.returns == pytest.approx(np.mean(passes, axis=0), rel=1e-6, abs=1e-12)


@pytest.mark.slow
def test_the_metric_of_another_agent_on_the_same_rows_is_taken_off(ground: Ground) -> None:
    against = replace(TASK, cross_validation=replace(CUT, against="buy_and_hold"))
    other = exam_of(open_cross_ground(against, None, SEEDS, "sharpe_ratio", 8))
    plain = exam_of(ground)
    venue = ground.venue
    named = replace(plain, cut=replace(CUT, against="buy_and_hold"))
    held = plain.worth(named.baseline(venue.params(venue.exact, *rows_of(ground))))
    assert other.level == pytest.approx(held)
    assert held.std() > 0
    trials = [exam.trial({}, [always(0.02)] * 2) for exam in (plain, other)]
    values = [one.value.value for one in trials if one.value is not None]
    assert values[0] - values[1] == pytest.approx(held.mean())


def test_what_a_split_sees_does_not_depend_on_the_rows_that_it_holds_out(ground: Ground) -> None:
    panel = load(TASK.data)
    group = 2
    first, last = exam_of(ground).groups[group]
    fields = {name: values.copy() for name, values in panel.fields.items()}
    noise = np.exp(np.random.default_rng(5).normal(0, 0.3, (last - first - 1, 2)))
    for name in ("open", "high", "low", "close"):
        fields[name][first + 1 : last] *= noise
    changed = open_cross_ground(TASK, replace(panel, fields=fields), SEEDS, "sharpe_ratio", 8)
    for number, split in enumerate(CUT.splits(*rows_of(ground))):
        one, other = (
            jax.tree.map(lambda leaf, n=number: leaf[n], g.training) for g in (ground, changed)
        )
        assert (differences(one, other) == []) == (group in split.held_out)


def test_the_period_reaches_from_training_to_the_end_of_validation() -> None:
    assert period_of(TASK).end == "2002-09-30"
    assert period_of(replace(TASK, validate=None)).end == "2002-06-28"
    assert period_of(TASK).start == TASK.train.start


def train(place: Path, trials: int, task: Task = TASK) -> Search:
    agent = Explorer()
    space = search_space(agent, ["boldness=0.1:0.9"])
    return search(task, ("explorer", agent), place, trials=trials, seeds=(0,), batch=2, space=space)


Fake = dict[str, Any]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Trials without training, whose returns grow with their boldness, or are luck alone."""
    how: Fake = {"skill": 1.0, "calls": 0}

    def try_all(ground: Any, agent: Any, space: Any, proposed: Any, tell: Any) -> list[Trial]:
        how["calls"] += 1
        found = []
        for chosen in proposed:
            luck = np.random.default_rng(0 if how["skill"] else int(1e6 * chosen["boldness"]))
            returns = how["skill"] * chosen["boldness"] / 100 + luck.normal(0, 0.01, 140)
            worth = np.full((1, CUT.count), returns.mean() / returns.std())
            found.append(Trial.across(chosen, worth, returns))
        return found

    monkeypatch.setattr(searching, "try_all", try_all)
    return how


def test_a_search_ends_with_the_probability_that_its_best_is_luck(
    fake: Fake, tmp_path: Path
) -> None:
    found = train(tmp_path, 6)
    assert found.overfitting is not None
    returns = [one.returns for one in found.trials if one.returns is not None]
    assert found.overfitting.pbo == backtest_overfitting(np.stack(returns, axis=1)).pbo
    assert not found.overfitting.rejected
    assert sentences(found)[1] == found.overfitting.sentence
    assert "average over 10 splits" in sentences(found)[0]
    best = best_json(found)
    assert best["overfitting"]["pbo"] == found.overfitting.pbo
    assert best["cross_validation"]["splits"] == 10
    page = render(found)
    assert "<h2>Overfitting<small>not rejected at 10" in page
    assert "2 of 5 groups held out: 10 splits, 4 paths; 1 row purged, 31 under embargo" in page
    assert "10 splits" in str(table(found).caption)
    # it goes on from the returns that were kept
    calls = fake["calls"]
    again = train(tmp_path, 6)
    assert fake["calls"] == calls
    assert again.overfitting is not None
    assert np.array_equal(again.overfitting.logits, found.overfitting.logits)


def test_luck_is_rejected(fake: Fake, tmp_path: Path) -> None:
    fake["skill"] = 0.0
    found = train(tmp_path, 12)
    assert found.overfitting is not None
    assert found.overfitting.rejected
    assert "as likely luck as skill" in sentences(found)[1]
    assert "<h2>Overfitting<small>rejected at 10" in render(found)


def test_one_trial_says_nothing_about_luck(fake: Fake, tmp_path: Path) -> None:
    found = train(tmp_path, 1)
    assert found.overfitting is None
    assert "too few trials" in found.notes[-1]
    assert best_json(found)["overfitting"] is None
    assert "Overfitting" not in render(found)


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_a_search_without_its_returns_is_refused(fake: Fake, tmp_path: Path, damage: str) -> None:
    train(tmp_path, 2)
    file = tmp_path / "returns" / "0002.npy"
    if damage == "missing":
        file.unlink()
    elif damage == "short":
        np.save(file, np.zeros(3))
    else:
        file.write_text("returns")
    with pytest.raises(ConfigError, match="damaged"):
        train(tmp_path, 4)


def test_another_cut_is_another_search(fake: Fake, tmp_path: Path) -> None:
    train(tmp_path, 2)
    with pytest.raises(ConfigError, match="embargo was 31, is 40"):
        train(tmp_path, 2, replace(TASK, cross_validation=replace(CUT, embargo=40)))


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (replace(TASK, rolling=Rolling(50, 10, 10)), "cannot be held out in turn"),
        (replace(TASK, cross_validation=replace(CUT, against="ppo")), "`ppo` learns"),
        (replace(TASK, cross_validation=replace(CUT, against="pppo")), "no agent named `pppo`"),
    ],
)
def test_what_cannot_be_cross_validated_is_refused(task: Task, told: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=told):
        train(tmp_path, 1, task)


def test_a_card_with_cross_validation_survives_json() -> None:
    assert Task.from_card(json.loads(json.dumps(TASK.card()))) == TASK


def test_the_command_line_shows_the_verdict(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.register("tasks", "crossed", replace(TASK, validate=None), summary="crossed")
    registry.register("agents", "explorer", Explorer, summary="explorer")
    try:
        words = ["tune", "crossed", "explorer", "--search", "boldness=0.1:0.9", "--seeds", "1"]
        words += ["--trials", "4", "--out", str(tmp_path / "a")]
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert main(words) == 0
        told = capsys.readouterr().out
    finally:
        del registry._members["tasks"]["crossed"], registry._members["agents"]["explorer"]
    assert found["best"]["overfitting"]["halves"] == 3432
    assert found["best"]["overfitting"]["rejected"] is False
    assert "Not rejected at 10 %." in " ".join(told.split())


@pytest.mark.slow
def test_a_learner_with_whole_networks_is_searched(tmp_path: Path) -> None:
    space = search_space(QUICK, ["learning_rate=0.0001,0.003"])
    found = search(TASK, ("quick", QUICK), tmp_path, trials=3, seeds=(0,), batch=3, space=space)
    assert found.overfitting is not None
    venue = open_venue(TASK)
    assert found.overfitting.rows > 0.8 * (int(venue.training.last) - int(venue.training.first))
