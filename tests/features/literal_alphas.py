"""The 101 alphas as they are printed, evaluated slowly: row by row, window by window.

Written from Kakushadze (2016), appendix A: the formulas are text, read by the small parser below;
an operator looks at one window of Python floats at a time. Nothing of it is shared with
`steelyard.features`, except what both say about values that are not there and about ties.
"""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from steelyard.types import Panel

NAN = math.nan

LINES = (Path(__file__).with_name("printed_alphas.txt")).read_text(encoding="utf-8").splitlines()
PRINTED = {int(number): text for number, text in (line.split(" ", 1) for line in LINES)}


def tokens(text: str) -> list[str]:
    return re.findall(r"\d*\.\d+|\d+\.?|[A-Za-z_][\w.]*|\|\||==|[-+*/^<?:(),]", text)


class Parser:
    """Text -> nested tuples: ("call", name, arguments), ("+", a, b), ("name", text) or numbers."""

    LEVELS = (("||",), ("<", "=="), ("+", "-"), ("*", "/"))

    def __init__(self, text: str) -> None:
        self.left = tokens(text)

    def take(self, *wanted: str) -> str:
        return self.left.pop(0) if self.left and self.left[0] in wanted else ""

    def whole(self):
        tree = self.ternary()
        assert not self.left, self.left
        return tree

    def ternary(self):
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        chosen = self.ternary()
        assert self.take(":")
        return ("?", condition, chosen, self.ternary())

    def binary(self, level: int):
        if level == len(self.LEVELS):
            return self.power()
        tree = self.binary(level + 1)
        while sign := self.take(*self.LEVELS[level]):
            tree = (sign, tree, self.binary(level + 1))
        return tree

    def power(self):
        base = self.atom()
        return ("^", base, self.power()) if self.take("^") else base

    def atom(self):
        if self.take("("):
            tree = self.ternary()
            assert self.take(")")
            return tree
        if self.take("-"):
            return ("*", -1.0, self.atom())
        word = self.left.pop(0)
        if word[0].isdigit() or word[0] == ".":
            return float(word)
        if not self.take("("):
            return ("name", word.lower())
        arguments = [self.ternary()]
        while self.take(","):
            arguments.append(self.ternary())
        assert self.take(")")
        return ("call", word.lower(), *arguments)


def same(x: float, y: float) -> bool:
    """Equal where order decides."""
    return abs(x - y) <= 3.7e-9 * max(abs(x), abs(y))


def subtracted(x: float, y: float) -> float:
    return 0.0 if abs(x - y) < 2e-13 * abs(x) else x - y


def mean(window: Sequence[float]) -> float:
    return math.fsum(window) / len(window)


def deviation(window: Sequence[float]) -> float:
    centre = mean(window)
    result = math.sqrt(math.fsum((x - centre) ** 2 for x in window) / (len(window) - 1))
    return result if result > 1e-13 * abs(centre) else 0.0


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    if deviation(one) == 0.0 or deviation(other) == 0.0:
        return NAN
    a, b = mean(one), mean(other)
    both = math.fsum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    return round(both / (len(one) - 1) / deviation(one) / deviation(other), 10)


def covariance(one: Sequence[float], other: Sequence[float]) -> float:
    a, b = mean(one), mean(other)
    both = math.fsum((x - a) * (y - b) for x, y in zip(one, other, strict=True)) / (len(one) - 1)
    return both if abs(both) > 2e-13 * deviation(one) * deviation(other) else 0.0


def rank_among(value: float, others: Sequence[float]) -> float:
    """Mean rank of equals, over how many there are."""
    below = sum(other < value and not same(value, other) for other in others)
    equal = sum(same(value, other) for other in others)
    return (below + (equal + 1) / 2) / len(others)


def position(window: Sequence[float], best: Callable[[Sequence[float]], float]) -> float:
    extreme = best(known(window))
    return next(k for k, x in enumerate(window, start=1) if same(x, extreme))


def decayed(window: Sequence[float]) -> float:
    pairs = [(k + 1.0, x) for k, x in enumerate(window) if not math.isnan(x)]
    return math.fsum(w * x for w, x in pairs) / math.fsum(w for w, _ in pairs)


def known(window: Sequence[float]) -> list[float]:
    return [x for x in window if not math.isnan(x)]


STRICT = {"sum": math.fsum, "product": math.prod, "stddev": deviation}
LENIENT = {
    "ts_min": lambda w: min(known(w)),
    "ts_max": lambda w: max(known(w)),
    "ts_argmax": lambda w: position(w, max),
    "ts_argmin": lambda w: position(w, min),
    "ts_rank": lambda w: rank_among(w[-1], known(w)) if not math.isnan(w[-1]) else NAN,
    "decay_linear": decayed,
}


class Literal:
    """Evaluates formulas on a panel; what was computed once is kept."""

    def __init__(self, panel: Panel) -> None:
        self.book = "bid_1" in panel.fields
        self.alone = self.book or len(panel.assets) == 1
        self.shape = (len(panel), len(panel.assets))
        self.kept: dict[object, np.ndarray] = {}
        self.panel = panel
        needed = ("open", "high", "low", "close", "volume")
        if self.book:
            needed = ("close", "bid_1", "ask_1", "bid_size_1", "ask_size_1")
        self.rows = [
            [t for t in range(len(panel)) if all(np.isfinite(panel[n][t, a]) for n in needed)]
            for a in range(self.shape[1])
        ]
        self.series = self.of_book() if self.book else self.of_bars()

    def alpha(self, number: int) -> np.ndarray:
        return self.value(Parser(PRINTED[number]).whole())

    def empty(self) -> np.ndarray:
        return np.full(self.shape, NAN)

    def of_bars(self) -> dict[str, np.ndarray]:
        made = {name: self.empty() for name in ("open", "high", "low", "close", "volume", "vwap")}
        for asset, rows in enumerate(self.rows):
            for t in rows:
                for name in ("open", "high", "low", "close", "volume"):
                    made[name][t, asset] = self.panel[name][t, asset]
                bar = [made[name][t, asset] for name in ("high", "low", "close")]
                made["vwap"][t, asset] = sum(bar) / 3.0
        return made

    def of_book(self) -> dict[str, np.ndarray]:
        names = ("open", "high", "low", "close", "volume", "vwap")
        made = {name: self.empty() for name in names}
        levels = [k for k in range(1, 100) if f"bid_{k}" in self.panel.fields]
        for asset, rows in enumerate(self.rows):
            for k, t in enumerate(rows):
                book = {name: float(v[t, asset]) for name, v in self.panel.fields.items()}
                stands = [
                    (book[f"{side}_{level}"], book[f"{side}_size_{level}"])
                    for level in levels
                    for side in ("bid", "ask")
                    if not math.isnan(book[f"{side}_{level}"] + book[f"{side}_size_{level}"])
                ]
                made["close"][t, asset] = book["close"]
                made["volume"][t, asset] = sum(size for _, size in stands)
                made["vwap"][t, asset] = sum(p * s for p, s in stands) / sum(s for _, s in stands)
                if k:
                    before = {name: v[rows[k - 1], asset] for name, v in self.panel.fields.items()}
                    made["open"][t, asset] = before["close"]
                    made["high"][t, asset] = max(before["ask_1"], book["ask_1"])
                    made["low"][t, asset] = min(before["bid_1"], book["bid_1"])
        return made

    def value(self, tree) -> np.ndarray:
        if isinstance(tree, float):
            return np.full(self.shape, tree)
        if tree not in self.kept:
            self.kept[tree] = self.compute(tree)
        return self.kept[tree]

    def compute(self, tree) -> np.ndarray:
        if tree[0] == "name":
            return self.named(tree[1])
        if tree[0] == "call":
            return self.call(*tree[1:])
        return self.pointwise(POINT[tree[0]], *(self.value(entry) for entry in tree[1:]))

    def named(self, name: str) -> np.ndarray:
        close, volume = ("name", "close"), ("name", "volume")
        if name in self.series:
            return self.series[name]
        if name == "returns":
            return self.value(("-", ("/", close, ("call", "delay", close, 1.0)), 1.0))
        if name.startswith("adv"):
            days = float(name[3:])
            return self.value(("/", ("call", "sum", volume, days), days))
        assert name == "cap"
        traded = ("*", volume, ("name", "vwap"))
        return self.value(("/", ("call", "sum", traded, 20.0), 20.0))

    def pointwise(self, function, *inputs: np.ndarray) -> np.ndarray:
        made = self.empty()
        for asset, rows in enumerate(self.rows):
            for t in rows:
                made[t, asset] = function(*(float(x[t, asset]) for x in inputs))
        return made

    def windows(self, function, d: float, *inputs: np.ndarray) -> np.ndarray:
        made, length = self.empty(), math.floor(d)
        for asset, rows in enumerate(self.rows):
            columns = [x[rows, asset].tolist() for x in inputs]
            for k in range(length - 1, len(rows)):
                cut = slice(k - length + 1, k + 1)
                made[rows[k], asset] = function(*(column[cut] for column in columns))
        return made

    def call(self, name: str, *arguments) -> np.ndarray:
        if name in ("min", "max"):
            if isinstance(arguments[1], float):
                return self.call(f"ts_{name}", *arguments)
            chosen = min if name == "min" else max
            first, second = (self.value(entry) for entry in arguments)
            return self.pointwise(lambda x, y: strict(chosen)((x, y)), first, second)
        x = self.value(arguments[0])
        if name in ("rank", "scale", "indneutralize"):
            return self.across(name, x)
        if name in POINT_CALLS:
            return self.pointwise(POINT_CALLS[name], x, *(self.value(e) for e in arguments[1:]))
        if name in ("delay", "delta"):
            d = arguments[1]
            change = (lambda w: w[0]) if name == "delay" else (lambda w: subtracted(w[-1], w[0]))
            return self.windows(change, math.floor(d) + 1, x)
        if name in ("correlation", "covariance"):
            function = correlation if name == "correlation" else covariance
            pairs = strict_pairs(function)
            return self.windows(pairs, arguments[2], x, self.value(arguments[1]))
        if name in STRICT:
            return self.windows(strict(STRICT[name]), arguments[1], x)
        return self.windows(lenient(LENIENT[name]), arguments[1], x)

    def across(self, name: str, x: np.ndarray) -> np.ndarray:
        if self.alone and name == "indneutralize":
            return x
        if self.alone and name == "rank":
            return self.call("ts_rank", ("array", self.keep(x)), 10.0)
        if self.alone:
            shares = lenient(lambda w: w[-1] / total if (total := sum(map(abs, known(w)))) else NAN)
            return self.windows(shares, 10, x)
        made = self.empty()
        for t in range(self.shape[0]):
            there = [a for a in range(self.shape[1]) if not math.isnan(x[t, a])]
            values = [float(x[t, a]) for a in there]
            for a, value in zip(there, values, strict=True):
                if name == "rank":
                    made[t, a] = rank_among(value, values)
                elif name == "scale":
                    total = sum(abs(v) for v in values)
                    made[t, a] = value / total if total else NAN
                else:
                    made[t, a] = value - sum(values) / len(values)
        return made

    def keep(self, x: np.ndarray) -> int:
        self.kept["array", id(x)] = x
        return id(x)


def strict(function):
    return lambda window: NAN if any(map(math.isnan, window)) else function(window)


def strict_pairs(function):
    return lambda one, other: NAN if any(map(math.isnan, one + other)) else function(one, other)


def lenient(function):
    return lambda window: NAN if len(known(window)) < min(2, len(window)) else function(window)


def divided(x: float, y: float) -> float:
    return x / y if y else NAN


def raised(x: float, y: float) -> float:
    if math.isnan(x + y) or (x == 0.0 and y < 0.0) or (x < 0.0 and y != int(y)):
        return NAN
    return x**y


def signed(x: float, y: float) -> float:
    return NAN if math.isnan(x + y) else direction(x) * raised(abs(x), y)


def compared(x: float, y: float) -> float:
    return NAN if math.isnan(x + y) else float(x < y and not same(x, y))


def direction(x: float) -> float:
    return NAN if math.isnan(x) else float((x > 0.0) - (x < 0.0))


POINT = {
    "+": lambda x, y: x + y,
    "-": subtracted,
    "*": lambda x, y: x * y,
    "/": divided,
    "^": raised,
    "<": compared,
    "==": lambda x, y: NAN if math.isnan(x + y) else float(same(x, y)),
    "||": lambda x, y: NAN if math.isnan(x + y) else max(x, y),
    "?": lambda c, x, y: NAN if math.isnan(c) else (x if c else y),
}
POINT_CALLS = {
    "abs": abs,
    "sign": direction,
    "log": lambda x: math.log(x) if x > 0.0 else NAN,
    "signedpower": signed,
}
