"""Sessions of an exchange, and the days that a data set has too few or too many."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import DataError, UnknownNameError
from steelyard.registry import did_you_mean
from steelyard.types import Date

Days = NDArray[np.datetime64]


def sessions(start: Date, end: Date, exchange: str = "XNYS") -> Days:
    """Trading days of `exchange` from `start` to `end`, both inclusive, as datetime64[D].

    Args:
        start: first day, ISO text or datetime64.
        end: last day.
        exchange: market identifier code (ISO 10383), such as XNYS, XSHG, XLON; or "24/7".

    Raises:
        UnknownNameError: no calendar has that name.
        DataError: the calendar does not reach over the period.
    """
    first, last = (np.datetime64(str(day)[:10], "D") for day in (start, end))
    if last < first:
        return np.array([], dtype="datetime64[D]")
    # the years in whole, so that few calendars are built and kept
    days = _year_sessions(exchange, str(first)[:4], str(last)[:4])
    return np.asarray(days[(days >= first) & (days <= last)])


def missing_sessions(timestamps: Days, exchange: str = "XNYS") -> Days:
    """Sessions between the first and the last of `timestamps` on which there is none."""
    days = np.unique(timestamps.astype("datetime64[D]"))
    if len(days) == 0:
        return days
    return np.setdiff1d(sessions(days[0], days[-1], exchange), days)


def extra_sessions(timestamps: Days, exchange: str = "XNYS") -> Days:
    """Days of `timestamps` on which `exchange` was closed."""
    days = np.unique(timestamps.astype("datetime64[D]"))
    if len(days) == 0:
        return days
    return np.setdiff1d(days, sessions(days[0], days[-1], exchange))


@lru_cache(maxsize=32)
def _year_sessions(exchange: str, first_year: str, last_year: str) -> Days:
    calendar = _open_calendar(exchange, f"{first_year}-01-01", f"{last_year}-12-31")
    days: Days = calendar.sessions.to_numpy().astype("datetime64[D]")
    days.flags.writeable = False
    return days


def _open_calendar(exchange: str, start: str, end: str) -> Any:
    import exchange_calendars

    names = exchange_calendars.get_calendar_names()
    if exchange not in names:
        raise UnknownNameError(
            f"no exchange calendar named `{exchange}`", hint=did_you_mean(exchange, names)
        )
    try:
        with warnings.catch_warnings():
            # exchange_calendars 4.13 calls what pandas 3.1 is about to change; its dates are right
            warnings.simplefilter("ignore", DeprecationWarning)
            return exchange_calendars.get_calendar(exchange, start=start, end=end)
    except ValueError as error:
        raise DataError(
            f"the calendar {exchange} does not reach over {start}..{end}",
            hint="choose a shorter period",
        ) from error
