"""Ensembles: agents that make one decision of their members' decisions.

An ensemble trains a population and combines what came out of it: `combine(policies, sharpe)` is a
pure function that weighs the members by their Sharpe ratios on validation rows (equation 6 of the
paper, section 5.1.2) and answers with one policy. Ensembles with equal populations can share one
training: members of a smaller ensemble are the first ones of a larger.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.agents.members import variants_of
from steelyard.agents.population import Population, PopulationState
from steelyard.agents.vectors import WholeVectors
from steelyard.agents.voting import RULES, vote
from steelyard.errors import ConfigError
from steelyard.rollout import Act, Carry, Env, Obs, Params, Policy, bind

BEST = "best"
"""The rule by which the member with the best Sharpe ratio decides alone."""


class EnsemblePolicy(eqx.Module):
    """K policies that decide together.

    Attributes:
        groups: policies that share a structure, stacked along a leading axis.
        weights: (K,) in the order of the groups, summing to one; 0 = not heard.
        rule: see `agents.voting`.
        boltzmann, dead_zone: see `voting.vote`.
    """

    groups: tuple[Any, ...]
    weights: Float[Array, "*W K"]
    rule: str = eqx.field(static=True, default="average")
    boltzmann: float | Float[Array, ""] = 1.0
    dead_zone: float | Float[Array, ""] = 0.01

    def initial_carry(self) -> Carry:
        """Per group the memories of its members."""
        return tuple(jax.vmap(lambda one: one.initial_carry())(group) for group in self.groups)

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Any, Carry]:
        """The joint distribution at a vector; actions are not cut to a box that is not known."""
        return self._decide(lambda policy, memory: policy(vector, memory), carry)

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations."""
        whole, space = WholeVectors(env), env.action_space(params)
        limits = None if space.choices else (space.low, space.high)

        def act(obs: Obs, carry: Carry) -> tuple[Any, Carry]:
            return self._decide(
                lambda policy, memory: bind(policy, whole, params)(obs, memory),
                carry,
                limits=limits,
                choices=space.choices,
            )

        return act

    def _decide(self, ask: Any, carry: Carry, **space: Any) -> tuple[Any, Carry]:
        answers = [
            jax.vmap(ask)(group, memory) for group, memory in zip(self.groups, carry, strict=True)
        ]
        parts, memories = zip(*answers, strict=True)
        joint = vote(
            parts,
            self.weights,
            self.rule,
            temperature=self.boltzmann,
            dead_zone=self.dead_zone,
            **space,
        )
        return joint, memories


class Combination(eqx.Module):
    """An agent made of a population and a way to act as one: what ensembles have in common.

    The state of a training holds the members' policies, as that of the population; `combine` makes
    one policy of them.
    """

    population: eqx.AbstractVar[Population]

    @abstractmethod
    def combine(
        self, policies: tuple[Any, ...], sharpe: Float[Array, " M"] | None = None
    ) -> Policy:
        """One policy of all members' policies; pure, vmapped over windows.

        Args:
            policies: per group of the population, stacked along a leading axis.
            sharpe: (M,) Sharpe ratio per bar of all members on validation rows, group by group;
                None = nothing is known of them.
        """

    @property
    def counts(self) -> tuple[int, ...]:
        """Members of each group that have a weight in the combined policy."""
        return self.population.counts

    @property
    def updates(self) -> int:
        """Rounds of a whole training."""
        return self.population.updates

    @property
    def steps(self) -> int:
        """Environment steps of the member that takes most."""
        return self.population.steps

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> PopulationState:
        """All members before their first update."""
        return self.population.init(key, env, params)

    def advance(
        self, state: PopulationState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[PopulationState, dict[str, Float[Array, ""]]]:
        """One round of the population."""
        return self.population.advance(state, env, params, peers)

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training: (one policy, its members weighing the same, and the log)."""
        policies, log = self.population.train(key, env, params)
        return self.combine(policies), log


class Ensemble(Combination):
    """Members vote on every decision, weighed by their Sharpe ratios on validation rows.

    Attributes:
        population: who is trained.
        take: how many members of each group are heard, the first ones; () = all. A number is for
            every group.
        rule: "average", "majority", "confidence", "product", "sum" (see `agents.voting`), or
            "best": the member with the best Sharpe ratio decides alone, the first one where
            nothing is known.
        discard: a member whose Sharpe ratio per bar is below is not heard; if all are below, the
            best of them is. The paper discards "very low" ratios and names no threshold.
        temperature: of the softmax of the Sharpe ratios; higher = more equal weights.
        boltzmann: temperature of the members' scores in rules "product" and "sum".
        dead_zone: a smaller action is a vote to hold, in rule "majority" on a box.
    """

    population: Population
    take: int | tuple[int, ...] = eqx.field(static=True, default=())
    rule: str = eqx.field(static=True, default="average")
    discard: float | Float[Array, ""] = 0.0
    temperature: float | Float[Array, ""] = 1.0
    boltzmann: float | Float[Array, ""] = 1.0
    dead_zone: float | Float[Array, ""] = 0.01

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        there = self.population.counts
        fits = len(self.counts) == len(there) and all(
            0 <= taken <= count for taken, count in zip(self.counts, there, strict=False)
        )
        if not fits or sum(self.counts) < 1:
            raise ConfigError(
                f"an ensemble needs members: it takes {list(self.counts)} of {list(there)}",
                hint=f"use take={there}",
            )
        if self.rule not in (*RULES, BEST):
            raise ConfigError(
                f"no rule named `{self.rule}`", hint="use " + ", ".join((*RULES, BEST))
            )
        for name in ("temperature", "boltzmann"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not value > 0:
                raise ConfigError(f"{name} must be positive, got {value}", hint=f"{name}=1.0")

    @property
    def counts(self) -> tuple[int, ...]:
        """Members of each group that are heard."""
        if isinstance(self.take, int):
            return (self.take,) * len(self.population.counts)
        return self.take or self.population.counts

    def combine(
        self, policies: tuple[Any, ...], sharpe: Float[Array, " M"] | None = None
    ) -> EnsemblePolicy:
        """One policy of the members that are taken; see `Combination.combine`."""
        taken = [
            jax.tree.map(lambda leaf, n=count: leaf[:n], group)
            for group, count in zip(policies, self.counts, strict=True)
            if count
        ]
        return EnsemblePolicy(
            tuple(taken),
            self._weights(sharpe),
            "average" if self.rule == BEST else self.rule,
            self.boltzmann,
            self.dead_zone,
        )

    def _weights(self, sharpe: Float[Array, " M"] | None) -> Float[Array, " K"]:
        total = sum(self.counts)
        if sharpe is None:
            known = jnp.zeros(total, jnp.float32)
        else:
            ends = [sum(self.population.counts[:n]) for n in range(len(self.counts))]
            own = [sharpe[end : end + count] for end, count in zip(ends, self.counts, strict=True)]
            known = jnp.concatenate(own).astype(jnp.float32)
        if self.rule == BEST:
            return (jnp.arange(total) == jnp.argmax(known)).astype(jnp.float32)
        if sharpe is None:
            return jnp.full(total, 1 / total, jnp.float32)
        return sharpe_weights(known, self.discard, self.temperature)


def sharpe_weights(
    sharpe: Float[Array, " K"],
    discard: float | Float[Array, ""] = 0.0,
    temperature: float | Float[Array, ""] = 1.0,
) -> Float[Array, " K"]:
    """Softmax of Sharpe ratios over the members that are not below `discard`; the others get 0.

    If all are below, the best is kept. The weights sum to one (paper, section 5.1.2).

    Args:
        sharpe: per bar, not annualised, on validation rows (equation 6).
        discard: the threshold, per bar.
        temperature: > 0; higher = more equal weights.
    """
    below = sharpe < discard
    below = jnp.where(jnp.all(below), jnp.arange(len(sharpe)) != jnp.argmax(sharpe), below)
    return jax.nn.softmax(jnp.where(below, -jnp.inf, sharpe / temperature))


def chosen(agent: Any, grid: Mapping[str, Sequence[float]]) -> Ensemble:
    """The agent with hyper-parameters chosen on validation rows, all candidates in one program.

    It is an ensemble by rule "best" of one variant per combination of the grid's values. Where
    nothing is known of validation, the first one decides.

    Args:
        agent: one that learns.
        grid: name of a float setting -> the values to try.

    Raises:
        ConfigError: the grid is empty, or a name or a value is not a setting of the agent.
    """
    variants = variants_of(agent, grid)
    return Ensemble(Population(((agent, len(variants)),), variants=variants), rule=BEST)
