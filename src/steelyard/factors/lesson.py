"""What a factor network is trained on: rows, labels, and which of them count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ConfigError
from steelyard.factors.labels import Rows

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the network is trained on.

    Attributes:
        inputs: (T, D) scaled features without NaN.
        labels: (T, F) in [-1, 1]; NaN where there is none.
        segment: (T,) see `labels.segment_of`.
        train, validate: spans; validation begins behind training.
        purge: rows after training that validation leaves out.
    """

    inputs: Matrix
    labels: Matrix
    segment: NDArray[np.int64]
    train: Rows
    validate: Rows
    purge: int = 0


def first_rows(segment: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(T,) whether a row is the first of its segment."""
    return np.asarray(np.diff(segment, prepend=segment[:1] - 1) != 0)


def age(segment: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T,) rows since the start of each row's segment."""
    row = np.arange(len(segment))
    starts = np.flatnonzero(first_rows(segment))
    return np.asarray(row - starts[np.searchsorted(starts, row, side="right") - 1])


def sequence_starts(lesson: Lesson, sequence: int, warmup: int) -> NDArray[np.int64]:
    """First rows of all sequences of the training span that have a label behind their warm-up.

    Raises:
        ConfigError: there is none.
    """
    start, stop = lesson.train
    first = np.arange(start, stop - sequence + 1)
    labelled = np.isfinite(lesson.labels).any(axis=1)
    before = np.concatenate([[0], np.cumsum(labelled)])
    whole = lesson.segment[first] == lesson.segment[first + sequence - 1]
    some = before[first + sequence] > before[first + warmup]
    found: NDArray[np.int64] = first[whole & some]
    if not len(found):
        raise ConfigError(
            f"no sequence of {sequence} rows with a label fits into a segment of the training "
            f"rows {start}..{stop}",
            hint="train on more rows, or set sequence=128, warmup=32",
        )
    return found


def validation_rows(lesson: Lesson, warmup: int) -> NDArray[np.bool_]:
    """(V, F) which labels of the validation span count.

    Those behind the purge and behind the rows that warm the memory up, at the start of the span and
    of every segment in it.

    Raises:
        ConfigError: there is none.
    """
    start, stop = lesson.validate
    old = age(lesson.segment[start:stop]) >= warmup
    clear = np.arange(start, stop) >= lesson.train[1] + lesson.purge
    judged = np.isfinite(lesson.labels[start:stop]) & (old & clear)[:, None]
    if not judged.any(axis=0).all():
        raise ConfigError(
            f"the validation rows {start}..{stop} have no label for every horizon behind a purge "
            f"of {lesson.purge} rows and a warm-up of {warmup}",
            hint="validate on more rows, or on shorter windows, as --windows 10,20,30",
        )
    return np.asarray(judged)
