"""Where Steelyard keeps what it can make or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of the user's data, caches and benchmark peers.

    `STEELYARD_HOME` where it is set, else a folder of its own in the user's cache.
    """
    if chosen := os.environ.get("STEELYARD_HOME"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(base).expanduser() / "steelyard"
