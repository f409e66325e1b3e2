"""What somebody's own code may answer, and what is said where it answers something else."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError, SteelyardError
from steelyard.past import Actions

PACKAGE = "steelyard"
HERE = Path(__file__).resolve().parents[1]
LIBRARIES = ("builtins", "numpy", "jax", "jaxlib", "jaxtyping", "equinox", "optax", "functools",
             "collections", "types", "typing", "dataclasses")  # fmt: skip
DEPTH = 12
"""How deep an object is looked into."""

LONGEST = 300
"""Letters of a message that somebody else's code wrote."""


def is_stranger(value: object) -> bool:
    """Whether the class, or the function, is neither of this package nor of what it builds on."""
    place = value if callable(value) and hasattr(value, "__module__") else type(value)
    module = str(getattr(place, "__module__", None) or "builtins")
    return module.split(".")[0] not in (PACKAGE, *LIBRARIES)


def strangers_in(value: Any) -> list[Any]:
    """Everything inside of an object, itself included, that is not of this package."""
    return [one for one in _parts(value, 0, set()) if is_stranger(one)]


def _parts(value: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    plain = isinstance(value, (str, bytes, int, float, complex, bool, type(None), np.generic))
    if plain or depth > DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return
    if isinstance(value, dict):
        held = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = list(value)
    else:
        yield value
        held = list(getattr(value, "__dict__", {}).values()) if not isinstance(value, type) else []
        held += [getattr(value, "func", None), getattr(value, "__wrapped__", None)]
    if isinstance(value, tuple) and type(value) is not tuple:
        yield value
    for one in held:
        yield from _parts(one, depth + 1, seen)


def checked_policy(policy: Any) -> Any:
    """A policy that may decide, as it came.

    Raises:
        ContractError: it has no way to decide, or a `bind` of somebody's own.
    """
    for one in [policy, *strangers_in(policy)]:
        if is_stranger(one) and callable(getattr(type(one), "bind", None)):
            raise ContractError(
                f"its policy `{type(one).__name__}` has bind, which sees the whole market",
                hint="def decide(self, past): ... on the view of the past, steelyard.past.Past",
            )
    if callable(getattr(policy, "decide", None)):
        return policy
    if not callable(getattr(policy, "initial_carry", None)) or not callable(policy):
        raise ContractError(
            f"its policy `{type(policy).__name__}` has no decide, nor initial_carry and a call",
            hint="def decide(self, past): ..., or def initial_carry(self): return None and "
            "def __call__(self, vector, carry): ...",
        )
    return policy


def checked_action(answer: Any, actions: Actions) -> NDArray[Any]:
    """An answer as an action: float32 of the shape of a box, or int32 for a choice.

    Raises:
        ContractError: it is none.
    """
    values = np.asarray(answer)
    if values.dtype.kind not in "biuf":
        raise ContractError(
            f"answered with {type(answer).__name__}, not with numbers",
            hint="return one number for each asset" if not actions.choices else "return an int",
        )
    if actions.choices:
        return _checked_choice(values, actions)
    if values.shape != tuple(actions.shape):
        raise ContractError(
            f"answered with numbers of shape {values.shape}, not {tuple(actions.shape)}",
            hint="one number in [-1, 1] for each asset, in the order of past.assets",
        )
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ContractError(
            "answered with a number that is not finite",
            hint="check its inputs for NaN, and its divisions for 0",
        )
    return values


def _checked_choice(values: NDArray[Any], actions: Actions) -> NDArray[np.int32]:
    if values.size != 1 or not np.isfinite(values).all() or values.item() != int(values.item()):
        raise ContractError(
            f"answered with {values.tolist()}, not with the number of a choice",
            hint=f"return an int from 0 to {actions.choices - 1}",
        )
    choice = int(values.item())
    if not 0 <= choice < actions.choices:
        raise ContractError(
            f"chose {choice} of {actions.choices} choices", hint="number the choices from 0"
        )
    return np.asarray(choice, np.int32)


@contextmanager
def guarded(doing: str = "") -> Iterator[None]:
    """Let whatever somebody else's code raises come out as one line.

    Args:
        doing: what went on, to begin the line with.

    Raises:
        ContractError: it raised something.
    """
    head = f"{doing}: " if doing else ""
    try:
        yield
    except SteelyardError as error:
        raise ContractError(f"{head}{error.message}", hint=error.hint) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its author decides what is raised
        raise ContractError(head + fault_of(error)) from None


def fault_of(error: BaseException) -> str:
    """What somebody else's code raised, in one line with its place."""
    if isinstance(error, SystemExit):
        told = f"called exit({'' if error.code is None else error.code})"
    else:
        text = " ".join(str(error).split())
        told = f"raised {type(error).__name__}" + (f": {text[:LONGEST]}" if text else "")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not Path(frame.filename).is_relative_to(HERE)
        and not any(part in frame.filename for part in ("site-packages", "/lib/python", "<"))
    ]
    if not frames:
        return told
    return f"{told} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
