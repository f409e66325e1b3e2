"""How `check_agent` plays policies: as one compiled program, or one decision after another."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.agents.allocation import Booleans, active
from steelyard.agents.answers import as_action, guarded, require_numbers
from steelyard.errors import ConfigError
from steelyard.past import History, Holdings, Past, rows_of
from steelyard.rollout import Env, Params, Policy, TimeStep, rollout
from steelyard.types import Facts, Floats, Panel, Space

SEED = 0
EPISODE = ("first", "last", "length", "extent", "stagger")
"""Settings that say where episodes lie; they are no rule of trading."""

Ask: TypeAlias = Callable[[int, TimeStep, NDArray[np.float32]], Any]
"""(step, what the environment answered, the vector) -> an action."""


class Played(NamedTuple):
    """Some decisions.

    Attributes:
        rows: (T,) of the market; None where observations have none.
        actions: (T, A), or (T,) choices.
    """

    rows: NDArray[Any] | None
    actions: NDArray[Any]


class Player:
    """Plays policies through windows of one shape.

    Args:
        env: where.
        steps: decisions of a play at most.
    """

    def __init__(self, env: Env, steps: int) -> None:
        self._env, self._steps = env, steps
        self._by_hand = False

        def play(policy: Policy, params: Params, steps: int) -> tuple[Any, Any]:
            _, lived = rollout(jax.random.key(SEED), env, params, policy, steps, sample=False)
            return getattr(lived.obs, "row", None), lived.action

        def seen(state: Any, step: TimeStep, params: Params) -> tuple[Any, TimeStep, Any]:
            return state, step, env.observe(step.obs, params)

        self._play = eqx.filter_jit(play)
        self._reset = eqx.filter_jit(lambda key, params: seen(*env.reset(key, params), params))
        self._move = eqx.filter_jit(
            lambda key, state, action, params: seen(*env.step(key, state, action, params), params)
        )

    def __call__(self, policy: Any, params: Params) -> Played:
        """The decisions of a fresh copy of `policy`.

        Raises:
            ContractError: it fails, or answers with something that is no action.
        """
        if callable(getattr(policy, "decide", None)):
            return self._told(deepcopy(policy), params)
        if not self._by_hand:
            try:
                return self._compiled(policy, params)
            except jax.errors.JAXTypeError:  # it computes outside of JAX
                self._by_hand = True
        return self._asked(deepcopy(policy), params)

    def _compiled(self, policy: Policy, params: Params) -> Played:
        with guarded("at step 0", but=(jax.errors.JAXTypeError,)):
            rows, actions = self._play(policy, params, self._steps)
        require_numbers(np.asarray(actions), self._space(params))
        return Played(None if rows is None else np.asarray(rows), np.asarray(actions))

    def _asked(self, policy: Policy, params: Params) -> Played:
        """A policy that reads vectors, outside of JAX."""
        carry = [policy.initial_carry()]

        def ask(step: int, seen: TimeStep, vector: NDArray[np.float32]) -> Any:
            distribution, carry[0] = policy(vector, carry[0])  # type: ignore[arg-type]
            return distribution.mode()

        return self._walk(params, ask)

    def _told(self, rule: Any, params: Params) -> Played:
        """A rule on the view of the past."""
        views = Views(params, self._space(params))
        return self._walk(params, lambda *now: rule.decide(views.past(*now)))

    def _walk(self, params: Params, ask: Ask) -> Played:
        """One decision after another, up to the end of the episode."""
        rows, actions = [], []
        space = self._space(params)
        state, seen, vector = self._reset(jax.random.key(SEED), params)
        for step in range(self._steps):
            view = np.array(vector)
            view.flags.writeable = False
            with guarded(f"at step {step}"):
                answer = ask(step, seen, view)
            action = as_action(answer, space)
            rows.append(getattr(seen.obs, "row", None))
            actions.append(action)
            state, seen, vector = self._move(jax.random.key(step), state, action, params)
            if seen.terminated or seen.truncated:
                break
        known = None if rows[0] is None else np.asarray(rows)
        return Played(known, np.stack(actions))

    def _space(self, params: Params) -> Space:
        return Space(*self._env.action_space(params))


class Views:
    """Makes the view of the past of every decision from the market of some params.

    A market does not hold all that was observed: see `panel_of`.

    Args:
        params: of an environment of this package, or one like it.
        space: of the actions.

    Raises:
        ConfigError: there is no market.
    """

    def __init__(self, params: Params, space: Space) -> None:
        market = getattr(params, "market", None)
        if market is None:
            raise ConfigError(
                "a rule on the view of the past needs a market, and the params have none",
                hint="check it with StockEnv() and whole_window(market, first, last)",
            )
        self._panel, self._table = panel_of(market), np.asarray(market.table, np.float32)
        self._mark, self._trading = _known(market)
        columns = market.columns or [f"column_{n}" for n in range(self._table.shape[1])]
        self._history = History(self._panel.assets, columns, space, rules_of(params))
        self._sent = 0

    def past(self, step: int, seen: TimeStep, vector: NDArray[np.float32]) -> Past:
        """The view at what the environment has just answered.

        Raises:
            ConfigError: it does not tell the row or the account.
        """
        if not hasattr(seen.obs, "row") or not {"cash", "units", "value"} <= set(seen.info):
            raise ConfigError(
                "the view of the past needs an environment that tells its row and account",
                hint="an obs with `row`, and an info with `value`, `cash` and `units`",
            )
        row = int(seen.obs.row)
        self._history.extend(rows_of(self._panel, self._table, self._sent, row + 1))
        self._sent = row + 1
        held = Holdings(
            float(seen.info["cash"]),
            np.atleast_1d(np.asarray(seen.info["units"], np.float64)),
            float(seen.info["value"]),
            self._mark[row],
            self._trading[row],
        )
        return self._history.past(step, vector, held)


def panel_of(market: Any) -> Panel:
    """A panel that the rows of a market may have come from.

    Closes, and the levels of a book, are those of the market. Opens, highs, lows and volumes, which
    it does not hold, are made up; row t depends on rows up to t.
    """
    mark, _ = _known(market)
    names = tuple(f"A{n}" for n in range(mark.shape[1]))
    clock = np.datetime64("2000-01-03", "us") + np.arange(len(mark)) * np.timedelta64(1, "D")
    close = np.where(mark > 0, mark, np.nan)
    opened = np.where(np.isfinite(before := np.roll(close, 1, axis=0)), before, close)
    opened[0] = close[0]
    held = {
        "open": opened,
        "high": np.fmax(opened, close),
        "low": np.fmin(opened, close),
        "close": close,
        "volume": np.random.default_rng(SEED).lognormal(12, 1, close.shape),
    }
    context = {n: np.asarray(v, np.float64) for n, v in getattr(market, "gauges", {}).items()}
    return Panel(clock, names, held | _levels(market), context, "check")


def _known(market: Any) -> tuple[Floats, Booleans]:
    """(T, N) prices in quote currency, and whether each asset trades as known at each row."""
    mark, money = np.asarray(market.mark, np.float64), float(market.money)
    if mark.ndim == 1:
        return (mark * float(market.lots) / money)[:, None], np.ones((len(mark), 1), bool)
    return mark / money, active(mark, np.asarray(market.tradable))


def _levels(market: Any) -> dict[str, Floats]:
    """Name -> (T, 1) of every level of a book; nothing of another market."""
    if not hasattr(market, "bid_size"):
        return {}
    price, size = float(market.lots / market.money), 1 / float(market.lots)
    sides = {"bid": price, "ask": price, "bid_size": size, "ask_size": size}
    return {
        f"{side}_{level + 1}": np.asarray(getattr(market, side), np.float64)[:, [level]] * scale
        for side, scale in sides.items()
        for level in range(market.levels)
    }


def rules_of(params: Params) -> Facts:
    """How the market of `params` is traded, by name."""
    own = holder(params)
    told = {name: getattr(own, name) for name in _names(own) if name not in EPISODE}
    numbers = {
        name: value if isinstance(value, str) else float(value)
        for name, value in told.items()
        if isinstance(value, str) or (np.isscalar(value) or getattr(value, "shape", 1) == ())
    }
    return {"lot": 1.0, "fill": "next_open", **numbers}


def holder(params: Params) -> Params:
    """The settings that hold the market itself, inside of those that wrap others."""
    if "market" in _names(params):
        return params
    for name in _names(params):
        inner = getattr(params, name)
        if getattr(inner, "market", None) is not None:
            return holder(inner)
    raise ConfigError("the params have no market", hint="a dataclass with the field `market`")


def changed(params: Params, **settings: Any) -> Params:
    """The same params with other settings of those that hold the market; see `holder`.

    Settings that there are not are left out; whole numbers keep their type.
    """
    if "market" in _names(params):
        known = {name: value for name, value in settings.items() if name in _names(params)}
        return replace(params, **{n: _like(getattr(params, n), v) for n, v in known.items()})
    for name in _names(params):
        inner = getattr(params, name)
        if getattr(inner, "market", None) is not None:
            return replace(params, **{name: changed(inner, **settings)})
    return params


def _like(old: Any, new: Any) -> Any:
    return jnp.asarray(new, old.dtype) if isinstance(old, jax.Array) else new


def _names(params: Params) -> tuple[str, ...]:
    return tuple(one.name for one in fields(params)) if is_dataclass(params) else ()
