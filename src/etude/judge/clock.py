"""A clock that says the same in every child: the time of day, not how long something takes.

`time.time` and all that tells the date begin at a fixed moment and go on by a microsecond each
time they are asked, so that a program that waits for a moment to pass does not wait for ever.
`time.monotonic`, `perf_counter` and `process_time` stay real: they are for durations.
"""

from __future__ import annotations

import datetime
import gc
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

_STEP = 1000  # nanoseconds
_DATES = (time.CLOCK_REALTIME, *((5, 8, 11) if sys.platform == "linux" else ()))
"""Clocks that tell the date. Linux has it as _COARSE, _ALARM and CLOCK_TAI too."""


def fix(start: float) -> None:
    """Fix this process's clock, and that of its children, which all begin with the next moment.

    Raises `RuntimeError` when this interpreter does not let it be done.
    """
    moments = count(int(start * 10**9), _STEP)
    real_clock, real_clock_ns = time.clock_gettime, time.clock_gettime_ns

    def time_ns() -> int:
        return next(moments)

    def now() -> float:
        return next(moments) / 10**9

    def clock_gettime(clock: int, /) -> float:
        return now() if clock in _DATES else real_clock(clock)

    def clock_gettime_ns(clock: int, /) -> int:
        return time_ns() if clock in _DATES else real_clock_ns(clock)

    time.time, time.time_ns = now, time_ns
    time.clock_gettime, time.clock_gettime_ns = clock_gettime, clock_gettime_ns
    for name, place in (("localtime", 0), ("gmtime", 0), ("ctime", 0)):
        setattr(time, name, _with_moment(getattr(time, name), place, now))
    for name, place in (("asctime", 0), ("strftime", 1)):
        setattr(time, name, _with_moment(getattr(time, name), place, time.localtime))
    _fix_dates(now)


def _with_moment(function: Callable[..., Any], place: int, moment: Callable[[], Any]) -> Any:
    """The function, with the present moment for the argument at `place` when it is left out."""

    def fixed(*arguments: Any) -> Any:
        if len(arguments) == place or (len(arguments) == place + 1 and arguments[place] is None):
            return function(*arguments[:place], moment())
        return function(*arguments)

    fixed.__name__ = fixed.__qualname__ = function.__name__
    fixed.__doc__ = function.__doc__
    return fixed


def _fix_dates(now: Callable[[], float]) -> None:
    """`datetime` is written in C and asks the kernel: its classes get other methods.

    They stay the same classes. A subclass in their place would be another type, and look it.
    """

    def datetime_now(cls: Any, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(now(), tz)

    def utcnow(cls: Any) -> Any:
        return cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

    (methods,) = gc.get_referents(datetime.datetime.__dict__)
    methods["now"], methods["utcnow"] = classmethod(datetime_now), classmethod(utcnow)
    getattr(sys, "_clear_internal_caches", getattr(sys, "_clear_type_cache", lambda: None))()
    moments = (datetime.datetime.now(), datetime.datetime.utcnow(), datetime.datetime.today())
    today = datetime.date.fromtimestamp(now())
    if {*map(datetime.datetime.date, moments), datetime.date.today()} != {today}:
        raise RuntimeError("the clock of this Python can't be fixed")
