"""Pickles of somebody's own objects, classes of a script or notebook among them.

A class that no other process can import travels as it is. It is first made empty and then filled,
so that it may refer to itself; a module of Equinox has to know its fields when it is made.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import MISSING, Field, field
from types import ModuleType
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as parts


def dumps(value: Any, carried: Sequence[ModuleType] = ()) -> bytes:
    """The pickle of an object.

    Args:
        carried: modules whose classes and functions travel as they are, and not by name.
    """
    for one in carried:
        cloudpickle.register_pickle_by_value(one)
    try:
        file = io.BytesIO()
        _Pickler(file).dump(value)
        return file.getvalue()
    finally:
        for one in carried:
            cloudpickle.unregister_pickle_by_value(one)


class _Pickler(cloudpickle.Pickler):
    """Tells the fields of Equinox's modules along with their names."""

    def reducer_override(self, obj: Any) -> Any:
        """How an object is taken apart."""
        reduced = super().reducer_override(obj)
        if not isinstance(obj, type) or not type(obj).__module__.startswith("equinox"):
            return reduced
        if not isinstance(reduced, tuple) or reduced[0] is not parts._make_skeleton_class:
            return reduced
        kind, name, bases, empty, *rest = reduced[1]
        return reduced[0], (kind, name, bases, empty | _declared(obj), *rest), *reduced[2:]


def _declared(kind: type) -> dict[str, Any]:
    """What a class declares of its fields, and whether it makes its instances itself."""
    own = vars(kind)
    names = dict(own.get("__annotations__", {}))
    known: dict[str, Field[Any]] = own.get("__dataclass_fields__", {})
    told = {name: _again(known[name]) for name in names if name in known and _says(known[name])}
    made = getattr(own.get("__init__"), "__code__", None)
    begins = {} if made is None or made.co_filename == "<string>" else {"__init__": _begin}
    return {"__annotations__": names, **told, **begins}


def _says(one: Field[Any]) -> bool:
    """Whether a field has more than a name and a type."""
    return one.default is not MISSING or one.default_factory is not MISSING or bool(one.metadata)


def _again(one: Field[Any]) -> Any:
    if one.default_factory is not MISSING:
        return field(default_factory=one.default_factory, metadata=dict(one.metadata))
    return field(default=one.default, metadata=dict(one.metadata))


def _begin(self: Any, *_: Any, **__: Any) -> None:
    """Stands where a class of somebody's own will have its `__init__`."""
    raise NotImplementedError(type(self).__name__)
