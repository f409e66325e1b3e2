"""Loads the vectorised stock environment of the published ElegantRL (0.3.6), as is or repaired.

The top level of the package imports agents and a `gym` that no longer installs; the one file that
is measured needs none of them and is loaded by its path. As published, `StockTradingVecEnv`

1. replaces the action by ones, so that it buys 100 shares of everything at every step;
2. looks for sellers in the whole matrix of orders instead of the column of the stock, and so sells
   for the wrong accounts and for some of them more than once;
3. leaves the commission out of what the cash affords, so that the cash may become negative, and
   the next stock is then bought in negative numbers;
4. answers a step with four values, where its own agents unpack five.

`repaired` is the same file with these four expressions replaced while it is read: nothing on disk
is changed, all that is not named in `REPAIRS` runs as published. What is a choice and no fault is
left alone: all environments share one day, orders fill at the close of the next one in asset order,
and those below a tenth of the largest are ignored.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

REPAIRS: Mapping[str, str] = {
    "torch.ones_like(action)": "action.clone()",
    "torch.where((action_int < 0) & (self.shares > 0))": (
        "torch.where((action_int[:, i] < 0) & (self.shares[:, i] > 0))"
    ),
    "torch.div(amount, close, rounding_mode='floor')": (
        "torch.div(amount, close * (1 + cost_pct), rounding_mode='floor')"
    ),
    "(state, reward, done, ())": "(state, reward, torch.zeros_like(done), done, {})",
}
"""Expression as published -> as it is meant; an episode ends with the data, so it is truncated."""

CLASS = "StockTradingVecEnv"


def load(repaired: bool) -> Any:
    """The class as published, or with `REPAIRS`.

    Raises:
        RuntimeError: an expression of `REPAIRS` is not found exactly once; it is another release.
    """
    return module_of(published(), repaired)


def published() -> str:
    """The text of the installed file."""
    package = importlib.util.find_spec("elegantrl")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("elegantrl is not installed in this environment")
    folder = Path(next(iter(package.submodule_search_locations)))
    return (folder / "envs" / "StockTradingEnv.py").read_text(encoding="utf-8")


def module_of(text: str, repaired: bool) -> Any:
    """`CLASS` of a file's text, run as a module of its own."""
    tree = ast.parse(text)
    if repaired:
        repair = Repair()
        repair.visit(tree)
        ast.fix_missing_locations(tree)
        if wrong := {name: many for name, many in repair.found.items() if many != 1}:
            raise RuntimeError(f"not the release that is repaired: {wrong}")
    module = ModuleType(f"elegantrl_{'repaired' if repaired else 'published'}")
    exec(compile(tree, module.__name__, "exec"), module.__dict__)
    return getattr(module, CLASS)


class Repair(ast.NodeTransformer):
    """Replaces the expressions of `REPAIRS` inside the class and the functions that it maps.

    Attributes:
        found: how often each of them was.
    """

    def __init__(self) -> None:
        self._new = {_plain(old): (old, new) for old, new in REPAIRS.items()}
        self.found = dict.fromkeys(REPAIRS, 0)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Only the measured class; its sibling without vectors has faults of its own."""
        return self.generic_visit(node) if node.name == CLASS else node

    def visit(self, node: ast.AST) -> Any:
        """The node, or what stands for it."""
        if isinstance(node, ast.expr) and (known := self._new.get(ast.dump(node))):
            self.found[known[0]] += 1
            return ast.parse(known[1], mode="eval").body
        return super().visit(node)


def _plain(expression: str) -> str:
    return ast.dump(ast.parse(expression, mode="eval").body)
