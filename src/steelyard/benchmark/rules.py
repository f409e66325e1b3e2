"""The kinds of markets that a task can be about: each is a card of rules that can be traded by.

Rules have `require()`, `require_data(panel)`, `env`, `build(panel, warmup, precision)`,
`warm(panel, warmup)`, `shown(table, warm)`, `params(market, cash, first, last, episode)`,
`clock(market, first, last)`, `trade(params, policy, timestamps, ...)` and `ceiling(params,
timestamps, periods_per_year)`: all that a venue asks. Their markets have `showing(table, columns)`
and `of_rows(rows, span)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from steelyard.benchmark.book_rules import BookRules
from steelyard.benchmark.stock_rules import StockRules
from steelyard.types import Facts

Rules: TypeAlias = StockRules | BookRules

KINDS: Mapping[str, type[Rules]] = {"stock": StockRules, "orderbook": BookRules}


def rules_of(card: Facts) -> Rules:
    """The rules that a card states.

    Raises:
        KeyError, TypeError: it states none that exist.
    """
    return KINDS[card["kind"]](**card)
