"""Environments of the benchmark's own: made once, named after their pins, reasons reported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from steelyard.bench import peer_env
from steelyard.bench.peer_env import PEERS, PeerEnvironment, find_peer, interpreter
from steelyard.errors import DependencyError, UnknownNameError

PEER = PeerEnvironment("toy", (("torch==1",), ("--no-deps", "toy==2")))


def record(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace the commands of an installation by a list of them that makes the interpreter."""
    commands: list[list[str]] = []

    def run(arguments: list[str], peer: PeerEnvironment) -> None:
        commands.append(list(arguments))
        if "venv" in arguments:
            name = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
            python = Path(arguments[-1]) / name
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(peer_env, "_command", run)
    return commands


def test_an_environment_is_made_once_step_by_step_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = record(monkeypatch)
    python = interpreter(PEER, tmp_path)
    assert [command[-2:] for command in commands[1:]] == [
        ["--quiet", "torch==1"],
        ["--no-deps", "toy==2"],
    ]
    assert all(command[0] == str(python) for command in commands[1:])
    assert interpreter(PEER, tmp_path) == python
    assert len(commands) == 3


def test_an_environment_that_was_not_finished_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = record(monkeypatch)
    (interpreter(PEER, tmp_path).parents[1] / "installed.json").unlink()
    interpreter(PEER, tmp_path)
    assert len(commands) == 6


def test_another_pin_is_another_environment() -> None:
    assert PEER.key != PeerEnvironment("toy", (("torch==1",), ("--no-deps", "toy==3"))).key


def test_a_command_that_fails_gives_its_error_line_as_the_reason() -> None:
    code = "import sys; print('ERROR: No matching distribution\\nnotice: update pip'); sys.exit(1)"
    with pytest.raises(DependencyError, match="`toy` could not be installed: ERROR: No matching"):
        peer_env._command([sys.executable, "-c", code], PEER)


def test_a_place_that_cannot_be_written_is_a_reason_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DependencyError, match="could not be installed"):
        interpreter(PEER, tmp_path / "file")


def test_every_pin_names_one_version() -> None:
    for peer in PEERS.values():
        names = [name for step in peer.steps for name in step if not name.startswith("--")]
        assert all("==" in name for name in names), names
        assert names[0].startswith("torch"), "torch comes first, so that a CPU build is taken"


def test_environments_live_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(monkeypatch)
    monkeypatch.setenv("STEELYARD_HOME", str(tmp_path))
    assert interpreter(PEER).is_relative_to(tmp_path / "bench" / PEER.key)


def test_an_unknown_peer_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean `finrl`"):
        find_peer("finrll")
