"""HumanEval and MBPP, with and without EvalPlus's tests, from files in their public formats.

    humaneval    HumanEval.jsonl (task_id, prompt, entry_point, canonical_solution, test)
    humaneval+   HumanEvalPlus.jsonl: base_input, plus_input and atol, or test as above
    mbpp         mbpp.jsonl (task_id, text, code, test_list, test_setup_code, ...) or
                 sanitized-mbpp.json (prompt, test_imports); of both the test half, tasks 11 to 510
    mbpp+        MbppPlus.jsonl: as HumanEvalPlus; or code, prompt, test, as on the Hugging Face Hub

Each also as `.gz`, and as Parquet with the same columns.
Not covered: exercises whose tests pass objects that are no plain data, such as complex numbers or
instances of classes. The judge calls them `unparsed`; `etude evaluate --check-suite` names them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from etude.errors import InputError
from etude.puzzle import NotAPuzzle, syntax_tree
from etude.suites.files import Row, read_rows
from etude.suites.plus import SHIPPED, inputs_as_tests, shipped_tests
from etude.types import Exercise, Problem

_MBPP_TEST = range(11, 511)
"""The task ids that MBPP's authors evaluate on; the others are for prompts and training."""


def exercises(suite: str, path: Path | None) -> list[Problem]:
    """The problems of one of `FORMATS`, from a file or the folder that holds it, in its order.

    Raises `InputError` when no file is given, or it is of another format: naming the keys that
    were expected and found.
    """
    names, read, where = FORMATS[suite]
    file = _file(suite, path, names, where)
    found = [problem for place, row in read_rows(file) if (problem := read(place, row))]
    if not found:
        raise InputError(f"{file} must hold problems of {suite}, but holds none. Give another.")
    counts = Counter(problem.name for problem in found)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{file} must hold each problem once, but has {min(twice)} more often.")
    return found


def _file(suite: str, path: Path | None, names: Sequence[str], where: str) -> Path:
    if path is None:
        raise InputError(
            f"The suite {suite} is read from a local file, but none was given. "
            f"Give {names[0]} with --folder; it is at {where}."
        )
    if path.is_file():
        return path
    for name in names:
        for suffix in ("", ".gz"):
            if (path / f"{name}{suffix}").is_file():
                return path / f"{name}{suffix}"
    raise InputError(
        f"{path} must be a file of {suite}, or a folder with {' or '.join(names)}, but is not. "
        f"Get it at {where}."
    )


def _humaneval(place: str, row: Row) -> Problem:
    prompt, entry, solution, tests = _texts(
        place, row, "prompt", "entry_point", "canonical_solution", "test"
    )
    return _continued(place, row, prompt, entry, solution, shipped_tests(tests, entry))


def _humaneval_plus(place: str, row: Row) -> Problem:
    if "base_input" not in row:
        return _humaneval(place, row)
    prompt, entry, solution = _texts(place, row, "prompt", "entry_point", "canonical_solution")
    tests = inputs_as_tests(place, row, entry, prompt + solution)
    return _continued(place, row, prompt, entry, solution, tests)


def _continued(place: str, row: Row, prompt: str, entry: str, solution: str, tests: str) -> Problem:
    """An exercise whose prompt is code: everything up to the end of the function's docstring."""
    headers = list(re.finditer(rf"^def {re.escape(entry)}\b", prompt, re.MULTILINE))
    if not headers:
        raise InputError(
            f"{place}: the prompt must have the function {entry} that entry_point names, but has "
            "none. Mend or remove it."
        )
    start = headers[-1].start()
    exercise = Exercise(prompt, prompt[start:], prompt[:start], tests, entry)
    return Problem(_name(row), "all", exercise=exercise, solution=prompt[start:] + solution)


def _mbpp(place: str, row: Row) -> Problem | None:
    (code,) = _texts(place, row, "code")
    text = row.get("text", row.get("prompt"))
    tests = row.get("test_list")
    if not isinstance(text, str) or not _are_texts(tests) or not tests or "task_id" not in row:
        raise _other(place, row, ("task_id", "text (or prompt)", "code", "test_list"))
    if _number(place, row) not in _MBPP_TEST:
        return None
    imports = row.get("test_imports") or []
    setup = "\n".join([*imports, row.get("test_setup_code") or ""]).strip()
    entry = _entry_point(place, code, tests)
    shown = f"{text.strip()}\n{tests[0]}"
    return _described(row, shown, entry, f"{setup}\n" if setup else "", "\n".join(tests), code)


def _mbpp_plus(place: str, row: Row) -> Problem:
    if "base_input" in row:
        prompt, entry, solution = _texts(place, row, "prompt", "entry_point", "canonical_solution")
        task = _number(place, row)
        tests = inputs_as_tests(place, row, entry, solution, task=task)
        return _described(row, prompt.strip().strip("\"'").strip(), entry, "", tests, solution)
    prompt, code, tests = _texts(place, row, "prompt", "code", "test")
    asserts = row.get("test_list")
    if not _are_texts(asserts) or not asserts:
        raise _other(place, row, ("task_id", "prompt", "code", "test_list", "test"))
    entry = _entry_point(place, code, asserts)
    shown = f"{prompt.strip()}\n{asserts[0]}"
    return _described(row, shown, entry, "", shipped_tests(tests, entry), code)


def _described(
    row: Row, shown: str, entry: str, preamble: str, tests: str, solution: str
) -> Problem:
    """An exercise in English: a docstring with one assertion, then the header's beginning.

    The form of InCoder and of the BigCode harness, but that the function's name is written here.
    """
    opening = f"def {entry}("
    prompt = f'"""\n{shown.replace(chr(34) * 3, chr(39) * 3)}\n"""\n{opening}'
    return Problem(
        _name(row),
        "all",
        exercise=Exercise(prompt, opening, preamble, tests, entry),
        solution=solution,
    )


def _entry_point(place: str, code: str, tests: Sequence[str]) -> str:
    """The function of `code` that the assertions call."""
    try:
        defined = {n.name for n in syntax_tree(code).body if isinstance(n, ast.FunctionDef)}
        calls = [n for n in ast.walk(syntax_tree("\n".join(tests))) if isinstance(n, ast.Call)]
    except NotAPuzzle as error:
        raise InputError(f"{place}: code and tests must be Python, but are {error}.") from None
    called = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    found = [name for name in called if name in defined]
    if not found:
        raise InputError(
            f"{place}: the tests must call a function of the code, but call "
            f"{', '.join(called) or 'none'}. Mend or remove it."
        )
    return found[0]


def _name(row: Row) -> str:
    return str(row["task_id"])


def _number(place: str, row: Row) -> int:
    """The number of a task of MBPP: of `Mbpp/2` or of 2."""
    text = str(row["task_id"]).rpartition("/")[2]
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{place}: task_id must end with a number, but is {text[:60]!r}. Mend it.")
    return int(text)


def _texts(place: str, row: Row, *keys: str) -> list[str]:
    """The texts under these keys. Raises `InputError` unless all are there, and `task_id`."""
    if not all(isinstance(row.get(key), str) for key in keys) or "task_id" not in row:
        raise _other(place, row, ("task_id", *keys))
    return [str(row[key]) for key in keys]


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _other(place: str, row: Row, wanted: Sequence[str]) -> InputError:
    found = ", ".join(map(str, list(row)[:20])) or "none"
    return InputError(
        f"{place} must have the keys {', '.join(wanted)}, but has {found}. "
        "Give a file in the suite's public format."
    )


Read = Callable[[str, Row], Problem | None]
FORMATS: dict[str, tuple[tuple[str, ...], Read, str]] = {
    "humaneval": (("HumanEval.jsonl",), _humaneval, "https://github.com/openai/human-eval"),
    "humaneval+": (
        ("HumanEvalPlus.jsonl",),
        _humaneval_plus,
        f"{SHIPPED}/humanevalplus_release",
    ),
    "mbpp": (
        ("mbpp.jsonl", "sanitized-mbpp.json"),
        _mbpp,
        "https://github.com/google-research/google-research/tree/master/mbpp",
    ),
    "mbpp+": (("MbppPlus.jsonl",), _mbpp_plus, f"{SHIPPED}/mbppplus_release"),
}
"""Suite: the names of its files, what reads a row, where they are."""
