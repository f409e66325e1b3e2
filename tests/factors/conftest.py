from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_factors import mined_from

from steelyard.data import load
from steelyard.factors import artefact
from steelyard.factors.mine import Mined
from steelyard.types import Panel


@pytest.fixture(scope="session")
def panel() -> Panel:
    """A planted book of 1,500 seconds with a gap after the first 700."""
    whole = load("book:imbalance?rows=1500&seed=3&strength=0.9")
    late = np.arange(1_500) >= 700
    stamps = whole.timestamps + late * np.timedelta64(1, "h")
    return replace(whole, timestamps=stamps, context={"segment": late.astype(float)})


@pytest.fixture(scope="session")
def mined(panel: Panel) -> Mined:
    return mined_from(panel)


@pytest.fixture
def kept(mined: Mined, tmp_path: Path) -> artefact.Artefact:
    """The artefact, saved in `tmp_path` and read again."""
    artefact.save(mined.artefact, tmp_path)
    return artefact.load(tmp_path)
