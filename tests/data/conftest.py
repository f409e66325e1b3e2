from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from steelyard.data import load
from steelyard.data.calendar import sessions
from steelyard.types import Panel

HEADER = "date,tic,open,high,low,close,volume"
ROWS = [
    "2020-01-02,AAA,10,11,9,10.5,100",
    "2020-01-02,BBB,20,21,19,20.5,200",
    "2020-01-03,AAA,10.5,12,10,11.5,110",
    "2020-01-03,BBB,20.5,22,20,21.5,210",
    "2020-01-06,AAA,11.5,13,11,12.5,120",
    "2020-01-06,BBB,21.5,23,21,22.5,220",
]


@pytest.fixture
def rows() -> list[str]:
    """Three sessions of two assets: a table without a defect."""
    return list(ROWS)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV of a header and rows; the clean table unless told otherwise."""

    def write_csv(rows: list[str] = ROWS, header: str = HEADER, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write_csv


@pytest.fixture(scope="session")
def djia() -> Panel:
    return load("bundled", "us_djia30_daily_2009_2023")


@pytest.fixture(scope="session")
def index() -> Panel:
    return load("bundled", "us_index_daily_2009_2023")


@pytest.fixture(scope="session")
def clean() -> Panel:
    """Three assets on the sessions of 2020 and 2021, nothing wrong with them."""
    days = sessions("2020-01-01", "2021-12-31")
    panel = load("synthetic", "none", seed=5, assets=3, rows=len(days))
    return replace(panel, timestamps=days, name="clean")


@pytest.fixture
def dev_folder() -> Path:
    """Data for tests only; skips where the checkout has none beside it."""
    folder = Path(__file__).resolve().parents[2] / "../shared/data/dev"
    if not folder.is_dir():
        pytest.skip("needs the development data beside the repository (../shared/data/dev)")
    return folder
