"""Run by `test_sharding` in a process of its own, with a CPU that pretends to be four devices."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from markets import Script, random_panel, whole
from steelyard import devices
from steelyard.agents.ppo import PPO
from steelyard.devices import dealing, dealt, over_devices, spread
from steelyard.envs.stock import StockEnv
from steelyard.errors import ConfigError
from steelyard.evaluation import training
from steelyard.evaluation.training import Trained, fit
from steelyard.market import build_market
from steelyard.rollout import rollout

FOUR = jax.devices()
ENV = StockEnv()
AGENT = PPO(steps=512, envs=16, horizon=8, minibatch=64, epochs=2, hidden=(8,), log_std=-1.0)
SEEDS = (0, 1, 2, 3, 4)


def same(one: Any, other: Any, tolerance: float = 0.0) -> None:
    ours, theirs = jax.tree.leaves(one), jax.tree.leaves(other)
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def learned(trained: Trained) -> Any:
    assert trained.complete
    return trained.policies, trained.logs


def jobs_are_the_same_to_the_last_bit(params: Any) -> Trained:
    alone = fit(AGENT, ENV, params, SEEDS, chunk=2)
    dealt_out = fit(AGENT, ENV, params, SEEDS, chunk=2, devices=FOUR, keep=True)
    same(learned(alone), learned(dealt_out))
    same(learned(alone), learned(fit(AGENT, ENV, params, SEEDS, devices=FOUR)))  # 5 jobs: 2 each
    different = [np.asarray(policy.log_std) for policy in alone.policies]
    assert not np.array_equal(different[0], different[1])  # the seeds did learn something
    on = fit(AGENT, ENV, params, SEEDS, chunk=2, devices=FOUR, initial=dealt_out.state)
    again = fit(AGENT, ENV, params, SEEDS, chunk=2, devices=FOUR, initial=dealt_out.state)
    same(learned(on), learned(again))  # going on from a state does not use it up
    return alone


def a_lost_device_leaves_its_jobs_to_the_others(params: Any, alone: Trained) -> None:
    advance, answers, calls = training.advance, devices.answers, [0]

    def fail(*words: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise jax.errors.JaxRuntimeError("UNAVAILABLE: device lost")
        return advance(*words)

    training.advance = fail
    devices.answers = lambda device: device.id != 2 and answers(device)
    again = fit(AGENT, ENV, params, SEEDS, chunk=2, devices=FOUR)
    training.advance, devices.answers = advance, answers
    assert calls[0] > AGENT.updates
    same(learned(alone), learned(again))


def environments_on_all_devices_learn_the_same_but_for_rounding(params: Any) -> None:
    one = fit(AGENT, ENV, params, SEEDS[:1])
    four = fit(AGENT, ENV, params, SEEDS[:1], devices=FOUR, across="envs", keep=True)
    same(learned(one), learned(four), tolerance=1e-4)
    leaves = jax.tree.leaves(four.state.live.obs)
    assert all(leaf.sharding.shard_shape(leaf.shape)[1] == 4 for leaf in leaves)  # of 16
    try:
        fit(AGENT, ENV, params, (0,), devices=FOUR[:3], across="envs")
    except ConfigError as error:
        assert "16 environments do not divide among 3" in str(error)  # noqa: PT017
    else:
        raise AssertionError


def scripted_actions_have_the_same_outcome(params: Any) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (64, 10, 3)).astype(np.float32)

    @eqx.filter_jit
    def play(actions: Any, params: Any) -> Any:
        def one(actions: Any) -> Any:
            policy = Script(actions)
            return rollout(jax.random.key(0), ENV, params, policy, 10, sample=False)[1].reward

        return jax.vmap(one)(actions)

    alone = play(jnp.asarray(actions), params)
    followed = play(spread(actions, FOUR), spread(params, FOUR, None))
    assert followed.sharding.shard_shape(followed.shape) == (16, 10)
    same(alone, followed)
    arrays, fixed = eqx.partition(params, eqx.is_array)
    shares = over_devices(
        lambda actions, arrays: play(actions, eqx.combine(arrays, fixed)), FOUR, (True, False)
    )
    same(alone, jax.jit(shares)(actions, arrays))


def a_batch_is_cut_only_while_dealing() -> None:
    @eqx.filter_jit
    def double(batch: Any, devices: Any) -> Any:
        with dealing(devices):
            return dealt(2 * batch)

    cut = double(jnp.ones((8, 2)), tuple(FOUR))
    assert cut.sharding.shard_shape(cut.shape) == (2, 2)
    uneven = double(jnp.ones((7, 2)), tuple(FOUR))
    assert uneven.sharding.shard_shape(uneven.shape) == (7, 2)
    assert dealt(cut) is cut


def main() -> None:
    assert len(FOUR) == 4
    params = whole(build_market(random_panel(0, rows=40, assets=3), precision="float32"))
    a_batch_is_cut_only_while_dealing()
    scripted_actions_have_the_same_outcome(params)
    alone = jobs_are_the_same_to_the_last_bit(params)
    a_lost_device_leaves_its_jobs_to_the_others(params, alone)
    environments_on_all_devices_learn_the_same_but_for_rounding(params)


if __name__ == "__main__":
    main()
