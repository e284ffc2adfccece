"""The columns of an exported pair: their types, what each means, and the making of one row.

The same for pairs of a run and for imported ones: what is not known of a pair is null.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from etude.domains import PYTHON, Domain
from etude.prompts import Layout
from etude.stats import share_interval
from etude.store import Row, escaped
from etude.types import content_id

_TEXT, _COUNT, _SHARE = pa.string(), pa.int32(), pa.float64()

COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("prompt", _TEXT, "the puzzle, up to where the solution begins"),
    ("completion", _TEXT, "the solution and the end of the text: `prompt + completion == text`"),
    ("text", _TEXT, "the whole training text"),
    ("puzzle", _TEXT, "source of `f(answer: type, inputs=defaults) -> bool`"),
    ("solution", _TEXT, "source of `g(inputs=defaults)`; `f(g()) is True`"),
    ("answer", _TEXT, "what `g()` returned, as a Python literal; cut to 1,000 characters"),
    ("answer_type", _TEXT, "the declared type of the answer, such as `List[int]`"),
    ("inputs", _TEXT, "the puzzle's other arguments with their defaults"),
    (
        "source",
        _TEXT,
        "`model` for what a model wrote, `human` for a seed pair, `file` for an import",
    ),
    (
        "origin",
        _TEXT,
        "`attempt`: written for its puzzle. Made of another pair and judged, too: `variant` (other "
        "constants), `repair` (an edited or borrowed solution), `posed` (so, of a puzzle that was "
        "posed anew so that it has an answer), `turned` (so, of a puzzle that was made of an "
        "attempt), `hindsight` (the answer given); null for a seed",
    ),
    ("made_from", _TEXT, "`puzzle_id` that such a pair was made from; null for an attempt"),
    ("round", _COUNT, "the round of the loop that made it; 0 for a seed pair"),
    ("puzzle_id", _TEXT, "content hash of the puzzle, names and layout aside"),
    ("form", _TEXT, "hash of the puzzle without its constants: near copies share it"),
    ("example_id", _TEXT, "the training example; null for a pair that was not trained on"),
    ("candidate_id", _TEXT, "the attempt that is the solution, or that it was made of"),
    ("proposal_id", _TEXT, "the proposal that became the puzzle, or that of `made_from`"),
    ("parents", pa.list_(_TEXT), "ids of the puzzles that the prompt of the proposal showed"),
    ("attempts", _COUNT, "attempts at the puzzle in its round; null where it was not asked"),
    ("accepted", _COUNT, "how many of them the judge accepted, and not by chance"),
    ("solve_rate", _SHARE, "accepted / attempts"),
    ("solve_rate_low", _SHARE, "its 95% interval, by Wilson"),
    ("solve_rate_high", _SHARE, "the other end"),
    ("model", _TEXT, "what wrote the solution: engine and checkpoint"),
    ("proposer", _TEXT, "what wrote the puzzle: engine and checkpoint"),
    ("stable", pa.bool_(), "a second look found the same; null where there was none"),
    ("judge_version", _COUNT, "version of the judge that accepted the pair"),
    ("isolation", _TEXT, "the level of its sandbox"),
    ("limits", _TEXT, "its limits on time and memory, as JSON"),
    ("cpu_seconds", _SHARE, "CPU time of `g()` and `f(answer)` together; measured"),
    ("name", _TEXT, "of an import: where it stood in the file, or its name in P3"),
)
"""Name, type and meaning of each column, in their order."""

SCHEMA = pa.schema([(name, kind) for name, kind, _ in COLUMNS])
CONFIGS = {
    "default": tuple(name for name in SCHEMA.names if name != "text"),
    "text": tuple(name for name in SCHEMA.names if name not in ("prompt", "completion")),
}
"""What `datasets` shows under each name. TRL appends the end-of-text token to `text` where there
is one, and then not to `completion`: so no configuration has both."""


def finished(row: Row, layout: Layout, domain: Domain = PYTHON) -> Row:
    """A row with the columns that follow from the others: texts, form, rate, what is not known.

    `whole_form` gives the form; every other key is a column's. Raises ValueError for a row whose
    attempts are fewer than its successes.
    """
    puzzle, solution = escaped(row["puzzle"]), escaped(row["solution"])
    text = domain.example_text(puzzle, solution, layout=layout)
    completion = domain.example_tail(solution, layout)
    whole: Row = dict.fromkeys(SCHEMA.names)
    whole |= {key: escaped(value) if type(value) is str else value for key, value in row.items()}
    whole["form"] = content_id(whole.pop("whole_form"))
    whole |= {"text": text, "completion": completion, "prompt": text[: -len(completion)]}
    if row.get("attempts"):
        rate = share_interval(row["accepted"], row["attempts"])
        whole |= {
            "solve_rate": rate.value,
            "solve_rate_low": rate.low,
            "solve_rate_high": rate.high,
        }
    return whole


def features(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The columns as `dataset_info.features` of a dataset card."""
    return [_feature(field) for field in SCHEMA if field.name in names]


def _feature(field: pa.Field) -> dict[str, Any]:
    if pa.types.is_list(field.type):
        return {"name": field.name, "list": "string"}
    kinds = {pa.float64(): "float64", pa.int32(): "int32", pa.bool_(): "bool"}
    return {"name": field.name, "dtype": kinds.get(field.type, "string")}
