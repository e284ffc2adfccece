"""Small files in the public formats of HumanEval, MBPP and EvalPlus, for the tests of suites."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

HAS_CLOSE = {
    "task_id": "HumanEval/0",
    "prompt": (
        "from typing import List\n\n\n"
        "def has_close_elements(numbers: List[float], threshold: float) -> bool:\n"
        '    """ Check if any two numbers are closer to each other than the threshold.\n'
        "    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)\n    False\n"
        '    """\n'
    ),
    "entry_point": "has_close_elements",
    "canonical_solution": (
        "    for idx, elem in enumerate(numbers):\n"
        "        for idx2, elem2 in enumerate(numbers):\n"
        "            if idx != idx2 and abs(elem - elem2) < threshold:\n"
        "                return True\n\n    return False\n"
    ),
    "test": (
        "\n\nMETADATA = {'author': 'jt', 'dataset': 'test'}\n\n\ndef check(candidate):\n"
        "    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True\n"
        "    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False\n"
    ),
}
FIND_ZERO = {
    "task_id": "HumanEval/32",
    "prompt": (
        "import math\n\n\ndef poly(xs: list, x: float):\n"
        '    """\n    Evaluates polynomial with coefficients xs at point x.\n    """\n'
        "    return sum([coeff * math.pow(x, i) for i, coeff in enumerate(xs)])\n\n\n"
        'def find_zero(xs: list):\n    """ xs are coefficients of a polynomial.\n    """\n'
    ),
    "entry_point": "find_zero",
    "canonical_solution": (
        "    begin, end = -1., 1.\n    while poly(xs, begin) * poly(xs, end) > 0:\n"
        "        begin *= 2.0\n        end *= 2.0\n    while end - begin > 1e-10:\n"
        "        center = (begin + end) / 2.0\n"
        "        if poly(xs, center) * poly(xs, begin) > 0:\n            begin = center\n"
        "        else:\n            end = center\n    return begin\n"
    ),
    "test": (
        "def check(candidate):\n    import math\n    assert abs(candidate([1, 2]) + 0.5) < 1e-4\n"
    ),
}
HUMANEVAL = [HAS_CLOSE, FIND_ZERO]


def without(row: Row, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


HUMANEVAL_PLUS = [
    without(HAS_CLOSE, "test")
    | {
        "contract": "",
        "base_input": [[[1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3], [[1.0, 2.0], 0.05]],
        "plus_input": [[[float(n), n + 0.25], 0.3] for n in range(150)],
        "atol": 0,
    },
    without(FIND_ZERO, "test")
    | {"contract": "", "base_input": [[[1, 2]]], "plus_input": [[[-6, 11, -6, 1]]], "atol": 1e-4},
]
_COMPARISON = """\
import numpy as np

def is_floats(x) -> bool:
    # check if it is float; List[float]; Tuple[float]
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False


def assertion(out, exp, atol):
    exact_match = out == exp

    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        np.testing.assert_allclose(out, exp, atol=atol)
    else:
        assert exact_match
"""
HUMANEVAL_PLUS_HUB = [
    {
        "task_id": "HumanEval/45",
        "prompt": '\n\ndef third(a, b):\n    """Their sum by three.\n    """\n',
        "canonical_solution": "    return (a + b) / 3\n",
        "entry_point": "third",
        "test": f"{_COMPARISON}\n\ndef check(candidate):\n"
        f"    inputs = {[[n, n + 1] for n in range(130)]}\n"
        f"    results = {[(n + n + 1) / 3 + 1e-9 for n in range(130)]}\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "        assertion(candidate(*inp), exp, 0)\n",
    }
]
"""As on the Hub: `evalplus/humanevalplus`. The expected floats are off by less than 1e-6."""

_SIMILAR = "def similar_elements(a, b):\n  res = tuple(set(a) & set(b))\n  return (res)\n"
MBPP = [
    {
        "text": "Write a function to find the similar elements from the given two tuple lists.",
        "code": _SIMILAR,
        "task_id": task,
        "test_setup_code": "",
        "test_list": [
            "assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)",
            "assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)",
        ],
        "challenge_test_list": [],
    }
    for task in (2, 12)  # the first is of the half that is for prompts
] + [
    {
        "text": "Write a function to find the roots.",
        "code": "import math\r\ndef root(x):\r\n    return math.sqrt(x)",
        "task_id": 511 - 1,
        "test_setup_code": "TWO = 2",
        "test_list": ["assert root(4) == TWO"],
        "challenge_test_list": [],
    }
]
SANITIZED = [
    {
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "task_id": 17,
        "prompt": "Write a function that returns the perimeter of a square given its side.",
        "code": "def square_perimeter(a):\n  perimeter=4*a\n  return perimeter",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(square_perimeter(10), 40)"],
    }
]
MBPP_PLUS = [
    {
        "task_id": "Mbpp/2",
        "prompt": (
            '"""\nWrite a function to find the shared elements from the given two lists.\n'
            'assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))\n"""\n'
        ),
        "entry_point": "similar_elements",
        "canonical_solution": (
            "\ndef similar_elements(a, b):\n  assert isinstance(a, tuple)\n"
            "  return tuple(set(a) & set(b))\n"
        ),
        "base_input": [[[3, 4, 5, 6], [5, 7, 4, 10]]],
        "plus_input": [[[n, n + 1, n + 2], [n + 1, n + 2, n + 9]] for n in range(120)],
        "atol": 0,
        "contract": "",
    }
]
MBPP_PLUS_HUB = [
    {
        "task_id": 2,
        "code": _SIMILAR,
        "prompt": "Write a function to find the shared elements from the given two lists.",
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "test_imports": [],
        "test_list": [
            "assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))",
        ],
        "test": (
            _COMPARISON.replace("exact_match = out == exp", "exact_match = set(out) == set(exp)")
            + f"\ninputs = {[[(n, n + 1), (n + 1, n)] for n in range(130)]}\n"
            f"results = {[(n, n + 1) for n in range(130)]}\n"
            "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
            "    assertion(similar_elements(*inp), exp, 0)\n"
        ),
    }
]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as JSON lines, or as a list for `.json`; compressed for `.gz`."""
    if path.name.removesuffix(".gz").endswith(".json"):
        text = json.dumps(list(rows))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
