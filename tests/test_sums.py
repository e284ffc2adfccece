"""The checksum of a segment: whatever is changed in a file, it is found."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from etude import store
from etude.errors import InputError
from etude.store import sums

SCHEMA = pa.schema([("n", pa.int32()), ("text", pa.string())])
ROWS = [{"n": n, "text": f"def f(x): return x == {n}"} for n in range(5)]


def segment(rows: list[store.Row], folder: Path, notes: dict[str, str] | None = None) -> bytes:
    path = folder / "00000.parquet"
    store.write_table(path, rows, SCHEMA, notes)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return segment(ROWS, tmp_path_factory.mktemp("whole"), {"maker": "a judge", "limits": "{}"})


def test_a_segment_is_whole_and_its_sum_stands_in_its_metadata(whole: bytes) -> None:
    assert sums.verify(io.BytesIO(whole))
    said = pq.read_metadata(io.BytesIO(whole)).metadata[b"etude.sha256"]
    assert len(said) == 64
    assert pq.read_table(io.BytesIO(whole)).to_pylist() == ROWS


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_found(whole: bytes, bit: int) -> None:
    missed = []
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1 << bit
        try:
            sums.verify(io.BytesIO(bytes(broken)))
        except sums.Damaged:
            continue
        missed.append(at)
    assert missed == []


def test_every_truncation_is_found(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(sums.Damaged):
            sums.verify(io.BytesIO(whole[:length]))


@given(st.integers(0, 10_000), st.integers(0, 300), st.binary(max_size=300))
@settings(deadline=None, max_examples=300)
def test_whatever_is_written_over_a_part_is_never_whole(
    whole: bytes, at: int, taken: int, given: bytes
) -> None:
    at %= len(whole)
    broken = whole[:at] + given + whole[at + taken :]
    assume(broken != whole)
    with contextlib.suppress(sums.Damaged):
        assert not sums.verify(io.BytesIO(broken))


def test_a_model_that_writes_checksums_breaks_nothing(tmp_path: Path) -> None:
    """Small texts stand in a footer as they are, as the least and the greatest of their column."""
    marked = f"{sums.KEY}\x18\x40{'0' * 64}"
    rows = [{"n": 1, "text": marked}, {"n": 2, "text": f"{sums.KEY}\x18\x40"}]
    data = segment(rows, tmp_path, {"set_aside": marked})
    assert data.count(sums.KEY.encode()) > 1
    assert sums.verify(io.BytesIO(data))
    again = segment([rows[0] | {"text": data[-600:].decode("latin-1")}], tmp_path)
    assert sums.verify(io.BytesIO(again))


def test_a_segment_of_no_rows_has_a_sum(tmp_path: Path) -> None:
    assert sums.verify(io.BytesIO(segment([], tmp_path)))


def test_one_without_a_checksum_is_told_from_a_whole_one() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMA), sink)
    assert not sums.verify(sink)


def test_a_page_that_rotted_is_no_row(tmp_path: Path) -> None:
    """What is read without looking at the sum is still looked at, page by page."""
    table = pa.table({"n": pa.array(range(10_000), pa.int32()), "text": ["x"] * 10_000})
    path = tmp_path / "00000.parquet"
    store.write_table(path, table.to_pylist(), SCHEMA)
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="can't be read"):
        store.read_table(path)
