"""The notation of regular-expression puzzles, and the Python that the judge runs in its place.

    over ab: starts a & ends b      every word over the letters a and b that starts with a and ...
    re: a.*b                        an answer: it matches these words, whole, and no others

A puzzle is read by one grammar and becomes the source of a function `f(x: str, ...)`, in which the
words and letters of the text are literals: nothing that a model wrote is ever code. Covered: text
to puzzle and back, answers to solutions and back. Not covered: whether a puzzle has an answer.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from dataclasses import dataclass
from typing import NamedTuple

from etude.puzzle import NotAPuzzle, parse, syntax_tree
from etude.types import Puzzle

MOST_CLAUSES = 3
MOST_CHARACTERS = 120
"""Of a puzzle's text. Longer text is refused before anything else is asked."""
LONGEST_WORD = 4
LARGEST_NUMBER = 6
LONGEST_ANSWER = 40
"""An answer must be shorter, and shorter than the list of the right words that are tried."""
TRIED = {2: 6, 3: 4, 4: 3}
"""By the number of letters, how long the words are that an answer is tried on: all 127, 121 or 85
words of at most that length, and each of them five times in a row."""
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Kind(NamedTuple):
    """One kind of clause: what stands after its name, and what it asks of a word `s`."""

    pattern: str
    """Of the operands: `W` a word, `C` a letter, `N` a number."""
    asks: str
    """A Python expression; `{0}`, `{1}` are the operands' names."""


KINDS: dict[str, tuple[Kind, ...]] = {
    "starts": (
        Kind("W", "s.startswith({0})"),
        Kind("W or W", "s.startswith(({0}, {1}))"),
    ),
    "ends": (Kind("W", "s.endswith({0})"), Kind("W or W", "s.endswith(({0}, {1}))")),
    "has": (Kind("W", "{0} in s"), Kind("W or W", "({0} in s or {1} in s)")),
    "length": (
        Kind("N", "len(s) == {0}"),
        Kind("N to N", "{0} <= len(s) <= {1}"),
        Kind("N up", "len(s) >= {0}"),
        Kind("even", "len(s) % 2 == 0"),
        Kind("odd", "len(s) % 2 == 1"),
    ),
    "count": (
        Kind("C N", "s.count({0}) == {1}"),
        Kind("C N up", "s.count({0}) >= {1}"),
        Kind("C even", "s.count({0}) % 2 == 0"),
        Kind("C odd", "s.count({0}) % 2 == 1"),
    ),
    "at": (Kind("N C", "s[{0} - 1:{0}] == {1}"),),
    "back": (Kind("N C", "(len(s) >= {0} and s[-{0}] == {1})"),),
    "only": (Kind("W", "set(s) <= set({0})"),),
    "repeats": (Kind("W", "s == {0} * (len(s) // len({0}))"),),
    "follows": (Kind("C C", "s.count({0}) == s.count({0} + {1})"),),
    "before": (Kind("C C", "({1} not in s or s.rfind({0}) < s.find({1}))"),),
    "sorted": (Kind("", "list(s) == sorted(s)"),),
    "alike": (Kind("", "s[:1] == s[-1:]"),),
    "varied": (Kind("", "all(a != b for a, b in zip(s, s[1:]))"),),
    "double": (Kind("", "s == s[:len(s) // 2] * 2"),),
}
"""What can be asked of a word. `docs/domains.md` says each in English."""

_OPERANDS = {"W": rf"[a-z0-9]{{1,{LONGEST_WORD}}}", "C": "[a-z0-9]", "N": "[0-9]"}
_HEAD = re.compile(r"over ([a-z0-9]+):")


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on a word."""

    name: str
    kind: Kind
    operands: tuple[str, ...]
    """As they are written, in their order."""
    negated: bool = False

    @property
    def text(self) -> str:
        given = iter(self.operands)
        words = [next(given) if word in _OPERANDS else word for word in self.kind.pattern.split()]
        return " ".join([*(["not"] if self.negated else []), self.name, *words])

    def words(self) -> list[tuple[str, str]]:
        """The operands with what each is: `W`, `C` or `N`."""
        holes = [word for word in self.kind.pattern.split() if word in _OPERANDS]
        return list(zip(holes, self.operands, strict=True))


@dataclass(frozen=True, slots=True)
class Property:
    """What a puzzle says: letters, and clauses that all hold."""

    letters: str
    clauses: tuple[Clause, ...]

    @property
    def text(self) -> str:
        """In the one layout that it has."""
        return f"over {self.letters}: " + " & ".join(clause.text for clause in self.clauses)

    @property
    def identity(self) -> str:
        """The same for two texts that differ in the order of their clauses alone."""
        return " & ".join([self.letters, *sorted(clause.text for clause in self.clauses)])


def read(text: str) -> Property:
    """The property that a text states. Raises `NotAPuzzle` with the reason.

    >>> read("over ab:  starts a&not ends b").text
    'over ab: starts a & not ends b'
    """
    if len(text) > MOST_CHARACTERS:
        raise NotAPuzzle(f"longer than {MOST_CHARACTERS} characters")
    head = _HEAD.match(text.lstrip(" "))
    if head is None:
        raise NotAPuzzle("no `over LETTERS:`")
    parts = text.lstrip(" ")[head.end() :].split("&")
    if len(parts) > MOST_CLAUSES:
        raise NotAPuzzle(f"more than {MOST_CLAUSES} clauses")
    return Property(head[1], tuple(_clause(part.strip(" ")) for part in parts))


def _clause(text: str) -> Clause:
    words = [word for word in text.split(" ") if word]
    negated = words[:1] == ["not"]
    name, operands = (words[negated:] or [""])[0], words[negated + 1 :]
    if name not in KINDS:
        raise NotAPuzzle("no such clause")
    for kind in KINDS[name]:
        expected = kind.pattern.split()
        pairs = list(zip(expected, operands, strict=False))
        if len(expected) == len(operands) and all(
            re.fullmatch(_OPERANDS.get(wanted, wanted), given) for wanted, given in pairs
        ):
            given = tuple(operand for wanted, operand in pairs if wanted in _OPERANDS)
            return Clause(name, kind, given, negated)
    raise NotAPuzzle("a clause with other operands")


def check(stated: Property) -> None:
    """What a puzzle must keep besides the grammar. Raises `NotAPuzzle` with the reason."""
    letters = stated.letters
    if len(letters) not in TRIED or list(letters) != sorted(set(letters)):
        raise NotAPuzzle("not two to four different letters in their order")
    asked = [dataclasses.replace(clause, negated=False).text for clause in stated.clauses]
    if len(set(asked)) < len(asked):
        raise NotAPuzzle("a clause twice")
    for clause in stated.clauses:
        _check_clause(clause, letters)


def _check_clause(clause: Clause, letters: str) -> None:
    for what, operand in clause.words():
        if what == "N" and int(operand) > LARGEST_NUMBER:
            raise NotAPuzzle(f"a number above {LARGEST_NUMBER}")
        if what != "N" and not set(operand) <= set(letters):
            raise NotAPuzzle("a letter that is not among the puzzle's")
    if clause.name in ("at", "back") and clause.operands[0] == "0":
        raise NotAPuzzle("no place has the number 0")
    if clause.name in ("follows", "before") and len(set(clause.operands)) < 2:
        raise NotAPuzzle("one letter twice")
    if clause.kind.pattern == "W or W" and len(set(clause.operands)) < 2:
        raise NotAPuzzle("one word twice")
    if clause.name == "only" and not len(set(clause.operands[0])) < len(letters):
        raise NotAPuzzle("all letters")


_PROGRAM = """def f({arguments}):
    {note!r}
    import re
    from itertools import product
    words = [''.join(w) for k in range({tried} + 1) for w in product({letters!r}, repeat=k)]
    right = lambda s: {asks}
    if len(x) >= min({longest}, len('|'.join(filter(right, words)))):
        return False
    match = re.compile(x).fullmatch
    return all(bool(match(s)) == right(s) for w in words for s in (w, w * 5))"""


def program(stated: Property) -> str:
    """The function that decides about answers; its docstring is the puzzle as it is written.

    The order of clauses is that of their texts, so that it makes no other puzzle of one.
    """
    arguments, asks = ["x: str"], []
    for clause in sorted(stated.clauses, key=lambda clause: clause.text):
        names = []
        for what, operand in clause.words():
            names.append(f"a{len(arguments) - 1}")
            value = int(operand) if what == "N" else operand
            arguments.append(f"{names[-1]}={value!r}")
        asked = clause.kind.asks.format(*names)
        asks.append(f"not ({asked})" if clause.negated else asked)
    return _PROGRAM.format(
        arguments=", ".join(arguments),
        note=stated.text,
        tried=TRIED.get(len(stated.letters), min(TRIED.values())),
        letters=stated.letters,
        asks=" and ".join(asks),
        longest=LONGEST_ANSWER,
    )


def puzzle_of(text: str) -> Puzzle:
    """A puzzle from its text, or from the program that was made of it. Raises `NotAPuzzle`."""
    if text.startswith("def f("):
        text = text_of(text)
    stated = read(text)
    if len(stated.letters) > max(TRIED):
        raise NotAPuzzle("too many letters")
    return parse(program(stated))


def text_of(source: str) -> str:
    """The text that a program was made of. Raises `NotAPuzzle` for any other program: an edited one
    says in its docstring no longer what it asks."""
    tree = syntax_tree(source)
    first = tree.body[0] if tree.body else None
    note = ast.get_docstring(first, clean=False) if isinstance(first, ast.FunctionDef) else None
    if note is None or program(read(note)) != source:
        raise NotAPuzzle("no program of a regular-expression puzzle")
    return note


def solution_of(answer: str) -> str:
    """The function that gives an answer. Whatever stands in it is data."""
    return f"def g():\n    return {answer!r}"


def answer_of(source: str) -> str:
    """The answer of `solution_of`, as it stands after `re:`: what UTF-8 lacks is escaped, as in
    the tables. Raises `NotAPuzzle` for any other function.

    >>> answer_of(solution_of("a.*b"))
    'a.*b'
    """
    body = syntax_tree(source).body
    match body:
        case [ast.FunctionDef(name="g", body=[ast.Return(value=ast.Constant(str(answer)))])]:
            return answer.encode("utf-8", "backslashreplace").decode()
    raise NotAPuzzle("no solution of a regular-expression puzzle")
