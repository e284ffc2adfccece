"""An arm of the ladder: what every stage of one pass through the loop needs, opened when needed.

The loop itself is the arm `verified`; a control is the same loop with one thing changed, in a
folder of its own. Covered: folders, seeds, the engine and judge in use, telling how far a stage is.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from etude import cluster, domains, reviews, roles, store, streams, suites
from etude.config import EngineSection, FitSection, JudgeSection, Recipe
from etude.domains import Domain
from etude.engines import Engine, Metered
from etude.errors import Fault, InputError
from etude.judge import Judge, Limits
from etude.judge.record import METADATA_KEY
from etude.kernels import keep_few
from etude.seeds import SeedPair, load_seeds, load_shown
from etude.times import Clock
from etude.types import Event, Outcome, Problem, Puzzle, Usage, Verdict

Tell = Callable[[Event], None]
Found = TypeVar("Found")


class Arm:
    """One pass through the loop: `name` says which, `run` where, `tell` hears how far it is.

    `way` says who works (see `cluster`), and `starting` hears of the units that this process does.
    """

    def __init__(
        self,
        run: store.Run,
        name: str,
        tell: Tell,
        *,
        way: str = "inline",
        starting: cluster.Starting = cluster.nobody,
    ) -> None:
        keep_few()  # in a worker's process too, which imports torch when it is given a unit
        self.run = run
        self.name = name
        self.tell = tell
        self._way = way
        self._starting = starting
        self._crew: cluster.Crew | None = None
        self._remembered: dict[str, tuple[object, Any]] = {}
        self._read: dict[tuple[Path, Callable[[Path], Any]], Any] = {}
        self._seeds: list[SeedPair] | None = None
        self._shown: list[Puzzle] | None = None
        self._engine: tuple[tuple[EngineSection, str], Engine] | None = None
        self._judge: Judge | None = None
        self._problems: list[Problem] | None = None
        self.journal: Path | None = store.scratch(self.folder) / "paid.jsonl"
        """Where an engine that is paid keeps its samples until a unit is on the disk."""

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def domain(self) -> Domain:
        return domains.named(self.recipe.domain)

    @property
    def folder(self) -> Path:
        return store.arm_folder(self.run.folder, self.name)

    @property
    def seeds(self) -> list[SeedPair]:
        """The human-written pairs that the run starts from, but for those that were left out."""
        if self._seeds is None:
            left_out = {
                row["puzzle_id"]
                for row in store.read_stage(store.round_folder(self.run.folder, 0) / "seeds")
                if row["outcome"] != "accepted"
            }
            pairs = load_seeds(self.recipe)
            self._seeds = [pair for pair in pairs if pair.puzzle.id not in left_out]
        return self._seeds

    @property
    def shown(self) -> list[Puzzle]:
        """The human-written puzzles that are shown when proposing, solved or not."""
        if self._shown is None:
            self._shown = load_shown(self.recipe)
        return self._shown

    def anchors(self, number: int | None) -> list[store.Row]:
        """The reviews that stood when a round, or for None the student's training, began.

        Frozen by the first who asks. All arms have the same.
        """
        return reviews.frozen(self.run.folder, self.folder, number)

    def shown_in(self, number: int) -> list[Puzzle]:
        """The puzzles shown when proposing in a round: `shown`, and what people accepted since."""
        return reviews.with_anchors(self.shown, self.anchors(number))

    def withdrawn(self, number: int | None) -> frozenset[str]:
        """The puzzles that teach no more from a round on, or for None the student."""
        return reviews.withdrawn(self.anchors(number))

    def round(self, number: int) -> Path:
        """The folder of one round of this arm."""
        return store.round_folder(self.folder, number)

    def puzzles(self, number: int) -> streams.Kept:
        """The puzzles of a round that go on to be solved."""
        return streams.Kept(self.round(number))

    def remembered(self, name: str, key: object, make: Callable[[], Any]) -> Any:
        """What `make` gives, kept for the next unit that asks with the same key."""
        known = self._remembered.get(name)
        if known is None or known[0] != key:
            known = self._remembered[name] = (key, make())
        return known[1]

    def read_once(self, folder: Path, read: Callable[[Path], Found]) -> Found:
        """What `read`, a function of a module, finds in a folder in which nothing changes any more:
        so a round need not read again what all earlier ones made."""
        key = (folder, read)
        if key not in self._read:
            self._read[key] = read(folder)
        found: Found = self._read[key]
        return found

    def seed(self, number: int | None, stage: str, unit: int = 0) -> int:
        """The seed of one unit: it depends on these and the run's seed alone."""
        return store.seed_for(self.recipe.run.seed, self.name, number, stage, unit)

    @contextmanager
    def watched(self, number: int | None, stage: str, total: int) -> Iterator[Watched]:
        """Tells of the units of a stage as they finish, and of its summary at the end."""
        watched = Watched(self, number, stage, total)
        watched.tell(0)
        try:
            yield watched
        finally:
            watched.clock.keep()
        watched.end()

    def engine(self, model: str | Path, role: roles.Role = "evaluate") -> Engine:
        """What samples for a stage while `model` is the model that learns: that, or a teacher.

        Loaded afresh whenever it is another one than before.
        """
        section = roles.section_of(self.recipe, role)
        key = (section, roles.source_of(self.recipe, role, store.local(model)))
        if self._engine is not None and self._engine[0] == key:
            return self._engine[1]
        self._drop_engine()
        opened = roles.open_for(*key, threads=self.recipe.run.threads, journal=self.journal)
        self._engine = (key, opened)
        return opened

    def engine_note(
        self, earlier: Usage = roles.NOTHING, names: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, str]:
        """What a segment says of the engine that made it, by one call or, with what the `earlier`
        ones cost, by several; `names` are those of several engines, by what they are here."""
        if self._engine is None:
            return {}
        return roles.note(self._engine[1], self.run.folder, earlier, names)

    def unit_kept(self) -> None:
        """A unit is on the disk, so that what was paid for it need not be kept apart."""
        if self._engine is not None and isinstance(self._engine[1], Metered):
            self._engine[1].forget()

    @property
    def crew(self) -> cluster.Crew:
        """Who does the units of this arm."""
        if self._crew is None:
            self._crew = cluster.open_crew(
                self._way,
                self,
                partial(open_desk, self.run.folder, self.name),
                needs=needs_of(self.recipe),
                starting=self._starting,
                engine_here=roles.is_paid(self.recipe),
            )
        return self._crew

    def flow(self, *stages: cluster.Stage) -> cluster.Flow:
        """The units that are owed of these stages, on their way through the crew."""
        return cluster.Flow(self.crew, stages)

    def release(self, kind: cluster.Kind) -> None:
        """Give back what units of a kind need, until it is asked for again."""
        if kind == "engine":
            self._drop_engine()
        elif kind == "judge":
            self._drop_judge()

    def _drop_judge(self) -> None:
        if self._judge is not None:
            self._judge.close()
            self._judge = None

    def _drop_engine(self) -> None:
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None

    @property
    def judge(self) -> Judge:
        """The judge with the recipe's limits, started at its first use."""
        if self._judge is None:
            section = self.recipe.judge
            limits = limits_of(section, longest_tests(self.recipe))
            self._judge = Judge(section.workers, limits, section.isolation, twice=section.twice)
            if self._judge.isolation != "full":
                _say_weaker(self._judge.isolation)
        return self._judge

    def conditions(self) -> dict[str, str]:
        """What the judge's verdicts rest on, as notes for the segments that hold them."""
        return {METADATA_KEY: self.judge.conditions.as_json()}

    @property
    def problems(self) -> list[Problem]:
        """The held-out problems that the run is scored on."""
        if self._problems is None:
            self._problems = load_problems(self.recipe)
        return self._problems

    def close(self) -> None:
        if self._crew is not None:
            self._crew.close()
            self._crew = None
        self._drop_engine()
        self._drop_judge()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_desk(folder: Path, name: str) -> Arm:
    """An arm as a worker holds it: it is asked for units, and tells nobody."""
    return Arm(store.Run.read(folder), name, lambda _: None)


def needs_of(recipe: Recipe) -> dict[cluster.Kind, cluster.Needs]:
    """What a worker takes of a cluster's node, by what it does."""
    return {
        "engine": cluster.Needs(recipe.run.threads, float(roles.wants_gpu(recipe))),
        "judge": cluster.Needs(recipe.judge.workers),
        "plain": cluster.Needs(1),
    }


@contextmanager
def watching(folder: Path, judged: str, way: str) -> Iterator[Callable[[str], None]]:
    """What is tried on each node of a cluster before it works on a run (see `cluster.reached`).

    `judged` is the record of the judge here: verdicts are to rest on the same everywhere.
    """
    mark = folder / f".driver-{secrets.token_hex(8)}"
    if cluster.on_this_machine(way):  # there is nobody else to look
        yield partial(_look, folder, mark, judged)
        return
    store.write_atomically(mark, b"")
    try:
        yield partial(_look, folder, mark, judged)
    finally:
        with suppress(OSError):  # what ended the run is to be heard, not that this stays behind
            mark.unlink(missing_ok=True)


def _look(folder: Path, mark: Path, judged: str, node: str) -> None:
    """Raises `InputError` where the folder is not the one that this run writes, can't be written,
    or the judge works under other conditions."""
    if not mark.exists():
        raise InputError(
            f"{folder} must be on storage that all nodes see, but the run's folder is not there. "
            "Choose one that is shared, with --out."
        )
    recipe = store.read_recipe(folder)
    seen = folder / f".node-{node}"
    store.write_atomically(seen, b"")
    seen.unlink()
    with Judge(1, limits_of(recipe.judge), recipe.judge.isolation) as judge:
        found = str(judge.conditions)
    if found != judged:
        raise InputError(
            f"the judge must work as where the run was started ({judged}), but works as {found}. "
            "`etude check` there says what it lacks; or take the node out of the cluster."
        )


@cache
def _say_weaker(level: str) -> None:
    """Once, however many arms there are."""
    print(f"isolation: {level}; `etude check` says why", file=sys.stderr)


def limits_of(section: JudgeSection, longest: int = 0) -> Limits:
    """The limits that a recipe sets for each step, with room for tests of `longest` bytes."""
    return Limits(
        source_bytes=max(Limits().source_bytes, longest),
        cpu_seconds=section.cpu_seconds,
        wall_seconds=section.wall_seconds,
        memory_bytes=section.memory_mib << 20,
    )


def load_problems(recipe: Recipe) -> list[Problem]:
    """The held-out problems that a recipe's suite names. Raises `InputError` as `suites` does."""
    section = recipe.evaluate
    folder = Path(section.folder) if section.folder else None
    return suites.load(section.suite, folder=folder, split_seed=recipe.seeds.split_seed)


def load_held_out(recipe: Recipe) -> list[tuple[str, Problem]]:
    """Every problem that must not be trained on, with its suite: of the suite that the run is
    scored on first, then of those that `[decontaminate]` names. Raises `InputError` as `suites`.
    """
    section = recipe.decontaminate
    folder = Path(section.folder) if section.folder else None
    found = [(recipe.evaluate.suite, problem) for problem in load_problems(recipe)]
    for name in dict.fromkeys(section.suites):
        if name in suites.SUITES and name != recipe.evaluate.suite:
            loaded = suites.load(name, folder=folder, split_seed=recipe.seeds.split_seed)
        elif name == recipe.evaluate.suite:
            continue
        elif Path(name).suffix:
            loaded = suites.read_puzzles(Path(name))
        else:
            raise InputError(
                "decontaminate.suites must name suites or files of puzzles, but has "
                f"{name!r}. Suites are {', '.join(suites.SUITES)}."
            )
        found += [(name, problem) for problem in loaded]
    return found


def longest_tests(recipe: Recipe) -> int:
    """Bytes of the longest tests of a recipe's suite; EvalPlus has some of several megabytes."""
    if recipe.evaluate.suite not in suites.FORMATS:
        return 0
    exercises = (problem.exercise for problem in load_problems(recipe))
    return max(len(one.tests.encode("utf-8", "surrogatepass")) for one in exercises if one)


@dataclass
class Watched:
    """A stage in progress."""

    arm: Arm
    number: int | None
    stage: str
    total: int
    summary: str = ""

    def __post_init__(self) -> None:
        self._start = time.monotonic()
        self.clock = Clock(self.arm.folder, self.number, self.stage)

    def tick(self, done: int, total: int) -> None:
        """`done` of `total` units are finished; the last one is told by `end`, with the summary."""
        self.total = total
        self.clock.tick(done)
        if done < total or total == 0:
            self.tell(done)

    def end(self) -> None:
        self.total = max(self.total, 1)
        self.tell(self.total, self.summary)

    def tell(self, done: int, summary: str = "") -> None:
        seconds = time.monotonic() - self._start
        arm = self.arm
        arm.tell(Event(arm.name, self.number, self.stage, done, self.total, summary, seconds))


def checked(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts, none of them a fault. Raises `Fault`: ours must never count as the model's."""
    faults = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAULT]
    if faults:
        raise Fault(f"the sandbox failed {len(faults)} times, lastly: {faults[-1].detail}")
    return verdicts


def counted(values: Counter[str], first: str = "accepted") -> str:
    """`2,180 accepted  15,102 wrong  447 timeout`: `first` first, then by how many."""
    rest = [item for item in values.most_common() if item[0] != first]
    return "  ".join(f"{count:,} {name}" for name, count in [(first, values[first]), *rest])


def set_aside_words(folder: Path) -> str:
    """`  1 unit set aside`, or nothing."""
    count = cluster.set_aside_in(folder)
    return f"  {count:,} unit{'s' * (count != 1)} set aside" if count else ""


def fit_options(recipe: Recipe, section: FitSection) -> dict[str, object]:
    """The settings of one training, for `training.FitSettings`."""
    return section.model_dump(include=set(FitSection.model_fields)) | {
        "precision": recipe.model.precision,
        "threads": recipe.run.threads,
        "attention": recipe.model.attention,
    }
