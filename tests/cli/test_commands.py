import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steelyard.cli import main


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """What the command prints with --json: one document on stdout, and the exit code."""
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("room", ["tasks", "agents", "features", "metrics"])
def test_a_list_has_a_name_and_a_summary_in_every_row(
    room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = document(capsys, room)
    assert len(rows) > 1
    assert all(row["name"] and row["summary"] for row in rows)
    card = document(capsys, room, rows[0]["name"])
    assert card["name"] == rows[0]["name"]


@pytest.mark.parametrize("room", ["tasks", "agents", "features", "metrics"])
def test_a_list_for_people_names_every_member(
    room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [row["name"] for row in document(capsys, room)]
    assert main([room]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)


def test_bundled_data_is_listed_with_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    names = [row["name"] for row in document(capsys, "data", "list")]
    assert "bundled:us_djia30_daily_2009_2023" in names
    card = document(capsys, "data", "show", "us_djia30_daily_2009_2023")
    assert card["rows"] == 110_651
    assert card["licence"] == "Unlicense"


def test_the_quality_report_finds_what_is_wrong_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.csv"
    rows = ["date,tic,open,high,low,close,volume"]
    rows += [f"2020-01-0{d},AAPL,10,11,9,10.5,100" for d in (2, 3, 6, 7)]
    good.write_text("\n".join(rows))
    assert document(capsys, "data", "check", str(good))["findings"] == []
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*rows, rows[-1], "2020-01-08,AAPL,10,8,9,-1,100"]))
    kinds = {f["kind"] for f in document(capsys, "data", "check", str(bad), code=1)["findings"]}
    assert {"duplicate", "non_positive_price"} <= kinds


def test_fetched_data_is_kept_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEELYARD_HOME", str(tmp_path))
    kept = document(capsys, "data", "fetch", "synthetic:none?rows=20&assets=2")
    assert kept["rows"] == 20
    names = [row["name"] for row in document(capsys, "data", "list")]
    assert f"stored:{kept['sha256'][:12]}" in names


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["run", "stock-dow3"], "no task named `stock-dow3`", "stock-dow30"),
        (["run", "stock-2023", "pppo"], "no agent named `pppo`", "ppo"),
        (["run", "stock-2023", "hold_cash", "--seeds", "0"], "--seeds", "--seeds 5"),
        (["run", "stock-2023", "ppo", "--steps", "0"], "--steps", "--steps"),
        (["run", "stock-2023", "hold_cash", "--validate"], "no validation period", "run"),
        (["run", "stock-2023", "hold_cash", "--data", "files:none.csv"], "none.csv", ""),
        (["run", "stock-2023", "nowhere.py:Agent"], "nowhere.py", "FILE.py"),
        (["run"], "task", "steelyard run --help"),
        (["features", "macdd"], "no feature named `macdd`", "macd"),
        (["metrics", "sharp_ratio"], "no metric named `sharp_ratio`", "sharpe_ratio"),
        (["data", "show", "us_djia"], "us_djia", ""),
        (["data", "check", "bundeld:x"], "bundeld", "bundled"),
        (["verify", "no-such-bundle"], "no-such-bundle", ""),
        (["check", "nothing"], "nothing named `nothing`", ""),
        (["bench", "rolout"], "rolout", "rollout"),
        (["rnu"], "no command named `rnu`", "run"),
    ],
)
def test_a_wrong_call_gets_one_line_a_hint_and_exit_code_2(
    words: list[str], error: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, *words, code=2)
    assert error in found["error"]
    assert hint in found["hint"]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    assert told.err.startswith("error: ")


def test_help_imports_neither_jax_nor_anything_else_that_is_slow() -> None:
    code = (
        "import sys; from steelyard.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'jax', 'polars', 'skfolio', 'arch', 'pandas', 'gymnasium', 'scipy'}\n"
        "sys.exit(str(slow & set(sys.modules)) if slow & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout
