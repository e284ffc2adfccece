"""Describe: puzzles that teach are told in English, and the English is tried.

Of each puzzle the model writes docstrings, and from such a docstring and the header alone it tries
to solve the puzzle (`english`); the judge holds what it wrote against the puzzle itself. A
docstring from which somebody solved it says enough. `derive` makes examples of these: a function
with a docstring, as in the tasks of HumanEval. That a text is good if what it tells can be made
again from it is the test of round trips: Allamanis and others, "Unsupervised Evaluation of Code
LLMs with Round-Trip Correctness" (arXiv 2402.08699).
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from etude import roles, store, streams, tables
from etude.arm import Arm, checked, set_aside_words
from etude.attempts import verdict_columns
from etude.cluster import Made, Stage
from etude.english import describing_prompt, docstring_of, fault_of, task_prompt, task_text
from etude.generality import is_accepted
from etude.select import barred_in
from etude.types import Prompt, Puzzle, Sample, content_id


def describe(arm: Arm, number: int, model: str | Path) -> Path | None:
    """The folder of the round's docstrings; None where the recipe asks for none.

    What became of the attempts that were made by them is in the folder `retell` beside it.
    """
    if not arm.recipe.describe.tries:
        return None
    folder = arm.round(number) / "describe"
    units = math.ceil(len(_chosen(arm, number)) / arm.recipe.solve.puzzles_per_unit)
    asking = partial(_described, number=number, model=model)
    judging = partial(_retold, number=number)
    flow = arm.flow(
        Stage(folder, units, asking, tables.DESCRIBE, "engine"),
        Stage(arm.round(number) / "retell", units, judging, tables.RETELL, "judge"),
    )
    with arm.watched(number, "describe", units) as watched:
        flow.finish(0, watched.tick)
        arm.crew.release("engine")
        flow.finish(1, watched.tick)
        watched.summary = summary(counted(arm.round(number))) + roles.spent(folder)
        watched.summary += set_aside_words(folder)
    return folder


def counted(folder: Path) -> Counter[str]:
    """What a round's docstrings are worth: how many there are, may be tried, and were solved by."""
    found: Counter[str] = Counter()
    for row in streams.rows(folder / "describe", ["fault"]):
        found["docstrings"] += 1
        found["tried"] += not row["fault"]
    rows = streams.rows(folder / "retell", ["description_id", "outcome", "stable"])
    found["solved by"] = len({row["description_id"] for row in rows if is_accepted(row)})
    return found


def summary(found: Counter[str]) -> str:
    """`120 docstrings  98 tried  41 solved by`"""
    return "  ".join(f"{found[name]:,} {name}" for name in ("docstrings", "tried", "solved by"))


def described(arm: Arm, number: int) -> Iterator[tuple[store.Row, Puzzle, str, str]]:
    """What teaches: of each puzzle the docstrings that it was solved by most, in order, with the
    puzzle, the text, and the part of the text that a solver would write."""
    folder = arm.round(number)
    if not arm.recipe.describe.tries:
        return
    solved: Counter[str] = Counter()
    for row in streams.rows(folder / "retell", ["description_id", "outcome", "stable"]):
        solved[row["description_id"]] += is_accepted(row)
    barred = barred_in(arm, number)
    puzzles = {puzzle.id: puzzle for puzzle in _chosen(arm, number)}
    told = streams.rows(folder / "describe")
    for puzzle, own in groupby(told, itemgetter("puzzle_id")):
        rows = [row for row in own if solved[row["description_id"]]]
        rows.sort(key=lambda row: (-solved[row["description_id"]], row["draw"]))
        for row in rows[: arm.recipe.describe.per_puzzle] if puzzle not in barred else ():
            made = task_text(puzzles[puzzle], row["docstring"], row["solution"])
            if made is not None:
                yield row, puzzles[puzzle], *made


def _chosen(arm: Arm, number: int) -> list[Puzzle]:
    """The puzzles of the round that teach, or as many of them as the recipe wants, by chance."""
    found: list[Puzzle] = arm.remembered("told", number, lambda: _drawn(arm, number))
    return found


def _drawn(arm: Arm, number: int) -> list[Puzzle]:
    taught = {row["puzzle_id"] for row in _selected(arm, number)}
    found = [puzzle for puzzle in arm.puzzles(number) if puzzle.id in taught]
    most = arm.recipe.describe.most
    if not most or len(found) <= most:
        return found
    places = random.Random(arm.seed(number, "describe")).sample(range(len(found)), most)
    return [found[place] for place in sorted(places)]


def _selected(arm: Arm, number: int) -> Iterator[store.Row]:
    return streams.rows(arm.round(number) / "select", ["puzzle_id", "candidate_id"])


def _described(arm: Arm, unit: int, *, number: int, model: str | Path) -> Made:
    """The docstrings of a unit, and the attempts at the puzzles by each."""
    section, layout = arm.recipe.describe, arm.recipe.prompt.layout
    chosen = _of_unit(arm, number, unit)
    solutions = _solutions(arm, number, chosen)
    prompts = [describing_prompt(puzzle, layout=layout) for puzzle in chosen]
    said = _sampled(arm, model, prompts, section.tries, section.temperature,
                    section.max_new_tokens, arm.seed(number, "describe", unit))  # fmt: skip
    rows: list[store.Row] = []
    for puzzle, prompt, samples in zip(chosen, prompts, said, strict=True):
        candidate, solution = solutions[puzzle.id]
        seen: set[str] = set()
        for draw, docstring in enumerate(docstring_of(prompt, one.text) for one in samples):
            docstring = store.escaped(docstring)
            again = docstring in seen
            seen.add(docstring)
            rows.append(
                {
                    "description_id": content_id(puzzle.id, str(draw), docstring),
                    "puzzle_id": puzzle.id,
                    "candidate_id": candidate,
                    "solution": solution,
                    "draw": draw,
                    "docstring": docstring,
                    "fault": "again" if again else fault_of(docstring, puzzle, solution),
                    "attempts": [],
                }
            )
    first = roles.usage(arm.engine(model, "solve"))
    tried = [row for row in rows if not row["fault"]]
    own = {puzzle.id: puzzle for puzzle in chosen}
    asked = [task_prompt(own[row["puzzle_id"]], row["docstring"], layout=layout) for row in tried]
    solve = arm.recipe.solve
    written = _sampled(arm, model, asked, section.attempts, solve.temperature,
                       solve.max_new_tokens, arm.seed(number, "retell", unit))  # fmt: skip
    for row, prompt, samples in zip(tried, asked, written, strict=True):
        row["attempts"] = [
            store.escaped(arm.domain.solution(prompt, one.text)) for one in samples
        ]  # of a list, the table does not see to that
    return Made(rows, arm.engine_note(first))


def _sampled(
    arm: Arm,
    model: str | Path,
    prompts: Sequence[Prompt],
    samples: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[list[Sample]]:
    """By prompt its samples; none for one that does not fit the model's context."""
    engine = arm.engine(model, "solve")
    places = [at for at, prompt in enumerate(prompts) if engine.fits(prompt, max_new_tokens)]
    found: list[list[Sample]] = [[] for _ in prompts]
    sampled = engine.sample(
        [prompts[at] for at in places],
        samples,
        seed=seed,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
    )
    for at, own in zip(places, sampled, strict=True):
        found[at] = own
    return found


def _of_unit(arm: Arm, number: int, unit: int) -> list[Puzzle]:
    size = arm.recipe.solve.puzzles_per_unit
    return _chosen(arm, number)[unit * size : (unit + 1) * size]


def _solutions(arm: Arm, number: int, chosen: Sequence[Puzzle]) -> dict[str, tuple[str, str]]:
    """By puzzle the id and source of the first candidate that teaches."""
    wanted = {puzzle.id for puzzle in chosen}
    first: dict[str, store.Row] = {}
    for row in _selected(arm, number):
        if row["puzzle_id"] in wanted:
            first.setdefault(row["puzzle_id"], row)
    rows = streams.beside(first.values(), "candidate_id", arm.round(number) / "solve", ["source"])
    found = {}
    for row, candidate in rows:
        assert candidate is not None, "an example is of a candidate"
        found[row["puzzle_id"]] = row["candidate_id"], candidate["source"]
    return found


def _retold(arm: Arm, unit: int, *, number: int) -> Made:
    """The verdicts on the attempts of a unit, each source of a docstring once."""
    puzzles = {puzzle.id: puzzle for puzzle in _of_unit(arm, number, unit)}
    by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
    for row in streams.rows_of(store.unit_path(arm.round(number) / "describe", unit)):
        for draw, source in enumerate(row["attempts"]):
            told = {"description_id": row["description_id"], "puzzle_id": row["puzzle_id"]}
            by_puzzle[row["puzzle_id"]].append(told | {"draw": draw, "source": source})
    jobs = [(puzzles[one], [row["source"] for row in own]) for one, own in by_puzzle.items()]
    rows = []
    for own, verdicts in zip(by_puzzle.values(), arm.judge.verify_all(jobs), strict=True):
        for row, verdict in zip(own, checked(verdicts), strict=True):
            rows.append(row | verdict_columns(verdict) | {"stable": verdict.stable})
    return Made(rows, arm.conditions())
