"""SQL over a run's tables: DuckDB views of its Parquet segments, read where they lie.

    with Tables(Path("runs/tiny")) as tables:
        tables.rows("select outcome, count(*) as n from verdicts group by all order by n desc")

Each view has the columns of its table (see `tables`) and before them `arm` and `round`; of the
student's evaluation, which belongs to no round, `round` is null. A stage that has no segment yet
is an empty view. One more view, `puzzles`, has those that a round tries to solve: what it kept, and
what it tries again. Covered: one run, finished or going on. Not covered: writing, what rows mean.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from etude import spill, store, tables
from etude.errors import InputError

VIEWS: dict[str, tuple[str, str, pa.Schema]] = {
    "seeds": ("seeds", "[0-9]*.parquet", tables.SEEDS),
    "proposals": ("propose", "[0-9]*.parquet", tables.PROPOSE),
    "vetted": ("vet", "[0-9]*.parquet", tables.VET),
    "recalled": ("recall", "[0-9]*.parquet", tables.RECALL),
    "candidates": ("solve", "[0-9]*.parquet", tables.SOLVE),
    "verdicts": ("judge", "[0-9]*.parquet", tables.JUDGE),
    "variants": ("vary", "[0-9]*.parquet", tables.VARY),
    "rewritten": ("hindsight", "[0-9]*.parquet", tables.HINDSIGHT),
    "repairs": ("repair", "[0-9]*.parquet", tables.REPAIR),
    "turned": ("turn", "[0-9]*.parquet", tables.TURN),
    "probes": ("probe", "[0-9]*.parquet", tables.PROBE),
    "leaks": ("screen", "[0-9]*.parquet", tables.SCREEN),
    "examples": ("select", "[0-9]*.parquet", tables.SELECT),
    "descriptions": ("describe", "[0-9]*.parquet", tables.DESCRIBE),
    "retellings": ("retell", "[0-9]*.parquet", tables.RETELL),
    "derived": ("derive", "[0-9]*.parquet", tables.DERIVE),
    "trained": ("train", "examples.parquet", tables.TRAINED),
    "reinforced": ("reinforce", "steps.parquet", tables.REINFORCED),
    "rewarded": ("reinforce", "samples.parquet", tables.REWARDED),
    "attempts": ("evaluate", "[0-9]*.parquet", tables.EVALUATE),
    "health": ("health", "[0-9]*.parquet", tables.HEALTH),
    "scores": ("evaluate", "scores.parquet", tables.SCORES),
    "problems": ("evaluate", "problems.parquet", tables.PROBLEMS),
    "contamination": ("evaluate", "contamination.parquet", tables.CONTAMINATION),
    "anchors": ("anchors", "[0-9]*.parquet", tables.ANCHORS),
    "reviews": ("reviews", "[0-9]*.parquet", tables.REVIEWS),
}
"""View -> stage, which of its files, columns. `reviews` are the run's and of no round."""

ACCEPTED = "outcome = 'accepted' and stable is distinct from false"
"""Of `verdicts`: accepted, and not by chance alone, which a second look found out."""
_PUZZLE = "arm, round, puzzle_id, proposal_id, source, answer_type, inputs, form"
_PUZZLES = f"""
    select {_PUZZLE} from vetted where fate = 'kept' union all select {_PUZZLE} from recalled
"""
ARMS = ("verified", "unverified", "more-epochs", "pretrained")
_TYPES = {
    pa.string(): "varchar",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.list_(pa.string()): "varchar[]",
}


class Tables:
    """The tables of a run folder; also what else may be asked of them in SQL.

    Raises `InputError` for a segment that can't be read.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        folder = store.place(folder)
        self.folder = folder
        self.connection = duckdb.connect(":memory:")
        bounded(self.connection)
        if not store.is_local(folder):
            remote: Any = folder
            self.connection.register_filesystem(remote.fs)
        if threads is not None:
            self.connection.execute(f"set threads = {threads}")
        for name, (stage, pattern, schema) in VIEWS.items():
            self._view(name, stage, pattern, schema)
        self.connection.execute(f"create view puzzles as {_PUZZLES}")

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[store.Row]:
        """What a query finds, one dict a row; `parameters` take the places of its `?`."""
        with self._readable():
            found = self.connection.cursor().execute(query, list(parameters))  # threads may ask
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def value(self, query: str, parameters: Sequence[object] = ()) -> Any:
        """The first column of a query's first row."""
        return next(iter(self.rows(query, parameters)[0].values()))

    def _places(self, stage: str) -> list[tuple[str, int | None, Path]]:
        return [("", None, self.folder)] if stage == "reviews" else places(self.folder)

    def _view(self, name: str, stage: str, pattern: str, schema: pa.Schema) -> None:
        parts = [
            f"select {_quoted(arm)} as arm, {'null::integer' if number is None else number} "
            f"as round, * from read_parquet([{', '.join(_quoted(str(p)) for p in paths)}], "
            "union_by_name = true)"
            for arm, number, folder in self._places(stage)
            if (paths := sorted((folder / stage).glob(pattern)))
        ]
        columns = ", ".join(f'null::{_TYPES[field.type]} as "{field.name}"' for field in schema)
        empty = f"select ''::varchar as arm, null::integer as round, {columns} where false"
        union = " union all by name ".join([empty, *parts])
        with self._readable():
            self.connection.execute(f"create view {name} as {union}")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise InputError(
                f"the tables of {self.folder} must be Parquet segments but can't be read "
                f"({str(error).splitlines()[0]}). Delete the broken one and run again: it will be "
                "made anew. `etude check RUN` looks at them all."
            ) from None

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def bounded(connection: duckdb.DuckDBPyConnection) -> None:
    """What does not fit into the memory that may be taken (`spill.memory`) goes to a folder of the
    system's for temporary files, which DuckDB makes when it needs it and removes at its end."""
    spilled = Path(tempfile.gettempdir()) / f"etude-{os.getpid()}-{uuid.uuid4().hex}"
    connection.execute(f"set memory_limit = '{spill.memory()}B'")
    connection.execute("set temp_directory = ?", [str(spilled)])


def places(run: Path) -> list[tuple[str, int | None, Path]]:
    """The folders of a run that hold stages: arm, round (None for the student's), folder."""
    found: list[tuple[str, int | None, Path]] = []
    for arm in ARMS:
        folder = store.arm_folder(run, arm)
        found += [(arm, number, path) for number, path in store.round_folders(folder)]
        if (folder / "final").is_dir():
            found.append((arm, None, folder / "final"))
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
