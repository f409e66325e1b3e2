"""The source `bundled`: sets that ship with Steelyard, each with its card beside it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np

from steelyard.data.cards import Card, show
from steelyard.data.table import to_panel
from steelyard.errors import DataError
from steelyard.registry import member
from steelyard.types import Floats, Panel


@member("sources")
def bundled(request: str, *, adjust: str = "all") -> Panel:
    """Sets that ship with Steelyard: `steelyard data list` names them.

    Args:
        request: name of the set.
        adjust: "all" works splits and dividends into open, high, low and close together;
            "splits" gives the prices as stored; "close_only" adjusts the close alone, the flaw of
            the published pipeline, for comparison with it.

    Returns:
        Fields open, high, low, close and, where the set has it, volume. The series that the card
        names as context (VIX for the Dow Jones set) are joined by date, NaN where they have none.

    Raises:
        UnknownNameError: no set has that name.
        DataError: the file on disk is not the one that the card describes.
    """
    import polars as pl

    card = show(str(request))
    frame = pl.read_parquet(io.BytesIO(_verified(card)))
    if "tic" not in frame.columns:
        frame = frame.with_columns(pl.lit(card.assets[0]).alias("tic"))
    suffix = "" if adjust == "all" else f"?adjust={adjust}"
    panel = to_panel(frame, how=adjust, name=f"bundled:{card.name}{suffix}", sha256=card.sha256)
    context = {name: _close_of(other, panel.timestamps) for name, other in card.context.items()}
    return replace(panel, context=context)


def _close_of(name: str, timestamps: np.ndarray) -> Floats:
    """Close (T,) of the first asset of a bundled set at `timestamps`, NaN where it has none."""
    other = bundled(name)
    series = np.full(len(timestamps), np.nan)
    _, here, there = np.intersect1d(
        timestamps, other.timestamps, assume_unique=True, return_indices=True
    )
    series[here] = other["close"][there, 0]
    return series


def _verified(card: Card) -> bytes:
    """The bytes of the set, if they are those that the card describes."""
    if not card.path.is_file():
        raise DataError(f"the bundled set {card.name} is not there", hint="reinstall steelyard")
    content = card.path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise DataError(
            f"the bundled set {card.name} is damaged: sha256 {found[:12]}, "
            f"not {card.sha256[:12]} as on its card",
            hint="reinstall steelyard",
        )
    return content
