"""What one step of a candidate may use."""

from __future__ import annotations

from dataclasses import dataclass, fields

from etude.errors import InputError

WAITING = 10.0
"""Elapsed seconds for each of CPU time, so that a step that computes is never stopped by them."""
_MOST_SECONDS = 86_400
_MOST_BYTES = 1 << 61
_LEAST_MEMORY = 16 << 20
"""Bytes: with less, what a child has in reserve for its last words would be most of it."""
_MOST_TOGETHER = 31 << 20
"""What a step is given is one frame, which holds two sources and two answers at most: those of a
program, its tests, their calls and the results."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one step: `g()` is a step, `f(answer)` is another.

    >>> Limits(cpu_seconds=2).memory_bytes
    1073741824
    """

    cpu_seconds: float = 1.0
    """CPU time, user and system. Decides time-outs, so that load does not."""
    wall_seconds: float = 10.0
    """Elapsed time: only for steps that sleep or wait, so well above `cpu_seconds`."""
    memory_bytes: int = 1 << 30
    """Address space beyond what the sandbox itself occupies."""
    answer_bytes: int = 4 << 20
    """The encoded answer: about 8 bytes a number, 1 to 4 a character."""
    source_bytes: int = 1 << 20
    """The text of one function, in UTF-8."""

    def __post_init__(self) -> None:
        """Raise `InputError` for a limit that is not positive, or can't be kept."""
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            whole = name.endswith("_bytes")
            if not isinstance(value, int if whole else (int, float)):
                kind = "a whole number" if whole else "a number"
                raise InputError(f"the limit {name} must be {kind} but is {value!r}")
            if not value > 0:
                raise InputError(f"the limit {name} must be positive but is {value!r}")
            most = _MOST_BYTES if whole else _MOST_SECONDS
            if value > most:
                raise InputError(f"the limit {name} must be at most {most} but is {value!r}")
        if self.memory_bytes < _LEAST_MEMORY:
            raise InputError(
                f"the limit memory_bytes must be at least {_LEAST_MEMORY} but is "
                f"{self.memory_bytes}"
            )
        if self.wall_seconds < self.cpu_seconds:
            raise InputError(
                f"the limit wall_seconds must not be below cpu_seconds = {self.cpu_seconds}, which "
                f"it would decide in place of, but is {self.wall_seconds}: Limits.of_cpu("
                f"{self.cpu_seconds}) leaves room"
            )
        if self.answer_bytes + self.source_bytes > _MOST_TOGETHER:
            raise InputError(
                f"the limits answer_bytes and source_bytes may be {_MOST_TOGETHER} together, but "
                f"are {self.answer_bytes} and {self.source_bytes}"
            )

    @classmethod
    def of_cpu(cls, seconds: float) -> Limits:
        """Limits with this CPU time, and with as much room for waiting as there is by default.

        >>> Limits.of_cpu(20).wall_seconds
        200.0
        """
        checked = cls(cpu_seconds=seconds, wall_seconds=_MOST_SECONDS).cpu_seconds
        return cls(cpu_seconds=checked, wall_seconds=WAITING * max(checked, 1.0))
