"""Factors small enough to be mined in a fast test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from steelyard.factors.labels import Horizons
from steelyard.factors.mine import Mined, mine
from steelyard.factors.settings import Distillation
from steelyard.types import Panel

TRAIN, VALIDATE = (0, 900), (900, 1_200)
HORIZONS = Horizons(windows=(5, 10))
FEATURES = ("imbalance", "momentum")
TINY = Distillation(
    width=4,
    batch=8,
    sequence=48,
    warmup=16,
    updates=24,
    check_every=8,
    patience=2,
    learning_rate=1e-2,
    average=0.5,
)
"""One shape for all tests, so that one program serves them."""


def mined_from(panel: Panel, **changes: object) -> Mined:
    how: dict[str, object] = {
        "train": TRAIN,
        "validate": VALIDATE,
        "features": FEATURES,
        "horizons": HORIZONS,
        "settings": TINY,
    }
    return mine(panel, **(how | changes))  # type: ignore[arg-type]


def spoiled(panel: Panel, first: int) -> Panel:
    """The panel with unrelated numbers from row `first` on."""
    random = np.random.default_rng(0)
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[first:] = np.exp(random.normal(3.0, 1.0, values[first:].shape))
    return replace(panel, fields=fields, name="spoiled")
