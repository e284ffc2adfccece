"""What one step of a candidate may use."""

from __future__ import annotations

from dataclasses import dataclass, fields

from etude.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one step: `g()` is a step, `f(answer)` is another.

    >>> Limits(cpu_seconds=2).memory_bytes
    1073741824
    """

    cpu_seconds: float = 1.0
    """CPU time, user and system. Decides time-outs, so that load does not."""
    wall_seconds: float = 10.0
    """Elapsed time: only for steps that sleep or wait."""
    memory_bytes: int = 1 << 30
    """Address space beyond what the sandbox itself occupies."""
    answer_bytes: int = 4 << 20
    """The encoded answer: about 8 bytes a number, 1 to 4 a character."""
    source_bytes: int = 1 << 20
    """The text of one function, in UTF-8."""

    def __post_init__(self) -> None:
        """Raise `InputError` for a limit that is not positive."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"the limit {field.name} must be positive but is {value!r}")
