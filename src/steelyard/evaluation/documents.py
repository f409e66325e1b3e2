"""A score as JSON: what the bundle stores and what `run --json` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.evaluation.results import AgentScore, Estimate, Score, Verdict, WindowScore

SCHEMA = 1
"""Version of the files of a bundle; a change that older code cannot read bumps it."""


def run_json(
    score: Score, bundle: str | Path, report: str | Path, seconds: float
) -> dict[str, Any]:
    """What `steelyard run --json` prints; every number finite or null.

    Args:
        score: of the run.
        bundle, report: where they were written.
        seconds: wall time of the command.
    """
    return _object(
        {
            "task": score.task,
            "fingerprint": score.fingerprint,
            "rows": [_row(row) for row in score.rows],
            "claims": [_verdict(one) for one in score.verdicts],
            "ceilings": [asdict(one) for one in score.ceilings],
            "bundle": str(bundle),
            "report": str(report),
            "seconds": seconds,
            "notes": list(score.notes),
        }
    )


def score_json(score: Score, sentences: Sequence[str]) -> dict[str, Any]:
    """The numbers: fingerprint, every row with its metrics and intervals, verdict and claims."""
    return _object(
        {
            "schema": SCHEMA,
            "task": score.task,
            "fingerprint": score.fingerprint,
            "rows": [_row(row) for row in score.rows],
            "verdict": sentences,
            "claims": [_verdict(one) for one in score.verdicts],
            "ceilings": [asdict(one) for one in score.ceilings],
            "notes": list(score.notes),
            "published": list(score.published),
        }
    )


def config_json(score: Score) -> dict[str, Any]:
    """What the numbers were made with: the task's card, settings, seeds, conventions."""
    return _object(
        {
            "schema": SCHEMA,
            "task": score.task,
            "fingerprint": score.fingerprint,
            "card": score.card,
            "assets": list(score.assets),
            "agents": [
                {
                    "agent": row.agent,
                    "kind": row.kind,
                    "seeds": row.seeds,
                    "settings": row.settings,
                    "identity": row.identity,
                    "isolation": row.isolation,
                    "hunt": row.hunt,
                }
                for row in score.rows
            ],
            "conventions": score.conventions,
        }
    )


def dump(document: Any) -> bytes:
    """JSON as bytes: readable, the same for the same document, without NaN."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _object(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain_json(value) for key, value in document.items()}


def plain_json(value: Any) -> Any:
    """`value` with what strict JSON knows: NaN and infinities become null.

    NumPy numbers and arrays become numbers and lists, tuples lists, dates text; what JSON has no
    word for becomes its `str`.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        return plain_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def _row(row: AgentScore) -> dict[str, Any]:
    return {
        "agent": row.agent,
        "kind": row.kind,
        "seeds": row.seeds,
        "note": row.note,
        "isolation": row.isolation,
        "hunt": row.hunt,
        "windows": [_window(window) for window in row.windows],
        **({"ensemble": row.ensemble} if row.ensemble else {}),
    }


def _window(window: WindowScore) -> dict[str, Any]:
    return {
        "name": window.name,
        "start": window.start,
        "end": window.end,
        "metrics": {name: _estimate(one) for name, one in window.metrics.items()},
    }


def _estimate(one: Estimate) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}


def _verdict(one: Verdict) -> dict[str, Any]:
    return {
        "name": one.claim,
        "text": one.text,
        "metric": one.metric,
        "window": one.window,
        "decision": one.decision,
        "ahead": _estimate(one.ahead) if one.ahead else None,
        "pairs": [
            {"better": pair.better, "than": pair.than, "ahead": _estimate(pair.ahead)}
            for pair in one.pairs
        ],
        "sentence": one.sentence,
    }
