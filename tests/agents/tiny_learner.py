"""A learner small enough to be compiled in no time, for tests of what is made of learners."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.diversity import Peers, draw, keep_apart
from steelyard.agents.learning import train_by_scan
from steelyard.agents.networks import MLP
from steelyard.agents.policies import CategoricalPolicy, GaussianPolicy, vector_size
from steelyard.rollout import bind


class TinyState(NamedTuple):
    policy: Any
    key: jax.Array


class Tiny(eqx.Module):
    """Climbs the log probability of an action that it draws, times its reward, plus the KL term."""

    learning_rate: float = 0.1
    log_std: float = -0.5
    rounds: int = eqx.field(static=True, default=4)
    actions: int = eqx.field(static=True, default=0)  # of its policy; those of the space if 0

    @property
    def updates(self) -> int:
        return self.rounds

    @property
    def steps(self) -> int:
        return self.rounds

    def train(self, key, env, params):
        return train_by_scan(self, key, env, params)

    def init(self, key, env, params):
        space = env.action_space(params)
        size = self.actions or space.choices or int(np.prod(space.shape))
        network = MLP.create(key, vector_size(env, params), (), size, 0.3)
        if space.choices:
            return TinyState(CategoricalPolicy(network), key)
        return TinyState(GaussianPolicy(network, jnp.full(size, self.log_std, jnp.float32)), key)

    def advance(self, state, env, params, peers: Peers | None = None):
        start_key, act_key, rival_key, key = jax.random.split(state.key, 4)
        begun, first = env.reset(start_key, params)
        action = bind(state.policy, env, params)(first.obs, None)[0].sample(act_key)
        reward = env.step(start_key, begun, action, params)[1].reward
        rivals = draw(rival_key, peers)

        def objective(policy):
            answer, _ = bind(policy, env, params)(first.obs, None)
            return reward * answer.log_prob(action) + keep_apart(
                answer, first.obs, rivals, env, params
            )

        slope = jax.grad(objective)(state.policy)
        policy = jax.tree.map(lambda w, g: w + self.learning_rate * g, state.policy, slope)
        return TinyState(policy, key), {"reward": reward}
