"""PPO-Switch (team SZU-FIN-621, FinRL Contest 2023, task 1): experts that take turns.

Five experts trade accounts of their own, on paper and side by side; the real account follows one of
them. What is compared is what their accounts have earned up to the close of the row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from steelyard.agents.distributions import Deterministic
from steelyard.agents.ensemble import Combination
from steelyard.agents.population import Population
from steelyard.agents.ppo import PPO
from steelyard.agents.vectors import WholeVectors
from steelyard.agents.views import Masked
from steelyard.errors import ConfigError, ContractError
from steelyard.ledger import Account, equity
from steelyard.registry import member
from steelyard.rollout import Act, Carry, Env, Obs, Params, bind

FAMILIES = ("log_close", "price_max_6", "price_min_6", "price_mean_6", "price_ema_6")
"""What each expert sees of the price: as it is, and as predictions of online portfolio selection
(`features.online`). All other features are seen by all."""

LAG = 5
"""Rows over which the recent gain of an expert is taken."""


def _experts() -> Population:
    """Five PPO experts, each of which is blind for the families of the others."""
    hidden = [tuple(name for name in FAMILIES if name != own) for own in FAMILIES]
    return Population(((PPO(entropy_weight=0.0), len(FAMILIES)),), hidden=tuple(hidden))


@member("agents", "ppo_switch")
class PPOSwitch(Combination):
    """Five PPO experts with different views of the price; the best of late decides.

    At a switch, the expert with the largest score decides until the next one:
    `momentum * (w[t] - w[t-5]) / 5 + (1 - momentum) * (w[t] - w[c])`, with w the value of its own
    account in starting capitals and c the row of the last switch. The next switch comes after that
    period d of `periods` for which the sum of w[t] - w[t-d] over the experts is largest, as
    published: longer periods are favoured where accounts grow. The first `follow` rows go to the
    first expert. Each expert's account trades its own mode of actions, is stepped for a bar once
    that bar has closed, and starts with the capital of the environment. One that is ruined
    stays as it is; its expert is only chosen where all are ruined.

    The task needs the features `price_max_6`, `price_min_6`, `price_mean_6` and `price_ema_6`.

    Attributes:
        population: one group of experts that see different columns.
        momentum: weight of the recent gain in the score, in [0, 1].
        follow: rows at the start that the first expert decides.
        periods: candidates for the rows between two switches.
        sparse: only trade at a switch, as published: sell everything, and put as much as
            `max_shares` allows into the one asset with the largest action, if it is not negative.
            Off, because all of the account in one asset is what users come here to avoid.
    """

    population: Population = eqx.field(default_factory=_experts)
    momentum: float | Float[Array, ""] = 0.3
    follow: int = eqx.field(static=True, default=10)
    periods: tuple[int, ...] = eqx.field(static=True, default=(2, 5, 7))
    sparse: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        if len(self.population.counts) != 1 or not self.population.hidden:
            raise ConfigError(
                "experts are one group of members that see different columns",
                hint="Population(((PPO(), 2),), hidden=(('log_close',), ('price_max_6',)))",
            )
        if not self.periods or min(self.periods) < 1:
            raise ConfigError(
                f"periods must be positive, got {self.periods}", hint="use periods=(2, 5, 7)"
            )
        if self.follow < max(*self.periods, LAG):
            raise ConfigError(
                f"follow {self.follow} must be at least {max(*self.periods, LAG)}, the rows that "
                "scores look back over",
                hint="use follow=10",
            )

    def combine(
        self, policies: tuple[Any, ...], sharpe: Float[Array, " M"] | None = None
    ) -> SwitchPolicy:
        """The experts and the rule that changes between them; Sharpe ratios play no part."""
        del sharpe
        (experts,), count = policies, self.population.counts[0]
        even = jnp.full(count, 1 / count, jnp.float32)
        return SwitchPolicy(experts, even, self.momentum, self.follow, self.periods, self.sparse)


class Standing(NamedTuple):
    """What a `SwitchPolicy` remembers, of K experts.

    Attributes:
        memories, own_memories: of the experts, on the real account and on their own.
        cash, units: (K,) and (K, N) of their accounts at the close of the last row.
        action: (K, N) what each decided there.
        worth: (H, K) values of their accounts in starting capitals, the newest last.
        base: (K,) the same at the last switch.
        expert: () who decides.
        wait: () rows until the next switch.
        age: () rows since the start.
    """

    memories: Carry
    own_memories: Carry
    cash: Float[Array, " K"]
    units: Float[Array, "K N"]
    action: Float[Array, "K N"]
    worth: Float[Array, "H K"]
    base: Float[Array, " K"]
    expert: Int[Array, ""]
    wait: Int[Array, ""]
    age: Int[Array, ""]


class SwitchPolicy(eqx.Module):
    """K experts of one structure that take turns; see `PPOSwitch`.

    Attributes:
        experts: stacked along a leading axis.
        weights: (K,) how much each counts before anything is known of them, for reports.
    """

    experts: Masked
    weights: Float[Array, "*W K"]
    momentum: float | Float[Array, ""]
    follow: int = eqx.field(static=True)
    periods: tuple[int, ...] = eqx.field(static=True)
    sparse: bool = eqx.field(static=True)

    def initial_carry(self) -> Standing:
        """Nobody has traded; accounts are held in the widest float type that is switched on."""
        memories = jax.vmap(lambda one: one.initial_carry())(self.experts)
        count, assets = jax.eval_shape(_modes_at_nothing, self.experts).shape
        money = jnp.zeros((count, assets), float)
        worth = jnp.ones((max(*self.periods, LAG) + 1, count), jnp.float32)
        action, zero = jnp.zeros((count, assets), jnp.float32), jnp.zeros((), jnp.int32)
        return Standing(
            memories, memories, money[:, 0], money, action, worth, worth[0], zero, zero, zero
        )

    def __call__(self, vector: Float[Array, " V"], carry: Carry) -> tuple[Any, Carry]:
        """Always raises: the experts' accounts need the market, not a vector."""
        raise ContractError(
            "experts that take turns decide on the stored observation",
            hint="use steelyard.rollout.bind(policy, env, params)",
        )

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations with `account` and `row`, as of `StockEnv`."""
        whole = WholeVectors(env)

        def ask(expert: Any, memory: Carry, obs: Obs) -> tuple[Any, Carry]:
            return bind(expert, whole, params)(obs, memory)

        def act(obs: Obs, carry: Standing) -> tuple[Any, Standing]:
            account, worth = _own_accounts(env, params, obs, carry)
            own = jax.vmap(lambda one: obs._replace(account=one))(account)
            modes, own_memories = jax.vmap(_mode_of(ask))(self.experts, carry.own_memories, own)
            answers, memories = jax.vmap(ask, (0, 0, None))(self.experts, carry.memories, obs)
            turned, switched = self._turn(carry, worth)
            answer = jax.tree.map(lambda leaf: leaf[turned.expert], answers)
            if self.sparse:
                answer = Deterministic(_all_in(answer.mode(), switched | (carry.age == 0)))
            kept = carry.cash.dtype
            return answer, turned._replace(
                memories=memories,
                own_memories=own_memories,
                cash=account.cash.astype(kept),
                units=account.units.astype(kept),
                action=modes.astype(jnp.float32),
                age=carry.age + 1,
            )

        return act

    def _turn(self, carry: Standing, worth: Float[Array, " K"]) -> tuple[Standing, Any]:
        """Who decides on this row, given what the accounts are worth at its close."""
        before = jnp.where(carry.age > 0, carry.worth, worth)
        past = jnp.concatenate([before[1:], worth[None]])
        base = jnp.where(carry.age > 0, carry.base, worth)
        score = self.momentum * (worth - past[-1 - LAG]) / LAG
        score += (1 - self.momentum) * (worth - base)
        score = jnp.where(worth > 0, score, -jnp.inf)  # whoever is ruined loses nothing more
        gains = jnp.stack([jnp.sum(worth - past[-1 - d]) for d in self.periods])
        period = jnp.asarray(self.periods, jnp.int32)[jnp.argmax(gains)]
        switched = (carry.age >= self.follow) & (carry.wait == 0)
        turned = carry._replace(
            worth=past,
            base=jnp.where(switched, worth, base),
            expert=jnp.where(switched, jnp.argmax(score).astype(jnp.int32), carry.expert),
            wait=jnp.where(switched, period - 1, jnp.maximum(carry.wait - 1, 0)),
        )
        return turned, switched


def _modes_at_nothing(experts: Masked) -> Float[Array, "K N"]:
    """What the experts do at an observation of zeros; for its shape."""

    def mode(expert: Masked) -> Any:
        vector = jnp.zeros(expert.mask.shape[-1], jnp.float32)
        return expert(vector, expert.initial_carry())[0].mode()

    modes: Float[Array, "K N"] = jax.vmap(mode)(experts)
    return modes


def _mode_of(ask: Any) -> Any:
    def mode(expert: Any, memory: Carry, obs: Obs) -> tuple[Any, Carry]:
        answer, memory = ask(expert, memory, obs)
        return answer.mode(), memory

    return mode


def _own_accounts(
    env: Env, params: Params, obs: Obs, carry: Standing
) -> tuple[Account, Float[Array, " K"]]:
    """The experts' accounts at the close of this row, and their values in starting capitals.

    What each decided on the row before fills and is valued by `env.step`, for the bar that has
    just closed. At the start everybody has what a reset gives. A ruined account is not stepped
    again: to the end it is worth what it was at its ruin.
    """
    key = jax.random.key(0)  # a market's history is no matter of chance
    fresh, first = env.reset(key, params)
    if not {"account", "value", "row", "steps"} <= set(getattr(fresh, "_fields", ())):
        raise ConfigError(
            f"experts trade accounts of their own, which {type(env).__name__} does not show",
            hint="use the environment `stock`",
        )
    money, row = fresh.account.cash.dtype, obs.row - 1

    def one(cash: Any, units: Any, action: Any, worth: Any) -> tuple[Account, Any]:
        held = Account(cash.astype(money), units.astype(money))
        value = equity(held, params.market.mark[row])
        before = fresh._replace(account=held, value=value, row=row, steps=carry.age - 1)
        after, step = env.step(key, before, action, params)
        lived = (after.account, (step.info["value"] / first.info["value"]).astype(jnp.float32))
        stepped = _where(worth > 0, lived, (held, worth))
        told: tuple[Account, Any]
        told = _where(carry.age > 0, stepped, (fresh.account, jnp.ones_like(worth)))
        return told

    accounts: tuple[Account, Float[Array, " K"]]
    accounts = jax.vmap(one)(carry.cash, carry.units, carry.action, carry.worth[-1])
    return accounts


def _where(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """One of two trees of arrays."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other), yes, no)


def _all_in(action: Float[Array, " N"], switched: Any) -> Float[Array, " N"]:
    """At a switch sell all, and buy the asset with the largest action; else nothing."""
    best = (jnp.arange(len(action)) == jnp.argmax(action)) & (jnp.max(action) >= 0)
    return jnp.where(switched, jnp.where(best, 1.0, -1.0), 0.0)
