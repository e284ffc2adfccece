"""Derive: further examples, made from pairs: with other constants, mended, or told in English.

Verified: of each puzzle that teaches, variants with a solution that teaches too and that the judge
accepted for them (see `vary`), rewritten pairs (see `hindsight`), repaired ones (see `repair`), and
solutions with a docstring in place of the puzzle (see `describe`). Unverified, the control: as
many, its pairs in their order with constants drawn as these are, judged by nobody. What is near a
held-out problem, at the recipe's levels, is left out and counted; so is a text that is there
already.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from etude import store, streams, tables, turn
from etude.arm import Arm, counted, load_held_out
from etude.cluster import Made, Stage
from etude.decontaminate import Screen, Trained
from etude.describe import described
from etude.generality import POSED, is_accepted
from etude.prompts import example_text
from etude.puzzle import parse
from etude.repair import repaired
from etude.select import NEAR, barred_in, dropped_words
from etude.types import Puzzle, content_id
from etude.variants import with_defaults
from etude.vary import drawn, held_out

LEVELS = ("exact", "canonical", "form", "8-gram")
"""At which a derived example is held against the problems. Its behaviour is not looked at here:
where the recipe asks for it that of the puzzle that it was made from was, and that of one that an
attempt was turned into when it was made (`turn`)."""
REDRAWN = 4
"""Redrawn pairs of each pair, beyond what the recipe wants of a puzzle: the loop has examples of
puzzles without an accepted attempt, of which the control has none."""
KNOWN = "known by its text"
REASONS = NEAR, KNOWN


def derive(arm: Arm, number: int) -> Path | None:
    """The folder of the round's further examples; None where the recipe asks for none."""
    if not per_puzzle(arm):
        return None
    folder = arm.round(number) / "derive"
    _await_loop(arm, number)
    work = partial(_work, number=number)
    with arm.watched(number, "derive", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.DERIVE, "plain", spare=False))
        flow.finish(0, watched.tick)
        origins = counted(streams.tally(folder, "origin"), _made_here(arm))
        words = [origins, *dropped_words(folder, REASONS)]
        if arm.name == "unverified" and (less := _wanted(arm, number) - streams.length(folder)):
            words.append(f"{less:,} fewer than the loop: no more can be drawn")
        watched.summary = "  ".join(words)
    return folder


def per_puzzle(arm: Arm) -> int:
    """Further examples that the recipe wants of a puzzle, at most."""
    recipe = arm.recipe
    of_repairs = recipe.repair.per_puzzle if recipe.repair.is_on else 0
    if recipe.repair.turn:
        of_repairs += recipe.repair.per_turned
    of_texts = recipe.describe.per_puzzle if recipe.describe.tries else 0
    return recipe.vary.examples + recipe.hindsight.per_puzzle + of_repairs + of_texts


def _made_here(arm: Arm) -> str:
    return "redrawn" if arm.name == "unverified" else "variant"


def _await_loop(arm: Arm, number: int) -> None:
    """As `select` does, and for the same reason."""
    if arm.name == "unverified" and not _of_loop(arm, number).exists():
        arm.crew.release("judge")
        store.wait_for(_of_loop(arm, number))


def _of_loop(arm: Arm, number: int) -> Path:
    return store.unit_path(store.round_folder(arm.run.folder, number) / "derive", 0)


def _wanted(arm: Arm, number: int) -> int:
    """Of the control: as many as the loop has."""
    return streams.length(_of_loop(arm, number).parent)


def _work(arm: Arm, _: int, *, number: int) -> Made:
    dropped: Counter[str] = Counter()
    known = {row["example_id"] for row in _selected(arm, number)} | set(_made_before(arm, number))
    if arm.name == "unverified":
        every = _allowed(arm, _redrawn(arm, number), known, dropped)
        rows = list(islice(every, _wanted(arm, number)))
    else:
        stages = (_varied, _in_hindsight, _repaired, _turned, _described)
        made = chain.from_iterable(one(arm, number) for one in stages)
        rows = list(_allowed(arm, made, known, dropped))
    return Made(rows, {tables.DROPPED: json.dumps(dropped, sort_keys=True)})


def _made_before(arm: Arm, number: int) -> Iterator[str]:
    """What earlier rounds derived, where puzzles come again that they had no right attempt at."""
    for earlier in range(1, number) if arm.recipe.retry.puzzles else ():
        for row in streams.rows(arm.round(earlier) / "derive", ["example_id"]):
            yield row["example_id"]


def _selected(arm: Arm, number: int) -> Iterator[store.Row]:
    columns = ["example_id", "puzzle_id", "candidate_id"]
    return streams.rows(arm.round(number) / "select", columns)


def _varied(arm: Arm, number: int) -> Iterator[store.Row]:
    """Of each puzzle so many accepted variants, each with the first of its examples' solutions that
    has it."""
    chosen: dict[str, list[str]] = defaultdict(list)
    for row in _selected(arm, number):
        chosen[row["puzzle_id"]].append(row["candidate_id"])
    rows = streams.rows(arm.round(number) / "vary")
    for puzzle, own in groupby(rows, itemgetter("puzzle_id")):
        accepted = [row for row in own if is_accepted(row)]
        taken: dict[str, store.Row] = {}
        for candidate in chosen.get(puzzle, ()):
            for row in accepted:
                if row["candidate_id"] == candidate:
                    taken.setdefault(row["variant_id"], row)
        for row in islice(taken.values(), arm.recipe.vary.examples):
            yield _example(arm, "variant", row, parse(row["variant"]), row["solution"])


def _in_hindsight(arm: Arm, number: int) -> Iterator[store.Row]:
    """The rewritten pairs that were kept, unless the puzzle that was missed may not teach."""
    barred = barred_in(arm, number)
    for row in streams.rows(arm.round(number) / "hindsight"):
        if row["fate"] == "kept" and row["puzzle_id"] not in barred:
            yield _example(arm, "hindsight", row, parse(row["source"]), row["solution"])


def _repaired(arm: Arm, number: int) -> Iterator[store.Row]:
    """The repaired pairs and their variants, unless the puzzle may not teach."""
    if not arm.recipe.repair.is_on:
        return
    barred = barred_in(arm, number)
    for row in repaired(arm, number):
        if row["puzzle_id"] not in barred:
            own = row | {"candidate_id": row["wrong_id"]}
            origin = "posed" if row["way"] == POSED else "repair"
            yield _example(arm, origin, own, parse(row["puzzle"]), row["solution"])


def _turned(arm: Arm, number: int) -> Iterator[store.Row]:
    """Puzzles that were made of attempts, with the solutions that were lent to them, unless the
    puzzle that the attempt was at may not teach."""
    barred = barred_in(arm, number) if arm.recipe.repair.turn else {}
    for row in turn.taught(arm, number):
        if row["of"] not in barred:
            own = row | {"candidate_id": row["wrong_id"], "puzzle_id": row["of"]}
            yield _example(arm, "turned", own, parse(row["puzzle"]), row["solution"])


def _described(arm: Arm, number: int) -> Iterator[store.Row]:
    """Solutions with a docstring that they were found by."""
    for row, puzzle, text, code in described(arm, number):
        made = _example(arm, "description", row, puzzle, code)
        text = store.escaped(text)
        yield made | {"example_id": content_id(text), "text": text}


def _redrawn(arm: Arm, number: int) -> Iterator[store.Row]:
    """The control's pairs with other constants: nobody asks whether they fit. First one of each
    pair, then another of each, and so on: few of many teach more than many of few."""
    folder = arm.round(number)
    for earlier in range(REDRAWN + per_puzzle(arm)):
        rows = streams.beside(_selected(arm, number), "candidate_id", folder / "solve", ["source"])
        pairs = (row | {"solution": solved["source"]} for row, solved in rows if solved)
        for row, vetted in streams.beside(pairs, "puzzle_id", folder / "vet", ["source"]):
            assert vetted is not None, "an example is of a puzzle that was kept"
            puzzle = parse(vetted["source"])
            for variant in drawn(arm, puzzle, earlier + 1)[earlier:]:
                solution = with_defaults(row["solution"], puzzle, variant)
                if solution is not None and variant.puzzle.id not in held_out(arm):
                    yield _example(arm, "redrawn", row, variant.puzzle, solution)


def _example(arm: Arm, origin: str, row: store.Row, puzzle: Puzzle, solution: str) -> store.Row:
    text = example_text(puzzle.source, solution, layout=arm.recipe.prompt.layout)
    text = store.escaped(text)  # as it will be trained on, by whose id that is recorded
    return {
        "example_id": content_id(text),
        "origin": origin,
        "puzzle_id": row["puzzle_id"],
        "candidate_id": row["candidate_id"],
        "derived_id": puzzle.id,
        "source": puzzle.source,
        "solution": solution,
        "text": text,
    }


def _allowed(
    arm: Arm, rows: Iterable[store.Row], known: set[str], dropped: Counter[str]
) -> Iterator[store.Row]:
    """The rows without those that are near a held-out problem, or known, which are counted."""
    section = arm.recipe.decontaminate
    levels = set(LEVELS) & set(section.levels) if section.action == "drop" else set()
    screen: Screen = arm.remembered("held-out texts", None, lambda: _screen(arm))
    for row in rows:
        own = Trained(row["example_id"], row["text"], row["derived_id"], row["source"])
        if levels and any(met.level in levels for met in screen.held(own)):
            dropped[NEAR] += 1
        elif row["example_id"] in known:
            dropped[KNOWN] += 1
        else:
            known.add(row["example_id"])
            yield row


def _screen(arm: Arm) -> Screen:
    problems = [problem for _, problem in load_held_out(arm.recipe)]
    return Screen(problems, share=arm.recipe.decontaminate.share)
