"""What somebody's own code opens is seen and named; what it needs to run is not held against it.

A watch cannot be taken off a process, so that a process of its own is watched here, once.
"""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from watched import OPENING

from steelyard.isolation.watch import MOST


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched").resolve()
    for name in ("mine.py", "other.py", "prices.csv"):
        (folder / name).write_text("x = 3\n")
    (folder / "link.csv").symlink_to(folder / "prices.csv")
    pl.DataFrame({"close": [1.0]}).write_parquet(folder / "prices.parquet")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("watched.py")), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "folder": folder.name}


NAMED = {
    "a file": "file {}/prices.csv",
    "a file by its name alone": "file {}/prices.csv",
    "a file to write": "file {}/made.txt",
    "a file by a link": "file {}/prices.csv",
    "code of somebody else": "file {}/other.py",
    "bundled prices": "file bundled/us_vix_daily_2005_2023.parquet",
    "memory of others": "/environ",
    "a database": "file {}/notes.db",
    "a library that reads itself": "file {}/prices.parquet",
    "the same by a word": "file {}/prices.parquet",
    "another one": "file {}/prices.parquet",
    "a socket": "socket 127.0.0.1:9",
    "a name on the net": "socket 127.0.0.1",
    "a program": "process true",
    "a command": "process true",
    "a fork": "forked",
}


@pytest.mark.parametrize("what", NAMED)
def test_what_is_opened_is_named(what, seen):
    wanted = NAMED[what].replace("{}", seen["folder"])
    assert [one for one in seen[what] if one.endswith(wanted)], seen[what]


UNSEEN = ("its own code", "code of a library", "code of the package", "nothing", "a folder",
          "the machine")  # fmt: skip


@pytest.mark.parametrize("what", UNSEEN)
def test_what_code_needs_to_run_is_no_matter(what, seen):
    assert seen[what] == []


def test_whatever_is_opened_here_is_expected_above():
    assert set(OPENING) == {*NAMED, *UNSEEN}


def test_of_very_many_files_some_are_named(seen):
    assert seen["many"] == MOST


def test_a_place_says_nothing_of_this_machine(seen):
    assert not [
        one for told in seen.values() if isinstance(told, list) for one in told if "/tmp" in one
    ]
