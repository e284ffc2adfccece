"""Seed pairs from a file: what is taken, and what is refused by its line."""

import json
from pathlib import Path

import pytest

from etude import config
from etude.errors import InputError
from etude.seeds import load_seeds

F, G = "def f(x: int, a=3): return x == a", "def g(a=3): return a"


def load(tmp_path: Path, *pairs: tuple[str, str]) -> int:
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps({"puzzle": f, "solution": g}) + "\n" for f, g in pairs))
    return len(load_seeds(config.load("smoke", [f"seeds.source={json.dumps(str(path))}"])))


def test_pairs_are_taken_as_they_are(tmp_path: Path) -> None:
    assert load(tmp_path, (F, G), (F, G)) == 2


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (F, "def g(a=3): return '\ud800'"),
        (F, "not python ]["),
        (F, "return a"),
        (F, G.replace("g", "sol")),
        (F.replace("def f", "def sat"), G),
        ("def f(x): return x", G),
    ],
)
def test_what_could_not_be_learned_from_is_named(tmp_path: Path, f: str, g: str) -> None:
    with pytest.raises(InputError, match="line 2: a pair must be one function"):
        load(tmp_path, (F, G), (f, g))
