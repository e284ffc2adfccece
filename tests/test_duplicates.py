"""Duplicates: what each level joins and what it must not, against brute force and by properties."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etude.duplicates import LEVELS, Item, find
from etude.duplicates.behaving import behavioural
from etude.duplicates.keys import jaccard, keys_of, plain, shingles
from etude.errors import InputError
from etude.judge import Judge
from etude.puzzle import parse
from etude.tiny import grammar

SAME = {
    "layout": ("def f(x: int, a=7): return x+a==9", "def f(x: int, a = 7):\n  return (x + a) == 9"),
    "comments": (
        "def f(x: int): return x > 2",
        "def f(x: int):  # hm\n    'doc'\n    return x > 2",
    ),
    "arguments": ("def f(x: int, a=7): return x == a", "def f(y: int, b=7): return y == b"),
    "the function's name": ("def f(x: int): return x > 2", "def sat(x: int): return x > 2"),
    "the name of one that calls itself": (
        "def f(x: int): return x > 2 or f(x + 9)",
        "def h(x: int): return x > 2 or h(x + 9)",
    ),
    "locals": (
        "def f(x: int):\n    y = x\n    y += 1\n    return y == 3",
        "def f(x: int):\n    z = x\n    z += 1\n    return z == 3",
    ),
    "a variable of a comprehension": (
        "def f(x: List[int]): return all(i > 2 for i in x) and all(i < 9 for i in x)",
        "def f(x: List[int]): return all(i > 2 for i in x) and all(j < 9 for j in x)",
    ),
    "one that hides an argument": (
        "def f(x: List[int]): return [x for x in x] == [1]",
        "def f(x: List[int]): return [y for y in x] == [1]",
    ),
    "a lambda": (
        "def f(x: List[int]): return max(x, key=lambda i: -i) == 2",
        "def f(x: List[int]): return max(x, key=lambda j: -j) == 2",
    ),
    "an inner function": (
        "def f(x: int):\n    def h(a): return a + x\n    return h(2) == 3",
        "def f(x: int):\n    def k(b): return b + x\n    return k(2) == 3",
    ),
    "an exception": (
        "def f(x: int):\n    try: return x == 1\n    except ValueError as e: return str(e)",
        "def f(x: int):\n    try: return x == 1\n    except ValueError as b: return str(b)",
    ),
    "an import": (
        "def f(x: int):\n    import math as m\n    return m.sqrt(x) == 2",
        "def f(x: int):\n    import math\n    return math.sqrt(x) == 2",
    ),
    "a match": (
        "def f(x: List[int]):\n    match x:\n        case [a, *b]: return a == len(b)",
        "def f(x: List[int]):\n    match x:\n        case [c, *d]: return c == len(d)",
    ),
    "sides of ==": ("def f(x: int, a=7): return x == a", "def f(x: int, a=7): return a == x"),
    "< and >": ("def f(x: int, a=7): return x < a", "def f(x: int, a=7): return a > x"),
    "factors": ("def f(x: int, a=7): return x * a == 9", "def f(x: int, a=7): return a * x == 9"),
    "a sum with a number": (
        "def f(x: int): return x + 2 == 9",
        "def f(x: int): return 2 + x == 9",
    ),
    "conditions that must all hold": (
        "def f(x: str, s='a'): return x[-1] == s and len(x) > 3",
        "def f(x: str, s='a'): return len(x) > 3 and x[-1] == s",
    ),
    "a condition twice": (
        "def f(x: str): return len(x) > 3 and (len(x) > 3 and x != 'abcd')",
        "def f(x: str): return len(x) > 3 and x != 'abcd'",
    ),
}
DIFFERENT = {
    "constants": ("def f(x: int): return x == 7", "def f(x: int): return x == 8"),
    "types of constants": ("def f(x: int): return x == 1", "def f(x: int): return x == 1.0"),
    "True and 1": ("def f(x: int): return (x > 2) is True", "def f(x: int): return (x > 2) is 1"),
    "the type that is asked": ("def f(x: int): return x == 1", "def f(x: float): return x == 1"),
    "which argument": (
        "def f(x: int, a=7, b=7): return x - a == b",
        "def f(x: int, a=7, b=7): return x - b == b",
    ),
    "texts that are joined": (
        "def f(x: str, s='a'): return x + s == 'aba'",
        "def f(x: str, s='a'): return s + x == 'aba'",
    ),
    "merged dicts": (
        "def f(x: int, d={1: 2}): return (d | {1: 3})[1] == x",
        "def f(x: int, d={1: 2}): return ({1: 3} | d)[1] == x",
    ),
    "sides of < alone": ("def f(x: int, a=7): return x < a", "def f(x: int, a=7): return a < x"),
    "conditions where an error would refuse": (
        "def f(x: str): return not (len(x) > 3 and x[3] == 'a')",
        "def f(x: str): return not (x[3] == 'a' and len(x) > 3)",
    ),
    "alternatives": (
        "def f(x: str): return x == '' or x[0] == 'a'",
        "def f(x: str): return x[0] == 'a' or x == ''",
    ),
    "what and gives": (
        "def f(x: int): return x and x == 5",
        "def f(x: int): return x == 5 and x",
    ),
    "arguments that a call names": (
        "def f(x: int):\n    def h(a, b): return a - b\n    return h(a=1, b=2) == x",
        "def f(x: int):\n    def h(b, a): return b - a\n    return h(a=1, b=2) == x",
    ),
    "names that are looked at": (
        "def f(x: str, a=1): return x in locals()",
        "def f(x: str, b=1): return x in locals()",
    ),
    "which helper is the solution": (
        "def h(): return 1\ndef g(): return h()",
        "def g(): return 1\ndef h(): return g()",
    ),
    "attributes of a class": (
        "def f(x: int):\n    class C:\n        a = 1\n        b = 2\n    return x == C.a",
        "def f(x: int):\n    class C:\n        b = 1\n        a = 2\n    return x == C.a",
    ),
    "a global and a local": (
        "def f(x: int):\n    def h():\n        global n\n        n = 3\n    n = 1\n    h()\n"
        "    return x == n",
        "def f(x: int):\n    def h():\n        nonlocal n\n        n = 3\n    n = 1\n    h()\n"
        "    return x == n",
    ),
    "white space in a string": (
        "def f(x: str): return x == '''a \nb'''",
        "def f(x: str): return x == '''a\nb'''",
    ),
}


def canonical(source: str) -> int:
    keys = keys_of(plain(source), "")
    assert keys.parsed
    return keys.canonical


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_does_not_matter_is_one_puzzle(one: str, other: str) -> None:
    assert one != other
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_can_matter_keeps_puzzles_apart(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_a_name_in_the_text_of_an_f_string_is_not_the_variable() -> None:
    """`{x=}` shows the name."""
    one, other = (f"def f({name}: str): return f'{{{name}=}}' == {name}" for name in "xy")
    assert canonical(one) != canonical(other)


documents = st.builds(lambda seed: grammar.document(random.Random(seed)), st.integers(0, 10**9))


def changed(source: str, change: Callable[[ast.AST], None]) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        change(node)
    return ast.unparse(tree)


@given(documents)
@settings(max_examples=40, deadline=None)
def test_renaming_arguments_never_changes_the_canonical_key(pair: tuple[str, str]) -> None:
    for source in pair:
        args = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.arguments))
        names = {one.arg: f"other_{place}" for place, one in enumerate(args.args)}

        def rename(node: ast.AST, names: dict[str, str] = names) -> None:
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
            elif isinstance(node, ast.arg):
                node.arg = names.get(node.arg, node.arg)

        assert canonical(changed(source, rename)) == canonical(source)


@given(documents, st.integers(0, 10**6))
@example(("def f(x: List[int]): return 12 == x[3] and x[85] == 2", "def g(): return [1]"), 0)
@settings(max_examples=40, deadline=None)
def test_constants_never_change_the_form(pair: tuple[str, str], value: int) -> None:
    def turn(node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            node.value = value

    for source in pair:
        assert keys_of(changed(source, turn), "").form == keys_of(source, "").form


@given(st.lists(documents, min_size=1, max_size=12), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_levels_are_nested(pairs: list[tuple[str, str]], seed: int) -> None:
    """Equal texts are canonically equal, and those of one form; near ones include copies."""
    rng = random.Random(seed)
    rows = [rng.choice(pairs) for _ in range(20)]
    rows += [(p.replace("x", "y"), s) for p, s in pairs]
    found = find([Item(str(n), *row) for n, row in enumerate(rows)])
    for surer, looser in (("exact", "canonical"), ("canonical", "form"), ("canonical", "near")):
        first = found.firsts[surer]
        assert (found.firsts[looser] == found.firsts[looser][first]).all()


@given(st.lists(documents, min_size=2, max_size=30))
@settings(max_examples=20, deadline=None)
def test_the_jaccard_index_is_the_true_one_and_at_the_threshold(
    pairs: list[tuple[str, str]],
) -> None:
    items = [Item(str(n), *pair) for n, pair in enumerate(pairs)]
    found = find(items, ["near"], threshold=0.5)
    for twin in found.pairs("near"):
        sets = []
        for text in (items[twin.place].text, items[twin.first_place].text):
            assert text in (twin.text, twin.first_text)
            tokens = re.findall(r"\w+|[^\w\s]", text)
            sets.append({tuple(tokens[at : at + 3]) for at in range(len(tokens) - 2)})
        assert twin.jaccard == len(sets[0] & sets[1]) / len(sets[0] | sets[1]) >= 0.5


def test_equal_ids_are_canonically_equal() -> None:
    """Vetting's ids are the stricter: what they join, the level joins too."""
    rng = random.Random(3)
    sources = {grammar.document(rng)[0] for _ in range(120)}
    sources |= {re.sub(r"\bx\b", "other", source) for source in sources}
    by_id: dict[str, set[int]] = {}
    for source in sorted(sources):
        by_id.setdefault(parse(source).id, set()).add(canonical(source))
    assert max(map(len, by_id.values())) == 1
    assert len(by_id) < len(sources)


def near_rows(count: int, seed: int = 1) -> list[str]:
    """Short random programs, and for every second one a copy with a changed number."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        puzzle, solution = grammar.document(rng)
        rows += [f"{puzzle}\n{solution}", f"{puzzle}\n{solution} # {number} of many"]
    return rows


def test_near_duplicates_are_those_of_comparing_every_pair() -> None:
    rows = near_rows(80)
    found = find([Item(str(n), row) for n, row in enumerate(rows)], ["near"], threshold=0.8)
    sets = [shingles(row) for row in rows]
    leaders: list[int] = []
    for place, own in enumerate(sets):
        if not any(jaccard(own, sets[leader]) >= 0.8 for leader in leaders):
            leaders.append(place)
    kept = {int(name) for name in found.kept("near")}
    assert len(leaders) < len(rows)
    assert len(kept ^ set(leaders)) <= 0.02 * len(rows), "1 in 100 at the threshold may be missed"


def test_a_cluster_of_near_copies_is_not_compared_pair_by_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from etude.duplicates import minhash

    calls = [0]

    def counted(one: object, other: object) -> float:
        calls[0] += 1
        return jaccard(one, other)  # type: ignore[arg-type]

    monkeypatch.setattr(minhash, "jaccard", counted)
    text = near_rows(1)[0] + "\n" + "\n".join(f"# line {n} of a long comment" for n in range(40))
    items = [Item(str(n), f"{text} {n}") for n in range(400)]
    found = find(items, ["near"])
    assert found.kept("near") == ["0"]
    assert calls[0] < 2 * len(items)


def test_a_crowded_bucket_is_bounded_and_said() -> None:
    """Rows that fall into one bucket and are not alike: each is held against so many, no more."""
    from etude.duplicates import minhash

    bands = [np.zeros(500, np.uint64)]
    sizes = np.full(500, 3, np.int32)
    held = minhash.leaders(bands, sizes, lambda row: f"a{row} b{row} c{row} d e", 0.8)
    assert (held.first == np.arange(500)).all()
    assert held.crowded == 500 - minhash.MOST_LISTED - 1


def test_the_same_items_in_more_processes_give_the_same() -> None:
    rng = random.Random(5)
    pairs = [grammar.document(rng) for _ in range(300)]
    items = [Item(str(n), *pairs[n % 290]) for n in range(2_600)]
    one, two = (find(items, processes=processes) for processes in (1, 2))
    assert one.levels == two.levels == LEVELS
    for level in LEVELS:
        assert (one.firsts[level] == two.firsts[level]).all()


def test_a_form_is_capped_not_forbidden() -> None:
    items = [Item(str(n), f"def f(x: int): return x == {n}") for n in range(20)]
    items += [Item("copy", "def f(y: int): return 3 == y")]
    found = find(items, per_form=5)
    assert found.kept("form") == ["0", "1", "2", "3", "4"]
    assert (found.count("form"), found.duplicates("form")) == (1, 16)
    assert found.duplicates("canonical") == 1
    assert [twin.id for twin in found.pairs("canonical")] == ["copy"]


HOSTILE = {
    "no Python": "def f(x: int) return",
    "a lone surrogate": "def f(x: str): return x == '\ud800'",
    "a surrogate outside a string": "\udc80",
    "too deep": "def f(x: int): return " + "(" * 300 + "x" + ")" * 300,
    "too long a sum": "def f(x: int): return x == " + "+".join(["1"] * 5000),
    "a null": "def f(x: int):\0 return x",
    "nothing": "",
    "a huge number": f"def f(x: int): return x == {'9' * 9000}",
    "a megabyte": "def f(x: int): return x == 1 # " + "a" * 1_000_000,
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_compared_as_text(source: str) -> None:
    items = [Item("1", source), Item("2", "def f(x: int): return x > 5"), Item("3", source + "\n")]
    found = find(items)
    for level in ("exact", "canonical", "near"):
        assert found.firsts[level].tolist() == [0, 1, 0]


def test_what_is_no_python_is_counted() -> None:
    rows = ["def f(x: int): return x", "def f(x: int) return", "def f(x:"]
    assert find([Item(str(n), row) for n, row in enumerate(rows)]).unparsed == 2


@pytest.mark.parametrize(
    ("levels", "options"),
    [(["exakt"], {}), ([], {}), (["form"], {"per_form": 0}), (["near"], {"threshold": 0.1})],
)
def test_levels_and_bounds_that_make_no_sense_are_refused(
    levels: list[str], options: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="must be"):
        find([], levels, **options)  # type: ignore[arg-type]


def test_no_items_are_no_duplicates() -> None:
    found = find([])
    assert [found.duplicates(level) for level in found.levels] == [0, 0, 0, 0]


def test_puzzles_that_behave_alike_are_found_and_others_are_not() -> None:
    pairs = [
        ("def f(x: int, a=7): return x + a == 9", "def g(a=7): return 9 - a"),
        ("def f(x: int): return not x != 2", "def g(): return 2"),
        ("def f(x: int): return x == 3", "def g(): return 3"),
        ("def f(x: int): return not x != 2", "def g(): return 5"),
        ("def f(x: int): return not x != 2", "def g(): return 1 + 1"),
        ("no puzzle", "def g(): return 2"),
    ]
    with Judge() as judge:
        held = behavioural([Item(str(n), *pair) for n, pair in enumerate(pairs)], judge)
    assert held.firsts.tolist() == [0, 0, 2, 3, 0, 5]
    assert held.compared == 4
