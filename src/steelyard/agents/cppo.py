"""PPO under a limit on its tail losses: the conditional value at risk of Ying et al. (2022)."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.agents.learning import train_by_scan
from steelyard.agents.losses import clipped_surrogate, standardise
from steelyard.agents.onpolicy import (
    TERMS,
    OnPolicyState,
    as_experience,
    begin,
    collect,
    estimate,
    improve,
    objective,
    require_batches,
)
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Env, Params, Policy


class Risk(NamedTuple):
    """What is known of the tail, in units of the reward.

    Attributes:
        threshold: nu, the reward that a step falls below with probability 1 - level: minus the
            value at risk.
        cvar: mean loss of the steps below it.
        allowed: the largest `cvar` that the policy may have.
        multiplier: lambda >= 0, the price of a unit of `cvar` in units of mean reward.
    """

    threshold: Float[Array, ""]
    cvar: Float[Array, ""]
    allowed: Float[Array, ""]
    multiplier: Float[Array, ""]


@member("agents", "cppo")
class CPPO(eqx.Module):
    """PPO that keeps the conditional value at risk (CVaR) of a step's reward within a budget.

    Ying et al. (2022, "Towards safe reinforcement learning via constraining conditional
    value-at-risk", IJCAI) maximise the expected return subject to CVaR_level(-D) <= beta, for an
    outcome D. With the threshold nu this is the saddle point (Rockafellar & Uryasev, 2000) of

        E[D] - lambda * (-nu + E[max(nu - D, 0)] / (1 - level) - beta),    lambda >= 0.

    There D is the return of an episode. An episode of a market lasts for years, and a few of them
    have no tail: here D is the reward of one step, over the steps that the policy visits. It is
    right where every step is rewarded with what it gained, and says nothing where only the last
    one is. Every update

    1. moves nu towards the quantile of the rewards just collected, which minimises over nu;
    2. moves lambda by `multiplier_rate * (cvar / beta - 1)`, never below 0: projected dual ascent,
       whose pace does not depend on the unit of the reward;
    3. takes PPO's gradient steps on `A_reward - lambda / (1 - level) * A_shortfall`: a step below
       nu costs by how much, and so does every earlier action that led to it. The critic's second
       output values the shortfall `max(nu - D, 0)`, so that a crash that was to be expected
       surprises nobody.

    `budget` has no unit either: it is a share of the CVaR that the policy showed at the end of
    `free`, the first part of the training, in which nothing is constrained. With
    `relative=False` it is the CVaR itself, in units of the reward.

    The update published with FinRL-DeepSeek shares the name only: its penalties are subtracted
    anew with every path, its threshold is a mean and not a quantile, and its multiplier grows
    without regard to any CVaR. It is not rebuilt here.

    Attributes:
        level: share of the steps that are not in the tail, in (0, 1).
        budget: largest CVaR, see above.
        free: share of the updates before the constraint holds, in [0, 1); 0 without `relative`.
        multiplier_rate: step size of the dual ascent.
        multiplier_limit: largest multiplier; a budget that cannot be held would drive it on.
        tracking: weight of the newest rollout in nu and CVaR, in (0, 1].
        relative: whether `budget` is a share; static.

    All others are those of `PPO`.
    """

    learning_rate: float | Float[Array, ""] = 3e-4
    anneal: float | Float[Array, ""] = 1.0
    discount: float | Float[Array, ""] = 0.99
    decay: float | Float[Array, ""] = 0.95
    clip: float | Float[Array, ""] = 0.2
    entropy_weight: float | Float[Array, ""] = 0.0
    value_weight: float | Float[Array, ""] = 0.5
    max_gradient: float | Float[Array, ""] = 0.5
    target_kl: float | Float[Array, ""] = float("inf")
    log_std: float | Float[Array, ""] = -0.5
    level: float | Float[Array, ""] = 0.95
    budget: float | Float[Array, ""] = 0.7
    free: float | Float[Array, ""] = 0.1
    multiplier_rate: float | Float[Array, ""] = 0.03
    multiplier_limit: float | Float[Array, ""] = 10.0
    tracking: float | Float[Array, ""] = 0.3
    relative: bool = eqx.field(static=True, default=True)
    steps: int = eqx.field(static=True, default=400_000)
    envs: int = eqx.field(static=True, default=128)
    horizon: int = eqx.field(static=True, default=32)
    epochs: int = eqx.field(static=True, default=6)
    minibatch: int = eqx.field(static=True, default=1024)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))
    memory: str = eqx.field(static=True, default="none")
    span: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        require_batches(self, self.minibatch)
        if min(self.epochs, self.steps) < 1:
            raise ConfigError(f"epochs {self.epochs} and steps {self.steps} must be positive")
        if isinstance(self.level, float) and not 0 < self.level < 1:
            raise ConfigError(f"level must lie in (0, 1), got {self.level}", hint="use level=0.95")
        if isinstance(self.budget, float) and self.budget <= 0:
            raise ConfigError(f"budget must be positive, got {self.budget}", hint="use budget=0.7")

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        return max(1, self.steps // (self.envs * self.horizon))

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training as one traced function: (policy, log with one value per update)."""
        return train_by_scan(self, key, env, params)

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> OnPolicyState:
        """Fresh networks and episodes; `extra` is a `Risk`."""
        zero = jnp.zeros((), jnp.float32)
        risk = Risk(zero, zero, zero, zero)
        return begin(key, self, env, params, self._optimiser(), heads=2, extra=risk)

    def advance(
        self, state: OnPolicyState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[OnPolicyState, dict[str, Float[Array, ""]]]:
        """One update: collect, weigh the tail, then learn."""
        rollout_key, learn_key, key = jax.random.split(state.key, 3)
        live, steps, value = collect(rollout_key, state, self, env, params)
        outcome = steps.reward.astype(jnp.float32)
        risk = self.weigh(state.extra, outcome, state.update)
        streams = jnp.stack([outcome, jnp.maximum(risk.threshold - outcome, 0)], axis=-1)
        advantage, target = estimate(steps, streams, value, state.critic, self, env, params)
        price = risk.multiplier / (1 - self.level)
        state, terms = improve(
            learn_key,
            state,
            as_experience(
                steps, advantage[..., 0] - price * advantage[..., 1], target, state.live.carry
            ),
            objective(self._surrogate, self, env, params),
            self._optimiser(),
            self.learning_rate * (1 - self.anneal * state.update / self.updates),
            epochs=self.epochs,
            parts=self.envs * self.horizon // self.minibatch,
            target_kl=self.target_kl,
            peers=peers,
        )
        log = {"reward": jnp.mean(outcome), **dict(zip(TERMS, terms, strict=True))}
        log |= {"value_at_risk": -risk.threshold, "cvar": risk.cvar, "multiplier": risk.multiplier}
        return state._replace(live=live, key=key, update=state.update + 1, extra=risk), log

    def weigh(self, risk: Risk, outcome: Float[Array, "T B"], update: Int[Array, ""]) -> Risk:
        """Threshold, CVaR and multiplier after another rollout."""
        weight = jnp.where(update == 0, 1.0, self.tracking)
        quantile = jnp.quantile(outcome, 1 - self.level)
        threshold = risk.threshold + weight * (quantile - risk.threshold)
        shortfall = jnp.mean(jnp.maximum(threshold - outcome, 0)) / (1 - self.level)
        cvar = risk.cvar + weight * (shortfall - threshold - risk.cvar)
        begun = update >= self.free * self.updates
        if self.relative:
            allowed = jnp.where(begun, risk.allowed, self.budget * cvar)
        else:
            allowed = jnp.asarray(self.budget, jnp.float32)
        excess = (cvar - allowed) / jnp.maximum(jnp.abs(allowed), 1e-12)
        moved = risk.multiplier + self.multiplier_rate * jnp.clip(excess, -1, 1)
        multiplier = jnp.where(begun, jnp.clip(moved, 0, self.multiplier_limit), 0.0)
        return Risk(threshold, cvar, allowed, multiplier)

    def _surrogate(
        self,
        log_prob: Float[Array, " B"],
        old_log_prob: Float[Array, " B"],
        advantage: Float[Array, " B"],
    ) -> Float[Array, " B"]:
        """The clipped objective on advantages standardised over the minibatch."""
        ratio = jnp.exp(log_prob - old_log_prob)
        return clipped_surrogate(ratio, standardise(advantage), self.clip)

    def _optimiser(self) -> optax.GradientTransformation:
        """Adam with a limit on the gradient; the step size is applied by `improve`."""
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient), optax.scale_by_adam(eps=1e-5)
        )
