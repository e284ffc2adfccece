import ast
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude.puzzle import NotAPuzzle, check_rules, parse, syntax_tree, without_docstring


def test_reads_the_parts_of_a_puzzle() -> None:
    puzzle = parse("def sat(li: List[int], n=3, words=['a', 'b']):\n    return len(li) == n")
    assert (puzzle.name, puzzle.answer_type) == ("sat", "List[int]")
    assert puzzle.inputs == "n=3, words=['a', 'b']"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("int", "int"),
        ("list[int]", "List[int]"),
        ("typing.List[List[str]]", "List[List[str]]"),
        ("'List[float]'", "List[float]"),
        ("Dict[str, int]", "Dict[str, int]"),
    ],
)
def test_types_have_one_spelling(annotation: str, expected: str) -> None:
    assert parse(f"def f(x: {annotation}): return x").answer_type == expected


def test_names_and_layout_and_docstrings_do_not_change_the_id() -> None:
    a = parse("def f(x: int, a=7):\n    '''Find it.'''\n    return x+a==9")
    b = parse("def sat(answer: int, n=7) -> bool: return answer + n == 9")
    assert a.id == b.id


@pytest.mark.parametrize(
    "other",
    [
        "def f(x: int, a=8): return x + a == 9",
        "def f(x: float, a=7): return x + a == 9",
        "def f(x: int, a=7): return a + x == 9",
        "def f(x: int, a=7): return x + a == 9 and v1",
    ],
)
def test_what_changes_the_puzzle_changes_the_id(other: str) -> None:
    assert parse("def f(x: int, a=7): return x + a == 9").id != parse(other).id


def test_renaming_does_not_capture_a_name_of_the_body() -> None:
    """An argument that becomes v0 must not collide with a global called v0."""
    a = parse("def f(x: int): return x == v0")
    b = parse("def f(x: int): return x == x")
    assert a.id != b.id


def test_the_form_forgets_constants_but_not_types_or_structure() -> None:
    def form(source: str) -> str:
        return parse(source).form

    base = form("def f(x: int, a=7, u=[1, 2]): return x + a == 9")
    assert base == form("def f(y: int, b=-12, w=[5, 6, 7]): return y + b == -1")
    assert base != form("def f(x: int, a='s', u=[1, 2]): return x + a == 9")
    assert base != form("def f(x: int, a=7, u=[1, 2]): return x - a == 9")


def test_an_f_string_has_a_form() -> None:
    assert "f'" in parse("def f(x: str, a=7): return x == f'n{a + 1:>3}'").form


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "no function"),
        ("def f(x: int): return 1\ndef g(): return 2", "not one function"),
        ("def f(x): return True", "answer without a type"),
        ("def f(): return True", "not exactly one required argument"),
        ("def f(x: int, y): return True", "not exactly one required argument"),
        ("def f(x: int, *, y): return True", "not exactly one required argument"),
        ("def f(x: int, *a): return True", "takes *args or **kwargs"),
        ("def f(x: int: return", "not Python: SyntaxError"),
        ("def f(x: int): return '\0'", "not Python"),
        ("def f(x: int): return " + "-" * 60_000 + "1", "not Python"),
        ("def f(x: int): return " + "a" * 200_000, "longer than"),
        ("def f(x: int): return '\ud800'", "not Python"),
    ],
)
def test_what_is_no_puzzle_is_said_so(source: str, reason: str) -> None:
    with pytest.raises(NotAPuzzle, match=reason.replace("*", r"\*")):
        parse(source)


def test_nothing_is_executed_while_reading(tmp_path: object) -> None:
    parse(f"def f(x: int, a=open('{tmp_path}/made', 'w')): return True")
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(x: bool): return x", "answer type not allowed"),
        ("def f(x: Dict[str, int]): return x", "answer type not allowed"),
        ("def f(x: int): x + 1", "returns nothing"),
        ("def f(x: int, a=1): return x == 1", "argument not used"),
        ("def f(x: int, a=1): return a == 1", "argument not used"),
        ("def f(x: int): return x == y", "unknown name"),
        ("import os\ndef f(x: int): return x == 1", "more than a function"),
    ],
)
def test_rules_for_proposals(source: str, reason: str) -> None:
    with pytest.raises(NotAPuzzle, match=reason):
        check_rules(parse(source))


def test_a_good_proposal_passes_the_rules() -> None:
    check_rules(parse("def f(x: List[List[bool]], n=2): return all(len(r) == n for r in x)"))


def test_a_docstring_goes_and_the_rest_stays() -> None:
    source = 'def f(x: int):\n    """Find x."""\n    return x == 3'
    assert without_docstring(source) == "def f(x: int):\n    return x == 3"
    assert without_docstring("def f(x: int): return x == 3") == "def f(x: int): return x == 3"


def test_odd_escapes_warn_nobody() -> None:
    parse("def f(x: str): return x == '\\d'")


@given(st.text(max_size=200))
def test_any_text_is_a_puzzle_or_not_one(text: str) -> None:
    with contextlib.suppress(NotAPuzzle):
        parse(text)


@given(st.text(alphabet="def f(x:int)=[]1'\"\n \\{}", max_size=80))
def test_python_like_text_is_a_puzzle_or_not_one(text: str) -> None:
    with contextlib.suppress(NotAPuzzle):
        assert isinstance(syntax_tree("def f(x: int): return " + text), ast.Module)
        parse("def f(x: int): return " + text)
