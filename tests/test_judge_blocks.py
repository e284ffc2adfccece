"""Pairs in plain text: whatever stands there, what is a pair is found, and nothing else."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude.errors import InputError
from etude.judge import BrokenLine, Pair, read_pairs
from etude.judge.blocks import MOST_BYTES, Found, read_blocks, split_text
from etude.prompts import PAPER_EXAMPLES, example_text

F, G = "def f(x: int, a=7):\n    return x + a == 9", "def g(a=7):\n    return 9 - a"
END = "\n\nassert f(g())\n\n"


def found(data: bytes) -> list[Found]:
    return list(read_blocks(io.BytesIO(data)))


def faults(text: str) -> list[tuple[int, str]]:
    return [(one.line, one.fault) for one in split_text(text)]


def test_the_released_format_is_read_as_it_was_written() -> None:
    text = "".join(example_text(f, g) + "\n" for f, g in PAPER_EXAMPLES)
    assert [(one.puzzle, one.solution) for one in split_text(text)] == list(PAPER_EXAMPLES)
    assert [one.line for one in split_text(text)][:2] == [1, 9]


@pytest.mark.parametrize(
    "text",
    [
        f"{F}\n\n{G}",
        f"{F}\n{G}\nassert f(g()) == True\n",
        f"from typing import List\n\n# a comment\n### Puzzle\n{F}\n\n\n{G}{END}",
        f"```python\n{F}\n\n{G}\n```\n",
        f"{F}\n\n{G}\n\n# Puzzle 2\n\n",
        f"\ufeff{F}\n\n{G}{END}",
        f"{F}\n\n{G}{END}".replace("\n", "\r\n"),
        f"{F}\n\n{G}{END}".replace("def f", "def f12").replace("def g", "def g12"),
        f"--------\n{F}\n\n{G}{END}========\n",
    ],
)
def test_one_pair_is_found_however_it_is_set(text: str) -> None:
    (one,) = split_text(text)
    assert (one.puzzle, one.solution, one.fault) == (F, G, "")


def test_a_numbered_solution_that_calls_its_puzzle_still_does() -> None:
    solution = "def g3():\n    return next(x for x in range(9) if f3(x))"
    (one,) = split_text(f"def f3(x: int):\n    return x == 5\n\n{solution}\n\nassert f3(g3())\n")
    assert one.solution == "def g():\n    return next(x for x in range(9) if f(x))"


def test_p3s_names_are_read_and_a_pair_ends_where_the_next_begins() -> None:
    text = "def sat(x: int): return x == 1\ndef sol(): return 1\n" * 3
    assert [one.line for one in split_text(text)] == [1, 3, 5]
    assert split_text(text)[2].solution == "def sol(): return 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{F}{END}", [(1, "a puzzle without a solution")]),
        (f"{G}{END}", [(1, "a solution without a puzzle")]),
        ("assert f(g())\n", [(1, "text that is no pair")]),
        (f"{F}\n\n{G}\n\n{G}{END}", [(1, "more than one solution")]),
        (f"Here it is:\nso\n\n{F}\n\n{G}{END}", [(1, "text that is no pair"), (4, "")]),
        (f"{F}{END}{F}\n\n{G}{END}", [(1, "a puzzle without a solution"), (6, "")]),
        (f"{F}\n\n{F}\n\n{G}{END}", [(1, "a puzzle without a solution"), (4, "")]),
    ],
)
def test_what_is_no_pair_is_named_by_its_line(text: str, expected: list[tuple[int, str]]) -> None:
    assert faults(text) == expected


def test_bytes_that_are_no_text_cost_their_own_pair_alone() -> None:
    pair = f"{F}\n\n{G}{END}".encode()
    broken = pair.replace(b"return 9", b"return '\xff\xfe' and 9")
    said = [one.fault for one in found(pair + broken + pair)]
    assert said == ["", "bytes that are not UTF-8", ""]


def test_a_line_or_pair_without_end_is_not_held_in_memory() -> None:
    pair = f"{F}\n\n{G}{END}".encode()
    long = pair.replace(b"9 - a", b"9 - a #" + b"x" * (3 * MOST_BYTES))
    many = pair.replace(b"    return 9", b"    a\n" * (MOST_BYTES // 4) + b"    return 9")
    said = [one.fault for one in found(pair + long + pair + many + pair)]
    assert said == [
        "",
        f"a line of more than {MOST_BYTES:,} bytes",
        "",
        f"a pair of more than {MOST_BYTES:,} characters",
        "",
    ]


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=6))
def test_as_many_pairs_are_read_as_were_written(numbers: list[int]) -> None:
    pairs = [(f"def f(x: int):\n    return x == {n}", f"def g():\n    return {n}") for n in numbers]
    text = "".join(example_text(f, g) + "\n" for f, g in pairs)
    assert [(one.puzzle, one.solution) for one in split_text(text)] == pairs


PIECES = st.sampled_from(
    b"def f(x: int): return x|def g(): return 1|assert f(g())|\n|\r\n|\x00|\xff|    pass|def f1(|"
    b"```|# no|\xef\xbb\xbf|prose|\xed\xa0\x80".split(b"|")
)


@given(st.lists(PIECES, max_size=30).map(b"".join) | st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    every = found(data)
    assert [one.line for one in every] == sorted({one.line for one in every})
    assert all(one.fault or (one.puzzle and one.solution) for one in every)


def test_text_is_read_packed_too(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt.gz"
    path.write_bytes(gzip.compress(f"{F}\n\n{G}{END}".encode()))
    assert list(read_pairs(path)) == [Pair(1, F, G)]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"must be packed by gzip, but can't be read"):
        list(read_pairs(path))
    path.write_bytes(F.encode())
    with pytest.raises(InputError, match=r"must be packed by gzip, but can't be read"):
        list(read_pairs(path))


def test_utf_16_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(F, "utf-16")
    with pytest.raises(InputError, match=r"must be text in UTF-8, but is UTF-16"):
        list(read_pairs(path))


def test_rows_to_train_on_are_pairs(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    shots = "".join(example_text(f, g) + "\n" for f, g in PAPER_EXAMPLES)
    lines = [
        {"text": f"{F}\n\n{G}{END}"},
        {"prompt": f"{F}\n\n", "completion": f"{G}{END}"},
        {"prompt": f"{shots}{F}\n\ndef g(a=7):", "completion": "\n    return 9 - a"},
        {"text": shots},
        {"text": "once upon a time"},
        {"prompt": [{"role": "user"}], "completion": "x"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    *pairs, several, none, chat = read_pairs(path)
    assert pairs == [Pair(number, F, G) for number in (1, 2, 3)]
    assert several == BrokenLine(4, "its text must hold one pair, but holds 5")
    assert none == BrokenLine(5, "its text holds no pair: text that is no pair")
    assert isinstance(chat, BrokenLine)
