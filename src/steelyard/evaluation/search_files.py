"""What a search leaves behind: best.json and search.html, beside the study that it goes on from."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import numpy as np

from steelyard.errors import ConfigError
from steelyard.evaluation.directory import DEBRIS, write_file
from steelyard.evaluation.documents import dump
from steelyard.evaluation.report.search import render
from steelyard.evaluation.trials import Search, best_json
from steelyard.types import Floats

BEST, REPORT, STUDY = "best.json", "search.html", "search.journal"
RETURNS = "returns"
"""Folder of the returns of every trial of a cross-validation."""


def require_place(place: Path) -> None:
    """A search has a directory of its own, or goes on in one of an earlier search.

    Raises:
        ConfigError: `place` is a file, or holds something else.
    """
    if place.exists() and not place.is_dir():
        raise ConfigError(f"{place} is a file, not a directory", hint="choose another --out")
    if not place.is_dir() or (place / STUDY).is_file():
        return
    foreign = sorted({path.name for path in place.iterdir()} - DEBRIS)
    if foreign:
        raise ConfigError(
            f"{place} holds `{foreign[0]}`, which is no part of a search",
            hint="choose another directory with --out",
        )


def write_search(search: Search, place: Path) -> None:
    """Write the best settings and the page on the search, each whole or not at all.

    Raises:
        ConfigError: `place` cannot be written; what was there before is still there.
    """
    page = render(search).encode("utf-8", "replace")
    for name, content in ((BEST, dump(best_json(search))), (REPORT, page)):
        try:
            _replace(place / name, content)
        except OSError as error:
            raise ConfigError(
                f"cannot write {place / name}: {error.strerror or error}",
                hint="free some space, then run the same command again: the trials are kept",
            ) from error


def write_returns(place: Path, number: int, returns: Floats) -> None:
    """Keep the returns (T,) of a trial, counted from 1, as `returns/0001.npy`."""
    content = io.BytesIO()
    np.save(content, np.asarray(returns, np.float64), allow_pickle=False)
    (place / RETURNS).mkdir(exist_ok=True)
    _replace(_returns(place, number), content.getvalue())


def read_returns(place: Path, number: int, rows: int) -> Floats:
    """The returns (T,) that were kept of a trial.

    Raises:
        ValueError: they are not there, or not `rows` numbers.
    """
    path = _returns(place, number)
    if not path.is_file():
        raise ValueError(f"{RETURNS}/{path.name} is not there")
    found = np.load(path, allow_pickle=False)
    if found.shape != (rows,) or found.dtype != np.float64:
        raise ValueError(f"{RETURNS}/{path.name} does not hold {rows} returns")
    return np.asarray(found)


def _returns(place: Path, number: int) -> Path:
    return place / RETURNS / f"{number:04d}.npy"


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        write_file(part, content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
