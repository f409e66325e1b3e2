"""Opens things one after another under a watch, and prints what it saw of each.

`python watched.py FOLDER`, where FOLDER holds mine.py, other.py, prices.csv, prices.parquet and
notes.db.
"""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

from steelyard.isolation.watch import Forbidden, Watch

FOLDER = Path(sys.argv[-1])
BUNDLED = Path(__import__("steelyard").__file__).parent / "data" / "bundled"
VIX = BUNDLED / "us_vix_daily_2005_2023.parquet"


def connect(*address):
    with socket.socket() as line, contextlib.suppress(OSError):
        line.settimeout(0.05)
        line.connect(address)


def fork():
    try:
        if os.fork() == 0:
            os._exit(0)
    except Forbidden:
        return
    raise AssertionError("it forked")


def polars(name):
    import polars

    polars.read_parquet(FOLDER / name)


def lazily(name):
    import polars

    polars.scan_parquet(source=FOLDER / name)


def arrow(name):
    from pyarrow import parquet

    parquet.read_table(str(FOLDER / name))


def database():
    with contextlib.closing(sqlite3.connect(FOLDER / "notes.db")):
        pass


def leave():
    os.chdir(FOLDER)
    Path("prices.csv").read_text()


def read(*names):
    return lambda: Path(*names).read_bytes()


OPENING = {
    "a file": lambda: (FOLDER / "prices.csv").read_text(),
    "a file by its name alone": leave,
    "a file to write": lambda: (FOLDER / "made.txt").write_text("x"),
    "a file by a link": lambda: os.close(os.open(FOLDER / "link.csv", os.O_RDONLY)),
    "code of somebody else": read(FOLDER, "other.py"),
    "its own code": read(FOLDER, "mine.py"),
    "bundled prices": read(VIX),
    "memory of others": read("/proc/self/environ"),
    "a database": database,
    "a library that reads itself": lambda: polars("prices.parquet"),
    "the same by a word": lambda: lazily("prices.parquet"),
    "another one": lambda: arrow("prices.parquet"),
    "a socket": lambda: connect("127.0.0.1", 9),
    "a name on the net": lambda: socket.getaddrinfo("127.0.0.1", 80),
    "a program": lambda: subprocess.run(["true"], check=True),
    "a command": lambda: os.system("true"),
    "a fork": fork,
    "code of a library": lambda: __import__("decimal") and __import__("scipy.special"),
    "code of the package": lambda: __import__("steelyard.metrics"),
    "nothing": lambda: None,
    "a folder": lambda: list(FOLDER.iterdir()),
    "the machine": lambda: (Path("/proc/cpuinfo").read_text(), Path(os.devnull).read_text()),
}

if __name__ == "__main__":
    watch, seen = Watch([str(FOLDER / "mine.py")]), {}
    for what, do in OPENING.items():
        watch.take()
        do()
        seen[what] = watch.take()
    for number in range(300):
        (FOLDER / f"{number}.txt").write_text("x")
    seen["many"] = len(watch.take())
    print(json.dumps(seen))
