"""Episodes in several spans of rows: none leaves its own, and each row has its share."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets import Script, random_panel
from steelyard.agents.networks import shares_table
from steelyard.envs.spans import SpanEnv, SpanParams
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.market import build_market
from steelyard.rollout import Transition, rollout

ROWS, ENVS, STEPS, LENGTH = 100, 256, 60, 12
SPANS = [(5, 40), (46, 52), (60, 97)]  # the one in the middle is shorter than an episode
ENV = SpanEnv(StockEnv())
SCRIPT = Script(jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (STEPS, 2)), jnp.float32))


def params(spans: list[tuple[int, int]]) -> SpanParams:
    market = build_market(random_panel(3, ROWS, 2), precision="float32")
    inner = StockParams(market, jnp.int32(0), jnp.int32(ROWS - 1), jnp.int32(LENGTH))
    return SpanParams(inner, jnp.asarray(spans, jnp.int32))


@eqx.filter_jit
def play(env: Any, settings: Any, keys: Any) -> Transition:
    return jax.vmap(lambda key: rollout(key, env, settings, SCRIPT, STEPS)[1])(keys)


@pytest.fixture(scope="module")
def lived() -> Transition:
    return play(ENV, params([*SPANS, (7, 7)]), jax.random.split(jax.random.key(0), ENVS))


def test_no_step_leaves_its_span(lived: Transition) -> None:
    before, after = np.asarray(lived.obs.row), np.asarray(lived.next_obs.row)
    assert (after == before + 1).all()
    of_step = [(a <= before) & (after <= b) for a, b in SPANS]
    assert np.any(of_step, axis=0).all()
    ended = np.asarray(lived.truncated)
    at_the_end = np.isin(after, [b for _, b in SPANS])
    assert ended[at_the_end].all()  # and nobody trades the row behind it


def test_an_episode_has_its_length_or_the_whole_of_a_shorter_span(lived: Transition) -> None:
    ended, row = np.asarray(lived.truncated), np.asarray(lived.obs.row)
    lengths = set()
    for number in range(ENVS):
        ends = np.flatnonzero(ended[number])
        for first, last in zip(ends[:-1] + 1, ends[1:], strict=True):
            lengths.add((row[number, first] in range(46, 52), last - first + 1))
    assert lengths == {(False, LENGTH), (True, 6)}


def test_spans_are_drawn_in_proportion_to_their_rows(lived: Transition) -> None:
    ended, row = np.asarray(lived.truncated)[:, :-1], np.asarray(lived.obs.row)[:, 1:]
    starts = row[ended]
    drawn = np.array([((a <= starts) & (starts < b)).sum() for a, b in SPANS])
    share = np.array([b - a for a, b in SPANS]) / sum(b - a for a, b in SPANS)
    assert drawn.sum() == len(starts) > 1000
    error = np.sqrt(share * (1 - share) / len(starts))
    assert (np.abs(drawn / len(starts) - share) < 4 * error).all()


def test_a_single_span_is_the_environment_on_these_rows() -> None:
    settings = params([(20, 50)])
    keys = jax.random.split(jax.random.key(1), ENVS)
    lived = play(ENV, eqx.tree_at(lambda p: p.spans, params([*SPANS, (7, 7)]), jnp.asarray(
        [(20, 50), (50, 50), (50, 50), (50, 50)], jnp.int32)), keys)  # fmt: skip
    assert lived.obs.row.min() == 20
    assert lived.next_obs.row.max() == 50
    key = jax.random.key(7)
    state, step = ENV.reset(key, settings)
    inner = eqx.tree_at(lambda p: (p.first, p.last), settings.inner, (20, 50))
    own, same = StockEnv().reset(jax.random.split(key)[1], inner)
    for _ in range(3):
        assert state.state.row == own.row
        assert np.array_equal(ENV.observe(step.obs, settings), StockEnv().observe(same.obs, inner))
        assert (step.reward, step.truncated) == (same.reward, same.truncated)
        action = jnp.array([1.0, -0.5])
        state, step = ENV.step(key, state, action, settings)
        own, same = StockEnv().step(key, own, action, inner)


def test_networks_read_it_by_its_shared_table() -> None:
    settings = params(SPANS)
    assert shares_table(ENV)
    assert settings.market is settings.inner.market
    assert ENV.table(settings) is settings.market.table
    assert ENV.action_space(settings).shape == (2,)
    obs = ENV.reset(jax.random.key(0), settings)[1].obs
    whole = np.append(ENV.own(obs, settings), ENV.table(settings)[obs.row])
    assert np.array_equal(whole, ENV.observe(obs, settings))
