"""Training on several stretches of rows with holes between them."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.rollout import Action, Obs, Params, SharedTable, State, TimeStep
from steelyard.types import Space


class SpanParams(eqx.Module):
    """The settings of `SpanEnv`; every leaf can be vmapped.

    Attributes:
        inner: settings of the environment, with `first`, `last` and `length`. The rows are those of
            a span instead.
        spans: (K, 2) first and last row of each span. One whose rows are equal is never drawn, so
            that environments with fewer spans can be stacked with others.
    """

    inner: Params
    spans: Int[Array, "K 2"]

    @property
    def market(self) -> Params:
        """The market, of which only the spans are visited."""
        return self.inner.market


class SpanState(NamedTuple):
    """An episode in progress, and the (first, last) row of the span that it stays in."""

    state: State
    span: Int[Array, "2"]


class SpanEnv(eqx.Module):
    """An environment whose episodes stay inside one of several spans of rows each.

    Every episode draws a span, in proportion to its rows, and lives as if the market were that
    span: it starts at a row from which a whole episode fits, or at the first row of a shorter
    span, and is truncated at the last one. No episode, and so no advantage, return or memory,
    reaches over a hole. Everything else is as in `env`.

    Attributes:
        env: shares a table; its params have `first`, `last` and `length`.
    """

    env: SharedTable

    def reset(self, key: PRNGKeyArray, params: SpanParams) -> tuple[SpanState, TimeStep]:
        """A fresh episode in a span that is drawn."""
        span_key, key = jax.random.split(key)
        spans = jnp.asarray(params.spans, jnp.int32)
        ends = jnp.cumsum(spans[:, 1] - spans[:, 0])
        at = jax.random.randint(span_key, (), 0, ends[-1], jnp.int32)
        span = spans[jnp.sum(at >= ends, dtype=jnp.int32)]
        state, step = self.env.reset(key, _inside(params, span))
        return SpanState(state, span), step

    def step(
        self, key: PRNGKeyArray, state: SpanState, action: Action, params: SpanParams
    ) -> tuple[SpanState, TimeStep]:
        """As the environment, up to the end of the span."""
        following, step = self.env.step(key, state.state, action, _inside(params, state.span))
        return SpanState(following, state.span), step

    def observe(self, obs: Obs, params: SpanParams) -> Float[Array, " D"]:
        """As the environment."""
        return self.env.observe(obs, params.inner)

    def own(self, obs: Obs, params: SpanParams) -> Float[Array, " O"]:
        """As the environment."""
        return self.env.own(obs, params.inner)

    def table(self, params: SpanParams) -> Float[Array, "T D"]:
        """As the environment."""
        return self.env.table(params.inner)

    def action_space(self, params: SpanParams) -> Space:
        """As the environment."""
        return self.env.action_space(params.inner)


def _inside(params: SpanParams, span: Int[Array, "2"]) -> Params:
    """The settings of the environment on the rows of one span."""
    return eqx.tree_at(lambda p: (p.first, p.last), params.inner, (span[0], span[1]))
