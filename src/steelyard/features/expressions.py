"""Formulas as expressions: `rank(delta(close, 5)) * -1` builds a tree that is evaluated later.

The words are those of Kakushadze (2016, appendix A.2). Windows may be fractions, as they are
printed there: "non-integer number of days d are converted to floor(d)". Expressions that look the
same are equal, so that a set of formulas evaluates what they share once (`features.formulas`).

```python
expression = -1 * correlation(rank(open_), rank(volume), 10)
str(expression)  # '-1 * correlation(rank(open), rank(volume), 10)'
warmup(expression)  # 18: 9 rows for the ranks where there is no cross-section, 9 for the window
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from steelyard.features.operators import ALONE

ACROSS = frozenset({"rank", "scale", "indneutralize"})
"""Operators across the assets of a row."""

ROWS_BEFORE = {"open": 1, "high": 1, "low": 1, "returns": 1, "cap": 19}
"""Rows before the first value of a series, where it is derived from others."""

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "^", "less": "<"}
BINDING = {"less": 0, "either": 0, "add": 1, "subtract": 1, "multiply": 2, "divide": 2, "power": 3}
"""How tightly an operator binds when it is printed; functions bind closest."""


@dataclass(frozen=True)
class Expression:
    """A node of a formula.

    Attributes:
        operator: a series (`close`), a constant, or what is done with the inputs.
        inputs: the nodes that it is done with.
        number: the window in rows, or the value of a constant.
        group: what `indneutralize` takes as groups.
    """

    operator: str
    inputs: tuple[Expression, ...] = ()
    number: float = 0.0
    group: str = ""

    def __add__(self, other: Expression | float) -> Expression:
        return _of("add", self, other)

    def __radd__(self, other: float) -> Expression:
        return _of("add", other, self)

    def __sub__(self, other: Expression | float) -> Expression:
        return _of("subtract", self, other)

    def __rsub__(self, other: float) -> Expression:
        return _of("subtract", other, self)

    def __mul__(self, other: Expression | float) -> Expression:
        return _of("multiply", self, other)

    def __rmul__(self, other: float) -> Expression:
        return _of("multiply", other, self)

    def __truediv__(self, other: Expression | float) -> Expression:
        return _of("divide", self, other)

    def __rtruediv__(self, other: float) -> Expression:
        return _of("divide", other, self)

    def __pow__(self, other: Expression | float) -> Expression:
        return _of("power", self, other)

    def __lt__(self, other: Expression | float) -> Expression:
        return _of("less", self, other)

    def __gt__(self, other: Expression | float) -> Expression:
        return _of("less", other, self)

    def __or__(self, other: Expression) -> Expression:
        return _of("either", self, other)

    def __str__(self) -> str:
        if self.operator == "constant":
            return f"{self.number:g}"
        if self.operator == "where":
            condition, chosen, otherwise = self.inputs
            return f"({condition} ? {chosen} : {otherwise})"
        if self.operator == "mean" and self.inputs[0] == volume:
            return f"adv{self.number:g}"
        if self.operator in BINDING:
            return self._infix()
        texts = [str(entry) for entry in self.inputs]
        texts += [f"{self.number:g}"] if self.number else []
        texts += [self.group] if self.group else []
        return f"{self.operator}({', '.join(texts)})" if texts else self.operator

    def _infix(self) -> str:
        tight = BINDING[self.operator]
        left, right = (
            f"({entry})" if BINDING.get(entry.operator, 9) < tight + place else str(entry)
            for place, entry in enumerate(self.inputs)
        )
        return f"{left} {INFIX.get(self.operator, 'or')} {right}"


def _of(operator: str, *inputs: Expression | float, window: float = 0.0) -> Expression:
    """A node; the window is floored."""
    nodes = tuple(
        entry if isinstance(entry, Expression) else Expression("constant", number=float(entry))
        for entry in inputs
    )
    return Expression(operator, nodes, float(math.floor(window)))


open_ = Expression("open")
high = Expression("high")
low = Expression("low")
close = Expression("close")
volume = Expression("volume")
vwap = Expression("vwap")
returns = Expression("returns")
cap = Expression("cap")


def adv(d: int) -> Expression:
    """Mean volume of the last d rows."""
    return _of("mean", volume, window=d)


def rank(x: Expression) -> Expression:
    """Rank among the assets, or among the last 10 rows where there is one asset."""
    return _of("rank", x)


def scale(x: Expression) -> Expression:
    """x over the sum of |x| of the assets, or of the last 10 rows where there is one asset."""
    return _of("scale", x)


def indneutralize(x: Expression, group: str) -> Expression:
    """x less the mean of its group: "sector", "industry" or "subindustry"."""
    return Expression("indneutralize", (x,), group=group)


def delay(x: Expression, d: float) -> Expression:
    """The value d rows ago."""
    return _of("delay", x, window=d)


def delta(x: Expression, d: float) -> Expression:
    """The value less the one d rows ago."""
    return _of("delta", x, window=d)


def correlation(x: Expression, y: Expression, d: float) -> Expression:
    """Correlation of the last d rows."""
    return _of("correlation", x, y, window=d)


def covariance(x: Expression, y: Expression, d: float) -> Expression:
    """Covariance of the last d rows."""
    return _of("covariance", x, y, window=d)


def decay_linear(x: Expression, d: float) -> Expression:
    """Mean of the last d rows with weights that fall linearly."""
    return _of("decay_linear", x, window=d)


def ts_min(x: Expression, d: float) -> Expression:
    """Smallest of the last d rows."""
    return _of("ts_min", x, window=d)


def ts_max(x: Expression, d: float) -> Expression:
    """Largest of the last d rows."""
    return _of("ts_max", x, window=d)


def ts_argmin(x: Expression, d: float) -> Expression:
    """Where in the last d rows the smallest stands."""
    return _of("ts_argmin", x, window=d)


def ts_argmax(x: Expression, d: float) -> Expression:
    """Where in the last d rows the largest stands."""
    return _of("ts_argmax", x, window=d)


def ts_rank(x: Expression, d: float) -> Expression:
    """Rank of the newest of the last d rows among them."""
    return _of("ts_rank", x, window=d)


def ts_sum(x: Expression, d: float) -> Expression:
    """Sum of the last d rows."""
    return _of("ts_sum", x, window=d)


def product(x: Expression, d: float) -> Expression:
    """Product of the last d rows."""
    return _of("product", x, window=d)


def stddev(x: Expression, d: float) -> Expression:
    """Standard deviation of the last d rows."""
    return _of("stddev", x, window=d)


def signed_power(x: Expression, a: Expression | float) -> Expression:
    """|x|^a with the sign of x."""
    return _of("signed_power", x, a)


def log(x: Expression) -> Expression:
    """Natural logarithm."""
    return _of("log", x)


def sign(x: Expression) -> Expression:
    """-1, 0 or 1."""
    return _of("sign", x)


def absolute(x: Expression) -> Expression:
    """|x|."""
    return _of("absolute", x)


def minimum(x: Expression, y: Expression) -> Expression:
    """The smaller of two series, row by row."""
    return _of("minimum", x, y)


def maximum(x: Expression, y: Expression) -> Expression:
    """The larger of two series, row by row."""
    return _of("maximum", x, y)


def where(
    condition: Expression, chosen: Expression | float, otherwise: Expression | float
) -> Expression:
    """`chosen` where the condition holds, else `otherwise`."""
    return _of("where", condition, chosen, otherwise)


def across(expression: Expression) -> bool:
    """Whether a formula compares assets with each other anywhere."""
    return expression.operator in ACROSS or any(across(entry) for entry in expression.inputs)


@cache
def warmup(expression: Expression) -> int:
    """Observed rows before the first value of a formula, on every kind of panel.

    Ranks and scales count with the nine rows more that they need where there is no cross-section,
    open, high and low with the row before that they need on a book.
    """
    before = max((warmup(entry) for entry in expression.inputs), default=0)
    before += ROWS_BEFORE.get(expression.operator, 0)
    if expression.operator in ("delay", "delta"):
        return before + int(expression.number)
    if expression.operator in ("rank", "scale"):
        return before + ALONE - 1
    return before + max(int(expression.number) - 1, 0) * (expression.operator != "constant")
