"""Training of the factor network: truncated sequences, real validation, the best weights kept.

Sequences of consecutive rows are drawn from the training span, each inside one segment; their first
rows warm the memory up and do not count. Every `check_every` updates the network runs over the
validation span as it will be used, its memory carried from row to row, and the weights with the
least error there are the result, however long training goes on (Prechelt, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from steelyard.errors import TrainingError
from steelyard.factors.lesson import Lesson, Matrix, first_rows, sequence_starts, validation_rows
from steelyard.factors.network import FactorNetwork
from steelyard.factors.settings import Distillation

Told = Callable[[str, int, int], None]
"""Is called with what is done, how much of it, and how much in all."""

Weights = tuple[FactorNetwork, FactorNetwork, Any]
"""The network, the mean of its past weights, and the state of the optimiser."""

CHUNK = 4_096
"""Rows that one call runs over when the memory is carried on."""


class Check(NamedTuple):
    """One look at the validation span.

    Attributes:
        updates: so far.
        training: mean squared error of the sequences since the last check.
        validation: mean squared error of the labels of the validation span.
    """

    updates: int
    training: float
    validation: float


@dataclass(frozen=True, eq=False)
class Distilled:
    """What training came to.

    Attributes:
        network: with the weights of the best check.
        history: every check in turn.
        best: index of the best one.
    """

    network: FactorNetwork
    history: tuple[Check, ...]
    best: int


def distil(
    lesson: Lesson,
    settings: Distillation | None = None,
    *,
    seed: int = 0,
    tell: Told | None = None,
) -> Distilled:
    """Train a network on one span of rows, and stop by another.

    Args:
        lesson: rows and labels.
        settings: see there.
        seed: of the first weights and of the sequences drawn.
        tell: hears of every check.

    Raises:
        ConfigError: no sequence fits into the training span, or no validation row has a label.
        TrainingError: the error became NaN or infinite.
    """
    how = settings or Distillation()
    starts, judged = (
        sequence_starts(lesson, how.sequence, how.warmup),
        validation_rows(lesson, how.warmup),
    )
    random, shape = np.random.default_rng(seed), (lesson.inputs.shape[1], lesson.labels.shape[1])
    network = FactorNetwork.create(jax.random.key(seed), *shape, **how.sizes)
    weights: Weights = network, network, _optimiser(how).init(eqx.filter(network, eqx.is_array))
    inputs, labels = jnp.asarray(lesson.inputs), jnp.asarray(lesson.labels)
    step = replace(how, updates=1, check_every=1, patience=1)  # no part of the program
    kept, history, best = network, list[Check](), 0
    checks = math.ceil(how.updates / how.check_every)
    for check in range(checks):
        drawn = jnp.asarray(random.choice(starts, size=(how.check_every, how.batch)))
        weights, loss = _advance(weights, drawn, inputs, labels, step)
        missed = _validation_error(weights[1], lesson, judged)
        history.append(Check((check + 1) * how.check_every, float(loss), missed))
        _require_finite(history[-1])
        if check == 0 or missed < history[best].validation:
            kept, best = weights[1], check
        if tell is not None:
            tell("distilling", history[-1].updates, checks * how.check_every)
        if check - best >= how.patience:
            break
    return Distilled(kept, tuple(history), best)


def factors_of(network: FactorNetwork, inputs: Matrix, fresh: NDArray[np.bool_]) -> Matrix:
    """Factors (T, F) of consecutive rows, the memory carried from row to row.

    Rows go through in chunks of one size, so that memory is bounded and one program serves all.

    Args:
        network: trained.
        inputs: (T, D) scaled features.
        fresh: (T,) first rows of segments.
    """
    parts, carry = [], network.initial_carry()
    for start in range(0, len(inputs), CHUNK):
        rows, first = inputs[start : start + CHUNK], fresh[start : start + CHUNK]
        short = CHUNK - len(rows)
        padded = np.pad(rows, ((0, short), (0, 0))), np.pad(first, (0, short))
        values, carry = _run(network, jnp.asarray(padded[0]), jnp.asarray(padded[1]), carry)
        parts.append(np.asarray(values)[: len(rows)])
    return np.concatenate(parts)


def _optimiser(how: Distillation) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(how.clip),
        optax.adamw(how.learning_rate, weight_decay=how.weight_decay),
    )


@eqx.filter_jit
def _advance(
    weights: Weights,
    starts: Int[Array, "K B"],
    inputs: Float[Array, "T D"],
    labels: Float[Array, "T F"],
    how: Distillation,
) -> tuple[Weights, Float[Array, ""]]:
    """K updates: the weights after them, and the mean error."""
    optimiser = _optimiser(how)
    fresh = jnp.zeros(how.sequence, bool)
    counts = (jnp.arange(how.sequence) >= how.warmup)[:, None]

    def error(network: FactorNetwork, first: Int[Array, " B"]) -> Float[Array, ""]:
        rows = first[:, None] + jnp.arange(how.sequence)
        wanted, carry = labels[rows], network.initial_carry()
        given, _ = jax.vmap(network, in_axes=(0, None, None))(inputs[rows], fresh, carry)
        known = jnp.isfinite(wanted) & counts
        missed = jnp.where(known, given - jnp.where(known, wanted, 0.0), 0.0)
        return jnp.sum(missed**2) / jnp.maximum(jnp.sum(known), 1)

    def update(held: Weights, first: Int[Array, " B"]) -> tuple[Weights, Float[Array, ""]]:
        network, mean, state = held
        loss, gradient = jax.value_and_grad(error)(network, first)
        change, state = optimiser.update(gradient, state, network)
        network = eqx.apply_updates(network, change)
        mean = optax.incremental_update(network, mean, 1.0 - how.average)
        return (network, mean, state), loss

    weights, losses = jax.lax.scan(update, weights, starts)
    return weights, jnp.mean(losses)


@eqx.filter_jit
def _run(
    network: FactorNetwork, rows: Float[Array, "S D"], fresh: Bool[Array, " S"], carry: Any
) -> tuple[Float[Array, "S F"], Any]:
    return network(rows, fresh, carry)


def _validation_error(network: FactorNetwork, lesson: Lesson, judged: NDArray[np.bool_]) -> float:
    span = slice(*lesson.validate)
    given = factors_of(network, lesson.inputs[span], first_rows(lesson.segment[span]))
    return float(np.mean((given - lesson.labels[span])[judged] ** 2))


def _require_finite(check: Check) -> None:
    if not (math.isfinite(check.training) and math.isfinite(check.validation)):
        raise TrainingError(
            f"the error of the factor network is no number after {check.updates} updates",
            hint="a lower learning_rate, such as 3e-4",
        )
