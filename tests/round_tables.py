"""Rounds written by hand, for the stages that go by what earlier rounds found.

The engine is a recording: of 16 attempts at a puzzle the last one alone is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from etude import config, store, tables
from etude.arm import Arm
from etude.puzzle import parse

PUZZLES = {
    name: parse(source)
    for name, source in {
        "easy": "def f(x: int, a=7, b=12): return x + a == b * 20",
        "middling": "def f(s: str, t='dog'): return s == t * 2 + 'x'",
        "hard": "def f(u: List[int], a=3): return u == [a] * 4",
        "hopeless": "def f(u: List[str], a='q'): return u == [a + 'w'] * 9",
        "other": "def f(x: int, a=9, b=31): return x + a == b * 20",
        "like hard": "def f(u: List[int], a=5): return u == [a] * 4",
    }.items()
}
SOLUTION = {"int": "b * 20 - a", "str": "t * 2 + 'x'", "List[int]": "[a] * 4"}
Opening = Callable[..., Arm]


@contextmanager
def opening_in(folder: Path) -> Iterator[Opening]:
    """Opens arms of one run, whose recipe has some settings."""
    opened: list[Arm] = []

    def open_arm(*settings: str, name: str = "verified") -> Arm:
        recordings = folder / "recordings.jsonl"
        recordings.write_text("\n".join(map(json.dumps, recorded())))
        engine = ("engine.kind=replay", f"engine.recordings={json.dumps(str(recordings))}")
        sizes = ("solve.samples=8", "solve.puzzles_per_unit=4", "select.max_solve_rate=1.0")
        recipe = config.load("smoke", [*engine, *sizes, "model.precision=fp32", *settings])
        opened.append(Arm(store.Run.open(folder / "run", recipe, {}), name, lambda _: None))
        return opened[-1]

    try:
        yield open_arm
    finally:
        for arm in opened:
            arm.close()


def recorded() -> Iterator[dict[str, object]]:
    for puzzle in PUZZLES.values():
        right = f" return {SOLUTION.get(puzzle.answer_type, 'None')}"
        samples = [f" return {n}" for n in range(15)] + [right]
        yield {"prompt": f"{puzzle.source}\ndef g({puzzle.inputs}):", "samples": samples}


def kept(arm: Arm, number: int, *names: str) -> None:
    """The vetting of a round that kept these."""
    rows = [
        {"proposal_id": f"{number:x}{place:015x}", "fate": "kept", "detail": "",
         "puzzle_id": puzzle.id, "source": puzzle.source, "answer_type": puzzle.answer_type,
         "inputs": puzzle.inputs, "form": puzzle.form}
        for place, puzzle in enumerate(PUZZLES[name] for name in names)
    ]  # fmt: skip
    asked = [
        {"proposal_id": row["proposal_id"], "draw": draw, "parents": [], "prompt": "def f(",
         "text": row["source"].removeprefix("def f("), "finished": True}
        for draw, row in enumerate(rows)
    ]  # fmt: skip
    store.write_table(store.unit_path(arm.round(number) / "propose", 0), asked, tables.PROPOSE)
    store.write_table(store.unit_path(arm.round(number) / "vet", 0), rows, tables.VET)


def judged(arm: Arm, number: int, **accepted: int) -> None:
    """A round in which so many of 8 attempts at each puzzle were accepted; the first one taught."""
    kept(arm, number, *(name.replace("_", " ") for name in accepted))
    solved, verdicts, examples = [], [], []
    for name, right in accepted.items():
        puzzle = PUZZLES[name.replace("_", " ")]
        for draw in range(8):
            own = {"candidate_id": f"{number}{puzzle.id[:13]}{draw:02x}", "puzzle_id": puzzle.id}
            source = f"def g({puzzle.inputs}): return {draw}"
            solved.append(own | {"draw": draw, "source": source, "finished": True})
            verdicts.append(own | {"outcome": "accepted" if draw < right else "wrong"})
            if draw < min(right, 1):
                text = {"example_id": own["candidate_id"], "text": f"{puzzle.source}\n{source}\n"}
                examples.append(own | text | {"solve_rate": right / 8})
    for stage, rows, schema in (
        ("solve", solved, tables.SOLVE),
        ("judge", verdicts, tables.JUDGE),
        ("select", examples, tables.SELECT),
    ):
        store.write_table(store.unit_path(arm.round(number) / stage, 0), rows, schema)


def write_judged(place: Path, attempts: Iterable[tuple[str, str, str, str | None]]) -> None:
    """A round as far as `judge`: of each attempt its puzzle, its source, outcome and answer."""
    vetted: dict[str, store.Row] = {}
    candidates, verdicts = [], []
    for draw, (source, solution, outcome, answer) in enumerate(attempts):
        puzzle = parse(source)
        vetted[puzzle.id] = {"fate": "kept", "proposal_id": puzzle.id[::-1], "puzzle_id": puzzle.id,
                             "source": source, "answer_type": puzzle.answer_type,
                             "inputs": puzzle.inputs, "form": puzzle.form}  # fmt: skip
        ids = {"puzzle_id": puzzle.id, "candidate_id": f"{puzzle.id[:14]}{draw:02}"}
        candidates.append(ids | {"draw": draw, "source": solution, "finished": True})
        verdicts.append(ids | {"outcome": outcome, "answer": answer})
    for stage, rows, schema in (
        ("vet", list(vetted.values()), tables.VET),
        ("solve", candidates, tables.SOLVE),
        ("judge", verdicts, tables.JUDGE),
    ):
        store.write_table(store.unit_path(place / stage, 0), rows, schema)
