"""What Ray says of a worker's end, in our words. Pure: errors in, words out."""

from __future__ import annotations

import re

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError

_NODE = "because its node has died"
_KILLED = "killed by `ray.kill`"
_LOW = re.compile(r"low on memory|OOM", re.IGNORECASE)
_CODE = re.compile(r"exit code (\d+)")
_FIRST = re.compile(r"\w+Error: .*")


def by_no_fault_of_its_own(error: RayError) -> bool:
    """Whether the worker went with its node, or was told to go: what it did is not to blame."""
    if isinstance(error, NodeDiedError):
        return True
    preempted = isinstance(error, RayActorError) and error.preempted
    text = str(error)
    return preempted or _NODE in text or _KILLED in text


def words_of(error: RayError) -> str:
    """`exit code 3`, `out of memory`, `killed`, as far as Ray knows."""
    text = str(error)
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return last_line(text)
    if _NODE in text or isinstance(error, NodeDiedError):
        return "its node died"
    if isinstance(error, OutOfMemoryError):
        return "out of memory"
    if found := _CODE.search(text):
        return f"exit code {found[1]}"
    if "End of file" in text or "connection error" in text:
        return "killed, or crashed: its connection broke"
    return "out of memory" if _LOW.search(text) else last_line(text)


def last_line(text: str) -> str:
    """What a traceback ends with."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _FIRST.fullmatch(line)]
    return (named or lines or ["no reason is known"])[-1]
