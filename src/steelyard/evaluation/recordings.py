"""What a bundle records of a run: every action, every curve, and every number of a training."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import BundleError
from steelyard.evaluation.results import Score
from steelyard.types import Floats

Pass = tuple[str, str, int]
"""(agent, window, seed) of one backtest."""

Training = tuple[str, int]
"""(agent, seed) of one training."""


def action_log(score: Score) -> bytes:
    """Safetensors: a float32 tensor (T-1, N) per backtest, named by the JSON list of its `Pass`."""
    from safetensors.numpy import save

    tensors = {
        json.dumps([row.agent, window.name, int(seed)]): np.ascontiguousarray(
            one.actions, np.float32
        )
        for row in score.rows
        for window in row.windows
        if window.backtests
        for seed, one in zip(row.seeds, window.backtests, strict=True)
    }
    return bytes(save(tensors, metadata={"names": "[agent, window, seed]"}))


def read_action_log(content: bytes) -> dict[Pass, NDArray[np.float32]]:
    """The tensors of an action log by (agent, window, seed); nothing is executed by reading it.

    Raises:
        BundleError: it is no safetensors file, a name is no `Pass`, or a tensor not float32 (T, N).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = {_pass_of(key): tensor for key, tensor in load(content).items()}
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(f"the action log is not readable: {error}") from error
    for key, tensor in found.items():
        if tensor.dtype != np.float32 or tensor.ndim != 2:
            raise BundleError(
                f"actions of {key} are {tensor.dtype}{tensor.shape}, not float32 (T, N)"
            )
    return found


def equity(score: Score) -> bytes:
    """Parquet: all curves in long form, with columns agent, window, seed, timestamp, value."""
    import polars as pl

    frames = [
        pl.DataFrame(
            {
                "agent": pl.repeat(row.agent, len(curve.timestamps), eager=True),
                "window": pl.repeat(window.name, len(curve.timestamps), eager=True),
                "seed": pl.repeat(int(seed), len(curve.timestamps), dtype=pl.Int64, eager=True),
                "timestamp": curve.timestamps.astype("datetime64[us]"),
                "value": np.asarray(curve.value, np.float64),
            }
        )
        for row in score.rows
        for window in row.windows
        for seed, curve in zip(row.seeds, window.curves, strict=True)
    ]
    empty = pl.DataFrame(schema=_columns())
    buffer = io.BytesIO()
    pl.concat([empty, *frames]).write_parquet(buffer)
    return buffer.getvalue()


def read_equity(content: bytes) -> dict[Pass, tuple[NDArray[np.datetime64], Floats]]:
    """Timestamps (T,) and values (T,) of every curve by (agent, window, seed).

    Raises:
        BundleError: it is no Parquet file, or has other columns.
    """
    import polars as pl

    try:
        held = pl.read_parquet(io.BytesIO(content))
        frame = held.select(pl.col(name).cast(kind) for name, kind in _columns().items())
        frame = frame.drop_nulls()
        groups = frame.partition_by("agent", "window", "seed", maintain_order=True, as_dict=True)
        return {
            (str(agent), str(window), int(seed)): (
                part["timestamp"].to_numpy(),
                part["value"].to_numpy(),
            )
            for (agent, window, seed), part in groups.items()
        }
    except pl.exceptions.PolarsError as error:
        raise BundleError(f"the equity curves are not readable: {error}") from error


def training_log(score: Score) -> bytes:
    """Parquet: all training logs in long form.

    Columns agent, seed, round (of a rolling window; null where there are none), log, update, value.
    """
    import polars as pl

    frames = [
        _log_frame(row.agent, int(seed), name, np.asarray(values, np.float64))
        for row in score.rows
        if row.training and row.stands
        for seed, log in zip(row.seeds, row.training, strict=True)
        for name, values in log.items()
    ]
    buffer = io.BytesIO()
    pl.concat([pl.DataFrame(schema=_log_columns()), *frames]).write_parquet(buffer)
    return buffer.getvalue()


def read_training_log(content: bytes) -> dict[Training, dict[str, Floats]]:
    """Log name -> (U,) value per update, (R, U) with rolling windows, by (agent, seed).

    Raises:
        BundleError: it is no Parquet file, has other columns, or the rounds of a log differ in
            length.
    """
    import polars as pl

    found: dict[Training, dict[str, Floats]] = {}
    try:
        held = pl.read_parquet(io.BytesIO(content))
        frame = held.select(pl.col(name).cast(kind) for name, kind in _log_columns().items())
        groups = frame.partition_by("agent", "seed", "log", maintain_order=True, as_dict=True)
        for (agent, seed, name), part in groups.items():
            lengths = part.group_by("round").len()["len"]
            known = len(lengths) if part["round"].null_count() == 0 else None
            if lengths.n_unique() > 1 or (known is None and len(lengths) > 1):
                raise ValueError(f"the rounds of `{name}` differ in length")
            values = part.sort("round", "update")["value"].to_numpy()
            found.setdefault((str(agent), int(seed)), {})[str(name)] = (
                values if known is None else values.reshape(known, -1)
            )
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise BundleError(f"the training logs are not readable: {error}") from error
    return found


def _log_frame(agent: str, seed: int, name: str, values: Floats) -> Any:
    """One log of one seed, (U,) or (R, U), in long form."""
    import polars as pl

    rounds, updates = np.indices(np.atleast_2d(values).shape).reshape(2, -1)
    return pl.DataFrame(
        {
            "agent": pl.repeat(agent, values.size, eager=True),
            "seed": pl.repeat(seed, values.size, dtype=pl.Int64, eager=True),
            "round": pl.Series(
                rounds if values.ndim == 2 else [None] * values.size, dtype=pl.Int64
            ),
            "log": pl.repeat(name, values.size, eager=True),
            "update": updates,
            "value": values.ravel(),
        },
        schema=_log_columns(),
    )


def _log_columns() -> dict[str, Any]:
    """The columns of the table of training logs."""
    import polars as pl

    names = {"agent": pl.String, "seed": pl.Int64, "round": pl.Int64, "log": pl.String}
    return {**names, "update": pl.Int64, "value": pl.Float64}


def _columns() -> dict[str, Any]:
    """The columns of the table of curves."""
    import polars as pl

    names = {"agent": pl.String, "window": pl.String, "seed": pl.Int64}
    return {**names, "timestamp": pl.Datetime("us"), "value": pl.Float64}


def _pass_of(key: str) -> Pass:
    agent, window, seed = json.loads(key)
    if not (isinstance(agent, str) and isinstance(window, str) and type(seed) is int):
        raise ValueError(f"`{key}` is not [agent, window, seed]")
    return agent, window, seed
