"""What a search leaves behind: best.json and search.html, beside the study that it goes on from."""

from __future__ import annotations

import secrets
from pathlib import Path

from steelyard.errors import ConfigError
from steelyard.evaluation.directory import DEBRIS, write_file
from steelyard.evaluation.documents import dump
from steelyard.evaluation.report.search import render
from steelyard.evaluation.trials import Search, best_json

BEST, REPORT, STUDY = "best.json", "search.html", "search.journal"


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
        part = place / f".{name}.part-{secrets.token_hex(4)}"
        try:
            write_file(part, content)
            part.replace(place / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ConfigError(
                f"cannot write {place / name}: {error.strerror or error}",
                hint="free some space, then run the same command again: the trials are kept",
            ) from error
