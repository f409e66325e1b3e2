"""Where hyper-parameters are searched: a range or a choice per setting, as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from steelyard.benchmark.overrides import override, setting, setting_names
from steelyard.errors import ConfigError, UnknownNameError
from steelyard.evaluation.trials import written
from steelyard.registry import did_you_mean

RANGES: Mapping[str, str] = {
    "learning_rate": "1e-05:0.01:log",
    "discount": "0.9:0.999",
    "decay": "0.8:1.0",
    "clip": "0.1:0.4",
    "clip_low": "0.1:0.3",
    "clip_high": "0.2:0.5",
    "entropy_weight": "0.0:0.02",
    "log_std": "-2.0:0.0",
    "tau": "0.001:0.05:log",
    "noise": "0.05:0.5",
    "smoothing": "0.05:0.5",
    "exploration_end": "0.01:0.2",
    "exploration_fraction": "0.05:0.6",
}
"""Where a search looks if nobody says; for every agent that has a setting of that name."""

GRAMMAR = "--search learning_rate=1e-5:1e-2:log or --search hidden=64x32,128x64"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low, high: the ends.
        log: even in the logarithm.
        whole: only whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{written(self.low)}:{written(self.high)}" + (":log" if self.log else "")

    def holds(self, value: Any) -> bool:
        """Whether `value` lies inside."""
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ",".join(written(value) for value in self.values)

    def holds(self, value: Any) -> bool:
        """Whether `value` is one of them."""
        return value in self.values


Space = Mapping[str, Range | Choice]
"""Setting -> where it is searched."""


def search_space(agent: Any, wishes: Sequence[str] = (), fixed: Sequence[str] = ()) -> Space:
    """Where to search for an agent's settings.

    Args:
        agent: whose settings.
        wishes: `NAME=LOW:HIGH`, `NAME=LOW:HIGH:log`, `NAME=A,B,C`, or a NAME out of `RANGES`;
            nothing else is searched then. All of `RANGES` that the agent has where empty.
        fixed: names of settings that somebody has set, which are not searched.

    Raises:
        UnknownNameError: the agent has no such setting.
        ConfigError: a wish cannot be read or cannot hold, or nothing is left to be searched.
    """
    names = [name for name in leaves(agent) if name in RANGES and name not in fixed]
    space: dict[str, Range | Choice] = {}
    for wish in wishes or names:
        name, equals, text = (part.strip() for part in wish.partition("="))
        if name in fixed:
            raise ConfigError(f"`{name}` is both set and searched", hint=f"leave out --set {name}")
        space[name] = _read(agent, name, text if equals else RANGES.get(name, ""))
    if not space:
        raise ConfigError(f"nothing of {type(agent).__name__} is to be searched", hint=GRAMMAR)
    for name, found in space.items():
        if isinstance(found, Range) and not found.whole:
            for end in (found.low, found.high):
                override(agent, {name: end})  # an end that cannot hold is refused here
    return space


def leaves(agent: Any) -> list[str]:
    """Settings that many trials of one program can differ in: floats that are not static."""
    known = setting_names(agent)
    return [
        one.name
        for one in (fields(agent) if known else ())
        if one.name in known
        and not one.metadata.get("static", False)
        and isinstance(getattr(agent, one.name), float)
    ]


def _read(agent: Any, name: str, text: str) -> Range | Choice:
    known = setting_names(agent)
    if name not in known:
        raise UnknownNameError(
            f"{type(agent).__name__} has no setting named `{name}`",
            hint=did_you_mean(name, known) if known else "",
        )
    if not text:
        raise ConfigError(f"nobody has said where to search `{name}`", hint=GRAMMAR)
    present = getattr(agent, name)
    if ":" not in text:
        values = tuple(setting(name, present, one) for one in text.split(","))
        if len(set(values)) < max(2, len(values)):
            raise ConfigError(f"`{name}={text}` is no choice of different values", hint=GRAMMAR)
        return Choice(values)
    low, high, *rest = (part.strip() for part in text.split(":"))
    if (
        isinstance(present, bool)
        or not isinstance(present, (int, float))
        or rest not in ([], ["log"])
    ):
        raise ConfigError(f"cannot search `{name}` in `{text}`", hint=GRAMMAR)
    ends = [setting(name, present, one) for one in (low, high)]
    found = Range(ends[0], ends[1], log=bool(rest), whole=isinstance(present, int))
    if not (found.low < found.high and all(map(math.isfinite, ends))):
        raise ConfigError(f"`{name}={text}` is no range from low to high", hint=GRAMMAR)
    if found.log and found.low <= 0:
        raise ConfigError(f"`{name}={text}` must begin above 0 to be even in the logarithm")
    return found
