"""The type checker that tests put around every function of the device rooms."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

F = TypeVar("F", bound=Callable[..., Any])

typed = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: F) -> F:
    """Check arguments and results whose annotation names an array: its shape and its type.

    Everything else is for mypy, and for the errors that users meet when they pass it wrong.
    """
    hints = {name: checked(hint) for name, hint in get_type_hints(function).items()}
    function.__annotations__ = hints
    return typed(function)


def checked(hint: Any) -> Any:
    parts = list(parts_of(hint))
    arrays = any(isinstance(part, type) and issubclass(part, AbstractArray) for part in parts)
    if not arrays or any(getattr(part, "_is_protocol", False) for part in parts):
        return Any
    # a number may come as NumPy's too
    return hint | np.number if any(arg in (int, float) for arg in get_args(hint)) else hint


def parts_of(hint: Any) -> Iterator[Any]:
    """An annotation and all that stands inside of it."""
    yield hint
    for inner in hint if isinstance(hint, list) else get_args(hint):
        yield from parts_of(inner)
