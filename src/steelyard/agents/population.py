"""Many learners at once: groups of members that differ, and that can keep away from each other.

Members of a group share an agent and train by `jax.vmap`; groups take turns in lockstep, round by
round. What sets members apart is their key and, where asked for, a KL term that sees all the others
(equation 5 of the paper), prices on another scale, other assets, other columns, or other values of
float settings (section 5.1.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.agents.learning import train_by_scan
from steelyard.agents.members import (
    Variant,
    require_groups,
    require_one_space,
    with_variant,
)
from steelyard.agents.policies import vector_size
from steelyard.agents.views import Assets, Masked, View, draw_view, market_with, vector_mask
from steelyard.errors import ConfigError
from steelyard.rollout import Env, Params

VIEW = 2**20
"""What is folded into a member's key for its view of the market."""


MOST = 64
"""Rounds, where the updates of the agents have no common divisor to be used."""


class PopulationState(NamedTuple):
    """A training of all members in progress.

    Attributes:
        members: per group the states of its members, stacked along a leading axis M.
        views: per group how its members see the market, stacked; None where as it is.
    """

    members: tuple[Any, ...]
    views: tuple[View | None, ...]

    @property
    def policy(self) -> tuple[Any, ...]:
        """Per group the policies of its members, stacked along a leading axis M."""
        return tuple(
            state.policy if view is None or view.mask is None else Masked(state.policy, view.mask)
            for state, view in zip(self.members, self.views, strict=True)
        )


class Population(eqx.Module):
    """Groups of learners that train together.

    Member j of group g trains with the key `fold_in(fold_in(key, g), j)`, and without any of the
    options below it learns exactly what its agent learns alone with that key. What it learns does
    not depend on how many members there are, unless there is diversity.

    Attributes:
        groups: pairs (agent, number of members).
        diversity: lambda of equation 5, nats to reward; 0 = members do not see each other.
        price_scale: r: each member trains on prices of each asset times 1 + u, u uniform on
            [-r, r] and drawn once. It sees other quantities of shares, and the same ratios and
            z-scores: these do not depend on the scale of a price.
        assets: "own", "permuted" or "resampled": what stands in the places of the market in which
            a member trains; in the test, every asset is in its own.
        rounds: into how many rounds a training is cut, at most the updates of any agent; 0 = see
            `rounds_for`. Members see each other as they were when the round began. Updates that
            do not divide into rounds are made at the start, before members see each other: the
            budget of every agent is kept.
        hidden: for each member, group by group, the features whose columns it sees as 0; empty =
            all see everything.
        variants: for each member, group by group, the float settings in which it differs from the
            agent of its group; empty = in none.
    """

    groups: tuple[tuple[Any, int], ...] = eqx.field(converter=lambda given: _pairs(given))
    diversity: float | Float[Array, ""] = 0.0
    price_scale: float | Float[Array, ""] = 0.0
    assets: Assets = eqx.field(static=True, default="own")
    rounds: int = eqx.field(static=True, default=0)
    hidden: tuple[tuple[str, ...], ...] = eqx.field(static=True, default=())
    variants: tuple[Variant, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        require_groups(self.groups)
        _require_options(self)
        least = min(agent.updates for agent, _ in self.groups)
        if not 0 <= self.rounds <= least:
            raise ConfigError(
                f"rounds must lie in 1..{least}, the updates of the agent that makes fewest, "
                f"or be 0; got {self.rounds}",
                hint=f"use rounds={least}",
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """Members of each group."""
        return tuple(count for _, count in self.groups)

    @property
    def updates(self) -> int:
        """Rounds of a whole training."""
        return self.rounds or rounds_for([agent.updates for agent, _ in self.groups])

    @property
    def steps(self) -> int:
        """Environment steps of the member that takes most."""
        return max(int(getattr(agent, "steps", 0)) for agent, _ in self.groups)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each group, made of its agent's class: ("ppo", "sac", "ppo_2")."""
        names = [type(agent).__name__.lower() for agent, _ in self.groups]
        seen = [names[: place + 1].count(name) for place, name in enumerate(names)]
        return tuple(f"{name}_{n}" if n > 1 else name for name, n in zip(names, seen, strict=True))

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[tuple[Any, ...], dict[str, Float[Array, " U"]]]:
        """A whole training: (groups of stacked policies, log with one value per round)."""
        policies, log = train_by_scan(self, key, env, params)
        return tuple(policies), log  # type: ignore[arg-type]

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> PopulationState:
        """All members before the first round.

        Raises:
            ConfigError: members act in different spaces, or the market lacks what an option needs.
        """
        members, views = [], []
        for number, (agent, count) in enumerate(self.groups):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(
                jax.random.fold_in(key, number), jnp.arange(count)
            )
            view = self._views(keys, number, env, params)

            def first(key: Any, view: View | None, place: Any, number: int = number) -> Any:
                return self._member(number, place).init(key, env, _seen(params, view))

            begun = jax.vmap(first)(keys, view, jnp.arange(count))
            if left := agent.updates % self.updates:
                begun, _ = self._learn(number, begun, view, left, env, params)
            members.append(begun)
            views.append(view)
        state = PopulationState(tuple(members), tuple(views))
        require_one_space(self.labels, state.policy, env, params)
        return state

    def advance(
        self, state: PopulationState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[PopulationState, dict[str, Float[Array, ""]]]:
        """One round: each group makes its share of updates, seeing the others as they were.

        The log has "ppo/reward" and so on, means over the members of a group and the updates.
        """
        del peers  # a population is not a member of another one
        members, log = [], dict[str, Float[Array, ""]]()
        for number, label in enumerate(self.labels):
            length = self.groups[number][0].updates // self.updates
            given = (state.members[number], state.views[number], length, env, params)
            advanced, lines = self._learn(number, *given, state.policy)
            members.append(advanced)
            log |= {f"{label}/{name}": jnp.mean(value) for name, value in lines.items()}
        return PopulationState(tuple(members), state.views), log

    def _learn(
        self,
        number: int,
        members: Any,
        views: View | None,
        updates: int,
        env: Env,
        params: Params,
        policies: tuple[Any, ...] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Some updates of all members of a group, with all policies as peers where given."""

        def one(member: Any, view: View | None, place: Int[Array, ""]) -> tuple[Any, Any]:
            agent, seen = self._member(number, place), _seen(params, view)
            peers = None if policies is None else self._peers(policies, number, place)
            given = () if peers is None else (peers,)
            return jax.lax.scan(
                lambda member, _: agent.advance(member, env, seen, *given),
                member,
                None,
                length=updates,
            )

        count = self.groups[number][1]
        learned: tuple[Any, dict[str, Any]] = jax.vmap(one)(members, views, jnp.arange(count))
        return learned

    @property
    def _has_peers(self) -> bool:
        off = isinstance(self.diversity, (int, float)) and self.diversity == 0
        return not off and sum(self.counts) > 1

    def _peers(self, policies: tuple[Any, ...], number: int, place: Int[Array, ""]) -> Peers | None:
        """All other members; a group of one is not its own peer."""
        if not self._has_peers:
            return None
        met, weights = [], []
        for group, (policy, count) in enumerate(zip(policies, self.counts, strict=True)):
            if group == number and count == 1:
                continue
            weight = jnp.full(count, self.diversity, jnp.float32)
            if group == number:
                weight = jnp.where(jnp.arange(count) == place, 0, weight)
            met.append(policy)
            weights.append(weight)
        return Peers(tuple(met), tuple(weights))

    def _member(self, number: int, place: Int[Array, ""]) -> Any:
        """The agent of one member, with the float settings that are its own."""
        return with_variant(self.groups[number][0], self._own(self.variants, number), place)

    def _own(self, entries: tuple[Any, ...], number: int) -> tuple[Any, ...]:
        """The part of an option with one entry per member that belongs to a group."""
        start = sum(self.counts[:number])
        return entries[start : start + self.counts[number]]

    def _views(self, keys: Any, number: int, env: Env, params: Params) -> View | None:
        """How the members of a group see the market, stacked; None where as it is."""
        fixed = isinstance(self.price_scale, (int, float)) and self.price_scale == 0
        if fixed and self.assets == "own" and not self.hidden:
            return None
        market = market_with(params, columns=bool(self.hidden) or self.assets != "own")
        scale = None if fixed else self.price_scale
        views = jax.vmap(
            lambda key: draw_view(jax.random.fold_in(key, VIEW), market, scale, self.assets)
        )(keys)
        if self.hidden:
            own = self._own(self.hidden, number)
            size = vector_size(env, params)
            masks = np.stack([vector_mask(size, market.columns, names) for names in own])
            views = replace(views, mask=jnp.asarray(masks))
        return views


def rounds_for(budgets: Sequence[int]) -> int:
    """Into how many rounds trainings of some numbers of updates are cut.

    As many as all of them divide into, where that is at least `MOST / 2` or the smallest of them;
    else about `MOST`, so that the largest part of any that does not divide is as small as possible.
    """
    common, least = math.gcd(*budgets), min(budgets)
    if common >= min(MOST // 2, least):
        return common
    most = min(MOST, least)
    return min(
        range(max(min(2, most), most // 2), most + 1),
        key=lambda rounds: (max(budget % rounds / budget for budget in budgets), -rounds),
    )


def _pairs(given: Any) -> tuple[tuple[Any, int], ...]:
    return tuple((agent, count) for agent, count in given)


def _seen(params: Params, view: View | None) -> Params:
    return params if view is None else view(params)


def _require_options(population: Population) -> None:
    """Options that have one entry per member, or that exclude each other."""
    total = sum(population.counts)
    for name in ("hidden", "variants"):
        given = getattr(population, name)
        if given and len(given) != total:
            raise ConfigError(f"{name} has {len(given)} entries for {total} members")
    if population.hidden and population._has_peers:
        raise ConfigError(
            "members that see different columns have no divergence at one observation",
            hint="diversity=0 with hidden columns",
        )
    if population.assets not in ("own", "permuted", "resampled"):
        raise ConfigError(
            f"no assets named `{population.assets}`", hint="use own, permuted or resampled"
        )
    scale, weight = population.price_scale, population.diversity
    if isinstance(scale, (int, float)) and not 0 <= scale < 1:
        raise ConfigError(f"price_scale must lie in [0, 1), got {scale}", hint="price_scale=0.1")
    if isinstance(weight, (int, float)) and not 0 <= weight < math.inf:
        raise ConfigError(f"diversity must be 0 or more, got {weight}", hint="diversity=0.01")
