"""Figures and documents of a result whose rows are made up."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from steelyard.bench import as_text, document, read, write
from steelyard.bench.drawing import Line, Scale, log_chart, short
from steelyard.bench.plots import figures
from steelyard.bench.result import Curve, Point, Row, from_document
from steelyard.cli import main
from steelyard.errors import BenchError, ConfigError

NAMESPACE = "{http://www.w3.org/2000/svg}"


def curve(axis: str, label: str, peer: str = "") -> Row:
    points = tuple(Point(size, 1e6 / size, 9e5 / size, 2e6 / size) for size in (1, 16, 256, 4_096))
    row = Curve(axis, label, peer, points, 1.02, 0.03, 16)
    return Row("growth", f"{label}, {axis}", "x", 1.4, 1.5, met=False, against=peer, curve=row)


ROWS = [
    curve("environments", "with policy"),
    curve("environments", "ElegantRL <repaired>", "elegantrl"),
    curve("assets", "with policy"),
    Row("train", "PPO", "s", 15.0, 300.0, 10.0, 30.0, 20.0, 40.0, met=True, versus="SB3 & others"),
    Row("start", "help", "wall seconds", 0.5, 0.4, sense="at most", met=True),
]


def texts(drawn: str) -> list[str]:
    return [str(node.text) for node in ET.fromstring(drawn).iter(f"{NAMESPACE}text")]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads(json.dumps(document(ROWS)))


def test_there_is_a_figure_for_what_the_rows_hold(found: dict[str, Any]) -> None:
    assert list(figures(found)) == ["speed", "growth-assets", "ratios"]
    assert list(figures({"rows": found["rows"][-1:]})) == []


def test_every_line_has_its_name_and_the_published_mark_its_reason(found: dict[str, Any]) -> None:
    shown = texts(figures(found)["speed"])
    assert {"with policy", "ElegantRL <repaired>", "published, A100 (see below)"} < set(shown)
    assert any("exp_sampling_rate.py" in line for line in shown)


def test_a_figure_about_growth_says_the_slope(found: dict[str, Any]) -> None:
    assert "with policy: 1.02 ± 0.03" in texts(figures(found)["growth-assets"])


def test_a_ratio_stands_beside_its_bar(found: dict[str, Any]) -> None:
    shown = texts(figures(found)["ratios"])
    assert {"train: PPO", "30x", "of 15x"} < set(shown)
    assert not [text for text in shown if "help" in text]


def test_equal_factors_are_equal_distances() -> None:
    scale = Scale(1, 100, 0, 200)
    assert [scale(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert scale.ticks() == [1, 10, 100]
    assert Scale(1, 70, 0, 1).ticks(4) == pytest.approx([1, 4, 16, 64])


def test_a_line_goes_through_its_points() -> None:
    line = Line("a", "c0", [(1, 10, 10, 10), (math.sqrt(1e4), 1_000, 1_000, 1_000)])
    drawn = ET.fromstring(log_chart("t", "s", "x", [line]))
    circles = [
        (float(c.attrib["cx"]), float(c.attrib["cy"])) for c in drawn.iter(f"{NAMESPACE}circle")
    ]
    assert circles[0][0] < circles[1][0]
    assert circles[0][1] > circles[1][1]  # upwards is smaller


def test_names_of_lines_that_end_alike_are_moved_apart() -> None:
    lines = [Line(name, "c0", [(1, 5, 5, 5), (9, 7, 7, 7)]) for name in ("one", "two", "three")]
    drawn = ET.fromstring(log_chart("t", "s", "x", lines))
    places = [
        float(node.attrib["y"])
        for node in drawn.iter(f"{NAMESPACE}text")
        if node.text in ("one", "two", "three")
    ]
    gaps = [abs(a - b) for a, b in zip(sorted(places), sorted(places)[1:], strict=False)]
    assert min(gaps) >= 16.9


@pytest.mark.parametrize(
    ("value", "shown"), [(999, "999"), (1_500, "1.5k"), (1e6, "1M"), (2.5e9, "2.5G"), (0.1, "0.1")]
)
def test_large_numbers_are_short(value: float, shown: str) -> None:
    assert short(value) == shown


def test_a_result_is_written_read_and_drawn_again(found: dict[str, Any], tmp_path: Path) -> None:
    names = {path.name for path in write(found, tmp_path / "out")}
    figures_written = {"speed.svg", "growth-assets.svg", "ratios.svg"}
    assert names == {"bench.json", "table.txt", "bench.html"} | figures_written
    again = read(tmp_path / "out" / "bench.json")
    assert again == found
    assert from_document(again) == [*from_document(found)]
    page = (tmp_path / "out" / "bench.html").read_text()
    assert "SB3 &amp; others" in page
    assert not re.findall(r"(?:src|href)=", page)
    assert (tmp_path / "out" / "table.txt").read_text().strip() == as_text(ROWS)


def test_a_document_says_protocol_machine_and_versions(found: dict[str, Any]) -> None:
    assert found["protocol"] >= 2
    assert {"processor", "cores", "python", "numpy", "jax", "jaxlib"} < set(found["machine"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "holds no result"),
        ('{"rows": [{"suite": "x"}]}', "holds no result"),
        ('{"protocol": 1, "rows": []}', "is of protocol 1"),
    ],
)
def test_a_file_that_is_no_result_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=reason):
        read(path)


def test_a_folder_that_cannot_be_made_is_refused(found: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(found, tmp_path / "file")


def test_an_earlier_result_is_shown_and_drawn_without_measuring(
    found: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.json").write_text(json.dumps(found))
    out = tmp_path / "out"
    assert main(["bench", "--from", str(tmp_path / "old.json"), "--out", str(out)]) == 1
    assert "train: PPO" in capsys.readouterr().out
    assert (out / "speed.svg").exists()


def test_figures_are_drawn_with_numpy_and_the_standard_library_alone() -> None:
    code = (
        "import sys, steelyard.bench.plots;"
        "heavy = {'polars', 'pyarrow', 'scipy', 'pandas', 'skfolio', 'arch', 'gymnasium', 'rich'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
