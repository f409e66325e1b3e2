"""The type checker that tests put around every function of the device rooms."""

from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from beartype import beartype

F = TypeVar("F", bound=Callable[..., Any])


def check(function: F) -> F:
    """Check shapes and types of arguments and results; protocols are for mypy to check."""
    hints = get_type_hints(function)
    function.__annotations__ = {
        name: Any if getattr(hint, "_is_protocol", False) else hint for name, hint in hints.items()
    }
    return beartype(function)
