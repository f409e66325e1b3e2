"""Stage one of factor mining: a panel in, an artefact out.

Features (the 101 alphas unless told otherwise) are scaled on training rows, thinned out by their
correlation on training rows where asked, and distilled into one factor per horizon. Factors come
for every row, each from its past alone, with the memory carried on from the start of its segment;
but on rows that the network was fitted on or chosen by, they know more than they should, and the
artefact says which rows these are. The published kit writes such rows out unmarked, and its agents
learn on them (FinRL contest 2025, task 2).
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from steelyard import registry
from steelyard.errors import ConfigError, DataError
from steelyard.factors.artefact import FORMAT, Artefact, row_marks
from steelyard.factors.baseline import Comparison, compare, readout, ridge
from steelyard.factors.distil import Check, Distilled, Told, distil, factors_of
from steelyard.factors.information import Coefficient, information_coefficient
from steelyard.factors.labels import (
    Horizons,
    Rows,
    code,
    forward_returns,
    moves,
    price_of,
    quantiles,
    segment_of,
)
from steelyard.factors.lesson import Lesson, Matrix, age, first_rows, validation_rows
from steelyard.factors.network import FactorNetwork
from steelyard.factors.settings import Distillation
from steelyard.features import scaling
from steelyard.features.selection import CorrelationSelection
from steelyard.types import Feature, Floats, Panel

LIBRARIES = ("steelyard", "numpy", "jax", "equinox", "optax")


@dataclass(frozen=True, eq=False)
class Mined:
    """What stage one came to.

    Attributes:
        artefact: the factors, not yet on the disk; `artefact.save` writes them.
        history: every look at the validation span.
        best: index of the one whose weights were kept.
        judged: rows that the numbers below are from: those behind validation, which nothing was
            fitted on or chosen by; the validation rows where the panel ends there.
        unseen: whether these rows are behind validation.
        horizons: rows ahead, H of them.
        information: F tuples of H: each factor against the return over each horizon.
        comparison: the factors' best linear readout against ridge regression on all features.
    """

    artefact: Artefact
    history: tuple[Check, ...]
    best: int
    judged: Rows
    unseen: bool
    horizons: tuple[int, ...]
    information: tuple[tuple[Coefficient, ...], ...]
    comparison: tuple[Comparison, ...]


def alphas() -> tuple[str, ...]:
    """Names of the 101 formulaic alphas."""
    return tuple(n for n in registry.members("features") if re.fullmatch(r"alpha_\d{3}", n))


def mine(
    panel: Panel,
    *,
    train: Rows,
    validate: Rows,
    features: Sequence[str | Feature] = (),
    correlation: float | None = None,
    horizons: Horizons | None = None,
    settings: Distillation | None = None,
    seed: int = 0,
    tell: Told | None = None,
) -> Mined:
    """Distil many features of one asset into a few factors.

    Args:
        panel: one asset with a price on every row, such as an order book.
        train: rows that scales, quantiles and weights are fitted on.
        validate: later rows that choose when to stop.
        features: what is distilled; all 101 alphas where empty.
        correlation: of features that correlate more than this on training rows, one is kept; all
            are kept where None.
        horizons: see `labels.Horizons`.
        settings: see `distil.Distillation`.
        seed: the same seed gives the same factors on the same machine.
        tell: hears of progress.

    Raises:
        ConfigError: spans that cannot be, or too short for the horizons or for a feature.
        DataError: more than one asset, or a row without a price.
        TrainingError: training diverged.
    """
    _require_spans(train, validate, len(panel))
    ahead, how = horizons or Horizons(), settings or Distillation()
    price, segment = price_of(panel), segment_of(panel)
    known = panel.rows(0, validate[1])
    labels, levels = _labels(price[: len(known)], segment[: len(known)], train, validate, ahead)
    scaler, kept = _columns(known, train, features or alphas(), correlation, labels)
    lesson = Lesson(
        _inputs(known, scaler, kept), labels, segment[: len(known)], train, validate, ahead.longest
    )
    done = distil(lesson, how, seed=seed, tell=tell)
    inputs = lesson.inputs if len(known) == len(panel) else _inputs(panel, scaler, kept)
    values = _warm(factors_of(done.network, inputs, first_rows(segment)), segment, how.warmup)
    facts = _facts(panel, train, validate) | {
        "features": [entry.name for entry in scaler.features],
        "scaler": scaler.to_dict(),
        "kept": list(kept),
        "horizons": {**asdict(ahead), "windows": list(ahead.windows)},
        "quantiles": levels.tolist(),
        "settings": asdict(how),
        "seed": seed,
        "validation_error": done.history[done.best].validation,
        "updates": done.history[done.best].updates,
    }
    weights = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(done.network))
    stamps = panel.timestamps.astype("datetime64[ns]")
    made = Artefact(stamps, values, row_marks(panel), weights, facts)
    returns = forward_returns(price, segment, ahead)
    return _judge(made, done, lesson, inputs, returns, ahead.offsets)


def apply(
    artefact: Artefact, panel: Panel, features: Sequence[str | Feature] | None = None
) -> Matrix:
    """The factors (T, F) of any rows, computed by the artefact's network instead of looked up.

    Args:
        artefact: the network, its scales and its settings.
        panel: the same asset; rows before the first of interest serve as history.
        features: the features themselves, where some of them are not registered.

    Raises:
        DataError: another asset, or a network that its settings do not describe.
        UnknownNameError: a feature of the artefact is not registered.
    """
    facts, segment = artefact.facts, segment_of(panel)
    scaler = scaling.Scaler.from_dict(facts["scaler"], features)
    inputs = _inputs(panel, scaler, facts["kept"])
    how = Distillation(**facts["settings"])
    network = _network(artefact, inputs.shape[1], how)
    values = factors_of(network, inputs, first_rows(segment))
    return _warm(values, segment, how.warmup)


def _require_spans(train: Rows, validate: Rows, rows: int) -> None:
    if not 0 <= train[0] < train[1] <= validate[0] < validate[1] <= rows:
        raise ConfigError(
            f"training rows {train[0]}..{train[1]} and validation rows {validate[0]}.."
            f"{validate[1]} must follow each other inside the {rows} rows",
            hint=f"train=(0, {rows * 6 // 10}), validate=({rows * 6 // 10}, {rows * 8 // 10})",
        )


def _labels(
    price: Floats, segment: NDArray[np.int64], train: Rows, validate: Rows, ahead: Horizons
) -> tuple[Matrix, Floats]:
    """Labels (T, H) of training and of validation rows, and the quantiles of training that code."""
    training = moves(price, segment, train, ahead)
    levels = quantiles(training)
    labels = code(training, levels)
    later = slice(*validate)
    labels[later] = code(moves(price, segment, validate, ahead), levels)[later]
    return labels, levels


def _columns(
    panel: Panel,
    train: Rows,
    features: Sequence[str | Feature],
    correlation: float | None,
    labels: Matrix,
) -> tuple[scaling.Scaler, tuple[str, ...]]:
    """The scaler of all features, and the names of the columns that are distilled.

    The level of the price, which a scaler adds, is left out: it is another one after training.
    """
    columns = scaling.columns(panel, features)
    scaler = columns.fit(train)
    names = scaler.columns[1:]
    if correlation is None:
        return scaler, names
    with np.errstate(invalid="ignore"):
        target = labels.sum(axis=1, dtype=np.float64)  # NaN where a horizon has no label
    chosen = CorrelationSelection.fit(
        columns.values[:, 1:], train, names, threshold=correlation, label=target
    )
    return scaler, chosen.kept


def _inputs(panel: Panel, scaler: scaling.Scaler, kept: Sequence[str]) -> Matrix:
    """Scaled features (T, D) of the columns that are distilled."""
    table = scaler(panel)
    return np.ascontiguousarray(table.values[:, [table.columns.index(name) for name in kept]])


def _warm(values: Matrix, segment: NDArray[np.int64], warmup: int) -> Matrix:
    """Factors without the rows that warm the memory up."""
    return np.where((age(segment) >= warmup)[:, None], values, np.float32(np.nan))


def _facts(panel: Panel, train: Rows, validate: Rows) -> dict[str, Any]:
    stamps = panel.timestamps.astype("datetime64[ns]")
    spans = {
        name: [str(stamps[start]), str(stamps[stop - 1])]
        for name, (start, stop) in {"train": train, "validate": validate}.items()
    }
    return {
        "format": FORMAT,
        "panel": {
            "name": panel.name,
            "sha256": panel.sha256,
            "digest": panel.digest(),
            "assets": list(panel.assets),
            "fields": sorted(panel.fields),
            "rows": len(panel),
        },
        **spans,
        "seen_until": spans["validate"][1],
        "versions": {name: _version(name) for name in LIBRARIES}
        | {"python": platform.python_version()},
    }


def _judge(
    artefact: Artefact,
    done: Distilled,
    lesson: Lesson,
    inputs: Matrix,
    returns: Floats,
    offsets: tuple[int, ...],
) -> Mined:
    """What the factors are worth on rows that they do not know; (T, D) `inputs` has them all."""
    stop, last = lesson.validate[1], len(inputs)
    unseen = bool(np.isfinite(returns[stop:]).any(axis=0).all())
    judged = (stop, last) if unseen else lesson.validate
    rows, future = slice(*judged), returns[slice(*judged)]
    values, shown = artefact.values.astype(np.float64), inputs.astype(np.float64)
    information = tuple(
        tuple(
            information_coefficient(factor, after, block=2 * offset)
            for offset, after in zip(offsets, future.T, strict=True)
        )
        for factor in values[rows].T
    )
    train, validate = slice(*lesson.train), slice(*lesson.validate)
    labels = lesson.labels.astype(np.float64)
    chosen = validation_rows(lesson, artefact.facts["settings"]["warmup"])
    linear = ridge(
        shown[train], labels[train],
        shown[validate], np.where(chosen, labels[validate], np.nan),
    )  # fmt: skip
    score = readout(values[train], labels[train])(values[rows])
    comparison = tuple(compare(score, linear(shown[rows]), future, offsets))
    return Mined(
        artefact, done.history, done.best, judged, unseen, offsets, information, comparison
    )


def _network(artefact: Artefact, inputs: int, how: Distillation) -> FactorNetwork:
    """The network with the weights of an artefact."""
    like = FactorNetwork.create(jax.random.key(0), inputs, len(artefact.names), **how.sizes)
    leaves, structure = jax.tree.flatten(like)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in artefact.weights]:
        raise DataError("the weights of the factors are not of the network that they describe")
    network: FactorNetwork = jax.tree.unflatten(structure, artefact.weights)
    return network


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0+source"
