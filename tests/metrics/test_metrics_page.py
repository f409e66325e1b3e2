import re
from pathlib import Path

import pytest

from steelyard import metrics, registry
from steelyard.registry import members

PAGE = Path(__file__).resolve().parents[2] / "docs/concepts/metrics.md"
NAMES = set(members("metrics"))
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def rows() -> dict[str, list[str]]:
    """Cells of the table of definitions by metric."""
    table = PAGE.read_text().split("## Definitions")[1].split("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if "| `" in line]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in cells}


def test_the_page_defines_every_metric_and_no_other():
    assert set(rows()) == NAMES


@pytest.mark.parametrize("name", sorted(rows()))
def test_the_page_and_the_card_agree(name):
    _, better, unit, conventions = rows()[name]
    card = metrics.metric_card(name)
    assert (better, unit) == (card["better"], card["unit"])
    stated = re.search(r"ddof (\d)", conventions)
    assert (int(stated[1]) if stated else None) == card.get("ddof")


def test_the_code_of_the_page_runs():
    assert len(CODE) == 3
    try:
        exec("\n".join(CODE), {})
    finally:
        registry._members["metrics"].pop("ulcer_index", None)
