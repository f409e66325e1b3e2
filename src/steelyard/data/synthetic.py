"""The source `synthetic`: seeded markets in which it is known what can be earned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from steelyard.data.planted import KINDS, Plan, forecast, plant
from steelyard.data.sources import parse_address
from steelyard.errors import ConfigError, DataError
from steelyard.registry import member
from steelyard.types import Floats, Panel

FIRST_PRICE = 100.0


@dataclass(frozen=True)
class Optimum:
    """The best that can be done in a synthetic market without knowing the future.

    Attributes:
        position: (T, N) 1 where the asset is to be held over the next bar, else 0: decided at the
            close of row t, filled at the open of row t+1, which is the same price. It earns most
            on average, before costs, of all long-only rules with at most one unit per asset.
        expected_return: (T, N) simple return of the next bar as expected at the close of row t.
    """

    position: Floats
    expected_return: Floats

    @property
    def gain(self) -> float:
        """Mean return per bar and asset that the position expects to earn."""
        return float(np.mean(self.position * self.expected_return))


@member("sources")
def synthetic(
    request: str,
    *,
    seed: int = 0,
    rows: int = 2520,
    assets: int = 4,
    strength: float | None = None,
    volatility: float = 0.01,
    memory: float | None = None,
    start_date: str = "2000-01-03",
) -> Panel:
    """Seeded markets with planted structure: none, momentum, reversion, regimes, crashes.

    Bars fall on weekdays. A bar opens at the close before it, so what is known at a close can be
    traded at that price. `context["vix"]` is constant. The same request gives the same bits on
    every machine, and more rows continue the market of fewer.

    Args:
        request: "none" (no skill is possible: the expected return of every bar is exactly 0),
            "momentum", "reversion", "regimes" or "crashes" (S00, S02, ... earn more than their
            twins S01, S03, ..., and crash); `steelyard.data.planted` has the equations.
        seed: of the generators, at least 0.
        rows: bars.
        assets: independent assets, or pairs of twins, named S00, S01, ...
        strength: correlation of a perfect forecast with the next return, in [0, 1); usually 0.2.
            Of crashes, the mean return of a calm asset over its volatility; usually 0.3.
        volatility: standard deviation of a bar's return, a fraction in (0, 0.1]; of crashes,
            between them.
        memory: bars over which the signal lasts; usually 10, for regimes 60. Of crashes, bars
            from one to the next on average; usually 50.
        start_date: ISO date; the first bar is that weekday or the next.

    Raises:
        UnknownNameError: no kind has that name.
        ConfigError: an argument is outside its range, or prices fall towards 0.
    """
    usual_strength, usual_memory = KINDS.get(str(request), (0.0, 1.0))
    return _make(
        Plan(
            kind=str(request),
            seed=whole_number("seed", seed),
            rows=whole_number("rows", rows),
            assets=whole_number("assets", assets),
            strength=real_number("strength", usual_strength if strength is None else strength),
            volatility=real_number("volatility", volatility),
            memory=real_number("memory", usual_memory if memory is None else memory),
            start_date=str(start_date),
        )
    )


def optimum(panel: Panel) -> Optimum:
    """The best causal position in a synthetic market, row by row of `panel`.

    Args:
        panel: from `load("synthetic", ...)`, or some of its rows and assets.

    Raises:
        DataError: the panel is no synthetic market.
    """
    if not panel.name.startswith("synthetic:"):
        raise DataError(
            f"the optimum of `{panel.name}` is not known",
            hint='only markets of load("synthetic", ...) have one',
        )
    _, kind, options = parse_address(panel.name)
    whole = synthetic(kind, **options)
    plan = Plan(kind=kind, **options)
    expected = forecast(plan, whole["close"] / whole["open"] - 1.0)
    rows = np.flatnonzero(np.isin(whole.timestamps, panel.timestamps))
    if len(rows) != len(panel) or not set(panel.assets) <= set(whole.assets):
        raise DataError(f"the panel holds rows or assets that are not in `{panel.name}`")
    columns = [whole.assets.index(asset) for asset in panel.assets]
    here = expected[rows][:, columns]
    return Optimum(position=(here > 0).astype(np.float64), expected_return=here)


def _make(plan: Plan) -> Panel:
    shape = (plan.rows, plan.assets)
    streams = [
        np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(plan.seed).spawn(4)
    ]
    shocks, wicks = (_rounded(stream.standard_normal(shape)) for stream in streams[:2])
    returns = plant(plan, shocks, streams[2].random(shape))
    if (returns <= -0.9).any():
        raise ConfigError(
            "the market loses nine tenths in one bar", hint="lower volatility or strength"
        )
    close = FIRST_PRICE * np.cumprod(1.0 + returns, axis=0, dtype=np.float64)
    opened = np.vstack([np.full((1, plan.assets), FIRST_PRICE), close[:-1]])
    wick = 1.0 + 0.5 * plan.volatility * np.abs(wicks)
    if close.min() < 1e-4:
        raise ConfigError("a price falls below 0.0001", hint="fewer rows, or a lower volatility")
    panel = Panel(
        timestamps=_weekdays(plan),
        assets=tuple(f"S{asset:02d}" for asset in range(plan.assets)),
        fields={
            "open": opened,
            "high": np.maximum(opened, close) * wick,
            "low": np.minimum(opened, close) / wick,
            "close": close,
            "volume": 5e5 + np.rint(1e6 * streams[3].random(shape)),
        },
        context={"vix": np.full(plan.rows, 100.0 * plan.volatility * np.sqrt(252.0))},
        name=plan.address,
    )
    return replace(panel, sha256=panel.digest())


def _rounded(values: Floats) -> Floats:
    """To 32 bits: the last bits of a normal deviate depend on the machine's logarithm."""
    return values.astype(np.float32).astype(np.float64)


def _weekdays(plan: Plan) -> np.ndarray:
    try:
        first = np.datetime64(plan.start_date, "D")
    except ValueError as error:
        raise ConfigError(
            f"the start date `{plan.start_date}` cannot be read", hint="write it as 2000-01-03"
        ) from error
    return np.busday_offset(first, np.arange(plan.rows), roll="forward")


def whole_number(name: str, value: object) -> int:
    """The option `name` as a whole number.

    Raises:
        ConfigError: it is none.
    """
    number = real_number(name, value)
    if not number.is_integer():
        raise ConfigError(f"{name} is {value}, not a whole number", hint=f"{name}=10")
    return int(number)


def real_number(name: str, value: object) -> float:
    """The option `name` as a number.

    Raises:
        ConfigError: it is none.
    """
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is `{value}`, not a number") from error
