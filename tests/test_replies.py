"""What is taken for the solution in what a model wrote."""

from __future__ import annotations

import doctest
import time

import pytest

from etude import replies
from etude.errors import InputError
from etude.puzzle import NotAPuzzle, parse
from etude.replies import puzzle_source, reply_text, solution_source

G = "def g(a=7):\n    return 9 - a"
F = "def f(x: int, a=7):\n    return x + a == 9"


def block(code: str, fence: str = "```", language: str = "python") -> str:
    return f"{fence}{language}\n{code}\n{fence}"


def test_the_examples_hold() -> None:
    assert doctest.testmod(replies).failed == 0


@pytest.mark.parametrize(
    "reply",
    [
        G,
        block(G),
        block(G, "~~~"),
        block(G, "````", "py"),
        block(G, language=""),
        f"Subtract.\n\n{block(G)}\n\nThat is 2.",
        f"First try:\n{block('def g(): return 0')}\nBetter:\n{block(G)}",
        f"{block(G)}\nIt passes:\n{block('assert f(g())')}",
        f"{block(G)}\nfor the puzzle\n{block(F)}",
        f"The output:\n{block('2', language='text')}\n{block(G)}\n{block('pip install it')}",
        f"```python\n{G}",
        f"1. So:\n   ```python\n   {G.replace(chr(10), chr(10) + '   ')}\n   ```\n",
        f"Type ```x``` for code.\n{block(G)}",
    ],
)
def test_the_solution_is_found(reply: str) -> None:
    assert solution_source(reply).rstrip() == G


def test_only_a_line_of_marks_closes_a_block() -> None:
    code = "def g():\n    return '''\n``\n~~~\n``` no\n'''"
    assert solution_source(block(code)) == code
    separators = "def g():\n    return 'a\x0cb\u2028c'"
    assert solution_source(block(separators)) == separators


def test_a_reply_goes_on_with_the_prefix_and_ends_with_its_function() -> None:
    rest = "a=7):\n    return 9 - a\n\nassert f(g())\n\ndef f(x: int): return True"
    assert solution_source(rest, "def g(") == G
    assert solution_source("\n    return 9 - a\n```\nThat is 2.", "def g(a=7):") == G
    assert solution_source("a=7):\n    return 9 - a", "def g(") == G
    assert solution_source("", "def g(") == "def g("


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ([{"role": "assistant", "content": "a"}], "a"),
        ([{"content": "a"}], "a"),
        (
            [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}],
            "a",
        ),
        (
            [
                {"role": "assistant", "content": "first"},
                {"role": "tool", "content": "found"},
                {"role": "assistant", "content": "last"},
            ],
            "last",
        ),
        ([{"role": "assistant", "content": "a"}, {"role": "assistant", "content": None}], "a"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], ""),
        ([], ""),
    ],
)
def test_messages_are_read(reply: object, text: str) -> None:
    assert reply_text(reply) == text


@pytest.mark.parametrize("reply", [None, 7, ["text"], {"content": "a"}, b"bytes"])
def test_what_is_no_reply_is_named(reply: object) -> None:
    with pytest.raises(InputError, match=f"but is a {type(reply).__name__}"):
        reply_text(reply)


@pytest.mark.parametrize("text", ["`" * 100_000, "```\n" * 50_000, " " * 100_000, "def " * 50_000])
def test_hostile_text_takes_no_time(text: str) -> None:
    start = time.process_time()
    solution_source(text)
    solution_source(text, "def g(")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "reply",
    [
        F,
        block(F),
        f"Here:\n{block(F)}\nand solved:\n{block(G)}",
        f"First:\n{block('def f(x: int): return x')}\nBetter:\n{block(F)}",
        block(f"from typing import List\n\n{F}\n\nassert f(2)"),
        block(f"{G}\n\n{F}\n\nprint(f(g()))"),
        block(F.replace("def f(", "def sat(")),
        f"```python\n{F}",
    ],
)
def test_the_puzzle_is_found(reply: str) -> None:
    assert puzzle_source(reply).rstrip() == F


@pytest.mark.parametrize("reply", ["", "I can't.", block("f = 3"), block("def f(x: int"), "\x00"])
def test_where_there_is_no_puzzle_the_parser_says_so(reply: str) -> None:
    with pytest.raises(NotAPuzzle):
        parse(puzzle_source(reply))


def test_the_block_with_the_function_that_was_asked_for_goes_first() -> None:
    reply = (
        "```python\ndef area(a):\n    return a * a\n```\nUsed so:\n```python\ndef g(): area(2)\n```"
    )
    assert solution_source(reply, names=("area",)) == "def area(a):\n    return a * a"
    assert solution_source(reply) == "def g(): area(2)"
    assert solution_source(reply, names=("volume",)) == "def g(): area(2)"
