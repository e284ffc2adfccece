"""EvalPlus's tests, in a form that the judge can run: text in, text out.

EvalPlus ships inputs and a reference solution, or tests that import numpy to compare floats. The
judge has no numpy, and runs tests in rounds in which unknown results are guessed, so all calls are
made before any result is looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from etude.errors import InputError
from etude.puzzle import NotAPuzzle
from etude.suites.files import Row

SHIPPED = "https://github.com/evalplus"

_NUMPY = '''\
class np:
    """What EvalPlus's tests need of numpy."""
    class ndarray: pass
    float32 = float64 = float
    def allclose(out, exp, rtol=1e-05, atol=1e-08):
        if isinstance(exp, (list, tuple)) and isinstance(out, (list, tuple)):
            pairs = zip(out, exp)
            return len(out) == len(exp) and all(np.allclose(a, b, rtol, atol) for a, b in pairs)
        return bool(out == exp or abs(out - exp) <= atol + rtol * abs(exp))
    class testing:
        def assert_allclose(out, exp, rtol=1e-07, atol=0):
            assert np.allclose(out, exp, rtol, atol)
'''
_NUMPY_NAMES = {"ndarray", "float32", "float64", "allclose", "testing"}
_IN_TURN = """\
def _in_turn(function, inputs):
    import copy
    found = iter([function(*copy.deepcopy(arguments)) for arguments in inputs])
    return lambda *_: next(found)
"""


def shipped_tests(tests: str, entry: str) -> str:
    """Tests as they are shipped, without the need of numpy, all calls first.

    Tests that use more of numpy than EvalPlus's comparison are left as they are. So are the tests
    of HumanEval itself, which have no list `inputs`.
    """
    try:
        tree = syntax_tree_of_tests(tests)
    except NotAPuzzle:
        return tests
    lines = tests.split("\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_inputs(node):
            called = "candidate" if node.col_offset else entry
            indent = " " * node.col_offset
            lines.insert(node.end_lineno or 0, f"{indent}{called} = _in_turn({called}, inputs)")
            lines.insert(0, _IN_TURN)
            break
    text = "\n".join(lines)
    if _needs_numpy(tree) <= _NUMPY_NAMES and "import numpy as np" in tests:
        text = text.replace("import numpy as np", _NUMPY, 1)
    return text


def syntax_tree_of_tests(tests: str) -> ast.Module:
    """Tests may be far longer than any puzzle. Raises `NotAPuzzle` for what is no Python."""
    try:
        return ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotAPuzzle(f"not Python: {type(error).__name__}") from None


def _is_inputs(node: ast.Assign) -> bool:
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names == ["inputs"] and isinstance(node.value, ast.List)


def _needs_numpy(tree: ast.Module) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "np"
    }


def inputs_as_tests(
    place: str, row: Row, entry: str, reference: str, *, task: int | None = None
) -> str:
    """Tests that hold a program against the reference solution on EvalPlus's inputs.

    `task` is the number of a task of MBPP+, whose inputs are more than JSON can say. The reference
    runs with the tests, where the program can't see it. Floats are compared with the row's `atol`,
    or 1e-6, as EvalPlus does. Raises `InputError` for rows of another form.
    """
    inputs = [*_inputs(place, row, "base_input"), *_inputs(place, row, "plus_input")]
    atol = row.get("atol", 0)
    if not isinstance(atol, int | float):
        raise InputError(f"{place}: atol must be a number, but is {atol!r}. Mend it.")
    if task is not None:
        try:
            inputs = [_typed(task, one) for one in inputs]
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"{place}: the inputs must be those of EvalPlus's task {task}, but are of another "
                f"shape ({error}). Give EvalPlus's own file."
            ) from None
    compare = _COMPARED.get(entry, "_same(found, expected, ATOL)")
    return (
        f"from math import inf, nan\nINPUTS = {inputs!r}\nREFERENCE = {reference!r}\n"
        f"ATOL = {atol!r}\nENTRY = {entry!r}\n{_NUMPY}{_CHECK.format(compare=compare)}"
    )


_CHECK = """\
def _same(found, expected, atol):
    if found == expected:
        return True
    floats = expected if isinstance(expected, (list, tuple)) else [expected]
    atol = 1e-6 if atol == 0 and all(isinstance(one, float) for one in floats) else atol
    return atol != 0 and np.allclose(found, expected, 1e-07, atol)


def _root(found, arguments):
    (coefficients,) = arguments
    return abs(sum(c * found**i for i, c in enumerate(coefficients))) <= ATOL


def check(candidate):
    import copy
    space = {{}}
    exec(REFERENCE, space)
    wanted = [space[ENTRY](*copy.deepcopy(arguments)) for arguments in INPUTS]
    given = [candidate(*copy.deepcopy(arguments)) for arguments in INPUTS]
    for arguments, expected, found in zip(INPUTS, wanted, given):
        assert {compare}, "a test of EvalPlus"
"""

_COMPARED = {
    # HumanEval/32 has many right answers: any root, to within atol.
    "find_zero": "_root(found, arguments)",
    # Their results are not plain data where they are not None.
    **dict.fromkeys(
        ("check_str", "text_match_three", "text_starta_endb"),
        "(found is None) == (expected is None)",
    ),
    # Their order is not asked for.
    **dict.fromkeys(
        (
            "similar_elements",
            "find_char_long",
            "common_in_nested_lists",
            "extract_singly",
            "larg_nnum",
            "intersection_array",
            "find_dissimilar",
            "Diff",
        ),
        "set(found) == set(expected)",
    ),
}
"""How the results of some functions are compared, by EvalPlus's rules."""


def _inputs(place: str, row: Row, key: str) -> list[list[Any]]:
    found = row.get(key)
    if not isinstance(found, list) or not all(isinstance(one, list) for one in found):
        raise InputError(
            f"{place}: {key} must be a list of lists of arguments, but is {str(found)[:60]}. "
            "Give EvalPlus's own file."
        )
    return found


# JSON has no tuples and sets, so MBPP+ says nowhere which lists are some: by task, what to mend.
_ARGUMENTS = {2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616}
_ARGUMENTS |= {630, 726, 740, 744, 809, 259, 401, 445, 278}
_ITEMS = {63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780, 259, 401, 445, 278}
_FIRST = {250, 307, 405, 446, 617, 720, 763, 808}
_ITEMS_OF_FIRST = {75, 413, 444, 753}
_SECOND = {106, 750}
_DEEP = {580, 615, 791}


def _typed(task: int, arguments: Sequence[Any]) -> list[Any]:
    """One input of MBPP+ with its tuples and sets."""
    first, *others = arguments or [None]
    if task in _DEEP:
        return [_deep(one) for one in arguments]
    if task in _FIRST:
        return [_tuple(first), *others]
    if task in _ITEMS_OF_FIRST:
        return [[_tuple(one) for one in first], *others]
    if task in _SECOND:
        return [first, *map(_tuple, others)]
    if task == 722:
        return [{key: _tuple(value) for key, value in first.items()}, *others]
    if task == 115:
        return [[set(one) if isinstance(one, list) and one else {} for one in first]]
    found = list(arguments)
    if task in _ITEMS:
        found = [[_tuple(one) for one in lst] if type(lst) is list else lst for lst in found]
    return [_tuple(one) for one in found] if task in _ARGUMENTS else found


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _deep(value: Any) -> Any:
    return tuple(_deep(one) for one in value) if isinstance(value, list) else value
