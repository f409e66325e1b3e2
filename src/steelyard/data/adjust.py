"""Splits and dividends: one factor for all four prices of a bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from steelyard.errors import ConfigError, DataError
from steelyard.registry import did_you_mean
from steelyard.types import Floats

Adjustment = Literal["all", "splits", "close_only"]
"""How dividends enter the prices; see `adjust`."""

PRICES = ("open", "high", "low", "close")


def adjust(fields: Mapping[str, Floats], how: str) -> dict[str, Floats]:
    """Fields without `adj_close`, its dividends worked into the prices as `how` says.

    The factor of a bar is `adj_close / close`. It scales returns between bars and leaves every
    ratio within a bar (open to close, low to high) as it was.

    Args:
        fields: name -> (T, N) float64; open, high, low, close, and adj_close where the source has
            one. Without adj_close "all" and "splits" return the prices as they are.
        how: "all" scales open, high, low and close together (the default everywhere); "splits"
            leaves the prices as stored; "close_only" replaces the close and nothing else, as the
            published pipeline does: most closes then lie below the low of their day, and a fill
            at the open earns money that was never there. For comparison only.

    Raises:
        ConfigError: `how` is none of these.
        DataError: "close_only" without adj_close.
    """
    if how not in get_args(Adjustment):
        raise ConfigError(
            f"no adjustment named `{how}`", hint=did_you_mean(how, list(get_args(Adjustment)))
        )
    kept = {name: values for name, values in fields.items() if name != "adj_close"}
    adjusted = fields.get("adj_close")
    if adjusted is None:
        if how == "close_only":
            raise DataError(
                'adjust="close_only" needs a column adj_close', hint='use adjust="splits"'
            )
        return kept
    if how == "close_only":
        return kept | {"close": adjusted}
    if how == "splits":
        return kept
    factor = np.asarray(adjusted / fields["close"])
    return kept | {name: np.asarray(fields[name] * factor) for name in PRICES}
