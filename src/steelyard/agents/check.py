"""The contract of this room, checked on any agent in any environment: `check_agent`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, get_type_hints

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.answers import guarded, is_stranger, require_agent, require_policy
from steelyard.agents.check_play import SEED, Played, Player, changed, holder
from steelyard.errors import ContractError
from steelyard.lookahead import WORLDS, another_future
from steelyard.rollout import Env, Params, Policy, bind, start

CUTS = 4  # rows after which the future is replaced
DISTRIBUTION = ("sample", "mode", "log_prob", "entropy", "kl")
MARKETS = get_type_hints(another_future)["market"]
"""Markets that can be given another future."""


def check_agent(agent: Any, env: Env, params: Params, *, steps: int = 64) -> None:
    """Check that an agent keeps the contract of its room on one window.

    * An agent that learns has `init`, `advance` and `updates`, of which a run makes its policy. Any
      other has `train(key, env, params)`, which answers with a policy and a log, or `decide(past)`
      and is its own policy.
    * A policy decides by `decide(past)` on the view of the past, or has `initial_carry` and is
      called with a vector; its memory keeps its shapes and types. A `bind`, which sees the market
      of a whole window, is left to this package.
    * Answers fit the environment's space. The same key gives the same policy, and a fresh copy of
      it the same actions.
    * Where the params hold a market: actions up to row t stay the same, to the last bit, when
      everything after the close of row t is replaced, at several t.
    * What is learned on `params` stays the same, to the last bit, when everything behind its last
      row is replaced.

    An agent of somebody's own that does not learn is trained on a market that ends in the middle
    of the window, and decides from there on. One of this package is prepared on the whole window,
    and anew in every other future.

    Args:
        agent: with `learns = False`, or one that learns.
        env, params: a window; an agent that learns is trained on it too.
        steps: decisions that are compared; the window is not left.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
    """
    try:
        with jax.enable_x64(_is_double(params)):
            _Trial(agent, env, params, steps).check()
    except ContractError as error:
        raise _named(type(agent).__name__, error) from error


def _named(name: str, error: ContractError) -> ContractError:
    """The fault with the name of the agent before it."""
    colon = ":" if error.message.startswith(("its ", "train ", "advance ", "prepare ")) else ""
    return ContractError(f"agent `{name}`{colon} {error.message}", hint=error.hint)


class _Trial:
    """One agent on one window."""

    def __init__(self, agent: Any, env: Env, params: Params, steps: int) -> None:
        self._agent, self._env = agent, env
        require_agent(agent)
        self._learns = bool(getattr(agent, "learns", True))
        self._prepared = not (self._learns or is_stranger(agent)) and hasattr(agent, "prepare")
        self._lesson = self._window = params
        if not (self._learns or self._prepared) and hasattr(agent, "train"):
            self._lesson, self._window = _parted(params)
        self._program = eqx.filter_jit(self._taught)
        self._play = Player(env, steps)

    def check(self) -> None:
        """All of it; see `check_agent`."""
        policy = self._policy(self._lesson)
        require_policy(policy)
        if not callable(getattr(policy, "decide", None)):
            self._check_answer(policy)
        played = self._play(policy, self._window)
        again = self._play(self._policy(self._lesson), self._window)
        if not np.array_equal(played.actions, again.actions):
            raise ContractError(
                "acts differently when it is made with the same key again",
                hint="take all randomness from the key, by jax.random; a rule from its own seed",
            )
        if isinstance(getattr(self._window, "market", None), MARKETS):
            if self._learns:
                self._check_lesson(policy, played)
            if played.rows is not None:
                self._check_causal(policy, played)

    def _policy(self, params: Params) -> Any:
        """The policy that comes of some params, always with the same key."""
        with guarded("in training"):
            key = jax.random.key(SEED)
            if self._learns:
                return self._learned(key, params)
            if self._prepared:
                answer = self._agent.prepare(key, self._env, params)
                return _pair(answer, "prepare")[0]
            if callable(getattr(self._agent, "train", None)):
                answer = self._agent.train(key, self._env, params)
                return _pair(answer, "train")[0]
            return deepcopy(self._agent)

    def _learned(self, key: Any, params: Params) -> Any:
        """The policy of a whole training, in one program and vectorised, as a run makes it."""
        policy = jax.tree.map(
            lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, self._program(key[None], params)
        )
        combine = getattr(self._agent, "combine", None)
        return policy if combine is None else combine(policy)

    def _taught(self, keys: Any, params: Params) -> Any:
        """Policies of some keys, stacked."""

        def update(state: Any, _: None) -> Any:
            return _pair(self._agent.advance(state, self._env, params), "advance")

        def one(key: Any) -> Any:
            state = self._agent.init(key, self._env, params)
            state, _ = jax.lax.scan(update, state, None, length=self._agent.updates)
            if not hasattr(state, "policy"):
                raise ContractError(
                    f"learns in a {type(state).__name__} without a policy",
                    hint="class State(NamedTuple): policy: Any; ...",
                )
            return state.policy

        return eqx.filter_vmap(one)(keys)

    def _check_answer(self, policy: Policy) -> None:
        """One answer of the policy, by shapes alone where it computes in JAX."""
        missing: list[str] = []

        def answer(key: Any) -> Any:
            live = start(key, self._env, self._window, policy)
            distribution, carry = bind(policy, self._env, self._window)(live.obs, live.carry)
            missing[:] = [part for part in DISTRIBUTION if not hasattr(distribution, part)]
            return live.carry, carry, () if missing else distribution.mode()

        key, before, after = jax.random.key(SEED), None, None
        with guarded("at step 0"):
            try:
                before, after, action = jax.eval_shape(answer, key)
            except jax.errors.JAXTypeError:
                action = answer(key)[2]
        if missing:
            raise ContractError(
                f"answers with a distribution without {', '.join(missing)}",
                hint="see steelyard.agents.distributions.Normal",
            )
        if _shapes(before) != _shapes(after):
            raise ContractError(
                f"its memory changes from {before} to {after} in a step",
                hint="return a carry of the shapes and types of initial_carry()",
            )
        wanted = self._env.action_space(self._window).shape
        if np.shape(action) != wanted:
            raise ContractError(
                f"answers with actions of shape {np.shape(action)}, not {wanted}",
                hint="size the policy by env.action_space(params)",
            )

    def _check_lesson(self, policy: Any, played: Played) -> None:
        """What is learned must not move with what comes after the last row of the lesson."""
        last = int(getattr(holder(self._lesson), "last", self._lesson.market.rows - 1))
        for world in WORLDS:
            market = another_future(self._lesson.market, last, world)
            there = self._policy(changed(self._lesson, market=market))
            actions = self._play(there, self._window).actions
            if _numbers(there) != _numbers(policy) or not np.array_equal(actions, played.actions):
                raise ContractError(
                    f"looks ahead: what it learns changes with what comes after row {last}, the "
                    f"last one that it may learn from ({world})",
                    hint="learn from rows params.first to params.last: no mark[-1], and no scale "
                    "of all rows",
                )

    def _check_causal(self, policy: Any, played: Played) -> None:
        """Actions up to row t must not move with what comes after t."""
        rows, actions = played.rows, played.actions
        assert rows is not None
        for step in np.unique(np.linspace(0, len(rows) - 1, CUTS + 1)[:-1].astype(int)).tolist():
            row = int(rows[step])
            known = np.cumprod(rows <= row).sum()  # up to where the episode passes row
            for world in WORLDS:
                market = another_future(self._window.market, row, world)
                window = changed(self._window, market=market)
                there = self._policy(window) if self._prepared else policy
                others = self._play(there, window).actions
                most = min(known, len(others))
                same = (actions[:most] == others[:most]).reshape(most, -1).all(axis=1)
                if not same.all():
                    raise ContractError(
                        "looks ahead: its action at row "
                        f"{int(rows[int(np.argmin(same))])} changes with what comes after the "
                        f"close of row {row} ({world})",
                        hint="at row t use marks, table and gauges up to t, and fills before t",
                    )


def _is_double(params: Params) -> bool:
    """Whether any number in `params` is held in 64 bits."""
    leaves = jax.tree.leaves(params)
    return any(getattr(leaf, "dtype", None) == jnp.float64 for leaf in leaves)


def _parted(params: Params) -> tuple[Params, Params]:
    """The first half of a window on a market that ends with it, and the second half."""
    market = getattr(params, "market", None)
    if not isinstance(market, MARKETS) or not hasattr(holder(params), "first"):
        return params, params
    middle = (int(holder(params).first) + int(holder(params).last)) // 2
    rows = np.arange(middle + 1)
    lesson = changed(params, market=market.of_rows(rows, np.zeros_like(rows)), last=middle)
    return lesson, changed(params, first=middle)


def _pair(answer: Any, method: str) -> tuple[Any, dict[str, Any]]:
    """What a method of an agent answers with: a policy or a state, and a log."""
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict):
        return answer
    made = "state" if method == "advance" else "policy"
    raise ContractError(
        f"{method} returned {type(answer).__name__}, not a {made} and a log",
        hint=f"return {made}, log with a dict of one array per logged number",
    )


def _shapes(tree: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(np.shape(leaf), getattr(leaf, "dtype", None)) for leaf in leaves]


def _numbers(policy: Any) -> list[bytes]:
    """Every number of a policy, to the last bit."""
    leaves = [leaf for leaf in jax.tree.leaves(policy) if eqx.is_array(leaf)]
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    plain = [jax.random.key_data(one) if key else one for one, key in zip(leaves, keys)]
    return [np.asarray(one).tobytes() for one in plain]
