"""A directory that is complete or not there: written beside its place, then moved into it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from steelyard.errors import BundleError

DEBRIS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in directories that they show."""


def replace_directory(place: Path, contents: Mapping[str, bytes], *, ours: Collection[str]) -> None:
    """Make `place` a directory that holds exactly `contents`.

    Everything is on the disk under another name before the directory gets its own. What was there
    before is moved aside first and deleted last. Between these two moves, both are whole.

    Args:
        place: absolute; parents are made where missing.
        contents: file name -> bytes.
        ours: names of files that a directory may hold to be replaced.

    Raises:
        BundleError: something else is at `place`, or the disk is full or cannot be written. What
            was there before is still there, and nothing else is left.
    """
    token = secrets.token_hex(4)
    part = place.with_name(f".{place.name}.part-{token}")
    aside = place.with_name(f".{place.name}.old-{token}")
    try:
        refuse_foreign(place, ours)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        for name, content in contents.items():
            write_file(part / name, content)
        _sync_directory(part)
        _swap(part, place, aside)
    except OSError as error:
        raise _explained(error, place) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_foreign(place: Path, ours: Collection[str]) -> None:
    """Only an empty directory or an earlier one of ours may be replaced.

    Raises:
        BundleError: `place` is a file, or holds a file that is not named in `ours`.
    """
    if not place.exists():
        return
    if not place.is_dir():
        raise BundleError(f"{place} is a file, not a directory", hint="choose another directory")
    foreign = sorted({path.name for path in place.iterdir()} - set(ours) - DEBRIS)
    if foreign:
        raise BundleError(
            f"{place} is not replaced: it holds `{foreign[0]}`, which is no part of a bundle",
            hint="choose another directory with --out, or move that file away",
        )


def _swap(part: Path, place: Path, aside: Path) -> None:
    """Give `part` the name `place`; undo the first move where the second one fails."""
    replaces = place.exists()
    if replaces:
        place.rename(aside)
    try:
        part.rename(place)
    except OSError:
        if replaces:
            aside.rename(place)
        raise
    _sync_directory(place.parent)


def _sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, place: Path) -> BundleError:
    kept = "what was there before is untouched" if place.exists() else "nothing was left behind"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BundleError(
            f"no space left to write {place}; {kept}",
            hint="free some space, or choose another disk with --out",
        )
    said = error.strerror or str(error)
    return BundleError(
        f"cannot write {place}: {said}; {kept}", hint="choose another directory with --out"
    )
