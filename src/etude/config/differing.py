"""What two recipes differ in, but for what changes time, place and money alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etude.config.sections import Recipe

_ENGINE_TIME_ONLY = (
    *(
        "device",
        "memory_share",
        "python",
        "url",
        "key_variable",
        "concurrency",
        "requests_per_minute",
    ),
    *("tokens_per_minute", "timeout", "retries", "input_price", "output_price"),
)
TIME_ONLY = {"run.processes", "run.checkpoints", "judge.workers"} | {
    f"{section}.{name}"
    for section in ("engine", "propose.engine", "solve.engine")
    for name in _ENGINE_TIME_ONLY
}
"""Settings that change how long a run takes, where, what it keeps and for how much money, never
what it finds."""


def differences(ours: Recipe, theirs: Recipe) -> list[str]:
    """The settings that differ, as `section.key: ours -> theirs`; those of time alone left out."""
    mine, other = _flat(ours.model_dump(mode="json")), _flat(theirs.model_dump(mode="json"))
    return [
        f"{key}: {mine.get(key)!r} -> {other.get(key)!r}"
        for key in sorted(mine.keys() | other.keys())
        if mine.get(key) != other.get(key) and key not in TIME_ONLY
    ]


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
