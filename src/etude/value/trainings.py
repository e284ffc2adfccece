"""Trainings with a part left out, all on equally many examples, each scored on the suite.

    runs/value-tiny-cluster/
      value.json                    what was asked; another question needs another folder
      seed-0/control/train/         a random selection of all examples
      seed-0/again/train/           another such selection; the control is the mean of both
      seed-0/without-1/train/       a selection of those that are not in part 1
      seed-0/.../evaluate/          attempts and scores, as of any evaluation
      value.parquet                 what came of it

A training or a unit of an evaluation that is there is not done again, so that an interrupted
comparison, given again, ends the same.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from etude import config, store
from etude.arm import Arm, Tell, fit_options
from etude.errors import InputError
from etude.evaluate import evaluate
from etude.loop import start_of
from etude.train import beside_others, seed_documents
from etude.types import Document, content_id
from etude.value.examples import Example, Part
from etude.value.findings import AGAIN, CONTROL

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared."""

    run: store.Run
    """Its recipe says how the student is trained and scored here."""
    out: Path
    by: str
    parts: tuple[Part, ...]
    examples: tuple[Example, ...]
    seeds: int

    @property
    def size(self) -> int:
        """Examples of every training: all but the largest part."""
        return len(self.examples) - max(len(part.members) for part in self.parts)

    @property
    def trainings(self) -> int:
        return self.seeds * (len(self.parts) + 2)

    def mark(self) -> dict[str, object]:
        """What a folder must have been begun with to go on in it."""
        members = [f"{part.name} {part.members}" for part in self.parts]
        return {
            "run": str(self.run.folder.resolve()),
            "by": self.by,
            "seeds": self.seeds,
            "examples": content_id(*(example.id for example in self.examples)),
            "parts": content_id(*members),
            "recipe": config.dump(self.run.recipe),
        }


def open_folder(asked: Asked) -> None:
    """Begin the folder, or see that it is of the same question. Raises `InputError` if not."""
    path = asked.out / "value.json"
    if not path.exists():
        if asked.out.exists() and any(item.name != ".lock" for item in asked.out.iterdir()):
            raise InputError(
                f"{asked.out} must be new or hold such a comparison, but holds other files. "
                "Choose another with --out."
            )
        store.write_atomically(path, json.dumps(asked.mark(), indent=2).encode())
        return
    try:
        kept = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        kept = {}
    differ = [name for name, value in asked.mark().items() if kept.get(name) != value]
    if differ:
        raise InputError(
            f"{asked.out} was begun with another question (other {', '.join(differ)}). "
            f"Ask as before, or choose another folder with --out {asked.out}-2."
        )


class _Apart(Arm):
    """An arm that writes nothing into the run, not even its times."""

    def __init__(self, run: store.Run, seed: int, folder: Path, tell: Tell) -> None:
        self._place = folder
        super().__init__(run, f"value-{seed}", tell)

    @property
    def folder(self) -> Path:
        return self._place


def rates(asked: Asked, tell: Tell) -> dict[str, list[Floats]]:
    """By training, pass@1 of each problem, one array a seed. What is owed is done first."""
    found: dict[str, list[Floats]] = {}
    for seed in range(asked.seeds):
        for name in _names(asked):
            found.setdefault(name, []).append(_rates(asked, seed, name, tell))
    return found


def _names(asked: Asked) -> Iterator[str]:
    yield from (CONTROL, AGAIN)
    yield from (without(number) for number in range(len(asked.parts)))


def without(number: int) -> str:
    """The name of the training that leaves out part `number`, counted from 0."""
    return f"without-{number + 1}"


def selection(asked: Asked, seed: int, name: str) -> list[Document]:
    """The examples of one training, `asked.size` of them, in their order."""
    left_out: frozenset[int] = frozenset()
    if name not in (CONTROL, AGAIN):
        left_out = frozenset(asked.parts[int(name.removeprefix("without-")) - 1].members)
    pool = [place for place in range(len(asked.examples)) if place not in left_out]
    rng = random.Random(store.seed_for(asked.run.recipe.run.seed, "value", seed, name))
    return [asked.examples[place].document for place in sorted(rng.sample(pool, asked.size))]


def _rates(asked: Asked, seed: int, name: str, tell: Tell) -> Floats:
    """pass@1 of each problem of the suite; the seeds of training and attempts are those of `seed`,
    whatever is left out."""
    folder = asked.out / f"seed-{seed}" / name
    label = f"seed {seed} {name}"
    with _Apart(asked.run, seed, folder, lambda event: tell(replace(event, arm=label))) as arm:
        _train(arm, folder / "train", selection(asked, seed, name))
        samples = arm.recipe.evaluate.samples
        evaluate(arm, None, folder, folder / "train", samples)
        return _scored(arm, folder, samples)


def _train(arm: Arm, out: Path, chosen: Sequence[Document]) -> None:
    from etude.training import FitSettings, fit

    section = arm.recipe.final
    documents = beside_others(arm, None, seed_documents(arm), chosen, section)
    settings = FitSettings(**fit_options(arm.recipe, section))  # type: ignore[arg-type]
    with arm.watched(None, "train", 1) as watched:
        done = fit(
            start(arm), documents, out, settings, seed=arm.seed(None, "train"),
            progress=watched.tick,
        )  # fmt: skip
        watched.summary = f"{done.documents:,} examples  {done.steps:,} steps"


def start(arm: Arm) -> str | Path:
    """The model that has seen no example: the one that the first round asked, or the base.

    Raises `InputError` where it is not there.
    """
    base, seeded = start_of(arm)
    begun = "base" in (arm.recipe.final.start, arm.recipe.seeds.begin)
    model = base if begun else seeded
    if isinstance(model, Path) and not model.is_dir():
        raise InputError(
            f"{model} must hold the model that the run began with, but is not there. "
            f"Finish the run with `etude run {arm.run.folder}`."
        )
    return model


def _scored(arm: Arm, folder: Path, samples: int) -> Floats:
    accepted = Counter(
        row["problem"]
        for row in store.read_stage(folder / "evaluate")
        if row["outcome"] == "accepted"
    )
    return np.array([accepted[problem.name] / samples for problem in arm.problems])
