"""Starts one side of a benchmark: `python -P launch.py CORE FOLDER MODULE`.

Runs inside the interpreter that is measured, ours or a peer's, so it needs the standard library
alone. CORE is pinned before anything is imported, because thread pools are sized at import; -1
pins nothing. FOLDER goes to the *end* of the module path, so that nothing in it can shadow an
installed package.
"""

from __future__ import annotations

import os
import runpy
import sys


def main(core: int, folder: str, module: str) -> None:
    """Pin this process to `core` and run `module`, found in `folder`, as a program."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    sys.path.append(folder)
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
