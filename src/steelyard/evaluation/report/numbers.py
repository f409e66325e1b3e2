"""How numbers are written: percent with sign, ratios with two decimals, a real minus."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from steelyard.evaluation.results import Estimate
from steelyard.metrics import LIMIT, metric_card

NARROW = "\u202f"
"""Narrow space that does not break, between a number and its unit."""

MISSING = "\u2013"
"""What stands where there is no number: an en dash."""

MINUS = "\u2212"
"""A minus as wide as a plus."""

_TITLES = {"romad": "RoMaD", "win_loss_ratio": "win/loss ratio", "kl": "KL divergence"}
_NAMES = {"sharpe": "Sharpe", "sortino": "Sortino", "calmar": "Calmar", "rachev": "Rachev"}


def title(name: str) -> str:
    """A metric or log name as people write it: `sharpe_ratio` is Sharpe ratio."""
    spelled = quantity(name)
    return spelled[:1].upper() + spelled[1:]


def quantity(name: str) -> str:
    """A metric or log name inside a sentence: `max_drawdown` is max drawdown."""
    return _TITLES.get(name, " ".join(_NAMES.get(word, word) for word in name.split("_")))


def plain(text: str) -> str:
    """`text` without control characters, which could move a terminal's cursor."""
    return "".join("�" if unicodedata.category(letter)[0] == "C" else letter for letter in text)


def number(value: float, decimals: int = 2, *, sign: bool = False) -> str:
    """A number with grouped thousands; no sign on what rounds to zero."""
    if not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def percent(fraction: float, decimals: int = 2, *, sign: bool = True) -> str:
    """A fraction as per cent, with its sign."""
    if not math.isfinite(fraction):
        return MISSING
    return number(100 * fraction, decimals, sign=sign) + NARROW + "%"


def is_percent(metric: str) -> bool:
    """Whether people read the metric as per cent."""
    return str(metric_card(metric)["unit"]).startswith("fraction")


def metric_value(metric: str, value: float) -> str:
    """A metric's value as its unit is written: `+18.95 %`, `1.25`, `0.045`.

    Values at the limit of a ratio (a gain without any loss to divide by) are written as such.
    """
    if abs(value) >= LIMIT:
        return "≥" + NARROW + "10⁶" if value > 0 else "≤" + NARROW + MINUS + "10⁶"
    if is_percent(metric):
        return percent(value, _decimals(metric, 100 * value), sign=_signed(metric))
    return number(value, _decimals(metric, value))


def metric_interval(metric: str, estimate: Estimate) -> str:
    """`low to high`, in the unit of the value and without repeating it."""
    return " to ".join(_end(metric, value) for value in (estimate.low, estimate.high))


def lead_value(metric: str, value: float) -> str:
    """A difference of two values of a metric: `+3.12 pp` (percentage points), `\u22120.21`."""
    if abs(value) >= LIMIT:
        return metric_value(metric, value)
    if is_percent(metric):
        return number(100 * value, 2, sign=True) + NARROW + "pp"
    return number(value, _decimals(metric, value), sign=True)


def lead_interval(metric: str, estimate: Estimate) -> str:
    """`low to high` of a difference, with signs and in the unit of `lead_value`."""
    ends = (lead_value(metric, end) for end in (estimate.low, estimate.high))
    return " to ".join(end.removesuffix(NARROW + "pp") for end in ends)


def _end(metric: str, value: float) -> str:
    if abs(value) >= LIMIT:
        return metric_value(metric, value)
    if is_percent(metric):
        decimals = 1 if abs(value) < 10 else 0
        return number(100 * value, decimals, sign=_signed(metric))
    return number(value, _decimals(metric, value))


def _signed(metric: str) -> bool:
    """Gains and losses carry a sign; a volatility has none."""
    return "sqrt" not in str(metric_card(metric)["unit"])


def _decimals(metric: str, shown: float) -> int:
    """Two decimals; three for ratios per bar, which are small; none from a thousand on."""
    if abs(shown) >= 1000:
        return 0
    return 3 if str(metric_card(metric)["unit"]) == "per sqrt(bar)" else 2


def names(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def counted(count: int, noun: str) -> str:
    """`1 return`, `2 returns`, `1,000 returns`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def money(value: float) -> str:
    """Quote currency without decimals."""
    return number(value, 0)
