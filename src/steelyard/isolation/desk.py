"""Asking an agent: what it learns, and what it decides, told one moment after another.

A desk knows an agent and what it was told, and nothing of the market. It works the same in a
process of the agent's own and, for an object that cannot be sent there, in this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import as_action, guarded, require_policy
from steelyard.errors import ContractError
from steelyard.past import History, Holdings, Rows
from steelyard.types import Facts, Floats, Space

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Lesson:
    """What a training is made of: an environment whose market ends where training ends.

    Attributes:
        env, params: the environment and its settings.
        seeds: one training each.
        most: updates after which to stop; None = all.
        validate: one pass on which an ensemble weighs its members; None = it does not.
        again: what the members are trained on once more after that; None = they are not.
        cash: value at the start of that pass, quote currency.
    """

    env: Any
    params: Any
    seeds: tuple[int, ...]
    most: int | None = None
    validate: Any = None
    again: Any = None
    cash: float = 0.0


@dataclass(frozen=True)
class Opening:
    """What is told before the first decision of a pass.

    Attributes:
        seeds: one account each, side by side on the same clock.
        assets, columns, actions, rules: see `Past`.
        deterministic: answer with the mode of a distribution; else draw from it.
    """

    seeds: tuple[int, ...]
    assets: tuple[str, ...]
    columns: tuple[str, ...]
    actions: Space
    rules: Facts
    deterministic: bool


@dataclass(frozen=True)
class Moment:
    """What is told at one decision.

    Attributes:
        step: decisions before this one.
        rows: of the market that have come since, the last one at this close; see `History`.
        vectors: (S, V) observation of each account.
        accounts: S accounts.
    """

    step: int
    rows: Rows
    vectors: NDArray[np.float32]
    accounts: Sequence[Holdings]


@dataclass(frozen=True)
class Learned:
    """What came out of a training.

    Attributes:
        logs: per seed, log name -> (U,) one value per update.
        digest: sha256 over every number of the policies.
        updates, of: updates made, and of a whole training.
    """

    logs: Sequence[Mapping[str, Floats]]
    digest: str
    updates: int
    of: int


class Desk:
    """One agent, its policies and its passes.

    Args:
        agent: somebody's own.
    """

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self._policies: dict[int, Any] = {}
        self._seats: list[_Seat] = []
        self._history: History | None = None

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> Learned:
        """Train, or prepare an agent that does not learn by trials; policies are kept here.

        Raises:
            ContractError: the agent failed, or made no policy.
        """
        with guarded("failed in training"):
            made = self._learned(lesson, progress)
        for policy in self._policies.values():
            require_policy(policy)
        return made

    def _learned(self, lesson: Lesson, progress: Progress | None) -> Learned:
        if not getattr(self._agent, "learns", True):
            self._policies = {seed: self._prepared(lesson, seed) for seed in lesson.seeds}
            return Learned([{} for _ in lesson.seeds], digest_of(self._policies), 0, 0)
        from steelyard.evaluation.training import fit

        learner = getattr(self._agent, "population", self._agent)
        trained = fit(
            learner, lesson.env, lesson.params, lesson.seeds, progress=progress, most=lesson.most
        )
        made: Sequence[Any] = trained.policies
        if hasattr(self._agent, "combine") and lesson.most is None:
            made = self._combined(lesson, trained.policies)
        self._policies = dict(zip(lesson.seeds, made, strict=True))
        return Learned(
            trained.logs, digest_of(self._policies), trained.updates, int(learner.updates)
        )

    def _combined(self, lesson: Lesson, groups: Sequence[Any]) -> list[Any]:
        """One policy of the members of every seed, weighed by what they earned in validation."""
        import jax.numpy as jnp

        from steelyard.evaluation.members import sharpe_of
        from steelyard.evaluation.training import fit

        sharpe: list[Any] = [None] * len(groups)
        if lesson.validate is not None:
            given = (lesson.env, lesson.validate, lesson.cash)
            sharpe = [jnp.asarray(sharpe_of(one, *given, windows=False)) for one in groups]
        if lesson.again is not None:
            again = fit(self._agent.population, lesson.env, lesson.again, lesson.seeds)
            groups = again.policies
        return [self._agent.combine(*each) for each in zip(groups, sharpe, strict=True)]

    def _prepared(self, lesson: Lesson, seed: int) -> Any:
        if not hasattr(self._agent, "train"):
            return _copy(self._agent)
        import jax

        answer = self._agent.train(jax.random.key(seed), lesson.env, lesson.params)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ContractError(
                f"train returned {type(answer).__name__}, not a policy and a log",
                hint="return policy, {}",
            )
        return answer[0]

    @property
    def policies(self) -> Mapping[int, Any]:
        """Seed -> policy."""
        return self._policies

    def take_over(self, policies: Mapping[int, Any]) -> None:
        """Go on with policies that were made at another desk."""
        self._policies = dict(policies)

    def begin(self, opening: Opening) -> None:
        """Start a pass with a fresh copy of the policy of every seed.

        Raises:
            ContractError: a policy cannot begin.
        """
        own = [self._policies.get(seed, self._agent) for seed in opening.seeds]
        self._history = History(opening.assets, opening.columns, opening.actions, opening.rules)
        with guarded("failed before its first decision"):
            self._seats = [
                _seat(policy, opening, seed)
                for policy, seed in zip(own, opening.seeds, strict=True)
            ]

    def decide(self, moment: Moment) -> NDArray[Any]:
        """(S, A) or (S,) the decision of every account.

        Raises:
            ContractError: the agent raised, or what it answered is no action.
        """
        assert self._history is not None
        self._history.extend(moment.rows)
        told = zip(self._seats, moment.vectors, moment.accounts, strict=True)
        return np.stack(
            [seat.decide(self._history, moment.step, vector, held) for seat, vector, held in told]
        )


def _copy(policy: Any) -> Any:
    """A fresh copy, where there can be one; in a process of its own there always can."""
    try:
        return deepcopy(policy)
    except Exception:  # noqa: BLE001 - whatever is inside decides what is raised
        return policy


def _seat(policy: Any, opening: Opening, seed: int) -> _Seat:
    require_policy(policy)
    if hasattr(policy, "decide"):
        return _RuleSeat(_copy(policy), opening)
    return _VectorSeat(policy, opening, seed)


class _Seat:
    """One account of a pass and who decides for it."""

    def __init__(self, opening: Opening) -> None:
        self._actions = opening.actions

    def decide(
        self, history: History, step: int, vector: NDArray[np.float32], held: Holdings
    ) -> NDArray[Any]:
        """The action at one moment."""
        with guarded():
            return as_action(self._answer(history, step, vector, held), self._actions)

    def _answer(
        self, history: History, step: int, vector: NDArray[np.float32], held: Holdings
    ) -> Any:
        raise NotImplementedError


class _RuleSeat(_Seat):
    """A rule on the view of the past."""

    def __init__(self, rule: Any, opening: Opening) -> None:
        super().__init__(opening)
        self._rule = rule

    def _answer(
        self, history: History, step: int, vector: NDArray[np.float32], held: Holdings
    ) -> Any:
        return self._rule.decide(history.past(step, vector, held))


class _VectorSeat(_Seat):
    """A policy that reads the vector of an observation; compiled where it can be."""

    def __init__(self, policy: Any, opening: Opening, seed: int) -> None:
        super().__init__(opening)
        import equinox as eqx
        import jax

        self._policy, self._deterministic = policy, opening.deterministic
        self._key, self._carry = jax.random.key(seed), policy.initial_carry()
        self._compiled = eqx.filter_jit(_ask) if isinstance(policy, eqx.Module) else None

    def _answer(
        self, history: History, step: int, vector: NDArray[np.float32], held: Holdings
    ) -> Any:
        del history, held
        import jax

        given = (self._policy, vector, self._carry, jax.random.fold_in(self._key, step))
        if self._compiled is not None:
            try:
                action, self._carry = self._compiled(*given, self._deterministic)
                return action
            except jax.errors.JAXTypeError:  # it computes outside of JAX
                self._compiled = None
        locked = vector.view()
        locked.flags.writeable = False
        action, self._carry = _ask(given[0], locked, *given[2:], self._deterministic)
        return action


def _ask(policy: Any, vector: Any, carry: Any, key: Any, deterministic: bool) -> tuple[Any, Any]:
    distribution, carry = policy(vector, carry)
    return distribution.mode() if deterministic else distribution.sample(key), carry


def digest_of(policies: Mapping[int, Any]) -> str:
    """sha256 over every number in some policies; empty where they hold none."""
    import sys

    jax = sys.modules.get("jax")
    if jax is None:
        return ""
    hasher, found = hashlib.sha256(), False
    for leaf in jax.tree.leaves(dict(policies)):
        if isinstance(leaf, (np.ndarray, jax.Array, float, int)):
            if hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            hasher.update(np.ascontiguousarray(leaf).tobytes())
            found = True
    return hasher.hexdigest() if found else ""
