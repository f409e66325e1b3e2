"""Rolling windows: learn on some rows, validate on the next, trade the ones after, move on.

Algorithm 1 and Fig. 6 (b) of the paper. All spans are rows whose closes are known: a span
`(first, last)` holds `last - first` decisions, the first at the close of row `first`, and the
account is valued last at the close of row `last`. A decision made at a close needs only that close,
so spans may share an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from steelyard.errors import ConfigError, MissingDataError

Span = tuple[int, int]
"""First and last row."""


class Round(NamedTuple):
    """The rows of one rolling window.

    Attributes:
        learn: rows to train on.
        validate: rows to choose on, behind `learn`.
        again: rows to train on once more, `learn` to the end of `validate`.
        trade: rows that are traded, behind all others.
    """

    learn: Span
    validate: Span
    again: Span
    trade: Span


@dataclass(frozen=True)
class Rolling:
    """How an agent is trained anew as time goes by; all lengths are rows.

    Attributes:
        train: rows of training, X.
        validate: rows of validation, Y.
        trade: rows of trading until the next training, Z.
        purge: rows between training and validation that nobody sees, so that what a training row
            looks forward to is not validated on.
        embargo: rows between validation and trading that nobody learns from.
        expanding: training begins where the data begin, instead of X rows before validation.
        retrain: train once more on X + Y with what validation chose; else trade what was validated.
        warm_start: go on from the networks of the round before; its rounds train in turn.
    """

    train: int
    validate: int
    trade: int
    purge: int = 0
    embargo: int = 0
    expanding: bool = False
    retrain: bool = True
    warm_start: bool = False

    def __post_init__(self) -> None:
        if min(self.train, self.validate, self.trade) < 2 or min(self.purge, self.embargo) < 0:
            raise ConfigError(
                "train, validate and trade must be at least 2 rows, purge and embargo at least 0; "
                f"got {self.train}, {self.validate}, {self.trade}, {self.purge}, {self.embargo}",
                hint="Rolling(train=252, validate=63, trade=63)",
            )

    @property
    def before(self) -> int:
        """Rows that a round needs before the first one that it trades."""
        return self.train + self.purge + self.validate + self.embargo

    def rounds(self, first: int, last: int, earliest: int) -> list[Round]:
        """The rounds that trade the rows `first`..`last` without a gap.

        The last one is shorter where the length does not fit, and a rest of a single decision
        belongs to the one before.

        Args:
            first, last: rows of the test window, `last - first` decisions.
            earliest: first row that may be learned from.

        Raises:
            MissingDataError: the rows before `first` are too few.
            ConfigError: nothing is to be traded.
        """
        if last <= first:
            raise ConfigError(f"rows {first}..{last} hold no decision to trade")
        if first - self.before < earliest:
            raise MissingDataError(
                f"rolling windows need {self.before} rows before the first that is traded, "
                f"there are {first - earliest}",
                hint="start the test later, or use a shorter train or validate",
            )
        starts = list(range(first, last, self.trade))
        if len(starts) > 1 and last - starts[-1] < 2:
            starts.pop()
        ends = [*starts[1:], last]
        return [self._round(start, end, earliest) for start, end in zip(starts, ends, strict=True)]

    def _round(self, start: int, end: int, earliest: int) -> Round:
        chosen = start - self.embargo
        validated = chosen - self.validate
        learned = validated - self.purge
        begin = earliest if self.expanding else learned - self.train
        return Round((begin, learned), (validated, chosen), (begin, chosen), (start, end))
