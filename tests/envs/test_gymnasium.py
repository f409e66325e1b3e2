"""The doors for Gymnasium, by Gymnasium's own checkers and beside each other."""

import subprocess
import sys
from dataclasses import replace

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.utils.env_match import check_environments_match
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space

from markets import random_panel, short_episodes
from probes import MATCH, Corridor, Probe
from steelyard.envs.gymnasium import ID, GymEnv, GymVectorEnv
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.errors import ConfigError, ContractError
from steelyard.market import build_market


def stock_params(precision="float32", length=7, assets=3):
    """Short episodes that start anywhere in 40 rows, with an account of few digits."""
    return replace(short_episodes(length, precision=precision, assets=assets), cash=10_000.0)


WORLDS = {
    "stock": lambda: (StockEnv(), stock_params()),
    "stock on the exact ledger": lambda: (StockEnv(), stock_params("exact")),
    "choices": lambda: (Probe(length=3), MATCH),
    "box": lambda: (Probe(length=3, discrete=False), MATCH),
}


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]()


def follow(env, steps, seed=3):
    """Everything that an environment says under seeded random actions; a list of tuples."""
    env.action_space.seed(seed)
    said = [env.reset(seed=seed)]
    for _ in range(steps):
        said.append(env.step(env.action_space.sample()))
        if isinstance(env, gymnasium.Env) and (said[-1][2] or said[-1][3]):
            said.append(env.reset())
    return said


# Gymnasium's own checkers; a warning is an error here


def test_the_checker_of_gymnasium_finds_nothing(world):
    env, params = world
    check_env(GymEnv(env, params), skip_render_check=True)


def test_the_checker_finds_nothing_in_a_registered_environment_which_it_checks_more_closely(world):
    env, params = world
    made = gymnasium.make(ID, env=env, params=params)
    assert made.spec.nondeterministic is False
    check_env(made.unwrapped)


def test_gymnasium_makes_vectors(world):
    env, params = world
    made = gymnasium.make_vec(ID, num_envs=3, env=env, params=params)
    assert isinstance(made, GymVectorEnv)
    assert made.reset(seed=0)[0].shape[0] == 3
    made.close()


def test_the_spaces_of_a_vector_are_those_of_its_environments_in_a_batch(world):
    envs, single = GymVectorEnv(*world, num_envs=3), GymEnv(*world)
    assert envs.single_observation_space == single.observation_space
    assert envs.single_action_space == single.action_space
    assert envs.observation_space == batch_space(single.observation_space, 3)
    assert envs.action_space == batch_space(single.action_space, 3)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    vectors, rewards, terminated, truncated, _ = follow(envs, 5)[-1]
    assert vectors in envs.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    assert (vectors.dtype, rewards.dtype) == (np.float32, np.float64)
    assert terminated.dtype == truncated.dtype == np.bool_


# the same trajectories everywhere


def test_the_same_seed_gives_the_same_trajectory_and_another_seed_another(world):
    one, again = follow(GymEnv(*world), 10), follow(GymEnv(*world), 10)
    assert data_equivalence(one, again, exact=True)
    other = follow(GymEnv(*world), 10, seed=4)
    assert not data_equivalence(one, other, exact=True)


def test_a_vector_is_gymnasiums_own_vector_of_single_environments(world):
    """Also through the ends of episodes, with `final_obs` and `final_info`."""
    ours = follow(GymVectorEnv(*world, num_envs=3), 20)
    makers = [lambda: GymEnv(*world)] * 3
    theirs = follow(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP), 20)
    assert any("final_obs" in said[-1] for said in ours)
    for mine, other in zip(ours, theirs, strict=True):
        for part, twin in zip(mine[:-1], other[:-1], strict=True):
            np.testing.assert_allclose(part, twin, rtol=1e-5, atol=1e-6)
        assert_same_infos(mine[-1], other[-1])


def assert_same_infos(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        if isinstance(values, dict):
            assert_same_infos(values, other[name])
        elif values.dtype == object:
            for mine, twin in zip(values, other[name], strict=True):
                assert (mine is None) == (twin is None)
                if mine is not None:
                    np.testing.assert_allclose(mine, twin, rtol=1e-5, atol=1e-6)
        else:
            there = one.get(f"_{name}", np.ones(len(values), bool))
            mine, twin = values[there].astype(float), np.asarray(other[name])[there].astype(float)
            np.testing.assert_allclose(mine, twin, rtol=1e-5, atol=1e-6)


def test_each_environment_of_a_vector_has_a_seed_of_its_own():
    env, params = StockEnv(), stock_params()
    together = GymVectorEnv(env, params, num_envs=3).reset(seed=[7, 5, 6])[0]
    shifted = GymVectorEnv(env, params, num_envs=3).reset(seed=5)[0]
    np.testing.assert_array_equal(together[[1, 2, 0]], shifted)


def test_resets_without_a_seed_go_on_with_the_stream_of_the_last_one():
    env = GymEnv(StockEnv(), stock_params(), seed=9)
    first = [env.reset()[0] for _ in range(8)]
    assert len({vector.tobytes() for vector in first}) > 1  # other rows
    other = GymEnv(StockEnv(), stock_params())
    np.testing.assert_array_equal(
        [other.reset(seed=9)[0]] + [other.reset()[0] for _ in range(7)], first
    )


def test_an_episode_that_starts_in_the_middle_of_the_checks_matches_itself(world):
    check_environments_match(GymEnv(*world), GymEnv(*world), num_steps=15, seed=2)


# how episodes end


def test_the_end_of_the_data_truncates_and_keeps_the_last_observation():
    params = stock_params(length=4)
    said = follow(GymVectorEnv(StockEnv(), params, num_envs=3), 4)
    _, _, terminated, truncated, infos = said[-1]
    assert truncated.all()
    assert not terminated.any()
    assert infos["_final_obs"].all()
    for last, fresh in zip(infos["final_obs"], said[-1][0], strict=True):
        assert last.dtype == np.float32
        assert fresh[0] == 0  # log growth of a fresh account
        assert last[0] != 0
    assert (infos["value"] == 10_000).all()
    assert (infos["final_info"]["value"] != 10_000).all()
    assert "final_obs" not in said[-2][-1]


def test_a_lost_account_terminates():
    said = follow(GymEnv(Probe(length=1), MATCH), 1)
    assert said[1][2] is True
    assert said[1][3] is False


def test_rewards_add_up_to_the_profit_of_an_episode():
    params = stock_params("exact", length=30)
    said = follow(GymEnv(StockEnv(), params), 30)
    profit = said[30][-1]["value"] - said[0][-1]["value"]
    assert profit != 0
    assert sum(step[1] for step in said[1:31]) == pytest.approx(1e-4 * profit, abs=1e-9)


# speed


class Counted(Corridor):
    """Counts how often its step is traced."""

    traces = []  # noqa: RUF012

    def step(self, key, state, action, params):
        self.traces.append(1)
        return super().step(key, state, action, params)


@pytest.mark.parametrize("make", [GymEnv, lambda *world: GymVectorEnv(*world, num_envs=3)])
def test_fifty_steps_compile_one_program(make):
    Counted.traces.clear()
    follow(make(Counted(length=5), {}), 50)
    follow(make(Counted(length=5), {}), 10)  # and a second environment none
    assert len(Counted.traces) == 1


class Unstable(Counted):
    """Answers with a state of another type than it was given: a new program for every type."""

    def step(self, key, state, action, params):
        state, step = super().step(key, state, action, params)
        return state.astype(jnp.float32), step


def test_a_second_program_is_noticed():
    Counted.traces.clear()
    follow(GymVectorEnv(Unstable(length=5), {}, num_envs=3), 4)
    assert len(Counted.traces) == 2


def test_an_environment_alone_whose_state_changes_its_type_is_refused():
    with pytest.raises(ContractError, match="other shapes or types"):
        follow(GymEnv(Unstable(length=5), {}), 1)


class CountedStock(StockEnv):
    """Counts how often its step is traced."""

    traces = []  # noqa: RUF012

    def step(self, key, state, action, params):
        self.traces.append(1)
        return super().step(key, state, action, params)


def test_the_market_is_an_argument_of_the_program():
    """Other prices of the same shape trade differently, in the program of the first."""
    params = stock_params()
    other = build_market(random_panel(5, 40, 3), np.asarray(params.market.table))
    one = follow(GymEnv(CountedStock(), params), 3)
    said = follow(GymEnv(CountedStock(), StockParams(other, 2, 39, 7)), 3)
    assert not data_equivalence(one, said)
    assert len(CountedStock.traces) == 1


# bad input


@pytest.mark.parametrize("make", [GymEnv, lambda *world: GymVectorEnv(*world, num_envs=3)])
def test_a_step_before_a_reset_is_refused(make):
    env = make(StockEnv(), stock_params())
    with pytest.raises(ContractError, match="no episode is in progress"):
        env.step(env.action_space.sample())


def test_a_step_after_the_end_is_refused():
    env = GymEnv(StockEnv(), stock_params(length=2))
    follow(env, 1)
    env.step(np.zeros(3, np.float32))
    with pytest.raises(ContractError, match="no episode is in progress"):
        env.step(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "action", [np.zeros(4), [0.0, np.nan, 0.0], "buy", [[0.0], [1.0, 2.0]], 0.5, None]
)
def test_an_action_that_is_none_is_refused(action):
    env = GymEnv(StockEnv(), stock_params())
    env.reset(seed=0)
    with pytest.raises(ContractError):
        env.step(action)


@pytest.mark.parametrize("action", [2, -1, 0.5, [0]])
def test_a_choice_that_does_not_exist_is_refused(action):
    env = GymEnv(Probe(length=3), MATCH)
    env.reset(seed=0)
    with pytest.raises(ContractError):
        env.step(action)


def test_an_action_beyond_the_box_is_clipped_by_the_market():
    env = GymEnv(StockEnv(), stock_params())
    env.reset(seed=0)
    wild = env.step([7.0, np.inf, -9.0])
    env.reset(seed=0)
    assert data_equivalence(wild, env.step([1.0, 1.0, -1.0]), exact=True)


def test_a_number_of_environments_or_of_seeds_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="num_envs"):
        GymVectorEnv(StockEnv(), stock_params(), num_envs=0)
    with pytest.raises(ConfigError, match="2 seeds came for 3"):
        GymVectorEnv(StockEnv(), stock_params(), num_envs=3).reset(seed=[1, 2])


@pytest.mark.slow
def test_stable_baselines3_trains_on_it_unmodified():
    sb3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("torch").set_num_threads(1)
    from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

    check_env_of_sb3(GymEnv(StockEnv(), stock_params()), warn=True)
    for env, params in (w() for w in WORLDS.values()):
        model = sb3.PPO(
            "MlpPolicy", GymEnv(env, params), n_steps=128, batch_size=64, seed=0, device="cpu"
        )
        before = [p.detach().clone() for p in model.policy.parameters()]
        model.learn(256)
        assert model.num_timesteps == 256
        after = list(model.policy.parameters())
        assert any((a != b).any() for a, b in zip(before, after, strict=True))
        assert all(p.isfinite().all() for p in after)


@pytest.mark.slow
def test_stable_baselines3_learns_a_known_answer_through_the_door():
    sb3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("torch").set_num_threads(1)
    env = GymEnv(Probe(), MATCH)
    model = sb3.PPO("MlpPolicy", env, n_steps=256, learning_rate=3e-3, seed=0, device="cpu")
    model.learn(4096)
    rewards = []
    vector, _ = env.reset(seed=1)
    for _ in range(50):
        action, _ = model.predict(vector, deterministic=True)
        rewards.append(env.step(action)[1])
        vector, _ = env.reset()
    assert np.mean(rewards) == 1.0


def test_the_room_opens_without_its_doors():
    """Each needs a library that need not be there, and imports it at once."""
    code = (
        "import sys; from steelyard import envs, registry; registry.members('envs');"
        "print([door for door in envs.DOORS if f'steelyard.envs.{door}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
