"""The files of a model's weights: their sum, and whether they are those that a training left."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from etude import store
from etude.errors import InputError
from etude.store.checkpoints import WEIGHTS


def weights_sum(folder: Path) -> str:
    """`sha256:...` of a folder's weights; empty where it has none.

    It is what `sha256sum` says of its one weights file; of several, what it says of its own lines
    on them, in the order of their names.
    """
    found = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    sums = [_sum(path) for path in found]
    if len(sums) < 2:
        return f"sha256:{sums[0]}" if sums else ""
    lines = "".join(f"{one}  {path.name}\n" for one, path in zip(sums, found, strict=True))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def check_weights(model: str | Path) -> None:
    """Whether the weights are those whose sum the training wrote down (`training.json`).

    The files are read once, as they then are to load them. A folder that no training left, and a
    name on the hub, are taken as they are. Raises `InputError`.
    """
    report = Path(model) / "training.json"
    if not report.is_file():
        return
    if why := store.removed(report.parent):
        raise InputError(
            f"{report.parent} must hold the weights of a model, but they were removed ({why}); "
            f"their sum is in {report.name}. Give a later round of the run, or its student."
        )
    try:
        said = str(json.loads(report.read_text("utf-8")).get("weights", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(_refusal(report, type(error).__name__)) from None
    if said and said != weights_sum(report.parent):
        raise InputError(_refusal(report, "the weights are not those of its sum"))


def _refusal(report: Path, reason: str) -> str:
    return (
        f"{report.parent} must hold the model whose sum is in its {report.name}, but is damaged "
        f"({reason}). Delete it and run again: it will be made anew."
    )


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
