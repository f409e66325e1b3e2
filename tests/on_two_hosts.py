"""Run twice by `test_sharding`, as two hosts of one `jax.distributed`."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np

PORT = 38_713
SEEDS = (3, 4, 5)


def main(number: int) -> None:
    jax.distributed.initialize(f"localhost:{PORT}", 2, number)
    assert jax.process_count() == 2
    from probes import MATCH_SIGN, Probe  # computes, which is too early before the hosts have met
    from steelyard.agents.ppo import PPO
    from steelyard.evaluation.training import fit

    agent = PPO(steps=512, envs=32, horizon=4, minibatch=32, epochs=1, hidden=(4,))
    env, problem = Probe(discrete=True), jnp.asarray(MATCH_SIGN)
    shared = fit(agent, env, problem, SEEDS, chunk=1)
    assert shared.complete
    assert len(shared.policies) == len(SEEDS)
    for seed, policy in zip(SEEDS, shared.policies, strict=True):
        state = agent.init(jax.random.key(seed), env, problem)
        step = jax.jit(lambda state: agent.advance(state, env, problem)[0])
        for _ in range(agent.updates):
            state = step(state)
        for ours, theirs in zip(
            jax.tree.leaves(policy), jax.tree.leaves(state.policy), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


if __name__ == "__main__":
    main(int(sys.argv[1]))
