"""The two things that are compared: a run, or one round of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etude import config, readings, store
from etude.errors import InputError
from etude.query import Tables


@dataclass
class Part:
    """A run as far as it is, or one of its rounds; of the loop, without its controls."""

    run: store.Run
    round: int | None
    """None: all rounds, and the student's scores."""
    opened: Tables | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        folder = str(self.run.folder)
        return folder if self.round is None else f"{folder}, round {self.round}"

    @property
    def rounds(self) -> list[int]:
        """The rounds that are looked at."""
        if self.round is not None:
            return [self.round]
        return [number for number in readings.rounds(self.run.folder) if number > 0]

    @property
    def scored(self) -> Path:
        """The folder whose `evaluate/` is compared: the round's, or the student's."""
        if self.round is not None:
            return store.round_folder(self.run.folder, self.round)
        return self.run.folder / "final"

    @contextmanager
    def tables(self) -> Iterator[None]:
        """Its tables are open for `rows` inside."""
        with Tables(self.run.folder) as opened:
            self.opened = opened
            yield
        self.opened = None

    def rows(self, query: str) -> list[store.Row]:
        """What a query finds that says `where {here}` for the rows of this part."""
        assert self.opened is not None
        here = "arm = 'verified'" + (f" and round = {self.round}" if self.round is not None else "")
        return self.opened.rows(query.replace("{here}", here))


def parts(before: Path, after: Path | None, rounds: tuple[int, int] | None) -> tuple[Part, Part]:
    """What the arguments name. Raises `InputError` for what can't be compared."""
    if after is None and rounds is None:
        raise InputError(
            "etude diff compares two runs, or two rounds of one: give a second run folder, or "
            "--rounds with two numbers, such as --rounds 1 3."
        )
    old, new = (_part(folder) for folder in (before, after or before))
    if rounds is not None:
        old.round, new.round = rounds
        for part in (old, new):
            _check_round(part)
    if old.run.folder.resolve() == new.run.folder.resolve() and old.round == new.round:
        raise InputError(
            f"etude diff compares two different things, but got {old.name} twice. Give another "
            "run, or two different rounds."
        )
    return old, new


def _part(folder: Path) -> Part:
    run = store.Run.read(folder)
    if readings.is_evaluation(run.recipe):
        raise InputError(
            f"{folder} must be a run but holds an evaluation: compare evaluations with "
            "`etude evaluate --model A --against B`."
        )
    return Part(run, None)


def _check_round(part: Part) -> None:
    begun = readings.rounds(part.run.folder)
    if part.round not in begun:
        known = ", ".join(map(str, begun)) or "none"
        raise InputError(
            f"{part.run.folder} must have begun round {part.round} to compare it, but has begun: "
            f"{known}. Choose two of these."
        )


def settings_between(before: Part, after: Part) -> list[str]:
    """Settings of the recipes, then versions and machine, as `name: before -> after`."""
    if before.run.folder == after.run.folder:
        return []
    found = config.differences(before.run.recipe, after.run.recipe)
    old, new = _record(before.run.folder), _record(after.run.folder)
    found += [
        f"{key}: {old.get(key, 'not recorded')} -> {new.get(key, 'not recorded')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    return found


def _record(folder: Path) -> dict[str, Any]:
    """What a run's record says of versions, machine and judge; times are no difference."""
    path = folder / "record.json"
    try:
        read = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError:
        raise InputError(f"{path} must be JSON but can't be read. Restore or delete it.") from None
    versions = {f"version of {name}": value for name, value in read.get("versions", {}).items()}
    return versions | {name: read[name] for name in ("machine", "system", "judge") if name in read}
