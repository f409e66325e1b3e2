"""`as_published` beside a literal twin of the environment of the published kits."""

import equinox as eqx
import jax
import numpy as np
import pytest

from markets import Script, random_panel
from steelyard.envs.published import as_published
from steelyard.envs.stock import StockEnv
from steelyard.errors import ConfigError, MissingDataError
from steelyard.rollout import rollout

ROWS, ASSETS = 601, 8


class Reference:
    """The step of the kits' environment as its description has it: one account, plain Python."""

    def __init__(self, close, indicators, turbulence, threshold, cash, cost, hmax, scale):
        self.close, self.indicators, self.turbulence = close, indicators, turbulence
        self.threshold, self.cost, self.hmax, self.scale = threshold, cost, hmax, scale
        self.cash, self.shares = cash, [0] * close.shape[1]
        self.day, self.turbulence_today = 0, 0.0  # not that of the first day

    def value(self):
        return self.cash + sum(self.close[self.day, i] * q for i, q in enumerate(self.shares))

    def state(self):
        told = [values[self.day] for values in self.indicators]
        return np.concatenate([[self.cash], self.close[self.day], self.shares, *told])

    @property
    def closed(self):
        return self.threshold is not None and self.turbulence_today >= self.threshold

    def sell(self, i, action):
        quantity = self.shares[i] if self.closed else min(abs(action), self.shares[i])
        self.cash += self.close[self.day, i] * quantity * (1 - self.cost)
        self.shares[i] -= quantity

    def buy(self, i, action):
        if self.closed:
            return
        affordable = self.cash // (self.close[self.day, i] * (1 + self.cost))
        quantity = int(min(affordable, action))
        self.cash -= self.close[self.day, i] * quantity * (1 + self.cost)
        self.shares[i] += quantity

    def step(self, actions):
        actions = (actions * self.hmax).astype(int)
        if self.closed:
            actions = np.array([-self.hmax] * len(actions))
        before, ascending = self.value(), np.argsort(actions)
        for i in ascending[: (actions < 0).sum()]:
            self.sell(i, actions[i])
        for i in ascending[::-1][: (actions > 0).sum()]:
            self.buy(i, actions[i])
        self.day += 1
        self.turbulence_today = self.turbulence[self.day]
        return (self.value() - before) * self.scale


def untied_actions(random):
    """(T-1, N) float32 whose orders have different sizes, anywhere between two whole numbers."""
    sizes = np.array([random.permutation(120)[:ASSETS] for _ in range(ROWS - 1)]) - 35
    within = random.uniform(0.05, 0.95, sizes.shape)
    return np.clip((sizes + np.sign(sizes) * within) / 100, -1, 1).astype(np.float32)


@eqx.filter_jit
def trade(env, params, actions):
    key, steps = jax.random.key(0), actions.shape[0]
    _, lived = rollout(key, env, params, Script(actions), steps, sample=False)
    return lived, jax.vmap(lambda obs: env.observe(obs, params))(lived.obs)


@pytest.mark.parametrize("threshold", [None, 60.0])
def test_the_published_environment_is_reproduced_day_by_day(threshold):
    random = np.random.default_rng(4)
    panel = random_panel(7, ROWS, ASSETS, low=20, high=90)
    indicators = {"macd": random.normal(0, 2, (ROWS, ASSETS))}
    indicators["rsi_30"] = random.uniform(20, 80, (ROWS, ASSETS))
    turbulence = random.uniform(0, 66, ROWS)
    turbulence[0] = 65.0  # a gate on the first day, which must not fire
    actions = untied_actions(random)
    settings = {"threshold": threshold, "cash": 100_000.0, "cost": 1e-3}
    twin = Reference(
        panel["close"], list(indicators.values()), turbulence, hmax=100, scale=1e-4, **settings
    )
    states, rewards, shares, cash = [], [], [], []
    for action in actions:
        states.append(twin.state())
        rewards.append(twin.step(action))
        shares.append(list(twin.shares))
        cash.append(twin.cash)
    with jax.enable_x64(True):
        env, params = as_published(panel, indicators, turbulence=turbulence, **settings)
        lived, observed = trade(env, params, jax.numpy.asarray(actions))
        np.testing.assert_array_equal(lived.info["units"], shares)
        np.testing.assert_allclose(lived.info["cash"], cash, rtol=0, atol=1e-6)
        np.testing.assert_allclose(lived.reward, rewards, rtol=0, atol=1e-9)
        np.testing.assert_allclose(observed, states, rtol=1e-6, atol=1e-6)
        assert lived.truncated.tolist() == [False] * (ROWS - 2) + [True]
    assert np.min(cash) < 20  # buys were cut by the cash
    gated = np.asarray(lived.info["gated"])
    assert gated.any() == (threshold is not None)
    assert not gated[0]
    assert (np.asarray(shares)[gated] == 0).all()


def test_the_published_fill_is_not_our_own():
    """The same-close fill is an option that a market states, never the default."""
    from steelyard.market import build_market

    panel = random_panel(7, 10, 2)
    published = as_published(panel, {}, precision="float32")[1].market
    np.testing.assert_array_equal(published.bid, published.mark)
    assert (np.asarray(build_market(panel).bid) != np.asarray(published.bid)).any()


def test_a_gap_is_refused():
    panel = random_panel(7, 10, 2)
    rsi = np.full((10, 2), 50.0)
    rsi[0, 1] = np.nan
    with pytest.raises(MissingDataError, match="`rsi_30` has a gap"):
        as_published(panel, {"rsi_30": rsi})
    panel.fields["close"][3, 0] = np.nan
    with pytest.raises(MissingDataError, match="`close` has a gap"):
        as_published(panel, {})


def test_a_gate_without_a_gauge_and_an_indicator_of_another_shape_are_refused():
    panel = random_panel(7, 10, 2)
    with pytest.raises(ConfigError, match="without a gauge"):
        as_published(panel, {}, threshold=70.0)
    with pytest.raises(ConfigError, match="has shape"):
        as_published(panel, {"vix": np.ones(10)})


def test_it_is_the_stock_environment_with_another_observation():
    env, _ = as_published(random_panel(7, 10, 2), {}, precision="float32")
    assert env == StockEnv(published=True)
