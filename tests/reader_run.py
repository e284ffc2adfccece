"""A small run folder for the tests of the readers, written with the store's own functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from etude import config, store, tables
from etude.evaluate import write_scores
from etude.puzzle import parse
from etude.types import Problem

SAMPLES = 4
KS = (1, 2, 4)
PART_SIZE = 12
LOSS = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.float64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("tokens", pa.int64()),
    ]
)
PUZZLE = parse("def f(x: int, a=7): return x + a == 9")
PROBLEMS = [
    Problem(f"{part}/{number}", part, PUZZLE)
    for part in ("constants", "families")
    for number in range(PART_SIZE)
]
Step = Callable[[], object]


def start(folder: Path, name: str = "reader", *, max_solve_rate: float = 0.9) -> store.Run:
    settings = [f"select.max_solve_rate={max_solve_rate}"]
    recipe = config.load("smoke", settings).model_copy(update={"name": name})
    return store.Run.open(folder, recipe, {"versions": {"etude": "0.1.0"}, "machine": "test"})


def evaluated(place: Path, accepted: Sequence[int]) -> None:
    """Attempts and scores. Problem number i of each part has `accepted[i % ...]` accepted ones."""
    rows = [
        {
            "problem": problem.name,
            "part": problem.part,
            "draw": draw,
            "source": "def g(a=7): return 9 - a",
            "outcome": "accepted" if draw < accepted[number % len(accepted)] else "wrong",
            "detail": "",
            "cpu_seconds": 0.001,
            "peak_bytes": 1 << 20,
        }
        for number, problem in enumerate(PROBLEMS)
        for draw in range(SAMPLES)
    ]
    store.write_table(store.unit_path(place / "evaluate", 0), rows, tables.EVALUATE)
    write_scores(place / "evaluate", rows, PROBLEMS, "tiny", KS, SAMPLES)


def trained(out: Path, losses: Sequence[float] = (2.0, 1.5, 1.0)) -> None:
    rows = [
        {"step": 10 * n + 10, "epoch": 0.1 * n, "loss": x, "learning_rate": 1e-3, "tokens": 9 * n}
        for n, x in enumerate(losses)
    ]
    store.write_table(out / "loss.parquet", rows, LOSS)
    report = {"documents": 7, "too_long": 0, "steps": 30, "tokens": 1234}
    store.write_atomically(out / "training.json", json.dumps(report).encode())


def stages(place: Path, puzzle: str, solution: str, detail: str = "") -> list[Step]:
    """The stages of a round: three proposals, one puzzle, three candidates, one example."""
    number = place.name[-2:]
    pid, cids = f"aaaaaaaaaaaaaa{number}", [f"bbbbbbbbbbbb{n:02d}{number}" for n in range(3)]
    fates = [("kept", pid, puzzle), ("unparsed", None, None), ("duplicate", pid, puzzle)]
    proposals = [
        {"proposal_id": f"cccccccccccc{n:02d}{number}", "draw": n, "parents": ["p"],
         "prompt": "def f(", "text": puzzle, "finished": True}
        for n in range(3)
    ]  # fmt: skip
    vetted = [
        {"proposal_id": row["proposal_id"], "fate": fate, "detail": detail, "puzzle_id": found,
         "source": source, "answer_type": "int", "inputs": "a=7", "form": puzzle}
        for row, (fate, found, source) in zip(proposals, fates, strict=True)
    ]  # fmt: skip
    candidates = [
        {"candidate_id": cid, "puzzle_id": pid, "draw": n, "source": solution, "finished": True}
        for n, cid in enumerate(cids)
    ]
    verdicts = [
        {"candidate_id": cid, "puzzle_id": pid, "outcome": outcome, "answer": detail or "2",
         "detail": detail, "cpu_seconds": 0.1, "peak_bytes": 1}
        for cid, outcome in zip(cids, ["raised", "accepted", "timeout"], strict=True)
    ]  # fmt: skip
    example = {"example_id": f"dddddddddddddd{number}", "puzzle_id": pid, "candidate_id": cids[1],
               "text": f"{puzzle}\n{solution}\n", "solve_rate": 1 / 3}  # fmt: skip

    def writing(stage: str, rows: list[store.Row], schema: pa.Schema) -> Step:
        return lambda: store.write_table(store.unit_path(place / stage, 0), rows, schema)

    return [
        writing("propose", proposals, tables.PROPOSE),
        writing("vet", vetted, tables.VET),
        writing("solve", candidates, tables.SOLVE),
        writing("judge", verdicts, tables.JUDGE),
        writing("select", [example], tables.SELECT),
    ]


def steps(
    folder: Path,
    puzzle: str = "def f(x: int, a=7): return x + a == 9",
    solution: str = "def g(a=7): return 9 - a",
    detail: str = "",
) -> list[Step]:
    """A whole run, one step at a time, in an order in which a real run could write it."""
    controls = folder / "controls"
    made: list[Step] = [
        lambda: trained(folder / "round-00" / "pretrain", (5.0, 2.0)),
        lambda: trained(folder / "round-00" / "train"),
        lambda: evaluated(folder / "round-00", [0, 1, 2]),
    ]
    for number in (1, 2):
        for arm in (folder, controls / "unverified"):
            place = arm / f"round-{number:02d}"
            made += stages(place, puzzle, solution, detail)
            made.append(lambda place=place: trained(place / "train"))
            made.append(lambda place=place, n=number: evaluated(place, [n, 1, 2]))
    made += [
        lambda: trained(folder / "final" / "train"),
        lambda: evaluated(folder / "final", [2, 2, 3]),
        lambda: evaluated(controls / "unverified" / "final", [2, 2, 3]),
        lambda: evaluated(controls / "pretrained" / "final", [0, 0, 0, 1]),
        lambda: trained(controls / "more-epochs" / "final" / "train"),
        lambda: evaluated(controls / "more-epochs" / "final", [3, 3, 4]),
    ]
    return made


def whole(folder: Path, **texts: str) -> store.Run:
    run = start(folder)
    for step in steps(folder, **texts):
        step()
    return run


VARIANT = ("def f(x: int, a=8): return x + a == 9", "def g(a=8): return 9 - a")
MENDED = (PUZZLE.source, "def g(a=7): return 2")


def with_made(run: Path, **verdict: object) -> None:
    """To round 1 a variant that taught and one that did not, and a mended solution that did."""
    place, own = store.round_folder(run, 1), f"{'a' * 14}01"
    judged = {"outcome": "accepted", "answer": "1", "cpu_seconds": 0.25, "stable": True} | verdict
    told = {"puzzle_id": own, "candidate_id": "bbbbbbbbbbbb0101"}
    varied = told | {"variant_id": parse(VARIANT[0]).id, "variant": VARIANT[0]}
    missed = varied | {"solution": "def g(a=8): return 2", "outcome": "wrong"}
    mended = told | {"derived_id": own, "source": MENDED[0], "solution": MENDED[1], "kind": "edit"}
    tried: dict[str, tuple[list[store.Row], pa.Schema]] = {
        "vary": ([missed, varied | {"solution": VARIANT[1]} | judged], tables.VARY),
        "repair": ([mended | judged], tables.REPAIR),
    }
    rows = [
        ("variant", varied["variant_id"], VARIANT),
        ("repair", own, MENDED),
        ("description", own, (MENDED[0], '"""Say 2."""\n    return 2')),
    ]
    made = [
        told
        | {"example_id": f"{origin}-1", "origin": origin, "derived_id": derived_id}
        | {"source": pair[0], "solution": pair[1], "text": "\n".join(pair)}
        for origin, derived_id, pair in rows
    ]
    for stage, (found, schema) in (tried | {"derive": (made, tables.DERIVE)}).items():
        whole_rows = [dict.fromkeys(schema.names) | row for row in found]
        store.write_table(store.unit_path(place / stage, 0), whole_rows, schema)


HOSTILE = (
    "def f(x: int): return '</script><img src=x onerror=alert(1)>' "
    "'[bold red]not markup[/] [/nothing] {{ 7 * 7 }} {% raw %}' "
    "'\x00\x07\x1b[2J\x1b]0;title\x07\r\x9b\u202e\u2066\u200b\ufeff\u2028' # " + "A" * 1_000_000
)
"""Text as a model, or someone who wants a report to do something, might write it."""
