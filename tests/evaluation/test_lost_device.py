"""What a training does when a device fails under it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probes import MATCH_SIGN, Probe
from steelyard import devices
from steelyard.agents.ppo import PPO
from steelyard.devices import is_lost, is_out_of_memory
from steelyard.errors import DeviceError, MemoryLimitError
from steelyard.evaluation import room, training
from steelyard.evaluation.training import Trained, fit

AGENT = PPO(steps=512, envs=32, horizon=4, minibatch=32, epochs=1, hidden=(4,))
SEEDS = (3, 4, 5)

LOST = "INTERNAL: Failed to launch kernel: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access"
FULL = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."


def train(**words: Any) -> Trained:
    env, problem = Probe(discrete=True), jnp.asarray(MATCH_SIGN)
    return fit(AGENT, env, problem, seeds=SEEDS, chunk=1, pieces=6, **words)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Makes calls of the training's program fail, counted from 1; returns the calls made."""

    def plant(*numbers: int, message: str = LOST) -> list[int]:
        advance, calls = training.advance, [0]

        def fail(*words: Any) -> Any:
            calls[0] += 1
            if calls[0] in numbers:
                raise jax.errors.JaxRuntimeError(message)
            return advance(*words)

        monkeypatch.setattr(training, "advance", fail)
        return calls

    return plant


def same(one: Trained, other: Trained) -> None:
    ours, theirs = (jax.tree.leaves((t.policies, t.logs)) for t in (one, other))
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_jobs_of_a_device_that_fails_once_are_run_again_with_the_same_result(
    failing: Callable[..., list[int]],
) -> None:
    whole = train()
    told: list[tuple[int, int]] = []
    calls = failing(6)
    again = train(progress=lambda done, total: told.append((done, total)))
    assert again.complete
    same(whole, again)
    assert calls[0] > 3 * AGENT.updates  # something was trained twice
    assert told[-1][0] == told[-1][1]


def test_a_device_that_is_gone_ends_the_training_with_how_far_it_came_and_how_to_go_on(
    failing: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(3)
    monkeypatch.setattr(devices, "answers", lambda device: False)
    with pytest.raises(DeviceError, match="cpu:0 was lost") as caught:
        train()
    assert "after update 2 of 4 of seed 3" in caught.value.message
    assert "--resume" in caught.value.hint


def test_a_training_that_is_lost_twice_is_not_tried_again(
    failing: Callable[..., list[int]],
) -> None:
    calls = failing(*range(2, 100))
    with pytest.raises(DeviceError, match="was lost"):
        train()
    assert calls[0] < 100


def test_other_failures_of_the_runtime_are_not_taken_for_a_loss(
    failing: Callable[..., list[int]],
) -> None:
    calls = failing(1, message="INVALID_ARGUMENT: shapes do not match")
    with pytest.raises(jax.errors.JaxRuntimeError, match="shapes do not match"):
        train()
    assert calls[0] == 1


def test_memory_that_runs_out_in_the_middle_is_said_with_fewer_environments(
    failing: Callable[..., list[int]],
) -> None:
    failing(2, message=FULL)
    with pytest.raises(MemoryLimitError, match="16 environments instead of 32") as caught:
        train()
    assert caught.value.largest == 16
    assert caught.value.hint == "--set ppo.envs=16"


@pytest.mark.parametrize(
    ("message", "lost", "full"),
    [
        (LOST, True, False),
        ("UNAVAILABLE: device lost", True, False),
        ("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory", False, True),
        (FULL, False, True),
        ("INTERNAL: ptxas exited with code 1", False, False),
    ],
)
def test_what_a_runtime_says_is_read_by_its_words(message: str, lost: bool, full: bool) -> None:
    error = jax.errors.JaxRuntimeError(message)
    assert (is_lost(error), is_out_of_memory(error)) == (lost, full)
    assert not is_lost(ValueError(message))


def test_more_environments_than_memory_are_refused_before_anything_is_run(
    failing: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = failing()
    env, problem = Probe(discrete=True), jnp.asarray(MATCH_SIGN)
    jobs = training.Jobs(AGENT, env, problem, SEEDS, 1, (False, False))
    fits = room.training_bytes(jobs, 1, 1)
    monkeypatch.setattr(room, "available_memory", lambda device: fits - 1)
    with pytest.raises(MemoryLimitError, match="the largest number that fits is 24\n") as caught:
        train()
    assert caught.value.hint == "--set ppo.envs=24"
    assert calls[0] == 0
    monkeypatch.setattr(room, "available_memory", lambda device: fits)
    assert train().complete
