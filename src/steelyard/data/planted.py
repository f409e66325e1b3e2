"""What is planted in a synthetic market: the rule of its returns, and what can be known of it.

Every rule but the last makes the simple return of the next bar `drift + noise`, where the share of
its variance that the drift explains is `strength` squared: `strength` is the correlation of a
perfect forecast with the return.

* none: no drift. The price is a martingale, and every position earns 0 on average.
* momentum, reversion: the drift is `gain * trend`, where `trend` sums past returns with weights
  that fall by `1 - 1 / memory` per bar. `memory=1` is the AR(1) process of returns; reversion with
  a long memory pulls the price back to where it was, and strong momentum feeds on itself, so that
  its trends last longer than its memory.
* regimes: the drift is `+strength * volatility` or minus that, as a hidden state says that lasts
  `memory` bars on average (Hamilton, 1989). Prices show the state only through the noise.
* crashes: nothing can be forecast, but assets come in pairs that share their noise. The second of a
  pair is calm: its drift is `strength * volatility` and its return normal. The first earns
  `PREMIUM` times as much on average, and crashes: in one bar of `memory`, drawn evenly, it loses
  `CRASH * volatility` more. What is best depends on what one thinks of tails. As multiples of the
  volatility, at strength 0.3 and memory 50, the calm asset's mean is 0.300 and its conditional
  value at risk, the mean loss of the worst twentieth of its bars, is 1.76; the other's are 0.345
  and 3.29.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from steelyard.errors import ConfigError, UnknownNameError
from steelyard.registry import did_you_mean
from steelyard.types import Floats

KINDS = {
    "none": (0.0, 1.0),
    "momentum": (0.2, 10.0),
    "reversion": (0.2, 10.0),
    "regimes": (0.2, 60.0),
    "crashes": (0.3, 50.0),
}
"""Kind -> its usual strength and memory."""

PREMIUM = 1.15
"""Mean return of an asset that crashes over that of its calm twin."""

CRASH = 6.0
"""What a crash takes, in units of the volatility."""


@dataclass(frozen=True)
class Plan:
    """Everything that a synthetic market is made from.

    Attributes:
        kind: "none", "momentum", "reversion", "regimes" or "crashes".
        seed: of the PCG64 generators.
        rows: bars.
        assets: independent assets; of crashes, pairs.
        strength: correlation of a perfect forecast with the next return, in [0, 1); of crashes,
            the mean return of a calm asset over its volatility.
        volatility: standard deviation of a bar's return, a fraction; of crashes, between them.
        memory: bars over which the planted signal lasts, in [1, 1e6]; a regime at least 2. Of
            crashes, the mean time from one to the next, at least 2.
        start_date: ISO date; the first bar is that weekday or the next.
    """

    kind: str
    seed: int
    rows: int
    assets: int
    strength: float
    volatility: float
    memory: float
    start_date: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = did_you_mean(self.kind, KINDS)
            raise UnknownNameError(f"no synthetic market named `{self.kind}`", hint=hint)
        _require(self.rows >= 2, "rows", self.rows, "at least 2")
        _require(self.assets >= 1, "assets", self.assets, "at least 1")
        _require(self.seed >= 0, "seed", self.seed, "at least 0")
        _require(0.0 <= self.strength < 1.0, "strength", self.strength, "in [0, 1)")
        _require(0.0 < self.volatility <= 0.1, "volatility", self.volatility, "in (0, 0.1]")
        shortest = 2.0 if self.kind in ("regimes", "crashes") else 1.0
        rule = f"in [{shortest:g}, 1e6]"
        _require(shortest <= self.memory <= 1e6, "memory", self.memory, rule)
        none = self.kind == "none" and self.strength != 0
        _require(not none, "strength", self.strength, "0 where nothing is planted")

    @property
    def address(self) -> str:
        """What `load` is asked for this market."""
        facts: dict[str, Any] = asdict(self)
        kind = facts.pop("kind")
        return f"synthetic:{kind}?" + "&".join(f"{key}={value}" for key, value in facts.items())

    @property
    def noise(self) -> float:
        """Standard deviation of the part of a return that nobody can know; of crashes, without."""
        if self.kind == "crashes":
            return self.volatility
        return self.volatility * math.sqrt(1.0 - self.strength**2)

    @property
    def decay(self) -> float:
        """Factor by which a past return counts less, or a regime lasts, per bar."""
        return 1.0 - 1.0 / self.memory

    @property
    def gain(self) -> float:
        """The drift per unit of trend that makes the stated strength.

        With decay a, gain g and noise of variance 1, the trend is an AR(1) process with
        coefficient a + g and variance 1 / (1 - (a + g)^2). The drift explains the share s^2 of a
        return if g^2 / (1 - (a + g)^2) = q = s^2 / (1 - s^2), a quadratic with one root on each
        side: positive for momentum, negative for reversion.
        """
        if self.kind not in ("momentum", "reversion"):
            return 0.0
        q = self.strength**2 / (1.0 - self.strength**2)
        root = math.sqrt((self.decay * q) ** 2 + (1.0 + q) * q * (1.0 - self.decay**2))
        sign = 1.0 if self.kind == "momentum" else -1.0
        return (-self.decay * q + sign * root) / (1.0 + q)

    @property
    def means(self) -> Floats:
        """(N,) mean return of a bar of each asset, where nothing else can be forecast."""
        if self.kind != "crashes":
            return np.zeros(self.assets)
        crashing = np.arange(self.assets) % 2 == 0
        return self.strength * self.volatility * np.where(crashing, PREMIUM, 1.0)


def plant(plan: Plan, shocks: Floats, uniforms: Floats) -> Floats:
    """Simple returns (T, N) of the market that `plan` describes.

    Args:
        plan: the market.
        shocks: (T, N) standard normal.
        uniforms: (T, N) in [0, 1), that switch the regimes or bring the crashes.
    """
    if plan.kind == "none":
        return plan.noise * shocks
    if plan.kind == "crashes":
        pairs = shocks[:, np.arange(plan.assets) // 2 * 2]
        odds = np.where(np.arange(plan.assets) % 2 == 0, 1.0 / plan.memory, 0.0)
        surprise: Floats = (uniforms < odds) - odds  # 0 on average
        return plan.means + plan.noise * pairs - CRASH * plan.volatility * surprise
    returns = np.empty_like(shocks)
    if plan.kind == "regimes":
        state = np.where(uniforms[0] < 0.5, 1.0, -1.0)
        for row in range(plan.rows):
            if row:
                state = np.where(uniforms[row] < plan.decay, state, -state)
            returns[row] = plan.strength * plan.volatility * state + plan.noise * shocks[row]
        return returns
    trend = np.zeros(plan.assets)
    for row in range(plan.rows):
        returns[row] = plan.gain * trend + plan.noise * shocks[row]
        trend = plan.decay * trend + returns[row]
    return returns


def forecast(plan: Plan, returns: Floats) -> Floats:
    """Expected return (T, N) of the bar after each row, given the returns up to that row.

    Exact for every kind: regimes by the filter of Hamilton (1989), the others by their rule.

    Args:
        plan: the market; its rule is known, its hidden states are not.
        returns: (T, N) simple returns; row t is known at the close of bar t.
    """
    if plan.kind == "crashes":
        return np.broadcast_to(plan.means, returns.shape).copy()
    expected = np.zeros_like(returns)
    if plan.kind == "regimes":
        size = plan.strength * plan.volatility
        odds = np.zeros(returns.shape[1])  # log odds that the state is up
        for row, value in enumerate(returns):
            odds = odds + 2.0 * size * value / plan.noise**2
            next_mean = (2.0 * plan.decay - 1.0) * np.tanh(odds / 2.0)  # of a state of +1 or -1
            expected[row] = size * next_mean
            odds = 2.0 * np.arctanh(next_mean)
        return expected
    trend = np.zeros(returns.shape[1])
    for row, value in enumerate(returns):
        trend = plan.decay * trend + value
        expected[row] = plan.gain * trend
    return expected


def _require(holds: bool, name: str, value: float, rule: str) -> None:
    if not holds:
        raise ConfigError(
            f"a synthetic market with {name} {value} cannot be made", hint=f"{name} must be {rule}"
        )
