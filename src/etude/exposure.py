"""What a model of a run was trained on, as far as the run's tables say.

Covered: the seed pairs and the selected examples of all rounds up to a checkpoint, of the loop and
of its controls. Not covered: what a base model saw before, and the expressions of a pretraining.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from etude import domains, reviews, store, streams
from etude.config import Recipe
from etude.course import course_of
from etude.decontaminate import Trained
from etude.seeds import load_seeds
from etude.types import content_id


def trained_on(model: str | Path) -> Iterator[Trained] | None:
    """The training examples of a checkpoint, read as they are asked for; None where they are not
    known.

    The checkpoint is known by its place in its run, such as `runs/tiny/round-02/train`.
    """
    path = store.place(model).absolute()
    run = next((one for one in path.parents if (one / "recipe.toml").is_file()), None)
    if run is None or path.name not in ("train", "reinforce"):
        return None
    arm, last = path.parent.parent, path.parent.name.removeprefix("round-")
    if last != "final" and not last.isdecimal():
        return None
    recipe = store.read_recipe(run)
    seeds = _seeds(recipe)
    if arm.name != "more-epochs":  # which has the seeds alone
        seeds += _edited(run, recipe, None if last == "final" else int(last))
    latest = course_of(run, recipe).kept if last == "final" else int(last)
    folders = [folder for number, folder in store.round_folders(arm) if number <= latest]
    return chain(seeds, chain.from_iterable(map(_examples, folders)))


def _seeds(recipe: Recipe) -> list[Trained]:
    layout, domain = recipe.prompt.layout, domains.named(recipe.domain)
    made = []
    for pair in load_seeds(recipe):
        text = domain.example_text(pair.puzzle.source, pair.solution, layout=layout)
        made.append(Trained(content_id(text), text, pair.puzzle.id, pair.puzzle.source))
    return made


def _edited(run: Path, recipe: Recipe, last: int | None) -> list[Trained]:
    """Puzzles that people edited, which are trained on where their share is a setting."""
    numbers: list[int | None] = []
    if recipe.train.human_share is not None:
        numbers += range(1, recipe.run.rounds + 1 if last is None else last + 1)
    if last is None and recipe.final.human_share is not None:
        numbers.append(None)
    domain = domains.named(recipe.domain)
    found: dict[str, Trained] = {}
    for number in numbers:
        for puzzle, solution in reviews.edited(run, reviews.frozen_rows(run, number)):
            text = domain.example_text(puzzle, solution, layout=recipe.prompt.layout)
            known = domain.parse(puzzle)
            found[content_id(text)] = Trained(content_id(text), text, known.id, puzzle)
    return list(found.values())


def _examples(folder: Path) -> Iterator[Trained]:
    rows = streams.rows(folder / "select", ["example_id", "text", "puzzle_id"])
    for row, puzzle in streams.beside(rows, "puzzle_id", folder / "vet", ["source"]):
        yield Trained(
            row["example_id"], row["text"], row["puzzle_id"], puzzle["source"] if puzzle else ""
        )
    for row in streams.rows(folder / "derive", ["example_id", "text", "derived_id", "source"]):
        yield Trained(row["example_id"], row["text"], row["derived_id"], row["source"])
