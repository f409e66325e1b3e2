"""Features: causal functions of a panel, vectorised over assets. A file here is its registration.

```python
@feature(unit="ratio", warmup=1)
def return_1(panel: Panel) -> Floats:
    \"\"\"Log return of one bar.\"\"\"
    return per_asset(lambda close: np.log(close / previous(close)), panel["close"])
```

`compute` evaluates features by name, `scaling.Scaler` makes of them what networks see, and
`check.check_feature` tests the contract of this room on any panel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import numpy as np

from steelyard import registry
from steelyard.features.formulas import Formula, Plan
from steelyard.types import Feature, Floats, Panel

__all__ = ["FeatureSet", "compute", "feature", "resolve"]

Unit = Literal["price", "price_change", "percent", "ratio", "level"]
Scope = Literal["asset", "cross_section", "market"]


@dataclass(frozen=True)
class FeatureSet:
    """What `compute` returns.

    Attributes:
        values: name -> (T, N), or (T,) where the scope is "market"; NaN = warm-up or not observed.
        warmup: the largest warm-up of the set, in observed rows.
    """

    values: Mapping[str, Floats]
    warmup: int

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]


def feature(
    *, unit: Unit, warmup: int, scope: Scope = "asset"
) -> Callable[[Callable[[Panel], Floats]], Feature]:
    """Make a function Panel -> values a `Feature` and register it under its own name.

    Args:
        unit: what the number is (see `Feature.unit`); decides how networks are fed with it.
        warmup: observed rows that the definition needs before its first value; masked with NaN.
        scope: "asset" for values (T, N), each column from its own asset alone; "cross_section" for
            (T, N) where assets of a row are compared; "market" for (T,).

    Raises:
        ConfigError: another feature already has that name.
    """

    def mark(function: Callable[[Panel], Floats]) -> Feature:
        name = function.__name__
        summary = (function.__doc__ or "").strip().split("\n")[0]
        made = Feature(name, function, unit, warmup, scope, summary)
        return registry.register(
            "features", name, made, summary=summary, unit=unit, warmup=warmup, scope=scope
        )

    return mark


def resolve(features: Sequence[str | Feature]) -> list[Feature]:
    """Features by name or as they are.

    Raises:
        UnknownNameError: no feature has that name; the hint names the nearest ones.
    """
    return [
        entry if isinstance(entry, Feature) else cast(Feature, registry.find("features", entry))
        for entry in features
    ]


def compute(names: Sequence[str | Feature], panel: Panel) -> FeatureSet:
    """The values of features on a panel.

    Where the panel has segments (`context["segment"]`, rows without a gap between them) each is
    evaluated as a panel of its own: the warm-up begins again, and no window reaches across a gap.

    Args:
        names: names of this room, or `Feature` objects of one's own. Formulas (the 101 alphas) are
            evaluated together, each part that they share once.
        panel: must have the fields and the context that the features read.

    Raises:
        UnknownNameError: no feature has that name; the hint names the nearest ones.
        MissingDataError: the panel lacks a field that a feature reads.
    """
    chosen = resolve(names)
    formulas = [entry for entry in chosen if isinstance(entry.function, Formula)]
    plan = Plan([cast(Formula, entry.function).expression for entry in formulas])
    parts = [_evaluated(chosen, formulas, plan, part) for part in _segments(panel)]
    values = {
        entry.name: np.concatenate([part[entry.name] for part in parts])
        if len(parts) > 1
        else parts[0][entry.name]
        for entry in chosen
    }
    return FeatureSet(values, max((entry.warmup for entry in chosen), default=0))


def _evaluated(
    chosen: list[Feature], formulas: list[Feature], plan: Plan, panel: Panel
) -> dict[str, Floats]:
    tables = plan.run(panel) if formulas else []
    together = {
        entry.name: entry.masked(table, panel)
        for entry, table in zip(formulas, tables, strict=True)
    }
    return {
        entry.name: together[entry.name] if entry.name in together else entry(panel)
        for entry in chosen
    }


def _segments(panel: Panel) -> list[Panel]:
    """Rows of one segment each; the panel itself where it has none."""
    if "segment" not in panel.context or len(panel) == 0:
        return [panel]
    starts = np.flatnonzero(np.diff(panel["segment"], prepend=np.nan))
    return [panel.rows(start, stop) for start, stop in pairwise([*starts.tolist(), len(panel)])]
