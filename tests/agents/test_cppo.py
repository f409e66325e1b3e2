"""CPPO: its view of the tail by hand, and what the limit on it does to a policy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.cppo import CPPO, Risk
from steelyard.agents.ppo import PPO
from steelyard.benchmark import StockRules, Task, Window, evaluate, open_venue
from steelyard.errors import ConfigError
from steelyard.rollout import TimeStep
from steelyard.types import Space

NOTHING = Risk(*(jnp.zeros(()),) * 4)
FIXED = CPPO(level=0.9, budget=12.0, relative=False, tracking=1.0, free=0.0, multiplier_limit=0.5)
LATER = jnp.asarray(5)


def test_the_tail_worked_by_hand():
    # rewards -10, -9, ..., 9: a tenth of them are -10 and -9, and lose 9.5 on average
    rewards = jnp.arange(-10.0, 10.0).reshape(4, 5)
    risk = FIXED.weigh(NOTHING, rewards, LATER)
    assert -9 <= float(risk.threshold) <= -8  # a quantile between the second and the third
    assert float(risk.cvar) == pytest.approx(9.5, abs=1e-5)
    slow = eqx.tree_at(lambda agent: agent.tracking, FIXED, 0.5)
    assert float(slow.weigh(risk, rewards + 4, LATER).threshold) == pytest.approx(
        float(risk.threshold) + 2, abs=1e-5
    )


def test_the_price_of_risk_rises_over_the_budget_falls_under_it_and_stays_in_its_range():
    rising, falling = (jnp.full((4, 5), -loss) for loss in (18.0, 6.0))  # half over, half under
    risk, path = NOTHING, []
    for rewards, times in ((rising, 50), (falling, 50)):
        for _ in range(times):
            risk = FIXED.weigh(risk, rewards, LATER)
            path.append(float(risk.multiplier))
    assert np.diff(path)[:10] == pytest.approx(0.015, abs=1e-6)
    assert path[49] == 0.5
    assert np.diff(path)[49:59] == pytest.approx(-0.015, abs=1e-6)
    assert path[-1] == 0


def test_a_relative_budget_has_no_unit_and_holds_from_the_end_of_the_free_part():
    agent = CPPO(steps=10, envs=1, horizon=1, minibatch=1, free=0.3)
    random = np.random.default_rng(0)
    rewards = [random.normal(0, 1 + number, (8, 25)) for number in range(10)]

    def path(unit):
        risk, found = NOTHING, []
        for update, now in enumerate(rewards):
            risk = agent.weigh(risk, jnp.asarray(unit * now, jnp.float32), jnp.asarray(update))
            found.append((float(risk.cvar) / unit, float(risk.allowed) / unit, risk.multiplier))
        return np.array(found)

    found = path(1.0)
    np.testing.assert_allclose(found, path(1e-4), rtol=1e-4)
    assert found[:3, 1] == pytest.approx(0.7 * found[:3, 0])
    assert found[3:, 1] == pytest.approx(0.7 * found[2, 0])
    assert not found[:3, 2].any()
    assert (np.diff(found[2:, 2]) > 0).all()


class Gamble(eqx.Module):
    """One step; choice 0 pays 1, choice 1 pays 2 but loses 8 once in twenty times: 1.5 on average.

    Of the gambler's steps the worst tenth loses 3 on average, of the others' it gains 1.
    """

    def reset(self, key, params):
        return jnp.zeros(1), self._answer(jnp.zeros(()), jnp.asarray(False))

    def step(self, key, state, action, params):
        lost = jax.random.bernoulli(key, 0.05)
        reward = jnp.where(action == 1, jnp.where(lost, -8.0, 2.0), 1.0)
        return state, self._answer(reward, jnp.asarray(True))

    def _answer(self, reward, over):
        return TimeStep(jnp.zeros(1), reward, over, jnp.asarray(False), {})

    def observe(self, obs, params):
        return obs

    def action_space(self, params):
        return Space(choices=2)


@pytest.mark.slow
def test_a_gambler_stops_where_his_budget_is_smaller_than_the_stake():
    agent = CPPO(
        learning_rate=5e-3, level=0.9, relative=False, steps=16_384, envs=64, horizon=8,
        minibatch=128, epochs=4, hidden=(4,), multiplier_rate=0.1,
    )  # fmt: skip

    @jax.jit
    @jax.vmap
    def after(budget):
        limited = eqx.tree_at(lambda a: a.budget, agent, budget)
        policy, log = limited.train(jax.random.key(0), Gamble(), None)
        gambles = jax.nn.softmax(policy(jnp.zeros(1), None)[0].logits)[1]
        return gambles, log["cvar"][-1], log["multiplier"][-1]

    (free, bound), cvar, multiplier = after(jnp.array([4.0, 0.5]))
    assert free > 0.9
    assert bound < 0.6
    assert cvar[0] > 1.5
    assert cvar[1] < 1.0
    assert multiplier[0] == 0 < multiplier[1]


@pytest.mark.parametrize(("name", "value"), [("level", 1.0), ("budget", 0.0), ("epochs", 0)])
def test_settings_that_cannot_hold_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        CPPO(**{name: value})


SETTINGS = {
    "learning_rate": 1e-3, "discount": 0.5, "steps": 400_000, "envs": 256, "horizon": 16,
    "minibatch": 1_024, "epochs": 4, "hidden": (32, 16), "log_std": 0.0,
}  # fmt: skip


def traded(seed):
    """Returns out of sample of PPO and of CPPO on a market of two: one crashes and earns more."""
    task = Task(
        name="crashes",
        version=1,
        summary="a planted market",
        data=f"synthetic:crashes?seed={seed}&rows=10000&assets=2&volatility=0.001&strength=0.6",
        features=("return_1",),
        train=Window("train", "2000-01-03", "2022-12-30"),
        windows=(Window("test", "2023-01-02", "2038-04-30"),),
        rules=StockRules(cost=0.0, max_shares=1_000_000.0),
    )
    venue = open_venue(task)
    for agent in (PPO(**SETTINGS), CPPO(**SETTINGS)):
        row = evaluate(task, [agent], seeds=(seed,), venue=venue).rows[0]
        yield row.windows[0].backtests[0].curve.returns


@pytest.mark.slow
def test_cppo_halves_the_tail_of_ppo_and_keeps_four_fifths_of_its_return_on_5_of_5_seeds():
    for seed in range(5):
        free, limited = traded(seed)
        worst = len(free) // 20
        assert np.sort(limited)[:worst].mean() > 0.65 * np.sort(free)[:worst].mean()
        assert limited.mean() >= 0.8 * free.mean()
