"""`load`: the one door through which data enters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from steelyard.data.cards import datasets
from steelyard.data.table import SUFFIXES
from steelyard.errors import ConfigError, UnknownNameError
from steelyard.registry import did_you_mean, find
from steelyard.types import Panel

Source = Callable[..., Panel]
"""A source takes a request (a name, a path) and named options, and returns a checked panel whose
`name` leads back to it through `load`. Mark it with `@member("sources")` to give it a name."""

Request = str | Path | Sequence[str | Path]


def load(source: str | Source, request: Request | None = None, **options: Any) -> Panel:
    """Load data from a source.

    ```
    load("bundled", "us_djia30_daily_2009_2023")
    load("files", ["AAPL.csv", "MSFT.csv"], repair="sort")
    load("synthetic:momentum?seed=3&assets=4")        # the same as one string
    ```

    Args:
        source: name of a source, `source:request?option=value`, or a source itself.
        request: what to load; each source says what it takes.
        options: of the source; they win over those in the string.

    Returns:
        The panel, with `name` (what `load` would be asked for it) and `sha256` of its source.

    Raises:
        UnknownNameError: no source, set or option has that name.
        DataError: the data is damaged or breaks a rule; the hint says what to do.
    """
    if isinstance(source, str):
        if request is None:
            source, request, named = parse_address(source)
            options = named | options
        source = cast(Source, find("sources", source))
    if request is None:
        raise ConfigError("a source needs a request", hint='load("bundled", NAME)')
    _check_options(source, options)
    return source(request, **options)


def _check_options(source: Source, options: Mapping[str, Any]) -> None:
    known = list(inspect.signature(source).parameters.values())[1:]
    if any(option.kind is inspect.Parameter.VAR_KEYWORD for option in known):
        return
    names = [option.name for option in known]
    for name in options:
        if name not in names:
            raise UnknownNameError(
                f"the source has no option named `{name}`", hint=did_you_mean(name, names)
            )


def parse_address(address: str) -> tuple[str, str, dict[str, Any]]:
    """`source:request?option=value&option=value` in its parts; numbers become numbers.

    Raises:
        UnknownNameError: there is no `source:` in front, or nothing behind it.
    """
    source, colon, rest = address.partition(":")
    request, mark, query = rest.rpartition("?")
    if not mark or "=" not in query:
        request, query = rest, ""
    if not colon or not request:
        raise UnknownNameError(
            f"`{address}` is not of the form SOURCE:REQUEST", hint=_near(address)
        )
    options = {key: _number(value) for key, value in parse_qsl(query, keep_blank_values=True)}
    return source, request, options


def _near(address: str) -> str:
    """What somebody who left out the source may have meant."""
    if Path(address).suffix.lower() in SUFFIXES or Path(address).exists():
        return f"did you mean `files:{address}`?"
    known = [f"bundled:{card.name}" for card in datasets()]
    return did_you_mean(f"bundled:{address.rstrip(':')}", known)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
