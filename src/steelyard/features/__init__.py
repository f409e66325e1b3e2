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
from typing import Literal, cast

from steelyard import registry
from steelyard.types import Feature, Floats, Panel

__all__ = ["FeatureSet", "compute", "feature", "resolve"]

Unit = Literal["price", "price_change", "percent", "ratio", "level"]
Scope = Literal["asset", "market"]


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
        scope: "asset" for values (T, N), each column from its own asset alone; "market" for (T,).

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

    Args:
        names: names of this room, or `Feature` objects of one's own.
        panel: must have the fields and the context that the features read.

    Raises:
        UnknownNameError: no feature has that name; the hint names the nearest ones.
        MissingDataError: the panel lacks a field that a feature reads.
    """
    chosen = resolve(names)
    values = {entry.name: entry(panel) for entry in chosen}
    return FeatureSet(values, max((entry.warmup for entry in chosen), default=0))
