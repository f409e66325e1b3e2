"""What a run demands of agents, policies and answers that are somebody's own.

Every fault is one line without the agent's name, which its row or its check says, and a hint that
is a line of code.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from inspect import getattr_static, isroutine
from pathlib import Path
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError, SteelyardError
from steelyard.types import Space

PACKAGE = "steelyard"
HERE = Path(__file__).resolve().parents[1]
LIBRARIES = (
    *("builtins", "collections", "dataclasses", "enum", "functools", "inspect", "types", "typing"),
    *("numpy", "jax", "jaxlib", "jaxtyping", "equinox", "optax"),
)
"""What this package builds on; objects of these are nobody's own."""

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
    """Whether a function, or the class of an object, is neither ours nor of what we build on.

    Not the name of a module counts, which anybody can write, but where it leads.
    """
    known = {PACKAGE, *LIBRARIES}
    if isinstance(value, FunctionType):
        return _root_of_file(value.__code__.co_filename) not in known
    kind = value if isinstance(value, type) or isroutine(value) else type(value)
    if "<locals>" in getattr(kind, "__qualname__", ""):
        own = [one for one in vars(kind).values() if isinstance(one, FunctionType)]
        return not own or any(_root_of_file(one.__code__.co_filename) not in known for one in own)
    module = str(getattr(kind, "__module__", None) or "builtins")
    return module.split(".")[0] not in known or not _leads_to(module, kind)


def _leads_to(module: str, kind: Any) -> bool:
    """Whether a module has what claims to be of it, in a file of its own where it is ours."""
    found: Any = sys.modules.get(module)
    ours = module.split(".")[0] == PACKAGE
    if ours and _root_of_file(getattr(found, "__file__", "")) != PACKAGE:
        return False
    if not isinstance(kind, type):
        return found is not None
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is kind or ours:
        return found is kind
    # libraries name some of their classes otherwise; their code tells where they are from
    own = [one.__code__.co_filename for one in vars(kind).values() if isinstance(one, FunctionType)]
    return all(file.startswith("<") or _root_of_file(file) in LIBRARIES for file in own)


def _root_of_file(file: str | None) -> str:
    """The package that a file belongs to, as far as we build on it; empty for all others."""
    if not file or file.startswith("<"):
        return ""
    if Path(file).resolve().is_relative_to(HERE):
        return PACKAGE
    for name in LIBRARIES:
        place = getattr(sys.modules.get(name), "__file__", None)
        if place and Path(file).is_relative_to(
            Path(place).parent if "__init__" in place else place
        ):
            return name
    return ""


def strangers_in(value: Any) -> list[Any]:
    """Everything inside of an object, itself included, that is somebody's own."""
    return [part for part, _ in _parts(value) if is_stranger(part)]


def require_agent(agent: Any) -> None:
    """Refuse what cannot run, before anything is trained.

    Raises:
        ContractError: it lacks what a run needs; the hint is a line that has it.
    """
    if not getattr(agent, "learns", True):
        if any(callable(getattr(agent, part, None)) for part in ("train", "decide")):
            return
        raise ContractError(
            "has neither train nor decide",
            hint="def decide(self, past): ... on the view of the past, steelyard.past.Past",
        )
    if hasattr(agent, "combine") and hasattr(agent, "population"):
        return
    for part, line in LEARNER.items():
        if not hasattr(agent, part):
            raise ContractError(
                f"learns and has no {part}",
                hint=f"{line}, or learns = False and def decide(self, past)",
            )


def require_policy(policy: Any) -> None:
    """Refuse a policy that cannot decide, or that asks for the market of a whole window.

    Policies of this package may decide by `bind` alone.

    Raises:
        ContractError: the hint is a line that a policy has.
    """
    for part, asked in _parts(policy):
        for method in BINDS:
            bind = getattr(part, method, None) if _has_own(part, method) else None
            if callable(bind) and (asked or _is_asked_by_its_own(part, bind)):
                raise ContractError(
                    f"its policy `{type(part).__name__}` has {method}, which sees the whole "
                    "market; the view of the past is steelyard.past.Past",
                    hint="def decide(self, past): ..., or __call__(self, vector, carry) alone",
                )
    if callable(getattr(policy, "decide", None)):
        return
    ours = not is_stranger(policy) and callable(getattr(policy, "bind", None))
    decides = callable(policy) or ours
    if not callable(getattr(policy, "initial_carry", None)) or not decides:
        raise ContractError(
            "its policy has no decide, and no initial_carry or no __call__",
            hint="def decide(self, past): ..., or def initial_carry(self): return None and "
            "def __call__(self, vector, carry): ...",
        )


def _has_own(part: object, method: str) -> bool:
    """Whether an object has a method that somebody wrote for it; classes of Python mean others."""
    if isroutine(part) or isinstance(part, type) or getattr_static(part, method, None) is None:
        return False
    foreign = is_stranger(part) and _package_of(part) not in sys.stdlib_module_names
    return foreign or method in getattr(part, "__dict__", {})


def _is_asked_by_its_own(part: object, bind: object) -> bool:
    """Whether a method is written by who wrote the class, who is no library that was installed."""
    package = _package_of(part)
    file = str(getattr(sys.modules.get(package), "__file__", ""))
    return _package_of(bind) == package and "site-packages" not in file


def _package_of(value: object) -> str:
    """First part of the name of the module that defines a function, or the class of an object."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).split(".")[0]


def _parts(value: Any) -> Iterator[tuple[Any, bool]]:
    """An object and all that it holds, and whether this package would ask that to `bind`.

    It asks the policy, and what its own policies hold. What somebody's own object holds is asked by
    nobody; it may have a method of that name from another library, where it means something else.
    """
    plain = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic, ModuleType)
    waiting, seen = [(value, True)], set[int]()
    while waiting:
        one, asked = waiting.pop()
        if isinstance(one, plain) or id(one) in seen:
            continue
        seen.add(id(one))
        if type(one) not in (dict, list, tuple, set, frozenset):
            yield one, asked
            asked = asked and not is_stranger(one)
        waiting += [(held, asked) for held in reversed(held_by(one))]


def held_by(value: Any) -> list[Any]:
    """What an object holds, found without running code of its class."""
    if isinstance(value, type):
        return []
    held: list[Any] = []
    if isinstance(value, dict):
        held.extend(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        held.extend(value)  # `+=` would ask what the other one adds
    elif isinstance(value, partial):
        held += [value.func, value.args, value.keywords]
    elif isinstance(value, MethodType):
        held += [value.__func__, value.__self__]
    for kind in type(value).__mro__:
        slots = [one for one in vars(kind).values() if isinstance(one, MemberDescriptorType)]
        for slot in slots if "__slots__" in vars(kind) else []:
            with suppress(AttributeError):  # it was never filled
                held.append(slot.__get__(value))
    with suppress(AttributeError):
        held.extend(object.__getattribute__(value, "__dict__").values())
    return held


def require_numbers(actions: NDArray[Any], space: Space) -> None:
    """All actions must be finite numbers, or choices that exist.

    Raises:
        ContractError: they are not.
    """
    if not np.isfinite(actions).all():
        raise ContractError(
            "answers with a number that is not finite",
            hint="check its inputs for NaN, and its divisions for 0",
        )
    if space.choices and not ((actions >= 0) & (actions < space.choices)).all():
        raise ContractError(
            f"chooses {actions.min()}..{actions.max()} of {space.choices} choices",
            hint="number the choices from 0",
        )


def as_action(answer: Any, space: Space) -> NDArray[Any]:
    """What was answered, as the environment takes it: float32 (A,), or int32 () for a choice.

    Raises:
        ContractError: it is no action.
    """
    values = np.asarray(answer)
    if values.dtype.kind not in "biuf":
        raise ContractError(
            f"answers with {type(answer).__name__}, not with numbers",
            hint="return an int" if space.choices else "return one number for each asset",
        )
    wanted = () if space.choices else tuple(space.shape)
    if values.shape != wanted and not (space.choices and values.size == 1):
        raise ContractError(
            f"answers with actions of shape {values.shape}, not {wanted}",
            hint="return one number for each of past.assets, in their order",
        )
    require_numbers(values, space)
    if not space.choices:
        return values.astype(np.float32)
    if values.item() != int(values.item()):
        raise ContractError(
            f"answers with {values.item()}, not with the number of a choice",
            hint=f"return an int from 0 to {space.choices - 1}",
        )
    return np.asarray(values.item(), np.int32)


@contextmanager
def guarded(doing: str = "", *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Let whatever somebody else's code raises come out as one line.

    Args:
        doing: what went on, to begin the line with.
        but: errors that the caller can deal with.

    Raises:
        ContractError: it raised something.
    """
    head = f"{doing}: " if doing else ""
    try:
        yield
    except SteelyardError as error:
        raise ContractError(head + error.message, hint=error.hint) from error
    except but:
        raise
    except (Exception, SystemExit) as error:
        locked = "read-only" in str(error)
        hint = "the view of the past is read-only: past[name].copy()" if locked else ""
        raise ContractError(head + fault_of(error), hint=hint) from error


def fault_of(error: BaseException) -> str:
    """What somebody else's code raised, in one line with its place."""
    if isinstance(error, SystemExit):
        told = f"called exit({'' if error.code is None else error.code})"
    else:
        text = " ".join(str(error).split())
        told = f"raised {type(error).__name__}" + (f": {text[:LONGEST]}" if text else "")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        known = any(part in frame.filename for part in ("site-packages", "/lib/python", "<"))
        if not known and not Path(frame.filename).is_relative_to(HERE):
            return f"{told} ({Path(frame.filename).name}:{frame.lineno})"
    return told
