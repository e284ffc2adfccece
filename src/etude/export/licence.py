"""The licence of what a model wrote, as far as the run says which models wrote it.

What a model generates comes under the terms of the model. These are stated where they are known,
and never guessed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from etude import roles, store
from etude.config import Recipe

LONGEST_CARD = 1 << 20
"""Bytes of a card that are read: it is somebody's text."""
UNKNOWN = "unknown"
_STATED = re.compile(r'^license:[ \t]*"?([\w.+-]{1,60})"?[ \t]*\r?$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the hub names it, and one sentence that says whose word it is."""

    name: str
    note: str


def licence_of(run: store.Run, given: str | None) -> Licence:
    """What the user says, else what the cards of the generating models say, else unknown."""
    if given is not None:
        return Licence(given, f"`{given}` was given by whoever exported this dataset.")
    recipe = run.recipe
    teachers = _teachers(recipe)
    if teachers:
        named = " and ".join(f"`{name}`" for name in teachers)
        return Licence(
            UNKNOWN,
            f"Not known: {named} wrote a part of it, whose terms this run does not record.",
        )
    if recipe.model.base == "scratch":
        return Licence(
            UNKNOWN,
            "Not set: the model that wrote it was trained from nothing in the run itself, so "
            "whoever ran it chooses the licence (`etude export --license NAME`).",
        )
    base = _shown(recipe.model.base)
    stated = _stated(run.folder, recipe.model.base)
    if stated is None:
        return Licence(UNKNOWN, f"Not known: the base model {base} states none that is known here.")
    return Licence(stated, f"`{stated}`, as the card of the base model {base} states it.")


def _teachers(recipe: Recipe) -> list[str]:
    """Models that are not the one that learns, and wrote puzzles or solutions."""
    asked: tuple[roles.Role, ...] = ("propose", "solve")
    names = {roles.source_of(recipe, role, "") for role in asked}
    return sorted(_shown(name).strip("`") for name in names if name)


def _shown(model: str) -> str:
    """A model's name; of a folder the last two parts, for the rest names this machine."""
    parts = Path(model).parts
    name = "/".join(parts[-2:]) if Path(model).is_absolute() else model
    return f"`{''.join(c for c in name if c.isprintable() and c != '`')}`"


def _stated(folder: Path, base: str) -> str | None:
    """The licence in the base's own card or configuration, or in that of a checkpoint of the run,
    which repeats it."""
    rounds = [path / "train" for _, path in store.round_folders(folder)]
    places = [Path(base), *rounds, folder / "final" / "train"]
    for place in places:
        found = _in_card(place / "README.md") or _in_config(place / "config.json")
        if found is not None:
            return found
    return None


def _in_card(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        text = file.read(LONGEST_CARD).decode("utf-8", "replace")
    head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    match = _STATED.search(head[1]) if head else None
    return match[1] if match else None


def _in_config(path: Path) -> str | None:
    try:
        stated = json.loads(path.read_bytes()[:LONGEST_CARD]).get("license")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return stated if isinstance(stated, str) and re.fullmatch(r"[\w.+-]{1,60}", stated) else None
