from __future__ import annotations

import numpy as np
import pytest

from steelyard.data.calendar import extra_sessions, missing_sessions, sessions
from steelyard.errors import UnknownNameError


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def test_new_york_is_closed_on_weekends_and_thanksgiving() -> None:
    found = sessions("2023-11-22", "2023-11-28")
    np.testing.assert_array_equal(
        found, days("2023-11-22", "2023-11-24", "2023-11-27", "2023-11-28")
    )


def test_both_ends_belong_to_the_period() -> None:
    assert len(sessions("2023-11-22", "2023-11-22")) == 1
    assert len(sessions("2023-11-23", "2023-11-23")) == 0
    assert len(sessions("2023-11-24", "2023-11-22")) == 0


def test_the_training_period_of_the_2023_contest_has_3352_sessions() -> None:
    assert len(sessions("2010-07-01", "2023-10-24")) == 3352
    assert len(sessions("2019-01-01", "2023-12-31")) == 1258


def test_missing_and_extra_days_are_found() -> None:
    held = days("2023-11-22", "2023-11-23", "2023-11-27")
    np.testing.assert_array_equal(missing_sessions(held), days("2023-11-24"))
    np.testing.assert_array_equal(extra_sessions(held), days("2023-11-23"))
    whole = sessions("2023-01-01", "2023-12-31")
    assert len(missing_sessions(whole)) == len(extra_sessions(whole)) == 0
    assert len(missing_sessions(whole[:0])) == len(extra_sessions(whole[:0])) == 0


def test_other_exchanges_keep_other_days() -> None:
    assert np.datetime64("2023-10-03") not in sessions("2023-10-01", "2023-10-31", "XSHG")
    assert len(sessions("2023-10-01", "2023-10-31", "24/7")) == 31


def test_an_unknown_exchange_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="XNYZ") as caught:
        sessions("2023-01-01", "2023-01-31", "XNYZ")
    assert "`XNYS`" in caught.value.hint
