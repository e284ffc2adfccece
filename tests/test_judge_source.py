"""Which function of a puzzle's text is meant: the short way says what the syntax tree says."""

from __future__ import annotations

import re

import pytest

from etude.judge import source
from etude.judge.shape import shape_from_text

TEXTS = {
    "one function": ("def f(x: int):\n    return x == 4", "f", "int"),
    "P3's name": ("def sat(x: List[str], n=4):\n    return len(x) == n", "sat", "List[str]"),
    "f comes before sat": ("def sat(x: int): return True\ndef f(x: str): return True", "f", "str"),
    "the last of two": ("def f(x: int): return True\ndef f(x: str): return True", "f", "str"),
    "two spaces": ("def f(x: int): return True\ndef  f(x: str): return True", "f", "str"),
    "a tab": ("def f(x: int): return True\ndef\tf(x: str): return True", "f", "str"),
    "a form feed": ("def f(x: int): return True\n\fdef f(x: str): return True", "f", "str"),
    "two lines": ("def f(x: int): return True\ndef \\\nf(x: str): return True", "f", "str"),
    # Python reads names in their normal form, and this is a letter f.
    "another f": ("def f(x: int): return True\ndef \uff46(x: str): return True", "f", "str"),
    "another sat": ("def sat(x: int): return 1\ndef \u017fat(x: str): return 1", "sat", "str"),
    "inside": ("def f(x: int):\n    def f(y: str): return y\n    return True", "f", "int"),
    "in a string": ("def f(x: int):\n    return 'def f(x: str)' != x", "f", "int"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_short_way_agrees_with_the_tree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, function, answer_type = TEXTS[name]
    expected = (function, shape_from_text(answer_type))
    assert source.read_puzzle(text) == expected
    monkeypatch.setattr(source, "_PLAIN", re.compile("(?!)"))  # matches nothing
    assert source.read_puzzle(text) == expected
