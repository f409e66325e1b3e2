"""The door for stable-baselines3: its `VecEnv`, with the trajectories of the Gymnasium door."""

import numpy as np
import pytest

from markets import short_episodes
from probes import MATCH, Probe
from steelyard.envs.gymnasium import GymVectorEnv
from steelyard.envs.stock import StockEnv
from steelyard.errors import ConfigError, ContractError

sb3 = pytest.importorskip("stable_baselines3", reason="the extra `sb3` is not installed")

from stable_baselines3.common.monitor import Monitor  # noqa: E402 - needs stable-baselines3
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize  # noqa: E402

from steelyard.envs.stable_baselines import SB3VecEnv  # noqa: E402

B = 3


@pytest.fixture(scope="module")
def params():
    return short_episodes(length=4)


def actions(steps):
    return np.random.default_rng(0).uniform(-1, 1, (steps, B, 3)).astype(np.float32)


@pytest.mark.parametrize("info", [False, True])
def test_it_lives_as_the_environments_of_gymnasium_do(params, info):
    envs = SB3VecEnv(StockEnv(), params, B, info=info)
    twin = GymVectorEnv(StockEnv(), params, B)
    envs.seed(5)
    np.testing.assert_array_equal(envs.reset(), twin.reset(seed=5)[0])
    for turn, action in enumerate(actions(10)):
        vectors, rewards, ended, told = envs.step(action)
        expected = twin.step(action)
        np.testing.assert_array_equal(vectors, expected[0])
        np.testing.assert_array_equal(rewards, expected[1].astype(np.float32))
        np.testing.assert_array_equal(ended, expected[2] | expected[3])
        assert (vectors.dtype, rewards.dtype, ended.dtype) == (np.float32, np.float32, np.bool_)
        assert len(told) == B
        if turn % 4 == 3:
            for i in range(B):
                last = expected[4]["final_obs"][i]
                np.testing.assert_array_equal(told[i]["terminal_observation"], last)
                assert told[i]["TimeLimit.truncated"] is True
                assert ("value" in told[i]) is info
                if info:
                    assert told[i]["value"] == expected[4]["final_info"]["value"][i]
        elif info:
            assert told[1]["cash"] == expected[4]["cash"][1]
        else:
            assert told == [{}, {}, {}]


def test_a_lost_account_is_no_time_limit():
    envs = SB3VecEnv(Probe(length=1), MATCH, B)
    envs.reset()
    _, _, ended, told = envs.step(np.zeros(B, np.int64))
    assert ended.all()
    assert [one["TimeLimit.truncated"] for one in told] == [False] * B


def test_a_seed_counts_for_one_reset(params):
    envs = SB3VecEnv(StockEnv(), params, B)
    envs.seed(7)
    first, second = envs.reset(), envs.reset()
    assert not np.array_equal(first, second)
    envs.seed(7)
    np.testing.assert_array_equal(envs.reset(), first)


def test_attributes_are_those_of_each_environment(params):
    envs = SB3VecEnv(StockEnv(), params, B)
    assert envs.get_attr("params") == [params] * B
    envs.set_attr("difficulty", 2, indices=1)
    assert envs.get_attr("difficulty", 1) == [2]
    assert envs.has_attr("render_mode")
    assert not envs.has_attr("difficulty")
    assert envs.env_is_wrapped(Monitor, [0, 2]) == [False, False]
    with pytest.raises(AttributeError, match="shared by all"):
        envs.set_attr("params", None)
    with pytest.raises(AttributeError, match="no method `hire`"):
        envs.env_method("hire")


def test_bad_input_is_refused(params):
    with pytest.raises(ConfigError, match="num_envs"):
        SB3VecEnv(StockEnv(), params, 0)
    envs = SB3VecEnv(StockEnv(), params, B)
    envs.reset()
    with pytest.raises(ContractError, match="step_wait without step_async"):
        envs.step_wait()
    with pytest.raises(ContractError):
        envs.step(np.full((B, 3), np.nan))


@pytest.mark.slow
def test_ppo_trains_on_it_unmodified(params):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    envs = VecNormalize(VecMonitor(SB3VecEnv(StockEnv(), params, 4)))
    model = sb3.PPO("MlpPolicy", envs, n_steps=32, batch_size=64, seed=0, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(256)
    assert len(model.ep_info_buffer) > 0
    after = list(model.policy.parameters())
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert all(p.isfinite().all() for p in after)


@pytest.mark.slow
def test_ppo_and_dqn_learn_a_known_answer_through_the_door():
    pytest.importorskip("torch").set_num_threads(1)
    for name, settings in (
        ("PPO", {"n_steps": 64, "batch_size": 64}),
        ("DQN", {"learning_starts": 64, "target_update_interval": 64, "train_freq": 1}),
    ):
        envs = SB3VecEnv(Probe(), MATCH, 4, seed=0)
        make = getattr(sb3, name)
        model = make("MlpPolicy", envs, learning_rate=3e-3, seed=0, device="cpu", **settings)
        model.learn(4_096)
        seen = envs.reset()
        rewards = []
        for _ in range(20):
            action, _ = model.predict(seen, deterministic=True)
            seen, reward, _, _ = envs.step(action)
            rewards.append(reward)
        assert np.mean(rewards) == 1.0, name
