"""What a page is asked: the parameters of its address, checked. Text in, plain values out.

    asked = Asked([("round", "2"), ("page", "3")], {"round", "page"})
    asked.whole("page", 1, 1, 1_000_000)
    # 3

Every value is checked against what it may be; none is ever put into SQL as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlencode

from etude.errors import InputError
from etude.readings.words import harmless

LONGEST = 500
"""Characters of a parameter."""
LAST_PAGE = 1_000_000


class NotThere(InputError):
    """What the address names is not in the run."""


class Asked:
    """The parameters of one address. Raises `InputError` for unknown, repeated and long ones."""

    def __init__(self, items: Sequence[tuple[str, str]], allowed: Collection[str]) -> None:
        self.values: dict[str, str] = {}
        for name, value in items:
            if name not in allowed:
                raise InputError(
                    f"This page takes {', '.join(sorted(allowed)) or 'no parameters'}, "
                    f"but the address has {_shown(name)}."
                )
            if name in self.values:
                raise InputError(f"{name} must be given once, but the address has it twice.")
            if len(value) > LONGEST:
                raise InputError(
                    f"{name} must have at most {LONGEST} characters but has {len(value):,}."
                )
            if value:
                self.values[name] = value

    def text(self, name: str) -> str:
        """The text as it is; empty where it is not given."""
        return self.values.get(name, "")

    def choice(self, name: str, choices: Collection[str], default: str = "") -> str:
        """One of some values."""
        value = self.values.get(name, default)
        if value and value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)} but is {_shown(value)}.")
        return value

    def whole(self, name: str, default: int | None, low: int, high: int) -> int | None:
        """A whole number within bounds; `default` where it is not given."""
        value = self.values.get(name)
        if value is None:
            return default
        digits = value.isascii() and value.isdecimal() and len(value) < 12
        if not digits or not low <= int(value) <= high:
            raise InputError(
                f"{name} must be a whole number from {low:,} to {high:,} but is {_shown(value)}."
            )
        return int(value)

    @property
    def page(self) -> int:
        return self.whole("page", 1, 1, LAST_PAGE) or 1

    def link(self, changes: Mapping[str, object]) -> str:
        """The query of an address with some parameters changed; None takes one away."""
        values = {**self.values, **changes}
        return "?" + urlencode({name: value for name, value in values.items() if value is not None})


def _shown(text: str) -> str:
    return repr(harmless(text, lines=1, width=60))
