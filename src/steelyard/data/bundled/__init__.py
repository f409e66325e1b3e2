"""The source `bundled`: sets that ship with Steelyard, each with its card beside it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np

from steelyard.data.book_files import SPARE, read_book
from steelyard.data.books import to_book
from steelyard.data.cards import Card, show
from steelyard.data.table import to_panel
from steelyard.errors import ConfigError, DataError
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
        An order book has the fields of a book panel (see `steelyard.data.books`).

    Raises:
        UnknownNameError: no set has that name.
        DataError: the file on disk is not the one that the card describes.
        ConfigError: prices of a book are to be adjusted.
    """
    import polars as pl

    card = show(str(request))
    if card.kind == "book":
        if adjust != "all":
            raise ConfigError(f"{card.name} has nothing to adjust", hint="leave `adjust` out")
        return _book(card)
    frame = pl.read_parquet(io.BytesIO(_verified(card)))
    if "tic" not in frame.columns:
        frame = frame.with_columns(pl.lit(card.assets[0]).alias("tic"))
    suffix = "" if adjust == "all" else f"?adjust={adjust}"
    panel = to_panel(frame, how=adjust, name=f"bundled:{card.name}{suffix}", sha256=card.sha256)
    context = {name: _close_of(other, panel.timestamps) for name, other in card.context.items()}
    return replace(panel, context=context)


def _book(card: Card) -> Panel:
    """The book that a card describes, read as the card says."""
    _verified(card)
    clock = {name: card.book[name] for name in ("start", "every") if name in card.book}
    levels, repair = card.book["levels"], card.book.get("repair", "")
    rows, sha256 = read_book(
        card.path, levels=levels, spare=SPARE if repair else 0, tick=card.book["tick"], **clock
    )
    return to_book(
        rows,
        asset=card.assets[0],
        name=f"bundled:{card.name}",
        sha256=sha256,
        levels=levels,
        max_gap=card.book["max_gap"],
        repair=repair,
    )


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
