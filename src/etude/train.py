"""Train: the model before the first round, the model of each round, and the student at the end."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude import reviews, store, streams
from etude.arm import Arm, fit_options
from etude.cluster import Needs, Tick
from etude.config import FinalSection, FitSection, TrainSection
from etude.course import course_of, needed
from etude.errors import Fault, InputError
from etude.judge.record import METADATA_KEY
from etude.shares import repeated
from etude.store.checkpoints import WEIGHTS
from etude.types import Document, content_id

if TYPE_CHECKING:
    from etude.training import FitSettings

TeachingSection = TrainSection | FinalSection


def pretrain(arm: Arm) -> str | Path:
    """The base: a model built and pretrained here, or the one that the recipe names."""
    section = arm.recipe.pretrain
    if section is None:
        return arm.recipe.model.base

    folder = store.round_folder(arm.run.folder, 0)
    out = folder / "pretrain"
    if not store.finished(out):
        rng = random.Random(arm.seed(0, "pretrain"))
        texts = [arm.domain.document(rng) for _ in range(section.documents)]
        blank = folder / "blank"
        if not store.finished(blank):
            _build(arm, blank, texts)
        _fit(arm, 0, "pretrain", blank, [Document(text) for text in texts], out, section)
    else:
        _tell_finished(arm, 0, "pretrain", out, section)
    return out


def _build(arm: Arm, out: Path, texts: Sequence[str]) -> None:
    from etude.engines.transformers.loading import quiet
    from etude.tiny.model import build

    model = arm.recipe.model
    temporary = store.scratch(out).with_name(f".{out.name}")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    with quiet(), store.writing_to(temporary):
        build(
            temporary,
            texts[:5000],
            vocab_size=model.vocab_size,
            hidden=model.hidden,
            layers=model.layers,
            heads=model.heads,
            ffn=model.ffn,
            context=model.context,
            seed=arm.seed(0, "build"),
        )
    store.keep(temporary, out)


def train_on_seeds(arm: Arm, base: str | Path) -> Path:
    """The model that the first round starts from: the base, fine-tuned on the seed pairs."""
    out = store.round_folder(arm.run.folder, 0) / "train"
    return _fit(arm, 0, "train", base, seed_documents(arm), out, arm.recipe.seeds)


def train(arm: Arm, number: int, base: str | Path, latest: str | Path) -> Path:
    """The model of a round: seeds, the round's examples, a sample of the earlier ones."""
    section, out = arm.recipe.train, arm.round(number) / "train"
    if store.finished(out):  # a long run that goes on reads its examples for no finished round
        _tell_finished(arm, number, "train", out, section)
        return out
    withdrawn = arm.withdrawn(number)
    new = list(_selected(arm, [number], withdrawn, section.turned_share))
    new += _replayed(arm, number, len(new), withdrawn)
    documents = _beside_people(arm, number, new, section)
    _check_any(documents, f"round {number}", "train")
    start = base if section.start == "base" else latest
    return _fit(arm, number, "train", start, documents, out, section)


def thin(arm: Arm, number: int) -> None:
    """After a round: the weights that `run.checkpoints` keeps no longer are removed."""
    most = arm.recipe.run.checkpoints
    if most == "all":
        return
    stay = needed(arm.run.folder, arm.recipe, number)
    for earlier in set(range(1, number)) - stay:
        for stage in ("train", "reinforce"):
            store.thin(arm.round(earlier) / stage, WEIGHTS, f"run.checkpoints = {most}")


def train_student(arm: Arm, base: str | Path, latest: str | Path) -> Path:
    """The student: trained on the seeds and the examples of all rounds that are kept."""
    section = arm.recipe.final
    course = course_of(arm.run.folder, arm.recipe)
    if course.kept < course.last:
        latest = model_of(arm, course.kept)
    rounds = range(1, course.kept + 1)
    examples = list(_selected(arm, rounds, arm.withdrawn(None)))
    documents = _beside_people(arm, None, examples, section)
    _check_any(documents, "the student", "final")
    start = base if section.start == "base" else latest
    return _fit(arm, None, "train", start, documents, arm.folder / "final" / "train", section)


def model_of(arm: Arm, number: int) -> Path:
    """The model that a round left: trained, and reinforced where the recipe asks for that."""
    section = arm.recipe.reinforce
    reinforced = section is not None and section.when in _OF_ROUNDS
    return arm.round(number) / ("reinforce" if reinforced else "train")


def _check_any(documents: Sequence[Document], whose: str, section: str) -> None:
    """Raises `InputError` where the loop made nothing, and the seeds are not trained on."""
    if not documents:
        raise InputError(
            f"The training of {whose} must have an example, but none was selected and "
            f"{section}.seed_repeat, or human_share, is 0: `etude show` says what became of the "
            "proposals. Start another run, with a model that writes puzzles, more "
            f"propose.samples, or {section}.seed_repeat = 1."
        )


def train_longer_on_seeds(arm: Arm, base: str | Path, seeded: Path) -> Path:
    """The control: from where the student's way began, the seeds alone for as many tokens, in the
    way in which the student is trained (`[final]`): its loss, its batches, its pace."""
    trainings = trainings_of_student(arm)
    tokens = sum(report(folder)["tokens"] for folder in trainings)
    recipe = arm.recipe
    way = {name: getattr(recipe.final, name) for name in FitSection.model_fields}
    section = recipe.seeds.model_copy(update=way | {"tokens": tokens})
    begun = "base" in (recipe.final.start, recipe.train.start, recipe.seeds.begin)
    start = base if begun else seeded
    out = arm.folder / "final" / "train"
    return _fit(arm, None, "train", start, seed_documents(arm), out, section)


_OF_ROUNDS, _OF_STUDENT = ("rounds", "both"), ("student", "both")
"""When rounds, and when the student, are reinforced."""


def trainings_of_student(arm: Arm) -> list[Path]:
    """The trainings that made the student, from the first that began at the base or the seeds."""
    run, recipe = arm.run.folder, arm.recipe
    when = recipe.reinforce.when if recipe.reinforce else ""
    made = [run / "final" / "train", *([run / "final" / "reinforce"] * (when in _OF_STUDENT))]
    if recipe.final.start == "base":
        return made
    rounds = range(course_of(run, recipe).kept, 0, -1)
    for number in rounds[:1] if recipe.train.start == "base" else rounds:
        if when in _OF_ROUNDS:
            made.insert(0, store.round_folder(run, number) / "reinforce")
        made.insert(0, store.round_folder(run, number) / "train")
    return made


def seed_documents(arm: Arm) -> list[Document]:
    """The training texts of the seed pairs."""
    return _documents(arm, [(pair.puzzle.source, pair.solution) for pair in arm.seeds])


def _documents(arm: Arm, pairs: Sequence[tuple[str, str]]) -> list[Document]:
    layout, domain = arm.recipe.prompt.layout, arm.domain
    return [
        document_of(
            domain.example_text(puzzle, solution, layout=layout),
            domain.example_tail(solution, layout),
        )
        for puzzle, solution in pairs
    ]


def _beside_people(
    arm: Arm, number: int | None, made: Sequence[Selected], section: TeachingSection
) -> list[Document]:
    """The documents of a training: people's, as often as its section says, and the self-made."""
    if section.human_share is None:
        people, others = seed_documents(arm), made
    else:
        people, reviewed = _people(arm, number, section), _reviewed(arm, number)
        others = [one for one in made if not _is_of(reviewed, one)]
    return beside_others(arm, number, people, documents_of(arm, others, section.loss), section)


def beside_others(
    arm: Arm,
    number: int | None,
    people: Sequence[Document],
    others: Sequence[Document],
    section: TeachingSection,
) -> list[Document]:
    """People's documents as often as a section says, then the others."""
    if section.human_share is None:
        return [*people] * section.seed_repeat + [*others]
    chance = arm.seed(number, "people")
    return [*repeated(people, len(others), section.human_share, chance), *others]


def _people(arm: Arm, number: int | None, section: TeachingSection) -> list[Document]:
    """What people wrote or found good by then: the seeds, edited puzzles with their solutions, the
    examples so far of accepted puzzles."""
    anchors, reviewed = arm.anchors(number), _reviewed(arm, number)
    last = course_of(arm.run.folder, arm.recipe).kept if number is None else number
    rounds = range(1, last + 1) if reviewed else ()
    selected = _selected(arm, rounds, arm.withdrawn(number))
    accepted = [one for one in selected if _is_of(reviewed, one)]
    edited = _documents(arm, reviews.edited(arm.run.folder, anchors))
    return seed_documents(arm) + edited + documents_of(arm, accepted, section.loss)


def _is_of(reviewed: frozenset[str], one: Selected) -> bool:
    """Whether an example is of one of these puzzles itself: nobody looked at what was derived."""
    return one[1]["puzzle_id"] in reviewed and "solution" not in one[1]


def _reviewed(arm: Arm, number: int | None) -> frozenset[str]:
    """The puzzles that a person accepted. None in the control: whoever accepts a puzzle says
    nothing of solutions that no judge accepted."""
    return reviews.accepted(arm.anchors(number)) if arm.name == "verified" else frozenset()


def _people_words(arm: Arm, number: int | None, out: Path, section: FitSection) -> str:
    """`  25% by people`, where the section asks for a share."""
    if not isinstance(section, TrainSection | FinalSection) or section.human_share is None:
        return ""
    ids = {content_id(one.text) for one in _people(arm, number, section)}
    with _whole(out):
        rows = store.read_table(out / "examples.parquet")
    ours = sum(row["documents"] for row in rows if row["example_id"] in ids)
    return f"  {ours / sum(row['documents'] for row in rows):.0%} by people"


def document_of(text: str, end: str) -> Document:
    """A training text, of which the puzzle is only read where the loss is that of the solution:
    its `end`, as the domain says it.

    That is looked for nowhere but at its place: an unverified one may be a mere bracket, or empty.
    """
    if not text.endswith(end):
        raise Fault(f"a training text must hold its solution, but this one does not: {text[:80]!r}")
    return Document(text, len(text) - len(end))


def report(folder: Path) -> dict[str, Any]:
    """What a finished training says of itself (`training.json`)."""
    with _whole(folder):
        read: dict[str, Any] = json.loads((folder / "training.json").read_text("utf-8"))
    return read


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Raises `InputError` in place of whatever a damaged folder of a training makes the body."""
    try:
        yield
    except (OSError, ValueError, LookupError, InputError) as error:
        raise InputError(
            f"{folder} must hold a finished training but is damaged ({type(error).__name__}). "
            "Delete it and run again: it will be made anew."
        ) from None


Selected = tuple[int, store.Row]
"""An example and its round."""


def documents_of(arm: Arm, selected: Sequence[Selected], loss: str) -> list[Document]:
    """The training texts of examples. Candidates, of which there are many more, are read if need
    be, and of no round but theirs."""
    if loss == "text":
        return [Document(row["text"]) for _, row in selected]
    layout, domain = arm.recipe.prompt.layout, arm.domain
    found = {
        place: document_of(row["text"], _tail(row, domain.example_tail(row["solution"], layout)))
        for place, (_, row) in enumerate(selected)
        if "solution" in row
    }
    places = [place for place in range(len(selected)) if place not in found]
    places.sort(key=lambda place: selected[place][0])
    for number, own in groupby(places, key=lambda place: selected[place][0]):
        rows = (selected[place][1] | {"place": place} for place in own)
        solved = arm.round(number) / "solve"
        for row, candidate in streams.beside(rows, "candidate_id", solved, ["source"]):
            assert candidate is not None, "an example is of a candidate"
            end = arm.domain.example_tail(candidate["source"], layout)
            found[row["place"]] = document_of(row["text"], end)
    return [found[place] for place in range(len(selected))]


def _tail(row: store.Row, tail: str) -> str:
    """What a derived text ends with. One that was told in English ends with its code."""
    return str(row["solution"]) if row["origin"] == "description" else tail


def _replayed(arm: Arm, number: int, new: int, withdrawn: frozenset[str]) -> list[Selected]:
    """Examples of earlier rounds in an order of chance: all, or in proportion to the new ones."""
    share, rounds = arm.recipe.train.replay, range(1, number)
    turned = arm.recipe.train.turned_share
    order = list(range(sum(1 for _ in _selected(arm, rounds, withdrawn, turned))))
    random.Random(arm.seed(number, "replay")).shuffle(order)
    kept = order if share == "all" else order[: round(share * new)]
    places = {place: at for at, place in enumerate(kept)}
    rows = enumerate(_selected(arm, rounds, withdrawn, turned) if kept else ())
    found = sorted(((places[at], one) for at, one in rows if at in places), key=itemgetter(0))
    return [one for _, one in found]


def _selected(
    arm: Arm, rounds: Sequence[int], withdrawn: frozenset[str], turned: float = 1.0
) -> Iterator[Selected]:
    """The examples of rounds, but for puzzles that people withdrew, and for all but a share of
    those that attempts were turned into."""
    for number in rounds:
        yield from ((number, row) for row in _of_round(arm, number, withdrawn, turned))


def _of_round(
    arm: Arm, number: int, withdrawn: frozenset[str], turned: float
) -> Iterator[store.Row]:
    """Of the unverified control's, which are in random order, as many as the loop has left."""
    for stage in _TEACH:
        left = _left(arm.round(number) / stage, withdrawn, turned)
        if arm.name == "unverified" and (withdrawn or turned < 1):
            of_loop = store.round_folder(arm.run.folder, number) / stage
            left = islice(left, sum(1 for _ in _left(of_loop, withdrawn, turned)))
        yield from left


_TEACH = {
    "select": ["text", "puzzle_id", "candidate_id"],
    "derive": ["text", "puzzle_id", "candidate_id", "solution", "origin"],
}
"""The stages whose rows are trained on. Only what was derived has a solution of its own."""


def _left(stage: Path, withdrawn: frozenset[str], turned: float) -> Iterator[store.Row]:
    for row in streams.rows(stage, _TEACH[stage.name]):
        is_left_out = row.get("origin") == "turned" and _chance(row["text"]) >= turned
        if row["puzzle_id"] not in withdrawn and not is_left_out:
            yield row


def _chance(text: str) -> float:
    """Below 1, and the same whenever it is asked."""
    return int(content_id(text), 16) / (1 << 64)


def conditions_of(arm: Arm, number: int | None) -> str:
    """What the verdicts rest on that chose a training's examples, as their table says it."""
    last = course_of(arm.run.folder, arm.recipe).kept if number is None else number
    stage = arm.round(last) / "judge"
    segment = store.unit_path(stage, 0)
    if not segment.exists():
        return ""
    noted = store.read_schema(segment).metadata or {}
    return str(noted.get(METADATA_KEY.encode(), b"").decode("utf-8"))


def _fit(
    arm: Arm,
    number: int | None,
    stage: str,
    model: str | Path,
    documents: Sequence[Document],
    out: Path,
    section: FitSection,
) -> Path:
    """One training. A finished one is left alone, an interrupted one is continued."""
    if store.finished(out):
        _tell_finished(arm, number, stage, out, section)
        return out
    from etude.training import FitSettings

    arm.crew.release("engine")  # its memory is wanted
    early_share = getattr(section, "early_share", 0.0)
    options = fit_options(arm.recipe, section) | {"early_share": early_share}
    settings = FitSettings(**options)  # type: ignore[arg-type]
    work = partial(
        _fitted,
        model=model,
        documents=documents,
        out=out,
        settings=settings,
        seed=arm.seed(number, stage),
        judged=conditions_of(arm, number),
        early=store.round_folder(arm.run.folder, 0) / "train" if early_share else None,
    )
    needs = Needs(arm.recipe.run.threads * section.processes, section.processes)
    with arm.watched(number, stage, 1) as watched:
        watched.tick(0, 1)
        arm.crew.job(work, needs, watched.tick)
        watched.summary = _summary(out) + _people_words(arm, number, out, section)
    return out


def _fitted(
    tick: Tick,
    *,
    model: str | Path,
    documents: Sequence[Document],
    out: Path,
    settings: FitSettings,
    seed: int,
    judged: str,
    early: Path | None,
) -> None:
    """A training, wherever it is done."""
    from etude.training import fit

    fit(model, documents, out, settings, seed=seed, progress=tick, judged=judged, early=early)


def _tell_finished(
    arm: Arm, number: int | None, stage: str, out: Path, section: FitSection
) -> None:
    with arm.watched(number, stage, 1) as watched:
        watched.summary = _summary(out) + _people_words(arm, number, out, section)


def _summary(out: Path) -> str:
    done = report(out)
    with _whole(out):
        losses = [row["loss"] for row in store.read_table(out / "loss.parquet")]
        dropped = f"  {done['too_long']:,} too long, dropped" if done["too_long"] else ""
        return f"{done['documents']:,} examples  loss {losses[0]:.2f} -> {losses[-1]:.2f}{dropped}"
