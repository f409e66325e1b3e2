"""A factor artefact: factors with the times they belong to, and everything that they came from.

Two files in one folder. `factors.safetensors` holds arrays: values (T, F), timestamps (T,) in
nanoseconds, a mark (T,) of every row of the data, and the weights of the network. `factors.json`
holds the facts: the digest of the data, the spans of training and validation, the features with
their scales, the quantiles, the settings, the versions of libraries, and the sha256 of the arrays.
The sha256 of those facts names the artefact; a later stage asks for it by that name.

Factors are joined to data by time, never by counting rows from either end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.data.store import write_atomically
from steelyard.errors import ConfigError, DataError, MissingDataError
from steelyard.types import Feature, Floats, Panel

FORMAT = "steelyard-factors/1"
ARRAYS, FACTS = "factors.safetensors", "factors.json"
SHORTEST = 12
"""Characters of a sha256 that are enough to name an artefact."""

Stamps = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Artefact:
    """Factors of one panel.

    Attributes:
        timestamps: (T,) datetime64[ns], strictly increasing.
        values: (T, F) float32 in (-1, 1); NaN while the memory warms up in each segment.
        marks: (T,) uint64, see `row_marks`: what the data said at each time.
        weights: leaves of the network in the order of `jax.tree.leaves`.
        facts: what `factors.json` says, without the two digests.
        sha256: name of the artefact; empty before it was saved.
    """

    timestamps: Stamps
    values: NDArray[np.float32]
    marks: NDArray[np.uint64]
    weights: tuple[NDArray[Any], ...] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    sha256: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """`factor_1`, `factor_2`, ..."""
        return tuple(f"factor_{number + 1}" for number in range(self.values.shape[1]))

    @property
    def seen_until(self) -> np.datetime64:
        """Last time that training or validation saw; scales and quantiles are older."""
        spans = (self.facts[name][1] for name in ("train", "validate"))
        return max(np.datetime64(one, "ns") for one in (*spans, self.facts["seen_until"]))

    def rows_of(self, timestamps: Stamps) -> NDArray[np.int64]:
        """Row (n,) of each time; -1 where there is none."""
        wanted = timestamps.astype("datetime64[ns]")
        row = np.searchsorted(self.timestamps, wanted)
        inside = np.minimum(row, max(len(self.timestamps) - 1, 0))
        there = len(self.timestamps) > 0 and self.timestamps[inside] == wanted
        return np.where(there, inside, -1).astype(np.int64)

    def in_sample(self, timestamps: Stamps) -> NDArray[np.bool_]:
        """(n,) whether the factors of a time knew it, or later times, when they were fitted.

        Everything up to the end of validation is: the weights were fitted on the training rows and
        chosen by the validation rows, and the scales of earlier rows come from both.
        """
        return np.asarray(timestamps.astype("datetime64[ns]") <= self.seen_until)

    def require_unseen(self, timestamps: Stamps, purpose: str = "train an agent") -> None:
        """Refuse rows on which the factors are better than they will ever be again.

        Raises:
            ConfigError: some of the times are in sample. It names the asset and the first one.
        """
        known = self.in_sample(timestamps)
        if known.any():
            first = moment(timestamps[int(np.argmax(known))])
            start, until = moment(np.datetime64(self.facts["train"][0])), moment(self.seen_until)
            raise ConfigError(
                f"cannot {purpose} on {known.sum()} of {len(known)} rows, the first at {first}: "
                f"the factors of {self.facts['panel']['assets'][0]} were fitted on "
                f"{start}..{until}, and up to its end answer what they have learnt by heart",
                hint=f"begin behind {until}, or mine factors on rows before "
                f"{moment(timestamps[0])}",
            )

    def features(self) -> tuple[Feature, ...]:
        """The factors as features of any panel, by time; NaN at times that are not here."""
        return tuple(
            Feature(
                name,
                partial(_column, self, column),
                "ratio",
                int(self.facts["settings"]["warmup"]),
                "market",
                f"Factor {column + 1} of the artefact {self.sha256[:SHORTEST] or 'in memory'}.",
            )
            for column, name in enumerate(self.names)
        )


def align(artefact: Artefact, panel: Panel) -> Floats:
    """Factors (T, F) of the rows of a panel, by time.

    Raises:
        DataError: the panel is not (a part of) the data that the factors were mined on.
        MissingDataError: it has a time that the factors do not cover.
    """
    own = artefact.facts["panel"]
    if sorted(panel.fields) != own["fields"] or list(panel.assets) != own["assets"]:
        raise DataError(
            f"the factors were mined on `{own['name']}` with other fields or assets than "
            f"`{panel.name}` has",
            hint=f"load {own['name']}, or mine factors on `{panel.name}`",
        )
    rows = artefact.rows_of(panel.timestamps)
    if (rows < 0).any():
        first = moment(panel.timestamps[int(np.argmax(rows < 0))])
        stamps = artefact.timestamps
        raise MissingDataError(
            f"`{panel.name}` has {(rows < 0).sum()} rows without factors, the first at {first}; "
            f"the factors cover {len(stamps)} times in "
            f"{moment(stamps[0])}..{moment(stamps[-1])}",
            hint=f"stay inside, or mine factors on `{panel.name}`",
        )
    other = row_marks(panel) != artefact.marks[rows]
    if other.any():
        first = moment(panel.timestamps[int(np.argmax(other))])
        raise DataError(
            f"`{panel.name}` is not the data of the factors (digest {own['digest'][:SHORTEST]}): "
            f"{other.sum()} rows differ, the first at {first}",
            hint=f"load {own['name']}, or mine factors on `{panel.name}`",
        )
    return artefact.values[rows].astype(np.float64)


def moment(stamp: np.datetime64) -> str:
    """A time as people write it, without digits that say nothing."""
    return str(np.datetime_as_string(stamp, unit="auto"))


def row_marks(panel: Panel) -> NDArray[np.uint64]:
    """A mark (T,) of the fields of each row: equal rows have equal marks, others hardly ever.

    FNV-1a over 64-bit words; it finds other data, while the sha256 of a file finds a forgery.
    """
    mark = np.full(len(panel), 0xCBF29CE484222325, dtype=np.uint64)
    for name in sorted(panel.fields):
        for column in panel.fields[name].T:
            word = np.where(np.isnan(column), np.nan, column + 0.0)  # one NaN, one zero
            mark = (mark ^ word.view(np.uint64)) * np.uint64(0x100000001B3)
            mark ^= mark >> np.uint64(29)
    return mark


def save(artefact: Artefact, folder: str | Path) -> Artefact:
    """Write an artefact; a file is complete or not there.

    Returns:
        The same with its `sha256`.

    Raises:
        DataError: the folder cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, Any] = {
        "values": artefact.values,
        "timestamps": artefact.timestamps.astype("datetime64[ns]").astype(np.int64),
        "marks": artefact.marks,
    }
    arrays |= {f"weights/{number}": leaf for number, leaf in enumerate(artefact.weights)}
    content = to_bytes({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    facts = {**artefact.facts, "arrays_sha256": hashlib.sha256(content).hexdigest()}
    sha = _digest(facts)
    text = json.dumps({**facts, "sha256": sha}, indent=1, sort_keys=True, allow_nan=False)
    write_atomically(Path(folder) / ARRAYS, content)
    write_atomically(Path(folder) / FACTS, (text + "\n").encode())
    return replace(artefact, sha256=sha)


def load(path: str | Path, sha256: str | None = None) -> Artefact:
    """Read an artefact.

    Args:
        path: the folder, or one of the two files in it.
        sha256: the artefact that is asked for; its first 12 characters are enough.

    Raises:
        MissingDataError: there is no artefact.
        DataError: it is damaged, or not the one that was asked for.
        ConfigError: `sha256` is shorter than 12 characters.
    """
    folder = Path(path)
    folder = folder.parent if folder.name in (ARRAYS, FACTS) else folder
    facts = _read_facts(folder)
    own, arrays_sha = facts.pop("sha256"), facts["arrays_sha256"]
    if sha256 is not None:
        if len(sha256) < SHORTEST:
            raise ConfigError(
                f"`{sha256}` is too short to name factors", hint=f"{SHORTEST} characters or more"
            )
        if not own.startswith(sha256.lower()):
            raise DataError(
                f"{folder} holds the factors {own[:SHORTEST]}, not {sha256[:SHORTEST]}",
                hint="point at the folder of these factors, or ask for the ones that are here",
            )
    del facts["arrays_sha256"]
    arrays = _read_arrays(folder, arrays_sha)
    weights = [arrays[f"weights/{n}"] for n in range(sum("/" in name for name in arrays))]
    return Artefact(
        arrays["timestamps"].astype("datetime64[ns]"),
        arrays["values"],
        arrays["marks"],
        tuple(weights),
        facts,
        own,
    )


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        rest = {name: value for name, value in facts.items() if name != "sha256"}
        sound = facts["format"] == FORMAT and facts["sha256"] == _digest(rest)
    except OSError:
        raise MissingDataError(
            f"there are no factors in {folder}", hint="steelyard factors mine writes them"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise DataError(
            f"{path} is damaged, or of another format than {FORMAT}", hint="mine the factors again"
        )
    return dict(facts)


def _read_arrays(folder: Path, sha256: str) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load as from_bytes

    path = folder / ARRAYS
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{path} is {'damaged' if content else 'missing'}: its sha256 is not the one that "
            f"{FACTS} states",
            hint="mine the factors again",
        )
    return dict(from_bytes(content))


def _digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _column(artefact: Artefact, column: int, panel: Panel) -> Floats:
    """One factor (T,) at the times of a panel."""
    rows = artefact.rows_of(panel.timestamps)
    found = artefact.values[rows, column].astype(np.float64)
    return np.where(rows >= 0, found, np.nan)
