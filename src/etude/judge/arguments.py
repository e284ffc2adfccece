"""What callers hand over, looked at before anything is done with it.

Each mistake is an `InputError` where it was made, not an `AttributeError` from somewhere within.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from etude.errors import InputError

Item = TypeVar("Item")


def check_text(what: str, text: object) -> None:
    """Raise `InputError` for what is no text."""
    if not isinstance(text, str):
        raise InputError(f"{what} must be text, but is {_type_of(text)}")


def listed(what: str, items: Iterable[Item]) -> list[Item]:
    """The items. Raises `InputError` for a text, each character of which would be taken for one."""
    if isinstance(items, str):
        raise InputError(f"{what} must be a list, but are one text: give [text]")
    if isinstance(items, bytes) or not isinstance(items, Iterable):
        raise InputError(f"{what} must be a list, but are {_type_of(items)}")
    return list(items)


def parted(job: Any, items: str) -> tuple[Any, Any]:
    """The two parts of a job. Raises `InputError`, such as for one that stands in no list."""
    if not isinstance(job, tuple | list) or len(job) != 2:
        raise InputError(
            f"a job must be (puzzle, [{items}, ...]), but is {_type_of(job)}: give a list of jobs"
        )
    return job[0], job[1]


def _type_of(thing: object) -> str:
    length = f" and of length {len(thing)}" if isinstance(thing, tuple | list) else ""
    return f"of type {type(thing).__name__}{length}"
