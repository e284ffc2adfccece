"""Pairs in plain text: the format in which the paper's data sets are released.

    def f(x: int, a=7):
        return x + a == 9

    def g(a=7):
        return 9 - a

    assert f(g())

A pair begins at a line `def f(` and ends with its assertion, with the next puzzle, or with the
text. Covered: text of any size, read line by line; `sat` and `sol`, numbered functions as prompts
have them (`f1`, `g1`), any assertion; imports, comments and fences between pairs, which are left
out; whatever else stands there, as broken lines. Not covered: functions that are indented.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

MOST_BYTES = 1 << 20
"""Of one line, and of one pair: what is longer is no pair."""
_HEADER = re.compile(r"def (?:(f|sat)|(?:g|sol))(\d*)\s*\(")
_SKIPPED = re.compile(r"\s*$|#|```|(?:from|import)\s|[-=*~_]{3,}\s*$")
_NUMBERED = re.compile(r"\b([fg])\d+(\s*\()")


@dataclass(frozen=True, slots=True)
class Found:
    """A pair, or why there is none."""

    line: int
    """The number of its first line."""
    puzzle: str = ""
    solution: str = ""
    fault: str = ""
    """Empty for a pair."""


@dataclass
class _Block:
    """What has been read of one pair."""

    line: int
    puzzle: list[str] = field(default_factory=list)
    solution: list[str] | None = None
    size: int = 0
    fault: str = ""
    """Why it is no pair, whatever comes."""

    def add(self, text: str) -> None:
        self.size += len(text)
        if self.size > MOST_BYTES:
            self.fault = self.fault or f"a pair of more than {MOST_BYTES:,} characters"
        if not self.fault:
            (self.puzzle if self.solution is None else self.solution).append(text)

    def found(self) -> Found:
        if not self.fault and self.solution is None:
            self.fault = "a puzzle without a solution"
        if self.fault or self.solution is None:
            return Found(self.line, fault=self.fault)
        return Found(self.line, _source(self.puzzle), _source(self.solution))


def read_blocks(file: IO[bytes]) -> Iterator[Found]:
    """The pairs of a text in UTF-8, in order, and what stands between them that is none."""
    block: _Block | None = None
    for number, text in _lines(file):
        if isinstance(text, _Bad):
            block = block or _Block(number)
            block.fault = block.fault or text.reason
            continue
        header = _HEADER.match(text)
        if header and header[1]:
            if block is not None:
                yield block.found()
            block = _Block(number)
            block.add(text)
        elif text.startswith("assert") and block is not None:
            yield block.found()
            block = None
        elif block is not None:
            _go_on(block, text, header is not None)
        elif not _SKIPPED.match(text):
            what = "a solution without a puzzle" if header else "text that is no pair"
            block = _Block(number, fault=what)
    if block is not None:
        yield block.found()


def _go_on(block: _Block, text: str, solution: bool) -> None:
    if solution:
        if block.solution is not None:
            block.fault = block.fault or "more than one solution"
        block.solution = []
    if not text.startswith("```"):
        block.add(text)


def split_text(text: str) -> list[Found]:
    """The same of a text at hand."""
    return list(read_blocks(io.BytesIO(text.encode("utf-8", "surrogatepass"))))


@dataclass(frozen=True, slots=True)
class _Bad:
    """A line that can't be read."""

    reason: str


def _lines(file: IO[bytes]) -> Iterator[tuple[int, str | _Bad]]:
    """Numbered lines without their ends; of one that is too long no more than its beginning is
    ever held."""
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > MOST_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MOST_BYTES)
            yield number, _Bad(f"a line of more than {MOST_BYTES:,} bytes")
            continue
        try:
            text = line.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            yield number, _Bad("bytes that are not UTF-8")
            continue
        yield number, text.removesuffix("\n").removesuffix("\r")


def _source(lines: list[str]) -> str:
    """A function of its lines, without the comments and empty lines that follow it."""
    while lines and _SKIPPED.match(lines[-1]):
        lines.pop()
    first, *rest = lines
    if _HEADER.match(first) and re.match(r"def \w\d", first):
        rest = [_NUMBERED.sub(r"\1\2", line) for line in rest]
        first = _NUMBERED.sub(r"\1\2", first)
    return "\n".join([first, *rest])
