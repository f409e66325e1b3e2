import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets import Script, random_panel, whole
from probes import Corridor, Uniform
from steelyard.agents.policies import create_policy, vector_size
from steelyard.envs.stock import StockEnv
from steelyard.lanes import batch_last, take_row, total
from steelyard.lockstep import GROUP, by_groups, group_size, rollouts
from steelyard.market import build_market
from steelyard.rollout import rollout, start


def weighted(values: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of (N, *B) values and () or (*B) weights: the weighted sum, and every value's share of it."""
    mean = weight * total(values)
    return mean, values / mean


def test_a_function_with_the_batch_behind_gives_what_each_row_gives_alone() -> None:
    values = jax.random.uniform(jax.random.key(0), (4, 3, 5), minval=1.0)
    weight = jnp.arange(1.0, 4.0)
    lanes = batch_last(weighted)
    nested = jax.vmap(jax.vmap(lanes), in_axes=(0, None))(values, weight)
    shared = jax.vmap(lanes, in_axes=(0, None))(values[0], jnp.float32(2.0))
    for i in range(4):
        for j in range(3):
            alone = weighted(values[i, j], weight[j])
            for whole_batch, one in zip(nested, alone, strict=True):
                np.testing.assert_allclose(whole_batch[i, j], one, rtol=1e-6)
    np.testing.assert_allclose(shared[0], 2 * values[0].sum(-1), rtol=1e-6)


def test_what_does_not_depend_on_the_batch_comes_back_for_every_row() -> None:
    constant = batch_last(lambda one, other: other * 2)
    answer = jax.vmap(constant, in_axes=(0, None))(jnp.zeros(3), jnp.arange(2.0))
    assert answer.tolist() == [[0.0, 2.0]] * 3


def test_a_batch_has_a_gradient() -> None:
    values = jnp.arange(1.0, 7.0).reshape(2, 3)
    lanes = batch_last(lambda row, scale: total(row * row) * scale)
    slope = jax.grad(lambda s: jnp.sum(jax.vmap(lanes, in_axes=(0, None))(values, s)))(1.0)
    assert slope == pytest.approx(91.0)


@pytest.mark.parametrize("tables", [None, 0])
def test_rows_are_read_as_plain_indexing_reads_them(tables: int | None) -> None:
    table = jnp.arange(24.0).reshape(6, 4) if tables is None else jnp.arange(72.0).reshape(3, 6, 4)
    rows = jnp.array([5, 0, 3])
    read = jax.vmap(take_row, in_axes=(tables, 0))(table, rows)
    plain = table[rows] if tables is None else table[jnp.arange(3), rows]
    np.testing.assert_array_equal(read, plain)
    np.testing.assert_array_equal(take_row(plain, 1), plain[1])


def test_the_sum_is_exact_for_whole_numbers_in_any_batch() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**44), 2**44, (37, 70)).astype(np.float64)
    with jax.enable_x64(True):
        assert np.array_equal(total(jnp.asarray(values)), values.sum(0))
        assert np.array_equal(total(jnp.asarray(values[:, 0])), values[:, 0].sum())


def test_environments_in_lockstep_trade_as_each_does_alone() -> None:
    env, count, steps = StockEnv(), 6, 12
    params = whole(build_market(random_panel(seed=0, rows=30, assets=3)), cash=10_000.0)
    actions = jax.random.uniform(jax.random.key(1), (steps, 3), minval=-1.0)
    live = jax.vmap(lambda key: start(key, env, params, Script(actions)))(
        jax.random.split(jax.random.key(0), count)
    )
    after, together, _ = rollouts(jax.random.key(2), env, params, Script(actions), steps, live)
    one_live, alone = rollout(jax.random.key(2), env, params, Script(actions), steps)
    for number in range(count):
        for name in ("value", "units", "order"):
            np.testing.assert_array_equal(together.info[name][:, number], alone.info[name])
        np.testing.assert_array_equal(
            after.state.account.units[number], one_live.state.account.units
        )


def test_episodes_of_a_lockstep_end_and_begin_each_in_its_time() -> None:
    env, policy = Corridor(length=3), Uniform(1)
    live = jax.vmap(lambda key: start(key, env, None, policy))(
        jax.random.split(jax.random.key(0), 2)
    )
    live, _, _ = rollouts(jax.random.key(1), env, None, policy, 2, live)
    _, steps, _ = rollouts(jax.random.key(1), env, None, policy, 4, live)
    assert steps.obs[:, 0, 0].tolist() == [2, 0, 1, 2]
    assert steps.next_obs[:, 1, 0].tolist() == [3, 1, 2, 3]
    assert steps.truncated[:, 1].tolist() == [True, False, False, True]


def test_no_two_environments_and_no_two_steps_draw_alike() -> None:
    env, policy = Corridor(length=9), Uniform(2)
    live = jax.vmap(lambda key: start(key, env, None, policy))(
        jax.random.split(jax.random.key(0), 2 * GROUP)
    )
    draw = jax.jit(lambda key: rollouts(key, env, None, policy, 4, live)[1].action)
    actions = np.asarray(draw(jax.random.key(1)))
    assert actions.shape[:2] == (4, 2 * GROUP)
    assert np.array_equal(actions, draw(jax.random.key(1)))
    both = np.concatenate([actions, draw(jax.random.key(2))]).reshape(-1, 2)
    assert len(np.unique(both, axis=0)) == len(both)


def test_a_policy_bound_to_act_answers_as_one_bound_to_learn() -> None:
    env = StockEnv()
    market = build_market(random_panel(seed=3, rows=20, assets=4), np.eye(20, 7, dtype=np.float32))
    params = whole(market, cash=10_000.0)
    policy = create_policy(
        jax.random.key(0), vector_size(env, params), (8, 4), env.action_space(params)
    )
    live = jax.vmap(lambda key: start(key, env, params, policy))(
        jax.random.split(jax.random.key(0), 5)
    )
    _, steps, _ = rollouts(jax.random.key(1), env, params, policy, 6, live)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), steps.obs)
    learn, act = policy.bind(env, params), policy.bind_to_act(env, params)
    mean = jax.vmap(lambda obs: learn(obs, None)[0])(flat)
    again = jax.vmap(lambda obs: act(obs, None)[0])(flat)
    np.testing.assert_allclose(again.mean, mean.mean, atol=1e-6)
    kept = jax.vmap(lambda one, action: one.log_prob(action))(mean, steps.action.reshape(-1, 4))
    np.testing.assert_allclose(steps.log_prob.reshape(-1), kept, atol=1e-4)


def test_groups_are_the_largest_that_divide_and_are_worth_it() -> None:
    assert group_size(100) == 100
    assert group_size(GROUP) == GROUP
    assert group_size(3 * GROUP) == GROUP
    assert group_size(600) == 300
    assert group_size(1_021) == 1_021  # prime: nothing divides it
    answers = by_groups(lambda x: x * 2, jnp.arange(3.0 * GROUP))
    np.testing.assert_array_equal(answers, 2 * np.arange(3.0 * GROUP))
