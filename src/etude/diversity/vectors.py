"""What stands for a puzzle: its syntax tree, a model's hidden states, or a sentence model.

Every vector has length 1. Covered: choosing, and a sentence for what is not installed. Not covered:
how each is made (see `features` and `hidden`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from etude import store
from etude.diversity.features import Floats, ast_vectors
from etude.errors import InputError

AST = "ast"
HIDDEN = "hidden"


def vectors_of(
    kind: str, sources: Sequence[str], folder: Path, model: str | Path | None = None
) -> tuple[Floats, str]:
    """A unit vector of each source, and what they are called.

    `kind` is `ast`; `hidden`, `hidden:middle` or `hidden:N` for the states of `model`, or else of
    the student of the run in `folder`, after its last, middle or N-th layer; or the name or folder
    of a sentence-transformers model. Raises `InputError` for what is not there.
    """
    if kind == AST:
        return ast_vectors(sources), AST
    first, _, layer = kind.partition(":")
    if first == HIDDEN:
        chosen = _student(folder) if model is None else model
        _check("torch", "--vectors hidden", "etude[train]")
        from etude.diversity.hidden import hidden_vectors

        return hidden_vectors(chosen, sources, layer or "last")
    _check("sentence_transformers", f"--vectors {kind}", "sentence-transformers")
    from etude.diversity.hidden import sentence_vectors

    return sentence_vectors(kind, sources), kind


def _student(folder: Path) -> Path:
    """The run's student, or while it goes on the model of its latest round."""
    rounds = [path / "train" for _, path in reversed(store.round_folders(folder))]
    trained = [folder / "final" / "train", *rounds]
    found = next((path for path in trained if store.finished(path)), None)
    if found is None:
        raise InputError(
            f"--vectors hidden needs a trained model of {folder}, but there is none yet. "
            "Name one with --model, or take --vectors ast."
        )
    return found


def _check(package: str, asked: str, install: str) -> None:
    if find_spec(package) is None:
        raise InputError(
            f"{asked} needs the Python package {package}, which is not installed: "
            f"pip install '{install}'. Built in is --vectors ast."
        )
