"""The dataset card of an import: the integrity report, in words and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.decontaminate import LEVELS
from etude.duplicates import PER_FORM
from etude.export.card import columns_table, duplicates_table, front_matter, loading
from etude.export.markdown import code, table
from etude.importing.integrity import Integrity
from etude.judge.record import described


def write_card(
    place: Path, manifest: Mapping[str, Any], found: Integrity, name: str, size: int
) -> None:
    """Writes `place / "README.md"`."""
    file = code(str(manifest["file"]), width=100).strip("`")
    title = f"Verified pairs of {file}"
    licence = str(manifest["license"])
    stated = (
        "The file states no licence that is known here."
        if licence == "unknown"
        else f"`{licence}` was given by whoever imported this dataset."
    )
    parts = [
        front_matter(title, licence, {"train": found.kept}, {"train": size}),
        f"# Verified pairs of `{file}`\n",
        f"{found.kept:,} pairs of a Python puzzle `f` and a solution `g` from `{file}` (SHA-256 "
        f"`{manifest['sha256']}`), each accepted by the judge of etude {manifest['etude']}: it ran "
        "them in a sandbox and found that `f(g())` is `True`.\n",
        "## Load and train\n",
        loading(name, ["train"]),
        "## What the file holds\n",
        table(("outcome", "items"), [(f"`{key}`", n) for key, n in found.outcomes.items()]),
        "`rejected.parquet` has all that were not accepted, each with its line and the reason.\n",
        *_unparsed(found),
        f"The verdicts rest on `{described(manifest['judge'])}`.\n",
        "## Duplicates\n",
        f"The accepted pairs are of {found.puzzles:,} puzzles.\n",
        duplicates_table(found.accepted, found.duplicates, PER_FORM),
        f"Left out here: `{manifest['dedup']}`.\n",
        "## Held-out problems\n",
        _contamination(found),
        "## Licence\n",
        f"{stated}\n",
        "## Columns\n",
        "Of an import, what a run would know (rounds, attempts, models, parents) is null.\n",
        columns_table(),
    ]
    (place / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _unparsed(found: Integrity) -> list[str]:
    if not found.reasons:
        return []
    rows = [(code(reason, width=120), n) for reason, n in found.reasons.items()]
    return ["Text that is no pair, the most frequent reasons:\n", table(("reason", "items"), rows)]


def _contamination(found: Integrity) -> str:
    if not found.suite:
        return "Not compared with held-out problems (`etude import --suite NAME`).\n"
    met, examples = Counter(hit.level for hit in found.hits), Counter[str]()
    for hit in found.hits:
        examples[hit.level] += hit.examples
    levels = [*LEVELS, *sorted(met.keys() - set(LEVELS))]
    rows = [(level, met[level], examples[level]) for level in levels]
    text = table(("level", "problems met", "meetings with pairs"), rows)
    return f"Against the {found.problems:,} problems of `{found.suite}`:\n\n{text}"
