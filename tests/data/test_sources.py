from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from steelyard import registry
from steelyard.data import load
from steelyard.data.sources import parse_address
from steelyard.errors import ConfigError, UnknownNameError
from steelyard.types import Panel


def test_listing_the_sources_imports_nothing_heavy() -> None:
    code = (
        "import sys; from steelyard import registry; registry.members('sources');"
        "print([m for m in ('polars', 'pandas', 'exchange_calendars') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_source_says_in_one_line_what_it_is() -> None:
    members = registry.members("sources")
    assert set(members) >= {"bundled", "files", "synthetic"}
    for member in members.values():
        assert callable(member.value)
        assert member.summary


@pytest.mark.parametrize(
    "address",
    [
        "bundled:us_vix_daily_2005_2023",
        "bundled:us_index_daily_2009_2023?adjust=splits",
        "synthetic:momentum?seed=3&rows=50&assets=2&strength=0.3",
    ],
)
def test_the_name_of_a_panel_leads_back_to_it(address: str) -> None:
    panel = load(address)
    assert load(panel.name).digest() == panel.digest()
    source, request, options = parse_address(address)
    assert load(source, request, **options).digest() == panel.digest()


def test_a_file_is_loaded_by_one_string(write: Callable[..., Path]) -> None:
    path = write()
    panel = load(f"files:{path}?repair=sort,duplicates")
    assert panel.digest() == load("files", path).digest()
    assert load(panel.name).digest() == panel.digest()


def test_named_options_win_over_those_of_the_string() -> None:
    one = load("synthetic:none?rows=30&seed=1", seed=2)
    assert one.digest() == load("synthetic", "none", rows=30, seed=2).digest()


def test_a_source_of_ones_own_needs_no_registration(clean: Panel) -> None:
    def mine(request: str, *, last: int = 0) -> Panel:
        return clean.rows(0, last)

    assert len(load(mine, "anything", last=7)) == 7
    with pytest.raises(UnknownNameError, match="`lst`"):
        load(mine, "anything", lst=7)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("bundeld:us_vix_daily_2005_2023", "`bundled`"),
        ("us_vix_daily_2005_2023", "`bundled:us_vix_daily_2005_2023`"),
        ("prices.csv", "`files:prices.csv`"),
        ("bundled:", "bundled:"),
        ("synthetic:momentun", "`momentum`"),
        ("synthetic:none?sed=1", "`seed`"),
        ("bundled:us_vix_daily_2005_2023?request=1", "adjust"),
    ],
)
def test_a_misspelt_address_is_answered_with_the_nearest(address: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load(address)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_source_without_a_request_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a request"):
        load(lambda request: request)
