"""Under which conditions a verdict was found: kept with it, so that it can be found again."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from etude.judge.limits import Limits

JUDGE_VERSION = 2
"""Raised by every change after which some pair may get another outcome, answer or detail under the
same limits and the same Python: the rules of types, the modules that are allowed, what is refused.
Changes of speed, and of defaults (the limits are kept by their values), leave it alone."""

METADATA_KEY = "etude.judge"
"""Where a Parquet file's metadata has the conditions of its verdicts, as JSON."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What verdicts rest on, besides the two texts.

    >>> print(Conditions(1, "full", "3.11.9", "linux-x86_64", Limits()))
    judge-1 full python-3.11.9 linux-x86_64 cpu=1s wall=10s memory=1GiB answer=4MiB source=1MiB
    """

    version: int
    """`JUDGE_VERSION` when it was judged."""
    isolation: str
    python: str
    """Of the sandbox, which is that of its caller."""
    machine: str
    """System and architecture."""
    limits: Limits

    @classmethod
    def here(cls, isolation: str, limits: Limits) -> Self:
        """Those of a judge in this process."""
        machine = f"{sys.platform}-{platform.machine()}"
        return cls(JUDGE_VERSION, isolation, platform.python_version(), machine, limits)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def as_json(self) -> str:
        return json.dumps(self.as_dict())

    def __str__(self) -> str:
        return described(self.as_dict())


def described(conditions: Mapping[str, Any]) -> str:
    """Conditions as one line. Those of another version may have more or fewer limits.

    >>> described({"version": 7, "isolation": "full", "limits": {"cpu_seconds": 0.5, "tries": 3}})
    'judge-7 full cpu=0.5s tries=3'
    """
    words = [f"judge-{conditions.get('version', '?')}", str(conditions.get("isolation", "?"))]
    if "python" in conditions:
        words.append(f"python-{conditions['python']}")
    if "machine" in conditions:
        words.append(str(conditions["machine"]))
    return " ".join([*words, *(_limit(*item) for item in conditions.get("limits", {}).items())])


def _limit(name: str, value: float) -> str:
    if name.endswith("_seconds"):
        return f"{name.removesuffix('_seconds')}={value:.12g}s"
    if name.endswith("_bytes"):
        return f"{name.removesuffix('_bytes')}={_size(value)}"
    return f"{name}={value}"


def _size(value: float) -> str:
    """A number of bytes in the largest unit that leaves no fraction."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value % 1024**power == 0:
            return f"{value / 1024**power:.0f}{unit}"
    return f"{value:.0f}B"
