import pytest
from feature_panels import random_panel, with_book, with_gaps

from steelyard.types import Panel


@pytest.fixture(scope="session")
def complete_panel() -> Panel:
    return with_book(random_panel(0), 0)


@pytest.fixture(scope="session")
def gappy_panel() -> Panel:
    return with_gaps(with_book(random_panel(1), 1))


@pytest.fixture(params=["complete_panel", "gappy_panel"], scope="session")
def panel(request: pytest.FixtureRequest) -> Panel:
    return request.getfixturevalue(request.param)
