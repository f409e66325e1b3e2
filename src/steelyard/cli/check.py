"""`steelyard check`: does somebody's own environment, agent or feature keep its contract?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steelyard.cli.output import emit, say
from steelyard.errors import ContractError, MissingDataError, UnknownNameError

ROOMS = ("features", "agents", "envs")


def check(name: str, *, json: bool = False) -> int:
    """Check that an agent, feature or environment keeps its contract; exit 1 if it does not.

    Parameters
    ----------
    name
        `file.py:OBJECT` for your own, or the name of a member.
    json
        Print one JSON document on stdout.
    """
    from steelyard.compilation import use_cache

    use_cache()
    room, found = _find(name)
    try:
        _CHECKS[room](found)
    except ContractError as error:
        if json:
            emit({"name": name, "room": room, "holds": False, "error": error.message})
        else:
            say(f"{name}: {error.message}")
            if error.hint:
                say(f"hint: {error.hint}")
        return 1
    if json:
        emit({"name": name, "room": room, "holds": True, "error": None})
    else:
        say(f"{name}: keeps the contract of the room `{room}`")
    return 0


def _find(name: str) -> tuple[str, Any]:
    """The object and its room: by its shape for a file's object, by its name for a member."""
    from steelyard.cli.objects import find_object
    from steelyard.registry import did_you_mean, members
    from steelyard.types import Feature

    if ".py:" in name:
        found = find_object("agents", name)
        if isinstance(found, Feature):
            return "features", found
        return ("envs" if hasattr(found, "step") else "agents"), found
    known = {member: room for room in ROOMS for member in members(room)}
    if name not in known:
        raise UnknownNameError(f"nothing named `{name}`", hint=did_you_mean(name, known))
    value = members(known[name])[name].value
    return known[name], value if isinstance(value, Feature) else value()


def _check_feature(feature: Any) -> None:
    from steelyard.data import load
    from steelyard.features.check import check_feature

    try:
        check_feature(feature, load("bundled:us_djia30_daily_2009_2023").rows(0, 600))
    except MissingDataError:  # it reads what only a book has
        check_feature(feature, load("bundled:lob_btc_coinbase_1min_15lvl_martinsn_sample"))


def _check_agent(agent: Any) -> None:
    from steelyard.agents.check import check_agent

    check_agent(_short(agent), *_small_market())


def _check_env(env: Any) -> None:
    from steelyard.envs.check import check_env

    check_env(env, _small_market()[1])


def _small_market() -> tuple[Any, Any]:
    """The stock environment on a synthetic market of three assets."""
    from steelyard.benchmark import Task, Window, open_venue

    task = Task(
        name="check",
        version=1,
        summary="a small market for contract checks",
        data="synthetic:momentum?rows=600&assets=3",
        features=("return_1", "close_30_sma"),
        train=Window("train", "2000-01-03", "2001-12-31"),
        windows=(Window("test", "2002-01-01", "2002-03-29"),),
        episode=64,
    )
    venue = open_venue(task)
    return venue.env, venue.training


def _short(agent: Any) -> Any:
    """A learning agent with a budget that fits a check."""
    from dataclasses import replace

    small = {"steps": 256, "envs": 4, "horizon": 16, "minibatch": 64, "epochs": 1}
    known = getattr(agent, "__dataclass_fields__", {})
    return replace(agent, **{k: v for k, v in small.items() if k in known}) if known else agent


_CHECKS: dict[str, Callable[[Any], None]] = {
    "features": _check_feature,
    "agents": _check_agent,
    "envs": _check_env,
}
