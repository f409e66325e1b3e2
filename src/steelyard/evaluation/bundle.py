"""Result bundles: a directory with everything that somebody needs to weigh a run again.

`score.json` numbers, `actions.safetensors` every action, `equity.parquet` every curve,
`training.parquet` the training logs, `config.json` card and settings, `report.html` the report,
`manifest.json` the sha256 of all of them. A bundle is complete or not there: it is written beside
its place and then moved into it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import BundleError
from steelyard.evaluation.directory import refuse_foreign, replace_directory
from steelyard.evaluation.documents import (
    SCHEMA,
    config_json,
    dump,
    plain_json,
    run_json,
    score_json,
)
from steelyard.evaluation.recordings import (
    Pass,
    Training,
    action_log,
    equity,
    read_action_log,
    read_equity,
    read_training_log,
    training_log,
)
from steelyard.evaluation.report import render, verdict
from steelyard.evaluation.report.comparison import compare
from steelyard.evaluation.results import Score
from steelyard.types import Floats

__all__ = ["FILES", "actions", "curves", "read", "require_place", "run_json", "training", "write"]

MANIFEST = "manifest.json"
ACTIONS = "actions.safetensors"
EQUITY = "equity.parquet"
TRAINING = "training.parquet"

FILES: tuple[str, ...] = ("score.json", ACTIONS, EQUITY, TRAINING, "config.json", "report.html")
"""What a bundle holds besides its manifest."""

_LATER = frozenset({TRAINING})
"""Files that the first bundles did not have."""

_AGAIN = "copy the bundle again from where it came, or make it again with `steelyard run`"


def write(score: Score, directory: str | Path) -> Path:
    """Write a score as a bundle; a bundle that was there before is replaced at the very end.

    Args:
        score: its agents have different names, and so have its windows.
        directory: the bundle's place; made where missing, its parents as well.

    Returns:
        The directory, absolute.

    Raises:
        BundleError: two rows have one name; something else than a bundle is at that place; the
            disk is full or cannot be written. Nothing half-written is left, and what was there
            before is still there.
    """
    place = Path(directory).resolve()
    _require_names(score)
    # the report names the bundle as it was named here, but never an absolute path
    shown = place.name if Path(directory).is_absolute() else Path(directory).as_posix()
    contents = _contents(score, shown)
    replace_directory(place, contents, ours={*FILES, MANIFEST})
    return place


def require_place(directory: str | Path) -> None:
    """Refuse a place that `write` would refuse, before anything long is begun.

    Raises:
        BundleError: something else than a bundle is there.
    """
    refuse_foreign(Path(directory).resolve(), {*FILES, MANIFEST})


def read(directory: str | Path) -> dict[str, Any]:
    """The JSON files of a bundle, after every file was checked against the manifest.

    Returns:
        "score", "config" and "manifest": the documents of those names, and "directory".

    Raises:
        BundleError: no bundle, a missing or changed file, a schema that this version does not
            know, or a manifest that names files outside the bundle.
    """
    place = Path(directory).resolve()
    manifest = _manifest(place)
    contents = {name: _checked(place, name, digest) for name, digest in manifest["files"].items()}
    score, config = (_document(contents[name], name) for name in ("score.json", "config.json"))
    for name, document in (("score.json", score), ("config.json", config)):
        if document.get("fingerprint") != manifest.get("fingerprint"):
            raise BundleError(f"{name} and {MANIFEST} have different fingerprints", hint=_AGAIN)
    if not isinstance(score.get("rows"), list) or not isinstance(config.get("card"), dict):
        raise BundleError("score.json has no rows, or config.json no card", hint=_AGAIN)
    return {"score": score, "config": config, "manifest": manifest, "directory": place}


def actions(directory: str | Path) -> dict[Pass, NDArray[np.float32]]:
    """The recorded actions (T-1, N) of every backtest in a bundle, by (agent, window, seed).

    Raises:
        BundleError: as `read` does, for this file; or it does not hold what it should.
    """
    place = Path(directory).resolve()
    return read_action_log(_checked(place, ACTIONS, _manifest(place)["files"][ACTIONS]))


def curves(directory: str | Path) -> dict[Pass, tuple[NDArray[np.datetime64], Floats]]:
    """Timestamps and account values of every curve in a bundle, by (agent, window, seed).

    Raises:
        BundleError: as `read` does, for this file; or it does not hold what it should.
    """
    place = Path(directory).resolve()
    return read_equity(_checked(place, EQUITY, _manifest(place)["files"][EQUITY]))


def training(directory: str | Path) -> dict[Training, dict[str, Floats]]:
    """The training logs in a bundle: log name -> (U,) or (R, U) values, by (agent, seed).

    Empty where nothing learned, and for a bundle from before training logs were kept.

    Raises:
        BundleError: as `read` does, for this file; or it does not hold what it should.
    """
    place = Path(directory).resolve()
    files = _manifest(place)["files"]
    if TRAINING not in files:
        return {}
    return read_training_log(_checked(place, TRAINING, files[TRAINING]))


def _contents(score: Score, shown: str) -> dict[str, bytes]:
    """Every file of the bundle by name, the manifest last."""
    comparisons = compare(score)
    contents = {
        "score.json": dump(score_json(score, verdict(score, comparisons))),
        ACTIONS: action_log(score),
        EQUITY: equity(score),
        TRAINING: training_log(score),
        "config.json": dump(config_json(score)),
        "report.html": render(score, bundle=shown, comparisons=comparisons).encode(
            "utf-8", "replace"
        ),
    }
    manifest = {
        "schema": SCHEMA,
        "task": score.task,
        "fingerprint": score.fingerprint,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()},
        "versions": score.versions,
        "seconds": score.seconds,
        "agent_seconds": {row.agent: row.seconds for row in score.rows},
    }
    return contents | {MANIFEST: dump(plain_json(manifest))}


def _require_names(score: Score) -> None:
    """Files tell agents and windows apart by name alone."""
    places = [("windows", [window.name for window in row.windows]) for row in score.rows]
    for what, names in (("agents", [row.agent for row in score.rows]), *places):
        name, count = next(iter(Counter(names).most_common(1)), ("", 0))
        if count > 1:
            raise BundleError(
                f"{count} {what} are named `{name}`", hint="give each of them a name of its own"
            )


def _manifest(place: Path) -> dict[str, Any]:
    """The manifest, after what it says about files was found to be usable."""
    if not (place / MANIFEST).is_file():
        raise BundleError(
            f"no result bundle at {place}: there is no {MANIFEST}",
            hint="give the directory that `steelyard run --out DIRECTORY` wrote",
        )
    manifest = _document(_bytes(place, MANIFEST), MANIFEST)
    schema, files = manifest.get("schema"), manifest.get("files")
    if schema != SCHEMA:
        raise BundleError(
            f"{place.name} has schema version {schema!r}, this steelyard reads {SCHEMA}",
            hint="pip install --upgrade steelyard",
        )
    if not isinstance(files, dict) or not all(isinstance(one, str) for one in files.values()):
        raise BundleError(f"{MANIFEST} does not list the files of the bundle", hint=_AGAIN)
    for name in files:
        if name in ("", ".", "..") or any(letter in name for letter in "/\\:\0"):
            raise BundleError(f"{MANIFEST} names `{name}`, which is not a file of the bundle")
    missing = [name for name in FILES if name not in files and name not in _LATER]
    if missing:
        raise BundleError(f"{MANIFEST} does not list {', '.join(missing)}", hint=_AGAIN)
    return manifest


def _checked(place: Path, name: str, digest: str) -> bytes:
    """A file of the bundle whose content is what the manifest says."""
    content = _bytes(place, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise BundleError(
            f"{name} was changed after the bundle was written: not the sha256 of {MANIFEST}",
            hint=_AGAIN,
        )
    return content


def _bytes(place: Path, name: str) -> bytes:
    """The content of a file inside the bundle; links that lead outside are refused."""
    path = place / name
    if path.resolve().parent != place:
        raise BundleError(f"{name} leads outside the bundle {place}")
    if not path.is_file():
        raise BundleError(f"the bundle {place} lacks {name}", hint=_AGAIN)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from error


def _document(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object; NaN and infinities are not JSON."""
    try:
        document = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is not JSON: {error}", hint=_AGAIN) from error
    if not isinstance(document, Mapping):
        raise BundleError(f"{name} is not a JSON object", hint=_AGAIN)
    return dict(document)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number")
