"""An agent reaches a process of its own however it was defined, or nothing is sent at all."""

import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import carriers
import numpy as np
import pytest

from steelyard.cli.objects import find_object
from steelyard.errors import ContractError
from steelyard.isolation.desk import Moment, Opening
from steelyard.isolation.parcel import pack_agent
from steelyard.isolation.remote import Remote
from steelyard.past import Holdings
from steelyard.types import Space

MINE = """
from dataclasses import dataclass
import helper

@dataclass
class Mine:
    size: float = 0.25
    learns = False

    def decide(self, past):
        return helper.twice(self.size) + 0 * past.account.mark

made = Mine(0.125)
"""
HELPER = "def twice(value):\n    return 2 * value\n"


def answer(parcel):
    """What an agent answers in a process of its own, and what it was seen to open."""
    opening = Opening((0,), ("A", "B"), (), Space((2,)), {"cost": 0.0}, True)
    rows = {
        "timestamps": np.array(["2020-01-01"], "datetime64[us]"),
        "features": np.zeros((1, 0), np.float32),
        "field/close": np.ones((1, 2)),
    }
    held = Holdings(1.0, np.zeros(2), 1.0, np.ones(2), np.ones(2, bool))
    moment = Moment(0, rows, np.zeros((1, 4), np.float32), [held])
    with Remote(parcel) as desk:
        desk.begin(opening)
        return desk.decide(moment).tolist(), desk.opened


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an agent and its helper, where Python looks for modules."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "helper.py").write_text(HELPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("mine", "helper", "notebook"):
        sys.modules.pop(name, None)


def test_an_object_of_a_file_is_made_there_by_running_the_file(folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(folder)])
    sys.path.append(str(folder / "nowhere"))
    sys.path.append(str(folder))  # for its helper
    agent = find_object("agents", f"{folder / 'mine.py'}:made")
    parcel = pack_agent(agent)
    assert parcel is not None
    assert {str(folder / "mine.py"), str(folder / "helper.py")} == set(parcel.code)
    assert answer(parcel) == ([[0.25, 0.25]], ())


def test_a_file_that_python_does_not_find_is_run(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "strategy.py"
    elsewhere.write_text(MINE)
    agent = find_object("agents", f"{elsewhere}:Mine")
    parcel = pack_agent(agent)
    assert parcel is not None
    assert parcel.files == (("strategy", str(elsewhere)),)
    assert answer(parcel) == ([[0.5, 0.5]], ())
    del sys.modules["strategy"]


def test_an_object_of_a_module_travels_by_name(folder):
    import importlib

    parcel = pack_agent(importlib.import_module("mine").made)
    assert parcel is not None
    assert parcel.files == ()
    assert b"decide" not in parcel.content
    assert str(folder) in parcel.path
    assert answer(parcel) == ([[0.25, 0.25]], ())


def test_an_object_of_a_notebook_travels_as_it_is():
    notebook = ModuleType("notebook")
    sys.modules["notebook"] = notebook
    text = MINE.replace("import helper", "def twice(value):\n    return 3 * value")
    exec(text.replace("helper.twice", "twice"), vars(notebook))
    try:
        parcel = pack_agent(notebook.made)
    finally:
        del sys.modules["notebook"]
    assert parcel is not None
    assert parcel.files == ()
    assert parcel.code == ()
    assert answer(parcel) == ([[0.375, 0.375]], ())


SCRIPT = """
import sys
from steelyard.isolation.parcel import pack_agent

class Mine:
    learns = False

    def decide(self, past):
        return [0.5, -0.5]

sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    from test_parcel import answer

    parcel = pack_agent(Mine())
    print(answer(parcel), parcel.files)
"""


def test_an_object_of_a_script_travels_as_it_is(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, str(script), folders[0]],
        capture_output=True,
        text=True,
        check=False,
        cwd=folders[1],
    )
    assert done.stdout.strip() == "([[0.5, -0.5]], ()) ()", done.stderr


class Unsendable:
    learns = False

    def __init__(self):
        self.lock = threading.Lock()


class Refuses:
    learns = False

    def __reduce__(self):
        raise RuntimeError("never")


@pytest.mark.parametrize("kind", [Unsendable, Refuses])
def test_what_cannot_be_sent_is_nothing(kind):
    assert pack_agent(kind()) is None


def test_what_cannot_be_made_there_is_said_in_a_line(folder):
    (folder / "mine.py").write_text(MINE + "\nimport sys\nassert 'pytest' in sys.modules\n")
    agent = find_object("agents", f"{folder / 'mine.py'}:made")
    parcel = pack_agent(agent)
    assert parcel is not None
    with pytest.raises(ContractError, match="cannot be made in a process of its own") as error:
        Remote(parcel)
    assert "\n" not in error.value.message
    assert "AssertionError (mine.py:" in error.value.message


def test_an_object_that_raises_where_it_is_asked_is_sent_all_the_same():
    assert pack_agent(carriers.Touchy(3)) is not None
    assert pack_agent(carriers.Slotted(3)) is not None
