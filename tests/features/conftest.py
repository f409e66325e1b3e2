from dataclasses import replace

import numpy as np
import pytest

from steelyard.types import Panel

ROWS = 420


def random_panel(seed: int, rows: int = ROWS, assets: int = 5) -> Panel:
    random = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.015, (rows, assets)), axis=0))
    open_ = close * np.exp(random.normal(0.0, 0.005, close.shape))
    high = np.maximum(open_, close) * (1.0 + random.exponential(0.005, close.shape))
    low = np.minimum(open_, close) * (1.0 - random.uniform(0.0, 0.01, close.shape))
    volume = random.integers(1_000, 100_000, close.shape).astype(float)
    return Panel(
        timestamps=np.datetime64("2019-01-01", "D") + np.arange(rows),
        assets=tuple("ABCDEFGHIJ"[:assets]),
        fields={"open": open_, "high": high, "low": low, "close": close, "volume": volume},
        context={"vix": random.uniform(10.0, 40.0, rows)},
        name=f"random {seed}",
    )


def with_gaps(panel: Panel) -> Panel:
    """Asset B lists on row 90, C has single holes and a long one, D is delisted on row 330."""
    seen = np.ones((len(panel), len(panel.assets)), dtype=bool)
    seen[:90, 1] = False
    seen[[3, 4, 50, 118], 2] = False
    seen[200:225, 2] = False
    seen[330:, 3] = False
    return replace(
        panel, fields={name: np.where(seen, v, np.nan) for name, v in panel.fields.items()}
    )


@pytest.fixture(scope="session")
def complete_panel() -> Panel:
    return random_panel(0)


@pytest.fixture(scope="session")
def gappy_panel() -> Panel:
    return with_gaps(random_panel(1))


@pytest.fixture(params=["complete", "gappy"], scope="session")
def panel(request: pytest.FixtureRequest) -> Panel:
    return random_panel(0) if request.param == "complete" else with_gaps(random_panel(1))
