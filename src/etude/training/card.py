"""The model card: what a folder of weights is, where it came from, and how to load it.

Names and texts of others are quoted, never markup. Nothing names this machine, so that the same
training writes the same card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from transformers.utils.hub import cached_file

from etude import __version__
from etude.engines.transformers.loading import check_source, load_config
from etude.training.plan import model_digest
from etude.training.settings import FitSettings, Fitted

CARD = "README.md"
LONGEST_CARD = 1 << 20
"""Bytes of a card that are read: it is somebody's text."""
_TOLD = {"start", "start_id", "early", "early_id", "weights"}
_UNTOLD = {"threads", "save_every_seconds", "precision"}


def write_card(
    result: Path,
    model: str | Path,
    settings: FitSettings,
    report: Fitted,
    adapter: str = "",
    judged: str = "",
) -> None:
    """Writes `result / "README.md"`.

    Args:
        adapter: the folder of the adapter alone, where there is one.
        judged: JSON of what the judge's verdicts rest on that chose the documents.
    """
    head = _head(model)
    parts = [
        _front_matter(head),
        "# A model trained by etude\n",
        f"Trained by [etude](https://arxiv.org/abs/2207.14502) {__version__} from "
        f"{_start(model)}.{_license(head)}\n",
        "## How to load it\n",
        _LOADING,
        *([_adapter(adapter)] if adapter else []),
        "## Data and training\n",
        _table(_counts(report)),
        "## Settings\n",
        _table((name, value) for name, value in asdict(settings).items() if name not in _UNTOLD),
    ]
    if judged:
        parts += ["## What the verdicts on its data rest on\n", _table(_judged(judged))]
    (result / CARD).write_text("\n".join(parts), encoding="utf-8")


_LOADING = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
```
"""


def _adapter(folder: str) -> str:
    return (
        f"These are whole weights, the adapter merged into them. `{folder}/` holds the adapter "
        "alone, for `peft.PeftModel.from_pretrained(base, folder)`.\n"
    )


def _head(model: str | Path) -> dict[str, str]:
    """`base_model` and `license`, as far as they are known, for the card's first lines."""
    source = check_source(model)
    local = Path(source).is_dir()
    theirs = _front_matter_of(_card_of(source, local))
    head = {}
    base = theirs.get("base_model") if local else source
    if isinstance(base, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base):
        head["base_model"] = base
    stated = theirs.get("license") or getattr(load_config(model), "license", None)
    if isinstance(stated, str) and re.fullmatch(r"[\w.+-]{1,60}", stated):
        head["license"] = stated
    return head


def _card_of(source: str, local: bool) -> str:
    """The base model's own card; empty where there is none to be had."""
    found = Path(source) / CARD
    if not local:
        at = cached_file(
            source,
            CARD,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
        if at is None:
            return ""
        found = Path(at)
    if not found.is_file():
        return ""
    with found.open("rb") as file:
        return file.read(LONGEST_CARD).decode("utf-8", errors="replace")


def _front_matter_of(card: str) -> dict[str, Any]:
    """What a card says between its two `---`. One that says nothing readable says nothing."""
    match = re.match(r"---\r?\n(.*?)\r?\n---", card, re.DOTALL)
    try:
        read = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _front_matter(head: Mapping[str, str]) -> str:
    # A JSON string is one of YAML too.
    known = [f"{name}: {json.dumps(value)}" for name, value in head.items()]
    fixed = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [etude]"]
    return "\n".join(["---", *known, *fixed, "---", ""])


def _start(model: str | Path) -> str:
    source = check_source(model)
    if not Path(source).is_dir():
        return _code(source)
    place = "/".join(Path(source).absolute().parts[-2:])
    return f"{_code(place)} (SHA-256 of its files: `{model_digest(model)[:16]}`)"


def _license(head: Mapping[str, str]) -> str:
    if "license" in head:
        return f" The base model states the licence `{head['license']}`."
    return " The base model states no licence that is known here."


def _counts(report: Fitted) -> Iterable[tuple[str, Any]]:
    """All but where it started from, which `_start` tells, and the sum of the weights beside it."""
    told = asdict(report).items()
    return ((name, value) for name, value in told if name not in _TOLD)


def _judged(conditions: str) -> Iterable[tuple[str, Any]]:
    read = json.loads(conditions)
    return read.items() if isinstance(read, dict) else [("conditions", read)]


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"| {_code(name)} | {_code(_text(value))} |" for name, value in rows]
    return "\n".join(["| | |", "| --- | --- |", *lines, ""])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _code(text: str) -> str:
    """Text of anyone as a code span in one cell of a table: no markup, no line, no pipe."""
    plain = "".join(char if char.isprintable() else " " for char in text).replace("|", "¦")
    fence = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") or not plain.strip() else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
