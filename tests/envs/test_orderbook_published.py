"""`as_published` of the order book beside a literal twin of the 2024 kit's simulator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from book_markets import random_books
from steelyard.envs.check import check_env
from steelyard.envs.orderbook_published import PublishedBookEnv, as_published
from steelyard.errors import ConfigError, MissingDataError

ROWS, LENGTH = 900, 400
SETTINGS = {"length": LENGTH, "max_position": 2, "step_gap": 2, "max_holding": 9}


class Reference:
    """The step of the kit's simulator as its description has it: one simulator, plain Python."""

    def __init__(self, mid, slippage, max_position, step_gap, max_holding, stop_loss, length):
        self.mid, self.slippage, self.max_position = mid, slippage, max_position
        self.step_gap, self.max_holding, self.stop_loss = step_gap, max_holding, stop_loss
        self.length = length
        self.row = self.made = self.position = self.holding = 0
        self.cash = self.asset = self.best = 0.0
        self.spoken = {"limit": 0, "time-out": 0, "stop": 0}

    def step(self, action):
        self.row += self.step_gap
        self.made += 1
        mid, old = self.mid[self.row], self.position
        if self.made >= self.length:
            order = -old
        else:
            new = min(max(old + action - 1, -self.max_position), self.max_position)
            self.spoken["limit"] += new - old != action - 1
            order = -old if old * new < 0 else new - old
        self.holding += 1
        if self.holding > self.max_holding:
            order = -old
            self.spoken["time-out"] += old != 0
        if old == 0:
            self.holding = 0
        if old > 0:
            self.best = max(self.best, mid)
        if old < 0:
            self.best = min(self.best, mid)
        if old != 0 and abs(self.best - mid) > self.stop_loss:
            order = -old
            self.spoken["stop"] += 1
        if old == 0:
            self.best = mid
        self.cash -= order * mid * (1 + self.slippage if order > 0 else 1 - self.slippage)
        self.position += order
        asset = self.cash + self.position * mid
        reward, self.asset = asset - self.asset, asset
        return reward


@pytest.mark.parametrize("stop_loss", [1e-3, 0.6])
def test_the_published_simulator_is_reproduced_step_by_step(stop_loss):
    panel = random_books(4, ROWS)
    factors = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float32)
    actions = np.random.default_rng(1).choice(3, LENGTH, p=(0.2, 0.3, 0.5))
    with jax.enable_x64(True):
        env, params = as_published(
            panel, factors, precision="float64", slippage=5e-5, stop_loss=stop_loss, **SETTINGS
        )
        state, _ = env.reset(jax.random.key(0), params)
        start = int(state.row)

        def step(state, action):
            state, after = env.step(jax.random.key(0), state, action, params)
            return state, (after, env.observe(after.obs, params))

        _, (lived, seen) = jax.jit(lambda s, a: jax.lax.scan(step, s, a))(state, actions)
    twin = Reference(panel["close"][:, 0], 5e-5, 2, 2, 9, stop_loss, LENGTH)
    twin.row = start
    for i, action in enumerate(actions):
        assert float(lived.reward[i]) == pytest.approx(twin.step(action), abs=1e-9)
        assert float(lived.info["units"][i, 0]) == twin.position
        assert float(lived.info["cash"][i]) == pytest.approx(twin.cash, abs=1e-9)
        expected = [twin.position / 2, twin.holding / 9, *factors[twin.row]]
        np.testing.assert_allclose(seen[i], expected, rtol=1e-6)
    assert twin.position == 0
    assert lived.truncated.tolist() == [False] * (LENGTH - 1) + [True]
    # a stop of a tenth of a cent leaves no time for anything else
    assert twin.spoken["stop"] > 5
    assert (twin.spoken["time-out"] > 5) == (stop_loss > 0.1)
    assert twin.spoken["limit"] > 5


@pytest.mark.slow
def test_it_keeps_the_contract_of_its_room():
    env, params = as_published(random_books(4, 60), np.ones((60, 2), np.float32), length=20)
    check_env(env, params)


def test_what_the_kit_does_not_have_is_refused():
    panel = random_books(4, 20)
    with pytest.raises(ConfigError, match="no exact money"):
        as_published(panel, np.ones((20, 1), np.float32), precision="exact")
    with pytest.raises(MissingDataError, match="has a gap"):
        as_published(panel, np.full((20, 1), np.nan, np.float32))
    with pytest.raises(MissingDataError, match="an episode takes 4740 rows, the panel has 20"):
        as_published(panel, np.ones((20, 1), np.float32))


def test_no_rule_of_ours_stands_in_its_way():
    """Nothing asks for capital, and a gap is not seen."""
    panel = random_books(4, 60, segments=5)
    env, params = as_published(panel, np.ones((60, 1), np.float32), length=20, stop_loss=1e9)
    assert isinstance(env, PublishedBookEnv)
    state, _ = env.reset(jax.random.key(0), params)
    state, after = env.step(jax.random.key(0), state, jnp.asarray(2), params)
    assert float(after.info["cash"]) < 0
    assert int(params.market.left[0]) == 59
