"""Rolling windows from end to end, on a planted market."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.distributions import Deterministic
from steelyard.agents.ensemble import Ensemble
from steelyard.agents.population import Population
from steelyard.agents.rolling import RollingPolicy
from steelyard.benchmark import Task, Window, evaluate, learning, open_venue
from steelyard.benchmark.learning import Trainer
from steelyard.benchmark.rounds import Rounds, roll
from steelyard.errors import ConfigError, MissingDataError, TrainingError
from steelyard.evaluation import training
from steelyard.evaluation.splits import Rolling
from steelyard.evaluation.training import fit
from tasks_for_tests import QUICK, planted

AGENT = replace(QUICK, steps=256, epochs=1)
ROLLING = Rolling(train=30, validate=10, trade=15, retrain=False)


def rolled(**changes: object) -> Task:
    """Four assets; the test window of three months in five rounds."""
    settings: dict[str, object] = {"rolling": ROLLING, "episode": 20, "validate": None}
    return planted(assets=4, **{**settings, **changes})


@pytest.fixture(autouse=True)
def one_window_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test then runs the same program."""
    monkeypatch.setattr(training, "CHUNK", 1)


@pytest.fixture(scope="module")
def rounds() -> Rounds:
    task = rolled()
    return roll(open_venue(task), task.windows[0])


def test_windows_in_one_program_learn_what_a_loop_over_windows_learns(rounds: Rounds) -> None:
    venue = open_venue(rolled())
    trained = fit(AGENT, venue.env, rounds.learn, (7,), windows=True)
    train = jax.jit(lambda key, params: AGENT.train(key, venue.env, params)[0])
    for number in range(len(rounds.rows)):
        params = jax.tree.map(lambda leaf, i=number: leaf[i], rounds.learn)
        alone = train(jax.random.fold_in(jax.random.key(7), number), params)
        for one, other in zip(
            jax.tree.leaves(trained.policies[0]), jax.tree.leaves(alone), strict=True
        ):
            np.testing.assert_allclose(one[number], other, atol=2e-4)


def test_a_round_sees_what_its_own_rows_taught_and_nothing_of_later_rows(rounds: Rounds) -> None:
    venue = open_venue(rolled())
    for number, one in enumerate(rounds.rows):
        market = jax.tree.map(lambda leaf, i=number: leaf[i], rounds.learn.market)
        first, last = one.learn
        assert market.mark.shape[0] == last - first + 1
        close = venue.panel["close"][first : last + 1].astype(np.float32)
        np.testing.assert_array_equal(np.asarray(market.mark), close)
        expected = venue.columns.fit((first, last + 1)).scale(venue.columns.values)
        np.testing.assert_array_equal(np.asarray(market.table), expected.values[first : last + 1])


def test_what_comes_later_changes_no_earlier_action() -> None:
    task = rolled()
    venue = open_venue(task)
    span = venue.span(task.windows[0])
    cut = span[0] + 25  # inside the second round
    fields = {name: np.array(values) for name, values in venue.panel.fields.items()}
    for values in fields.values():
        values[cut + 1 :] = values[cut + 1 :][::-1] * 1.7
    other = open_venue(task, replace(venue.panel, fields=fields))
    one, changed = (
        evaluate(task, [("quick", AGENT)], seeds=(0,), venue=place).rows[0].windows[0].backtests[0]
        for place in (venue, other)
    )
    np.testing.assert_array_equal(one.actions[:26], changed.actions[:26])
    assert not np.array_equal(one.actions[30:], changed.actions[30:])


class Always(eqx.Module):
    """Answers everything with one action."""

    action: jax.Array

    def initial_carry(self) -> None:
        return None

    def __call__(self, vector: jax.Array, carry: None) -> tuple[Deterministic, None]:
        return Deterministic(self.action), carry


def test_the_account_goes_on_from_round_to_round(rounds: Rounds) -> None:
    venue = open_venue(rolled())
    buys_first = jnp.where(jnp.arange(len(rounds.rows))[:, None] == 0, 1.0, 0.0) * jnp.ones(4)
    policy = RollingPolicy(Always(buys_first.astype(jnp.float32)), rounds.starts)
    traded = venue.trade(rounds.window, policy, 0)
    first, last = rounds.rows[0].trade[0], rounds.rows[-1].trade[1]
    assert len(traded.curve.value) == last - first + 1
    assert (traded.units[ROLLING.trade] == 100 * ROLLING.trade).all()
    assert (traded.units[ROLLING.trade :] == traded.units[ROLLING.trade]).all()


def test_retraining_learns_from_the_validation_rows_as_well() -> None:
    task = rolled()
    without = roll(open_venue(task), task.windows[0])
    assert without.again is None
    twice = rolled(rolling=replace(ROLLING, retrain=True))
    again = roll(open_venue(twice), task.windows[0]).again
    assert again is not None
    assert int(again.last[0]) == ROLLING.train + ROLLING.validate
    assert int(without.learn.last[0]) == ROLLING.train


@pytest.mark.slow
def test_a_warm_start_goes_on_from_the_round_before() -> None:
    still = replace(AGENT, learning_rate=0.0)  # what a round begins with is what it ends with
    task = rolled(rolling=replace(ROLLING, warm_start=True))
    venue = open_venue(task)
    learned = Trainer(venue).learn("still", still, (3,), task.windows[0])
    for leaf in jax.tree.leaves(learned.policies[0].policies):
        assert (leaf == leaf[:1]).all()
    cold = Trainer(open_venue(rolled())).learn("still", still, (3,), task.windows[0])
    leaves = jax.tree.leaves(cold.policies[0].policies)
    assert any((leaf != leaf[:1]).any() for leaf in leaves)


def test_training_that_breaks_in_a_window_names_it_and_keeps_the_policy_before(
    rounds: Rounds,
) -> None:
    venue = open_venue(rolled())
    cash = jnp.where(jnp.arange(len(rounds.rows)) == 2, jnp.nan, rounds.learn.cash)
    broken = eqx.tree_at(lambda params: params.cash, rounds.learn, cash)
    with pytest.raises(TrainingError, match="seed 5, window 3 is not finite at update 1") as raised:
        fit(AGENT, venue.env, broken, (5,), windows=True)
    leaves = jax.tree.leaves(raised.value.policy)
    assert leaves
    assert all(np.isfinite(leaf).all() for leaf in leaves)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"rolling": Rolling(train=900, validate=10, trade=15)}, MissingDataError, "rows before"),
        (
            {"rolling": None, "validate": Window("validate", "2002-07-01", "2002-10-30")},
            ConfigError,
            "before the end",
        ),
        (
            {"rolling": None, "validate": Window("validate", "2002-05-01", "2002-09-30")},
            ConfigError,
            "`validate` of planted begins",
        ),
    ],
)
def test_windows_that_cannot_hold_are_refused(
    change: dict[str, object], error: type[Exception], text: str
) -> None:
    task = rolled(**change)
    with pytest.raises(error, match=text):
        roll(open_venue(task), task.windows[0])


class StillState(NamedTuple):
    policy: Always


class Still(eqx.Module):
    """A learner that stays with the action that it drew; it costs nothing to compile."""

    steps: int = eqx.field(static=True, default=1)

    @property
    def updates(self) -> int:
        return 1

    def init(self, key: jax.Array, env: object, params: object) -> StillState:
        return StillState(Always(jax.random.uniform(key, (4,), jnp.float32, -1, 1)))

    def advance(
        self, state: StillState, env: object, params: object, peers: object = None
    ) -> tuple[StillState, dict[str, jax.Array]]:
        return state, {"reward": jnp.zeros(())}


@pytest.mark.slow
def test_ensembles_of_one_population_share_its_training_and_weigh_it_by_validation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    population = Population(groups=((Still(), 2),))
    begun: list[object] = []

    def note(agent: object, *words: object, **rest: object) -> object:
        begun.append(agent)
        return fit(agent, *words, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(learning, "fit", note)
    scored = evaluate(
        rolled(),
        [("one", Ensemble(population, take=1)), ("two", Ensemble(population, temperature=0.5))],
        seeds=(0,),
    )
    assert begun == [population]
    one, two = (row.ensemble for row in scored.rows)
    assert one["weights"] == [[1.0]] * 5
    weights = np.asarray(two["weights"])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert len(np.unique(weights[:, 0])) > 1  # another validation, other weights
    assert two["members"] == ["Still 1", "Still 2"]
    assert len(two["dates"]) == 5
    assert np.asarray(two["correlation"]).shape == (2, 2)
