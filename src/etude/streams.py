"""A stage's rows a few at a time, for those who need not hold them all.

    for row in streams.rows(folder / "judge", ["puzzle_id", "outcome"]): ...

Covered: rows in the order of units, counts, and the puzzles of a round by their place. Memory is
that of a batch of rows, however many there are. Not covered: joins and sorting (see `query`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from etude import store
from etude.types import Puzzle

BATCH = 4_096
"""Rows that are Python objects at once."""
BESIDE = 1 << 16
"""And of rows that are looked up in another stage."""
AGAIN = "recall"
"""The stage with the puzzles of earlier rounds that a round tries again."""


def rows(stage: Path, columns: Sequence[str] | None = None) -> Iterator[store.Row]:
    """All rows of a stage, or some columns of them. Raises `InputError` for a broken segment."""
    for path in segments(stage):
        yield from rows_of(path, columns)


def rows_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[store.Row]:
    """The rows of one segment. Raises `InputError` when it can't be read."""
    with store.open_table(path) as file:
        names = None if columns is None else list(columns)
        for batch in file.iter_batches(BATCH, columns=names, use_threads=False):
            yield from batch.to_pylist()


def length(stage: Path) -> int:
    """How many rows a stage has: what its segments say of themselves."""
    return sum(_length(path) for path in segments(stage))


def _length(path: Path) -> int:
    with store.open_table(path) as file:
        return int(file.metadata.num_rows)


def tally(stage: Path, column: str) -> Counter[str]:
    """How often each value stands in a column of few different ones."""
    found: Counter[str] = Counter()
    for path in segments(stage):
        with store.open_table(path) as file:
            read = file.read([column], use_threads=False)[column]
        found.update({pair["values"]: pair["counts"] for pair in pc.value_counts(read).to_pylist()})
    return found


def distinct(stage: Path, column: str, without: Collection[str] = ()) -> int:
    """How many different values a column of ids has, some left out: 8 bytes each are held."""
    found: set[int] = set()
    for row in rows(stage, [column]):
        found.add(int(row[column], 16))
    return len(found.difference(int(one, 16) for one in without))


def beside(
    rows: Iterable[store.Row], key: str, stage: Path, columns: Sequence[str]
) -> Iterator[tuple[store.Row, store.Row | None]]:
    """Each row with what another stage says of its id: some columns, None where it has none.

    So many rows are held at once, and the other stage is read once for each lot of them. Of `vet`
    only puzzles that were kept count, and beside them those that are tried again.
    """
    rows = iter(rows)
    while some := list(islice(rows, BESIDE)):
        ids = pa.array(sorted({row[key] for row in some}), pa.string())
        found = {row[key]: row for row in _with(stage, key, ids, columns)}
        for row in some:
            yield row, found.get(row[key])


def _with(stage: Path, key: str, ids: pa.Array, columns: Sequence[str]) -> Iterator[store.Row]:
    fate = ["fate"] if stage.name == "vet" else []
    if fate:
        yield from _with(stage.parent / AGAIN, key, ids, columns)
    for path in segments(stage):
        with store.open_table(path) as file:
            for batch in file.iter_batches(BESIDE, columns=[key, *columns, *fate]):
                wanted = pc.is_in(batch[key], value_set=ids)
                if fate:
                    wanted = pc.and_(wanted, pc.equal(batch["fate"], "kept"))
                yield from batch.filter(wanted).to_pylist()


def segments(stage: Path) -> list[Path]:
    """The segments of a stage, in the order of its units."""
    return sorted(stage.glob("[0-9]*.parquet"))


class Kept(Sequence[Puzzle]):
    """The puzzles of a round that go on to be solved: those that it kept, and after them those of
    earlier rounds that it tries again. They are read when they are asked for.

    A group of rows of a segment is held at a time, and one count of each.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the round. Raises `InputError` for a broken segment."""
        self._groups: list[tuple[Path, int]] = []
        counts = [0]
        for path in [*segments(folder / "vet"), *segments(folder / AGAIN)]:
            with store.open_table(path) as file:
                for group in range(file.num_row_groups):
                    read = file.read_row_group(group, _of(path)[:1], use_threads=False)
                    counts.append(_kept(read).num_rows)
                    self._groups.append((path, group))
        self._starts = list(accumulate(counts))
        self._read: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, place: int | slice) -> list[Puzzle]:  # type: ignore[override]
        """A slice of them."""
        assert isinstance(place, slice)
        start, stop, _ = place.indices(len(self))
        found: list[Puzzle] = []
        while start < stop:
            group = bisect_right(self._starts, start) - 1
            first = self._starts[group]
            end = min(stop, self._starts[group + 1])
            table = self._group(group).slice(start - first, end - start)
            found += map(_puzzle, table.to_pylist())
            start = end
        return found

    def __iter__(self) -> Iterator[Puzzle]:
        for start in range(0, len(self), BATCH):
            yield from self[start : start + BATCH]

    def _group(self, number: int) -> pa.Table:
        if self._read is None or self._read[0] != number:
            path, group = self._groups[number]
            with store.open_table(path) as file:
                table = file.read_row_group(group, _of(path), use_threads=False)
            self._read = number, _kept(table)
        return self._read[1]


_PUZZLE = ["puzzle_id", "source", "answer_type", "inputs", "form"]


def _of(path: Path) -> list[str]:
    """The columns of a segment that a puzzle is read from."""
    return _PUZZLE if path.parent.name == AGAIN else ["fate", *_PUZZLE]


def _kept(table: pa.Table) -> pa.Table:
    """The rows of puzzles that were not dropped."""
    return table.filter(pc.equal(table["fate"], "kept")) if "fate" in table.column_names else table


def _puzzle(row: store.Row) -> Puzzle:
    return Puzzle(
        row["puzzle_id"], row["source"], "f", row["answer_type"], row["inputs"], row["form"]
    )
