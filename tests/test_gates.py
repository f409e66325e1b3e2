"""The gates of `make check` and of every test run catch what is planted here."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from steelyard.ledger import Account, equity

REPOSITORY = Path(__file__).resolve().parents[1]
SETTINGS = REPOSITORY / "pyproject.toml"


def gate(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1"}
    run = [sys.executable, "-m", *command]
    return subprocess.run(run, capture_output=True, text=True, env=environment, cwd=REPOSITORY)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("T201", "print('a log line on stdout')"),
        ("F401", "import json"),
        ("BLE001", "try:\n    x = 1\nexcept Exception:\n    x = 2"),
        ("ERA001", "# x = compute(1)"),
        ("D103", "def public():\n    return 1"),
        ("NPY002", "import numpy as np\n\nnp.random.seed(0)"),
        ("B006", 'def f(x=[]):\n    """Do."""\n    return x'),
        ("PTH123", "with open('x') as file:\n    file.read()"),
    ],
)
def test_the_linter_catches(rule: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(f'"""Planted."""\n\n{line}\n')
    run = gate("ruff", "check", "--no-cache", "--config", str(SETTINGS), str(path))
    assert run.returncode == 1
    assert rule in run.stdout


def test_the_linter_leaves_the_shapes_of_annotations_alone(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    head = '"""Planted."""\n\nfrom __future__ import annotations\n\n'
    lines = 'from jaxtyping import Array, Float\n\nprices: Float[Array, "T N *B"]\n'
    path.write_text(head + lines)
    run = gate("ruff", "check", "--no-cache", "--config", str(SETTINGS), str(path))
    assert run.returncode == 0, run.stdout


def test_the_formatter_catches_another_layout(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text('"""Planted."""\n\nx = {  "a":1 }\n')
    run = gate("ruff", "format", "--check", "--no-cache", "--config", str(SETTINGS), str(path))
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("no-untyped-def", "def f(x):\n    return x"),
        ("type-arg", "x: list = []"),
        ("arg-type", "len(1)"),
        ("return-value", "def f() -> int:\n    return 'one'"),
    ],
)
def test_the_type_checker_catches(code: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(f"{line}\n")
    run = gate("mypy", "--config-file", str(SETTINGS), str(path))
    assert run.returncode == 1
    assert f"[{code}]" in run.stdout


def test_a_wrong_shape_is_caught_while_tests_run() -> None:
    account = Account(jnp.array(100.0), jnp.zeros(3))
    with pytest.raises(TypeCheckError, match="mark"):
        equity(account, jnp.ones(()))


def test_a_wrong_type_is_caught_while_tests_run() -> None:
    account = Account(jnp.array(100.0), jnp.zeros(3))
    with pytest.raises(TypeCheckError, match="mark"):
        equity(account, jnp.ones(3, dtype=bool))


def test_a_warning_is_an_error_while_tests_run() -> None:
    with pytest.raises(RuntimeWarning, match="planted"):
        warnings.warn("planted", RuntimeWarning, stacklevel=1)
