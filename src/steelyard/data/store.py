"""A store of panels: Parquet files named by what they hold, each with a manifest beside it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steelyard.errors import DataError, MissingDataError
from steelyard.home import home
from steelyard.types import Floats, Panel

if TYPE_CHECKING:
    import polars as pl

_CONTEXT = "context:"


@dataclass(frozen=True)
class Manifest:
    """What the store knows about a panel.

    Attributes:
        sha256: `Panel.digest()`, the name of the panel in the store.
        file_sha256: digest of the Parquet file.
        name, source_sha256: the panel's own.
        licence, origin: as told by whoever put it in.
        start, end: first and last timestamp, ISO.
        rows: T.
        assets: names in their order.
        fields, context: names of what it holds.
        unit: of the timestamps, as NumPy writes it ("D", "us", ...).
        created_by: version of this package.
    """

    sha256: str
    file_sha256: str
    name: str
    source_sha256: str
    licence: str
    origin: str
    start: str
    end: str
    rows: int
    assets: tuple[str, ...]
    fields: tuple[str, ...]
    context: tuple[str, ...]
    unit: str
    created_by: str

    def to_dict(self) -> dict[str, Any]:
        """The manifest ready for JSON."""
        return asdict(self)


class Store:
    """Panels by content: equal panels are one file, and a changed file is found out.

    A file takes its name only when it is complete; the manifest follows it, and what has no
    manifest is not in the store. A crash or a full disk leaves nothing half-written.

    Args:
        root: folder of the store; `STEELYARD_HOME`, or else the user's cache, where None.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = (Path(root) if root is not None else home()) / "panels"

    def put(self, panel: Panel, *, licence: str = "not stated", origin: str = "") -> str:
        """Keep `panel` and return its sha256. Equal content is kept once.

        Raises:
            DataError: the panel is empty, or the disk does not take the file.
        """
        if len(panel) == 0 or not panel.assets:
            raise DataError(f"the panel `{panel.name}` is empty and cannot be stored")
        buffer = io.BytesIO()
        _to_frame(panel).write_parquet(buffer, compression="zstd", statistics=False)
        content = buffer.getvalue()
        manifest = Manifest(
            sha256=panel.digest(),
            file_sha256=hashlib.sha256(content).hexdigest(),
            name=panel.name,
            source_sha256=panel.sha256,
            licence=licence,
            origin=origin,
            start=str(panel.timestamps[0]),
            end=str(panel.timestamps[-1]),
            rows=len(panel),
            assets=panel.assets,
            fields=tuple(panel.fields),
            context=tuple(panel.context),
            unit=np.datetime_data(panel.timestamps.dtype)[0],
            created_by=f"steelyard {_version()}",
        )
        text = json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_atomically(self._path(manifest.sha256, ".parquet"), content)
        write_atomically(self._path(manifest.sha256, ".json"), text.encode())
        return manifest.sha256

    def get(self, sha256: str) -> Panel:
        """The panel that `put` returned `sha256` for, checked against it.

        Raises:
            MissingDataError: the store has no such panel.
            DataError: the file is not what was put in.
        """
        import polars as pl

        manifest = self.manifest(sha256)
        path = self._path(sha256, ".parquet")
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != manifest.file_sha256:
            raise DataError(
                f"the stored panel {sha256[:12]} (`{manifest.name}`) is damaged",
                hint=f"delete {path} and load the data again",
            )
        panel = _from_frame(pl.read_parquet(io.BytesIO(content)), manifest)
        if panel.digest() != sha256:
            raise DataError(
                f"the manifest of the stored panel {sha256[:12]} does not describe its file",
                hint=f"delete {self._path(sha256, '.json')} and load the data again",
            )
        return panel

    def manifest(self, sha256: str) -> Manifest:
        """What the store knows about a panel.

        Raises:
            MissingDataError: the store has no such panel.
            DataError: the manifest cannot be read.
        """
        path = self._path(sha256, ".json")
        if not path.is_file():
            raise MissingDataError(
                f"no panel {sha256[:12]} in the store {self.root}", hint="load the data again"
            )
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
            return Manifest(**(facts | lists))
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"the manifest {path.name} is damaged", hint=f"delete {path}"
            ) from error

    def manifests(self) -> list[Manifest]:
        """Every panel in the store, by name."""
        found = [self.manifest(path.stem) for path in self.root.glob("*.json")]
        return sorted(found, key=lambda manifest: (manifest.name, manifest.sha256))

    def _path(self, sha256: str, suffix: str) -> Path:
        return self.root / f"{sha256}{suffix}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` in whole or not at all; what was there before survives a failure.

    Raises:
        DataError: the disk is full or cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}",
            hint="free some space, or set STEELYARD_HOME to another folder",
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _to_frame(panel: Panel) -> pl.DataFrame:
    """One row per timestamp and asset; context repeats for each asset."""
    import polars as pl

    taken = {"date", "tic"} & {*panel.fields, *panel.context}
    if taken:
        raise DataError(f"a panel with a field `{taken.pop()}` cannot be stored", hint="rename it")
    count = len(panel.assets)
    columns: dict[str, Any] = {
        "date": np.repeat(panel.timestamps.astype("datetime64[ns]"), count),
        "tic": list(panel.assets) * len(panel),
    }
    columns |= {name: np.ravel(values).astype(float) for name, values in panel.fields.items()}
    columns |= {_CONTEXT + name: np.repeat(v, count) for name, v in panel.context.items()}
    return pl.DataFrame(columns)


def _from_frame(frame: pl.DataFrame, manifest: Manifest) -> Panel:
    shape = (manifest.rows, len(manifest.assets))

    def grid(column: str) -> Floats:
        return np.ascontiguousarray(frame[column].to_numpy().reshape(shape))

    stamps = frame["date"].to_numpy().reshape(shape)[:, 0]
    return Panel(
        timestamps=stamps.astype(f"datetime64[{manifest.unit}]"),
        assets=manifest.assets,
        fields={name: grid(name) for name in manifest.fields},
        context={name: grid(_CONTEXT + name)[:, 0] for name in manifest.context},
        name=manifest.name,
        sha256=manifest.source_sha256,
    )


def _version() -> str:
    try:
        return version("steelyard")
    except PackageNotFoundError:
        return "0+source"
