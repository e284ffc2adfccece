"""What does not fit into memory: the same as in memory, in little of it."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from etude.duplicates import LEVELS, Found, Item, find
from etude.errors import InputError
from etude.spill import Column, Pile, Texts, blank, first_of, memory, parts

ROWS = 200_000
"""So many keys are sorted in four parts with 16 MB."""


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUDE_MEMORY", "16MB")


def keys(rows: int = ROWS, kinds: int = 5_000) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 1 << 64, kinds, np.uint64)[rng.integers(0, kinds, rows)]


@pytest.mark.usefixtures("little")
def test_parts_hold_each_key_once_and_in_order() -> None:
    made = keys()
    found = [(own.copy(), places.copy()) for own, places in parts(made)]
    assert len(found) == 4
    assert sorted(np.concatenate([places for _, places in found]).tolist()) == list(range(ROWS))
    for own, places in found:
        assert (made[places] == own).all()
        assert (np.diff(places) > 0).all()
    assert all(one.max() < two.min() for (one, _), (two, _) in pairwise(found))


@pytest.mark.usefixtures("little")
def test_the_first_of_a_key_is_found_in_parts() -> None:
    made, first = keys(), {}
    expected = [first.setdefault(key, place) for place, key in enumerate(made.tolist())]
    assert first_of(made).tolist() == expected


@pytest.mark.parametrize("held", [0, 100, 1 << 20])
def test_a_column_is_read_as_it_was_written(held: int) -> None:
    column = Column(np.int32, held)
    for start in range(0, 1000, 7):
        column.extend(range(start, min(start + 7, 1000)))
    assert column.array().tolist() == list(range(1000))
    assert len(Column(np.int32, 0).array()) == 0


@pytest.mark.usefixtures("little")
def test_texts_are_read_as_they_were_written() -> None:
    rng, texts = random.Random(2), Texts()
    made = ["", "\ud800", "ä\n", *(chr(rng.randrange(1, 50_000)) * 9 for _ in range(40_000))]
    for text in made:
        texts.append(text)
    assert texts._data._file is not None, "they must not all have stood in memory"
    for place in (*range(5), *rng.sample(range(len(made)), 500)):
        assert texts[place].encode("utf-8", "surrogatepass") == made[place].encode(
            "utf-8", "surrogatepass"
        )


@pytest.mark.parametrize(("said", "size"), [("4GB", 4 * 10**9), ("64 MiB", 64 * 10**6)])
def test_memory_is_what_the_setting_says(
    said: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUDE_MEMORY", said)
    assert memory() == size


@pytest.mark.parametrize("said", ["much", "-4GB", "0", "4", "4PB", "1e9"])
def test_what_is_no_size_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUDE_MEMORY", said)
    with pytest.raises(InputError, match="ETUDE_MEMORY must be a size"):
        memory()


def test_a_folder_for_temporary_files_that_is_full_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/dev/full takes nothing, as a disk without room does."""
    opened = partial(Path("/dev/full").open, "r+b", buffering=0)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: opened())
    with pytest.raises(InputError, match="Make room, name another folder with TMPDIR"):
        Pile(0).append(b"abc")
    monkeypatch.setenv("ETUDE_MEMORY", "16MB")
    with pytest.raises(InputError, match="must have room"):
        blank(10**6, np.int64)


def _found(items: list[Item]) -> Found:
    return find(items, per_form=3)


def test_duplicates_are_the_same_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of a few rows each, as with a memory that holds no more."""
    texts = [f"def f(x: int, a={n % 40}): return x + {n % 7} == a * {n % 90}" for n in range(400)]
    texts += [f"def f(y: int, b={n}): return b * {n} == y + 3" for n in range(90)] + ["no (Python"]
    texts += texts[:20]
    items = [Item(str(n), text) for n, text in enumerate(texts)]
    held = _found(items)
    monkeypatch.setattr("etude.spill.memory", lambda: 1 << 12)
    monkeypatch.setattr("etude.spill.CHUNK", 100)
    spilled = _found(items)
    for level in LEVELS:
        assert spilled.firsts[level].tolist() == held.firsts[level].tolist()
        assert spilled.mask(level).tolist() == held.mask(level).tolist()
        assert list(spilled.groups(level)) == list(held.groups(level))
        assert list(spilled.pairs(level)) == list(held.pairs(level))
        assert spilled.count(level) == held.count(level) > 0
    assert (spilled.unparsed, spilled.crowded) == (held.unparsed, held.crowded)


LIMITED = """
import resource, sys
from etude.duplicates import Item, find

def items():
    for n in range(300_000):
        yield Item(f"the number {n}", f"def f(x): return {n % 200_000}" + "# and so on" * 30)

resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))  # mapped files don't count
found = find(items(), ["exact"])
print(found.duplicates("exact"), next(found.pairs("exact")).first)
"""


def test_more_text_than_memory() -> None:
    """Texts and ids of 120 MB, beside a Python with its libraries, in 105 MB."""
    env = {"ETUDE_MEMORY": "16MB", "PATH": "", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, env=env, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split(maxsplit=1) == ["100000", "the number 0\n"]
