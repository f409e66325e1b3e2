"""What `check_agent` demands of agents, policies and answers, each with a line that has it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError, SteelyardError
from steelyard.past import Actions

PACKAGE = "steelyard"
HERE = Path(__file__).resolve().parents[1]
LIBRARIES = ("site-packages", "/lib/python", "<")
"""Parts of the names of files that are nobody's own."""

LEARNER = {
    "init": "def init(self, key, env, params): return state",
    "advance": "def advance(self, state, env, params): return state, log",
    "updates": "updates: int = 100",
}
"""What a run needs of an agent that learns, with a line that has it."""

BINDS = ("bind", "bind_to_act")
"""Methods that are handed the market of a whole window."""

LONGEST = 300
"""Letters of a message that somebody else's code wrote."""


def is_stranger(value: object) -> bool:
    """Whether a function, or the class of an object, is not of this package."""
    return _package_of(value) != PACKAGE


def _package_of(value: object) -> str:
    """First part of the name of the module that defines a function, or the class of an object."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).split(".")[0]


def require_agent(agent: Any, name: str) -> None:
    """Refuse what cannot run, before anything is trained.

    Raises:
        ContractError: it lacks what a run needs; the hint is a line that has it.
    """
    if not getattr(agent, "learns", True):
        if any(callable(getattr(agent, part, None)) for part in ("train", "decide")):
            return
        raise ContractError(
            f"agent `{name}` has neither train nor decide",
            hint="def decide(self, past): ... on the view of the past, steelyard.past.Past",
        )
    for part, line in LEARNER.items():
        if not hasattr(agent, part):
            raise ContractError(
                f"agent `{name}` learns and has no {part}",
                hint=f"{line}, or learns = False and def decide(self, past)",
            )


def require_policy(policy: Any, name: str) -> None:
    """Refuse a policy that cannot decide, or that asks for the market of a whole window.

    Policies of this package may decide by `bind` alone.

    Raises:
        ContractError: the hint is a line that a policy has.
    """
    for part, asked in _parts(policy, True, set()):
        for method in BINDS:
            own = is_stranger(part) or method in getattr(part, "__dict__", {})
            bind = getattr(part, method, None) if own else None
            if callable(bind) and (asked or _package_of(bind) == _package_of(part)):
                raise ContractError(
                    f"agent `{name}`: its policy `{type(part).__name__}` has {method}, which sees "
                    "the whole market; the view of the past is steelyard.past.Past",
                    hint="def decide(self, past): ..., or __call__(self, vector, carry) alone",
                )
    if callable(getattr(policy, "decide", None)):
        return
    decides = callable(policy) or callable(getattr(policy, "bind", None))
    if not callable(getattr(policy, "initial_carry", None)) or not decides:
        raise ContractError(
            f"agent `{name}`: its policy has no decide, and no initial_carry or no __call__",
            hint="def decide(self, past): ..., or def initial_carry(self): return None and "
            "def __call__(self, vector, carry): ...",
        )


def _parts(value: Any, asked: bool, seen: set[int]) -> Iterator[tuple[Any, bool]]:
    """The policy and all that it holds, and whether this package would ask that to `bind`.

    It asks the policy, and what its own policies hold. What somebody's own object holds is asked by
    nobody; it may have a method of that name from another library, where it means something else.
    """
    plain = (str, bytes, int, float, complex, type(None), np.ndarray, type, ModuleType)
    if isinstance(value, plain) or isroutine(value) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        held = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = list(value)
    else:
        held = list(getattr(value, "__dict__", {}).values())
    if type(value) not in (dict, list, tuple, set, frozenset):
        yield value, asked
        asked = asked and not is_stranger(value)
    for one in held:
        yield from _parts(one, asked, seen)


def require_numbers(actions: NDArray[Any], name: str, space: Actions) -> None:
    """All actions must be finite numbers, or choices that exist.

    Raises:
        ContractError: they are not.
    """
    if not np.isfinite(actions).all():
        raise ContractError(
            f"agent `{name}` answers with an action that is not a number",
            hint="check the inputs of the policy for NaN, and its divisions for 0",
        )
    if space.choices and not ((actions >= 0) & (actions < space.choices)).all():
        raise ContractError(
            f"agent `{name}` chooses {actions.min()}..{actions.max()} of {space.choices} choices",
            hint="number the choices from 0",
        )


def as_action(answer: Any, name: str, space: Actions) -> NDArray[Any]:
    """What a rule answered, as the environment takes it: float32 (A,), or int32 () for a choice.

    Raises:
        ContractError: it is no action.
    """
    values = np.asarray(answer)
    if values.dtype.kind not in "biuf":
        raise ContractError(
            f"agent `{name}` answers with {type(answer).__name__}, not with numbers",
            hint="return an int" if space.choices else "return one number for each asset",
        )
    wanted = () if space.choices else tuple(space.shape)
    if values.shape != wanted and not (space.choices and values.size == 1):
        raise ContractError(
            f"agent `{name}` answers with actions of shape {values.shape}, not {wanted}",
            hint="return one number for each of past.assets, in their order",
        )
    require_numbers(values, name, space)
    if not space.choices:
        return values.astype(np.float32)
    if values.item() != int(values.item()):
        raise ContractError(
            f"agent `{name}` answers with {values.item()}, not with the number of a choice",
            hint=f"return an int from 0 to {space.choices - 1}",
        )
    return np.asarray(values.item(), np.int32)


@contextmanager
def blamed(name: str, when: str, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Whatever an agent's own code raises becomes one line that names the agent.

    Args:
        when: where in the check this was.
        but: errors that the caller can deal with.

    Raises:
        ContractError: the code raised something else that is not an error of this package.
    """
    passing: tuple[type[BaseException], ...] = (SteelyardError, *but)
    try:
        yield
    except passing:
        raise
    except (Exception, SystemExit) as error:  # somebody else's code may raise anything
        locked = "read-only" in str(error)
        raise ContractError(
            f"agent `{name}` {fault_of(error)}, {when}",
            hint="the view of the past is read-only: past[name].copy()" if locked else "",
        ) from error


def fault_of(error: BaseException) -> str:
    """What somebody else's code raised, in one line with its place."""
    if isinstance(error, SystemExit):
        told = f"called exit({'' if error.code is None else error.code})"
    else:
        text = " ".join(str(error).split())
        told = f"raised {type(error).__name__}" + (f": {text[:LONGEST]}" if text else "")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        known = any(part in frame.filename for part in LIBRARIES)
        if not known and not Path(frame.filename).is_relative_to(HERE):
            return f"{told} ({Path(frame.filename).name}:{frame.lineno})"
    return told
