"""Trainings on the disk, so that an interrupted run loses at most the one that was in work."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from steelyard.errors import BundleError
from steelyard.evaluation.directory import write_file
from steelyard.evaluation.training import Trained
from steelyard.types import Floats

Arrays = Mapping[str, Any]


class Checkpoints:
    """Finished trainings of one run, each in a file of arrays; nothing in it is ever executed.

    Args:
        place: directory, made when the first training is kept.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    @property
    def place(self) -> Path:
        """Where they lie."""
        return self._place

    def keep(self, key: Sequence[str], trained: Trained) -> None:
        """Write one training; a file is complete or not there."""
        from safetensors.numpy import save

        arrays: dict[str, Any] = {}
        for seed, (policy, log) in enumerate(zip(trained.policies, trained.logs, strict=True)):
            for number, leaf in enumerate(jax.tree.leaves(policy)):
                arrays[f"{seed}/policy/{number}"] = np.ascontiguousarray(leaf)
            arrays |= {f"{seed}/log/{name}": np.array(values) for name, values in log.items()}
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._path(key)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        write_file(part, save(arrays, metadata={"updates": str(trained.updates)}))
        part.replace(path)

    def holds(self, key: Sequence[str]) -> bool:
        """Whether a training was kept, readable or not."""
        return self._path(key).is_file()

    def find(self, key: Sequence[str], like: Any, seeds: int) -> Trained | None:
        """A training that was kept, None if there is none.

        Args:
            key: as it was kept.
            like: a policy of the same structure, of arrays or shapes, without the axes of windows.
            seeds: how many it has.

        Raises:
            BundleError: the file holds something else.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        shapes, structure = jax.tree.flatten(like)
        try:
            with safe_open(path, framework="numpy") as file:
                updates = int((file.metadata() or {})["updates"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            policies = [
                jax.tree.unflatten(structure, _leaves(arrays, seed, shapes))
                for seed in range(seeds)
            ]
        except (SafetensorError, KeyError, ValueError) as error:
            raise BundleError(
                f"the checkpoint {path} cannot be read: {error}", hint="run without --resume"
            ) from error
        logs: list[dict[str, Floats]] = [
            {
                name.split("/", 2)[2]: values
                for name, values in arrays.items()
                if name.startswith(f"{seed}/log/")
            }
            for seed in range(seeds)
        ]
        return Trained(policies, logs, updates, complete=True)

    def keep_policy(self, policy: Any) -> Path:
        """Write the numbered leaves of one policy, for whoever looks into it; returns where."""
        from safetensors.numpy import save

        leaves = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(policy)]
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._place / "last-good-policy.safetensors"
        path.unlink(missing_ok=True)
        write_file(path, save({str(number): leaf for number, leaf in enumerate(leaves)}))
        return path

    def clear(self) -> None:
        """Delete everything that was kept."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _path(self, key: Sequence[str]) -> Path:
        digest = hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:24]
        return self._place / f"{digest}.safetensors"


def _leaves(arrays: Arrays, seed: int, shapes: Sequence[Any]) -> list[Any]:
    """The leaves of one policy; each must end in the shape that it has alone."""
    leaves = [arrays[f"{seed}/policy/{number}"] for number in range(len(shapes))]
    for leaf, shape in zip(leaves, shapes, strict=True):
        own = tuple(shape.shape)
        if leaf.shape[leaf.ndim - len(own) :] != own:
            raise ValueError(f"an array of shape {leaf.shape} where {own} belongs")
    return leaves
