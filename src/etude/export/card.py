"""The dataset card: `README.md` of an exported folder, written from the run's tables.

Covered: what the pairs are, where they came from, what their verdicts rest on, what they share with
the held-out problems, how the run scored, and the commands that make them again. A part of which
the run has no table is left out. Nothing names this machine, so that the same run writes the same
card.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from etude import __version__, readings, store
from etude.course import STOP
from etude.decontaminate import LEVELS
from etude.export import maps
from etude.export.columns import COLUMNS, CONFIGS, features
from etude.export.made import Exported
from etude.export.making import STAGES
from etude.export.markdown import Cells, table
from etude.export.writing import RECIPE
from etude.judge.record import METADATA_KEY, described
from etude.readings.words import harmless, percent
from etude.types import Score

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
"""The hub's words for how many rows there are, each up to a number."""


def write_card(place: Path, made: Exported, name: str) -> None:
    """Writes `place / "README.md"`, and the pictures that it shows; `name` is what loads it."""
    run = made.run
    title = f"Verified programming puzzles of the run {run.recipe.name}"
    parts = [
        front_matter(title, made.licence.name, made.splits, made.bytes),
        f"# {title}\n",
        _lead(made),
        "## Load and train\n",
        loading(name, made.splits),
        "## From proposals to pairs\n",
        _funnel(made),
        "## What a verdict rests on\n",
        _judge(made),
        "## Duplicates\n",
        _duplicates(made),
        "## Held-out problems\n",
        _contamination(made),
        *_health(made),
        *_probes(made),
        *maps.section(place, run),
        *_scores(made),
        "## Make it again\n",
        _again(made, name),
        "## Licence\n",
        f"{made.licence.note} The puzzles and solutions are text that a model wrote"
        f"{', and pairs that people wrote' if made.seeds else ''}.\n",
        "## Columns\n",
        columns_table(),
        "## Known limits\n",
        _limits(made),
    ]
    (place / "README.md").write_text("\n".join(parts), encoding="utf-8")


def front_matter(
    title: str, licence: str, splits: Mapping[str, int], sizes: Mapping[str, int]
) -> str:
    """What the hub and `datasets` read: JSON values, which are YAML too."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    configs = [
        {"config_name": name, "data_files": files, "columns": list(names)}
        | ({"default": True} if name == "default" else {})
        for name, names in CONFIGS.items()
    ]
    counted = [
        {"name": split, "num_examples": count, "num_bytes": sizes.get(split, 0)}
        for split, count in splits.items()
    ]
    infos = [
        {"config_name": name, "features": features(names), "splits": counted}
        for name, names in CONFIGS.items()
    ]
    total = sum(splits.values())
    head: dict[str, Any] = {
        "pretty_name": title,
        "license": licence,
        "language": ["code"],
        "task_categories": ["text-generation"],
        "tags": ["etude", "python", "programming-puzzles", "self-play"],
        "size_categories": [next((word for top, word in SIZES if total < top), "1M<n<10M")],
        "configs": configs,
        "dataset_info": infos,
    }
    lines = []
    for name, value in head.items():
        items = value if isinstance(value, list) else []
        lines.append(f"{name}: {json.dumps(value)}" if not items else f"{name}:")
        lines += [f"- {json.dumps(item)}" for item in items]
    return "\n".join(["---", *lines, "---", ""])


def _lead(made: Exported) -> str:
    run, total = made.run, made.splits.total()
    written = total - made.seeds
    text = (
        f"{total:,} pairs of a Python puzzle `f` and a solution `g`, each accepted by the judge of "
        f"[etude](https://arxiv.org/abs/2207.14502) {__version__}: it ran them in a sandbox and "
        f"found that `f(g())` is `True`. "
    )
    derived = made.pairs.counts.derived
    text += f"A language model wrote {written - derived:,} of them"
    text += f", and the loop made {derived:,} of what it wrote (`origin`)" * bool(derived)
    text += f"; {made.seeds:,} are pairs by people that the run started from.\n" * bool(made.seeds)
    text += "." * (not made.seeds)
    if made.options.choice.arm != "verified":
        text += f"\nThey are of the control `{made.options.choice.arm}`, not of the loop itself.\n"
    if not (_arm(made) / "final" / "evaluate" / "scores.parquet").exists():
        done = [number for number in readings.rounds(_arm(made)) if number]
        text += (
            f"\n**The run was not finished when this was exported**: it had begun {len(done)} of "
            f"{run.recipe.run.rounds} rounds.\n"
        )
    return f"{text}\n"


def _arm(made: Exported) -> Path:
    return store.arm_folder(made.run.folder, made.options.choice.arm)


def loading(name: str, splits: Iterable[str]) -> str:
    """How a folder is loaded and trained on."""
    test, quoted, word = "test" in splits, json.dumps(name, ensure_ascii=False), shlex.quote(name)
    evaluated = " \\\n    --dataset_test_split test --eval_strategy epoch" if test else ""
    return f"""\
```python
from datasets import load_dataset

pairs = load_dataset({quoted}, split="train")  # prompt and completion
texts = load_dataset({quoted}, "text", split="train")  # the whole text in one column
```

TRL trains on the folder as it is, on the completions alone:

```bash
trl sft --dataset_name {word} --model_name_or_path MODEL --output_dir trained{evaluated}
```

`--dataset_config text` learns the whole text, puzzle included. No configuration has both columns:
TRL would append its end-of-text token to `text`, and train on completions that never end.
"""


def _funnel(made: Exported) -> str:
    exported = {row["round"]: row for row in made.pairs.by_round()}
    rows: list[Cells] = []
    wanted = made.options.choice.round
    for one in readings.funnels(_arm(made)):
        if wanted in (None, one.round):
            kept = exported.get(one.round, {"pairs": 0, "puzzles": 0})
            accepted = one.outcomes["accepted"]
            made_of = (one.asked, one.kept, one.candidates, accepted, one.solved)
            taught = (one.examples, one.derived)
            rows.append((one.round, *made_of, *taught, kept["pairs"], kept["puzzles"]))
    head = ("round", "proposals", "puzzles kept", "attempts", "accepted", "puzzles solved")
    taught_head = ("examples trained on", "made of pairs")
    text = table((*head, *taught_head, "pairs here", "of puzzles"), rows)
    counts, dedup = made.pairs.counts, made.options.choice.dedup
    people = f"{counts.refused:,} are of puzzles that a person rejected; " if counts.refused else ""
    text += (
        f"\nOf {counts.selected:,} {_chosen(made)}, {people}{counts.verified:,} are accepted and "
        f"not by chance; {counts.kept:,} are left without duplicates (`{dedup}`).\n"
    )
    if counts.derived:
        text += (
            f"{counts.derived:,} of these the loop made of others, and the judge accepted them "
            "too: `origin` says how, `made_from` of which puzzle.\n"
        )
    if made.options.include_seeds:
        text += f"With them come {made.seeds:,} seed pairs by people, judged when exported.\n"
    if made.options.verify:
        text += (
            "All were judged once more when exported. "
            f"{made.refused.count:,} were not accepted again and are left out"
            + (": `refused.jsonl` lists them.\n" if made.refused.count else ".\n")
        )
    types = table(
        ("answer type", "pairs"),
        [(f"`{harmless(row['answer_type'])}`", row["pairs"]) for row in made.pairs.answer_types()],
    )
    return f"{text}\n{types}"


def _chosen(made: Exported) -> str:
    whole = made.options.choice.everything
    return "judged attempts" if whole else "pairs that were selected for training"


def _judge(made: Exported) -> str:
    notes: Counter[str] = Counter()
    for number in readings.rounds(_arm(made)):
        if number and made.options.choice.round in (None, number):
            folder = store.round_folder(_arm(made), number)
            made_in = [stage for stage, _ in STAGES.values()] if made.pairs.counts.derived else []
            paths = [store.segments(folder / stage) for stage in ("judge", *made_in)]
            for path in chain.from_iterable(paths):
                note = (store.read_schema(path).metadata or {}).get(METADATA_KEY.encode(), b"")
                notes[note.decode() if note else ""] += 1
    rows = [
        (f"`{described(json.loads(note))}`" if note else "not recorded", count)
        for note, count in sorted(notes.items())
    ]
    looks = (
        "A second look, with other chance, time and hashes, found the same of every pair."
        if made.run.recipe.judge.twice
        else "There was one look at each pair (`judge.twice` was off)."
    )
    return f"{table(('judge', 'segments of verdicts'), rows)}\n{looks}\n"


MEANINGS = {
    "exact": "the same puzzle and solution, to the letter",
    "canonical": "the same but for names, layout and comments",
    "form": "those, and what is the same but for constants beyond the first {per_form}",
    "near": "at least 0.8 of their runs of 3 tokens in common",
}


def _duplicates(made: Exported) -> str:
    """Counts at each level, among the verified pairs."""
    counts, limit = made.pairs.counts, made.run.recipe.vet.max_per_form
    return duplicates_table(counts.verified, counts.duplicates, limit) + (
        f"\nLeft out here: `{made.options.choice.dedup}`. `etude dedup` lists them with both "
        "texts, also at looser levels.\n"
    )


def duplicates_table(total: int, duplicates: Mapping[str, int], per_form: int) -> str:
    """How many of some pairs are duplicates at each level."""
    rows = [
        (level, MEANINGS[level].format(per_form=per_form), count, total - count)
        for level, count in duplicates.items()
    ]
    return table(("level", "alike", "duplicates", "pairs without them"), rows)


def _contamination(made: Exported) -> str:
    suite = f"`{made.run.recipe.evaluate.suite}`"
    if made.problems is None:
        return f"Not compared with {suite}, which could not be read where this was exported.\n"
    met, examples = Counter(hit.level for hit in made.hits), Counter[str]()
    for hit in made.hits:
        examples[hit.level] += hit.examples
    levels = [*LEVELS, *sorted(met.keys() - set(LEVELS))]
    rows = [(level, met[level], examples[level]) for level in levels]
    text = f"All pairs against the {len(made.problems):,} problems of {suite}, on which the run is "
    text += "scored:\n\n" + table(("level", "problems met", "meetings with pairs"), rows)
    if made.hits:
        text += "\n`contamination.parquet` has both texts of the worst meeting of each problem.\n"
    return text


def _health(made: Exported) -> list[str]:
    rows = made.pairs.view("health", "round, measure")
    if not rows:
        return []
    cells = [(r["round"], r["measure"], r["value"], _limit(r), r["state"]) for r in rows]
    shown = [tuple(map(_number, row)) for row in cells]
    return ["## Health\n", table(("round", "measure", "value", "limit", "state"), shown)]


def _limit(row: store.Row) -> float | None:
    """The limit that a measure's state is about."""
    limit: float | None = row["stop"] if row["state"] == STOP else row["warn"]
    return row["stop"] if limit is None else limit


def _probes(made: Exported) -> list[str]:
    """What the run's probes say of all puzzles that its rounds kept."""
    rows = made.pairs.probes()
    if not rows:
        return []
    cells = [tuple(row.values()) for row in rows]
    head = ("round", "puzzles", "tried with strangers' answers", "weak", "unstable", "idle inputs")
    return [
        "## Probes\n",
        "Of all puzzles that a round kept. A weak puzzle accepts too many answers of other puzzles "
        "of its type; idle inputs change no verdict.\n",
        table(head, cells),
    ]


def _scores(made: Exported) -> list[str]:
    ladder = readings.ladder(made.run.folder)
    found = [score for rung in ladder for score in rung.scores]
    parts = []
    for part in readings.parts_of(found):
        ks = readings.ks_of([score for score in found if score.part == part])
        rows = [
            (rung.label, *(_score(readings.score_of(rung, part, k)) for k in ks)) for rung in ladder
        ]
        one = next(score for score in found if score.part == part)
        parts.append(
            f"Percent of the {one.problems:,} {readings.PARTS.get(part, part)} solved, with 95% "
            f"intervals over problems:\n\n{table(('', *(f'pass@{k}' for k in ks)), rows)}"
        )
    return ["## Scores of the run\n", *parts] if parts else []


def _score(score: Score | None) -> str:
    return "" if score is None else percent(score)


def _again(made: Exported, name: str) -> str:
    options = made.options
    choice = options.choice
    words = ["etude export RUN"]
    words += [f"--arm {choice.arm}"] * (choice.arm != "verified")
    words += [f"--round {choice.round}"] * (choice.round is not None)
    words += ["--all"] * choice.everything + ["--no-derived"] * (not choice.derived)
    words += [f"--dedup {choice.dedup}"] * (choice.dedup != "exact")
    words += ["--include-seeds"] * options.include_seeds + ["--verify"] * options.verify
    words += [f"--split {options.test_share:g}"] * bool(options.test_share)
    words += [f"--license {shlex.quote(options.license or '')}"] * (options.license is not None)
    path = made.run.folder / "record.json"
    versions = json.loads(path.read_text("utf-8")).get("versions", {}) if path.exists() else {}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"""\
`{RECIPE}` beside this file holds every setting; the seed is {made.run.recipe.run.seed}.

```bash
etude run {RECIPE} --out RUN
{" ".join(words)} --out {shlex.quote(name.rpartition("/")[2])}
```

The run was made with {harmless(listed, lines=1, width=400) or "versions that it does not record"}.
"""


def columns_table() -> str:
    """Every column, its type and meaning."""
    return table(
        ("column", "type", "meaning"),
        [(f"`{name}`", str(kind), meaning) for name, kind, meaning in COLUMNS],
    )


def _limits(made: Exported) -> str:
    said = [
        "A verdict says that the solution solves the puzzle, not that the puzzle is sensible, "
        "useful or hard. `solve_rate` says how often the model itself found a solution.",
        "Puzzles that nothing solved are not in it, so it leans to what the model can do"
        + (" and what the loop finds by search." if made.pairs.counts.derived else "."),
        "The texts were written by a model: run them in a sandbox (`etude judge`), not in your own "
        "process.",
    ]
    if not made.run.recipe.judge.twice and not made.options.verify:
        said.append("A solution that is accepted by chance may be among them: one look was taken.")
    met = {hit.problem for hit in made.hits}
    if met and made.problems:
        said.append(
            f"{len(met):,} of the {len(made.problems):,} held-out problems are met by a pair at "
            "some level, so scores on them flatter a model that is trained on this."
        )
    return "".join(f"- {sentence}\n" for sentence in said)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
