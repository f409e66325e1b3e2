"""Rolling windows: every row is traded once, and never learned from before that."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.splits import Rolling

rollings = st.builds(
    Rolling,
    train=st.integers(2, 40),
    validate=st.integers(2, 12),
    trade=st.integers(2, 12),
    purge=st.integers(0, 4),
    embargo=st.integers(0, 4),
    expanding=st.booleans(),
)


def test_the_rounds_of_a_small_calendar_by_hand() -> None:
    rolling = Rolling(train=4, validate=2, trade=3, purge=1, embargo=1)
    rounds = rolling.rounds(10, 16, earliest=2)
    assert rounds[0] == ((2, 6), (7, 9), (2, 9), (10, 13))
    assert rounds[1] == ((5, 9), (10, 12), (5, 12), (13, 16))
    assert len(rounds) == 2


@given(rolling=rollings, length=st.integers(1, 80))
def test_rounds_trade_every_row_once_and_learn_only_from_earlier_ones(
    rolling: Rolling, length: int
) -> None:
    first = rolling.before + 3
    rounds = rolling.rounds(first, first + length, earliest=1)
    assert rounds[0].trade[0] == first
    assert rounds[-1].trade[1] == first + length
    for one, following in pairwise(rounds):
        assert one.trade[1] == following.trade[0]
    for learn, validate, again, trade in rounds:
        assert 1 <= learn[0] < learn[1]
        assert validate[0] - learn[1] == rolling.purge
        assert validate[1] - validate[0] == rolling.validate
        assert again == (learn[0], validate[1])
        assert trade[0] - validate[1] == rolling.embargo
        assert rolling.expanding or learn[1] - learn[0] == rolling.train
        assert trade[1] - trade[0] >= min(2, length)


def test_expanding_windows_begin_where_the_data_do() -> None:
    rounds = Rolling(train=4, validate=2, trade=3, expanding=True).rounds(20, 29, earliest=5)
    assert {one.learn[0] for one in rounds} == {5}


def test_too_few_rows_before_the_test_are_refused() -> None:
    with pytest.raises(MissingDataError, match="need 6 rows before the first"):
        Rolling(train=4, validate=2, trade=3).rounds(10, 20, earliest=5)


@pytest.mark.parametrize(
    "lengths", [{"train": 1}, {"validate": 0}, {"trade": 1}, {"purge": -1}, {"embargo": -1}]
)
def test_windows_of_no_length_are_refused(lengths: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        Rolling(**{"train": 5, "validate": 2, "trade": 2} | lengths)


def test_a_test_without_a_decision_is_refused() -> None:
    with pytest.raises(ConfigError, match="no decision"):
        Rolling(train=4, validate=2, trade=3).rounds(20, 20, earliest=0)
