"""The door for PyTorch: shared memory, and the trajectories of the Gymnasium door."""

import jax
import numpy as np
import pytest

from markets import short_episodes
from probes import MATCH, Probe
from steelyard.envs.gymnasium import GymVectorEnv
from steelyard.envs.stock import StockEnv
from steelyard.errors import ConfigError, ContractError

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from steelyard.envs import torch as door  # noqa: E402 - needs torch
from steelyard.envs.torch import TorchVectorEnv, as_tensor  # noqa: E402

B = 3


@pytest.fixture(scope="module")
def params():
    return short_episodes(length=4)


def actions(steps):
    return np.random.default_rng(0).uniform(-1, 1, (steps, B, 3)).astype(np.float32)


@pytest.mark.parametrize("apart", [True, False])
def test_a_torch_environment_lives_as_the_one_of_gymnasium_does(params, apart):
    """Through the ends of episodes, on both ways of starting the next ones."""
    envs, twin = TorchVectorEnv(StockEnv(), params, B), GymVectorEnv(StockEnv(), params, B)
    envs._apart = apart
    np.testing.assert_array_equal(envs.reset(seed=5).numpy(), twin.reset(seed=5)[0])
    ends = 0
    for action in actions(10):
        obs, reward, terminated, truncated, info = envs.step(torch.from_numpy(action))
        expected = twin.step(action)
        said = (obs, reward, terminated, truncated)
        for mine, other in zip(said, expected[:4], strict=True):
            np.testing.assert_allclose(mine.numpy(), other, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(info["value"].numpy(), expected[4]["value"], rtol=1e-6)
        if truncated.any():
            ends += 1
            final = np.stack(expected[4]["final_obs"])
            np.testing.assert_allclose(info["final_obs"].numpy(), final, rtol=1e-5, atol=1e-6)
    assert ends == 2


def test_memory_is_shared_in_both_directions(params):
    envs = TorchVectorEnv(StockEnv(), params, B)
    envs.reset(seed=0)
    given = torch.zeros(64, 3)[:B]
    assert envs._as_array(given).unsafe_buffer_pointer() == given.data_ptr()
    _, answer = envs._stepper.reset_all(envs._stepper.streams([1, 2, 3]))
    assert as_tensor(answer.vector).data_ptr() == answer.vector.unsafe_buffer_pointer()


def test_a_tensor_that_was_handed_out_is_never_written_to(params):
    envs = TorchVectorEnv(StockEnv(), params, B)
    kept = [envs.reset(seed=0)]
    for action in actions(9):
        obs, reward, *_, info = envs.step(torch.from_numpy(action))
        kept += [obs, reward, info["units"], *([info["final_obs"]] if "final_obs" in info else [])]
        copies = [tensor.clone() for tensor in kept] if len(kept) == 4 else copies
    assert all(torch.equal(one, copy) for one, copy in zip(kept, copies, strict=False))


def test_writing_to_an_observation_does_not_reach_the_market(params):
    def follow(touch):
        envs = TorchVectorEnv(StockEnv(), params, B)
        obs, seen = envs.reset(seed=0), []
        for action in actions(6):
            if touch:
                obs.fill_(7.0)
            obs, reward, *_ = envs.step(torch.from_numpy(action))
            seen.append(reward.clone())
        return torch.stack(seen)

    assert torch.equal(follow(touch=True), follow(touch=False))


def test_what_an_action_was_changed_to_after_the_step_does_not_count(params):
    def follow(reuse):
        envs = TorchVectorEnv(StockEnv(), params, B)
        envs.reset(seed=0)
        buffer, seen = torch.zeros(B, 3), []
        for action in actions(6):
            given = buffer.copy_(torch.from_numpy(action)) if reuse else torch.from_numpy(action)
            seen.append(envs.step(given)[1].clone())
            buffer.fill_(0.5)
        return torch.stack(seen)

    assert torch.equal(follow(reuse=True), follow(reuse=False))


def test_actions_in_other_memory_layouts_and_types_mean_the_same(params):
    envs = TorchVectorEnv(StockEnv(), params, B)
    action = torch.from_numpy(actions(1)[0])
    turned = action.t().contiguous().t()
    assert not turned.is_contiguous()
    grown = torch.zeros(1 + B * 3)[1:].view(B, 3).copy_(action)  # not aligned
    rewards = []
    for given in (action, turned, grown, action.double(), action.clone().requires_grad_()):
        envs.reset(seed=0)
        rewards.append(envs.step(given)[1])
    assert all(torch.equal(rewards[0], other) for other in rewards[1:])
    assert envs.device == torch.device("cpu")
    assert envs.observation_size == 2 + 3 + 4
    assert envs.action_space.shape == (3,)


def test_resets_without_a_seed_go_on_with_their_streams(params):
    envs, other = (TorchVectorEnv(StockEnv(), params, B, seed=9) for _ in range(2))
    first = [envs.reset() for _ in range(4)]
    assert len({tensor.numpy().tobytes() for tensor in first}) > 1
    assert all(torch.equal(tensor, other.reset()) for tensor in first)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(B), torch.zeros(B, 4), torch.zeros(B, 3, dtype=torch.int64), "nan"],
)
def test_an_action_that_is_none_is_refused(params, wrong):
    envs = TorchVectorEnv(StockEnv(), params, B)
    envs.reset(seed=0)
    given = torch.zeros(B, 3) if wrong == "nan" else wrong
    if wrong == "nan":
        given[1, 2] = torch.nan
    with pytest.raises(ContractError):
        envs.step(given)


def test_choices_are_whole_numbers_that_exist():
    envs = TorchVectorEnv(Probe(length=3), MATCH, B)
    envs.reset(seed=0)
    assert envs.step(torch.tensor([0, 1, 0]))[1].shape == (B,)
    for wrong in ([0, 2, 0], [0, -1, 0], [0.0, 1.0, 0.0], [True, False, True]):
        with pytest.raises(ContractError):
            envs.step(torch.tensor(wrong))


def test_a_step_before_a_reset_and_no_environments_are_refused(params):
    with pytest.raises(ContractError, match="no episode is in progress"):
        TorchVectorEnv(StockEnv(), params, B).step(torch.zeros(B, 3))
    with pytest.raises(ConfigError, match="num_envs"):
        TorchVectorEnv(StockEnv(), params, 0)


def test_where_looking_is_dear_nothing_is_checked_unless_it_is_asked_for(params, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert TorchVectorEnv(StockEnv(), params, B)._check is False
    assert TorchVectorEnv(StockEnv(), params, B, check=True)._check is True
    assert door.TorchVectorEnv(StockEnv(), params, B).device.type == "cuda"


@pytest.mark.slow
def test_a_torch_policy_learns_a_known_answer_through_the_door():
    """Reinforce (Williams, 1992) on a probe whose best action is the one that was shown."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    envs = TorchVectorEnv(Probe(length=1), MATCH, 64)
    policy = torch.nn.Linear(envs.observation_size, envs.action_space.choices)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.05)
    obs = envs.reset(seed=0)
    for _ in range(150):
        choice = torch.distributions.Categorical(logits=policy(obs))
        action = choice.sample()
        obs, reward, *_ = envs.step(action)
        loss = -(choice.log_prob(action) * (reward - reward.mean())).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert envs.step(policy(obs).argmax(dim=1))[1].mean().item() == 1.0
