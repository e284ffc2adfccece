"""Look at every file of a run, one after the other, and say what is not as it was written.

Covered: segments by their checksums (those without one are read, every row), columns, checkpoints
by the sums of their files, the recipe, units that are owed in stages that have begun. Memory does
not grow with the run but with what is broken in it. Not covered: whether rows make sense.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etude import config, query, readings, store, tables
from etude.check.findings import At, Broken, Findings
from etude.cluster import SET_ASIDE
from etude.errors import InputError, UserError
from etude.store import checkpoints, sums
from etude.store.segments import PLACE, misplaced

ORDER = (
    *("seeds", "pretrain", "anchors", "propose", "vet", "recall", "solve", "judge", "vary"),
    *("hindsight", "repair", "turn", "probe", "screen", "select", "describe", "retell"),
    *("derive", "train", "reinforce", "evaluate", "health"),
)
"""Stages, each after those that it is made from."""
CHAIN = ("propose", "vet", "solve", "judge", "select", "train")
"""The stages that every round of a loop has."""
TRAININGS = ("blank", "pretrain", "train", "reinforce")
OF_PEOPLE = ("anchors", "reviews")
"""What nothing makes again."""
MOST_UNITS = 10**7
"""Of a stage; what bears a higher number was not written by a run."""
ASIDE = "broken"
"""The folder in a run that takes what `--mend` moves."""

Tick = Callable[[int], None]


def look(folder: Path, tick: Tick = lambda _: None) -> Findings:
    """Everything in a run. `tick` hears of each file, by its bytes. Raises `InputError` when the
    folder is no run."""
    found = Findings(folder)
    with store.reaching(folder):
        if not store.is_file(folder / "recipe.toml"):
            store.read_recipe(folder)
        found.recipe = _recipe(folder)
        found.leftovers += _leftovers(folder)
        for at in stages(folder):
            found.leftovers += _leftovers(at.folder)
            if at.stage in TRAININGS:
                _checkpoint(found, at, tick)
            else:
                _segments(found, at, tick)
    found.broken = [_with_later(found, one) for one in found.broken]
    return found


def stages(folder: Path) -> Iterator[At]:
    """The stages of a run that have begun, arm by arm and round by round."""
    places = [("", None, folder), *query.places(folder)]
    for arm, number, place in places:
        known = {"evaluate", "reviews"} if place == folder else {*ORDER, "blank"}
        there = store.names(place) & known
        if number:
            there |= _passed(there)
        for name in sorted(there, key=_rank):
            yield At(arm, number, name, place / name)


def _passed(there: set[str]) -> set[str]:
    """The stages that a round has gone through, by the last of them that is there: an object store
    has no empty folders."""
    last = max((CHAIN.index(name) for name in there if name in CHAIN), default=-1)
    return set(CHAIN[: last + 1])


def _rank(stage: str) -> int:
    return ORDER.index(stage) if stage in ORDER else -1


def _recipe(folder: Path) -> str:
    """What is wrong with the recipe, or the record beside it."""
    try:
        kept = store.read_recipe(folder)
        if (folder / store.STARTED).exists():
            text = (folder / store.STARTED).read_text("utf-8")
            started = config.parse(text, str(folder / store.STARTED))
            if changed := config.differences(started, kept):
                return f"recipe.toml was changed after the start ({'; '.join(changed)})"
        if (folder / "record.json").exists():
            json.loads((folder / "record.json").read_bytes())
    except UserError as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"record.json, or the recipe at the start, can't be read ({type(error).__name__})"
    return ""


def _leftovers(folder: Path) -> int:
    """Temporary names, and trainings under way. The lock and the recipe at the start stay."""
    kept = (".lock", ".arm", store.STARTED)
    return sum(
        (name.startswith(".") and name not in kept) or name.endswith(".partial")
        for name in store.names(folder)
    )


def _segments(found: Findings, at: At, tick: Tick) -> None:
    names = sorted(name for name in store.names(at.folder) if name.endswith(".parquet"))
    units: set[int] = set()
    for name in (one for one in names if not one.startswith(".")):
        path = at.folder / name
        flaw = _misnamed(name) or _segment(found, at, path, tick)
        if not flaw and (unit := _unit(name)) is not None:
            units.add(unit)
        if flaw:
            found.segments["broken"] += 1
            found.broken.append(Broken(at, path, flaw, at.stage not in OF_PEOPLE))
    missing = sorted(set(range(_expected(found, at, names))) - units)
    if missing and at.stage not in OF_PEOPLE:
        found.owed.append((at, missing))


def _misnamed(name: str) -> str:
    """Every name that begins with a digit is read as a unit's: one that is none adds its rows."""
    if not ("0" <= name[0] <= "9"):
        return ""
    return "" if _unit(name) is not None else "its name is none that a run gives to a unit"


def _unit(name: str) -> int | None:
    """The unit whose segment is called so; None where that is none's name."""
    stem = name.removesuffix(".parquet")
    small = stem.isdecimal() and len(stem) < 10 and int(stem) < MOST_UNITS
    return int(stem) if small and name == store.unit_path(Path(), int(stem)).name else None


def _segment(found: Findings, at: At, path: Path, tick: Tick) -> str:
    """What is wrong with a segment; empty for one that can be read as it was written."""
    try:
        with store.open_whole(path) as file:
            size = file.seek(0, 2)
            summed = sums.verify(file)
            file.seek(0)
            opened = pq.ParquetFile(file, page_checksum_verification=True)
            rows = opened.metadata.num_rows
            if flaw := _columns(at, path, opened.schema_arrow):
                return flaw
            if not summed and rows != _counted(opened):
                return f"it says that it has {rows:,} rows, but has not"
            if flaw := _misplaced(found, path, opened):
                return flaw
            note = (opened.schema_arrow.metadata or {}).get(SET_ASIDE.encode())
    except sums.Damaged as damage:
        return str(damage)
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"it can't be read ({type(error).__name__})"
    found.segments["whole" if summed else "without"] += 1
    found.rows += rows
    found.bytes += size
    if note is not None:
        found.aside.append((at, int(path.stem), note.decode("utf-8", "replace")))
    tick(size)
    return ""


def _misplaced(found: Findings, path: Path, opened: pq.ParquetFile) -> str:
    """A whole segment of another unit, round or arm. Older ones do not say where they belong."""
    noted = (opened.metadata.metadata or {}).get(PLACE.encode(), b"").decode()
    if noted and misplaced(noted, _within(found.folder, path)):
        return f"it was written as {noted}"
    return ""


def _counted(opened: pq.ParquetFile) -> int:
    """The rows of a file, each of them read."""
    return sum(int(batch.num_rows) for batch in opened.iter_batches(use_threads=False))


def _columns(at: At, path: Path, schema: pa.Schema) -> str:
    """Columns that a table of this name never had, or had of another type."""
    known = _schema_of(at.stage, path)
    if known is None:
        return ""
    wrong = [
        field.name
        for field in schema
        if field.name not in known.names or known.field(field.name).type != field.type
    ]
    return f"it has columns of another table: {', '.join(wrong)}" if wrong else ""


def _schema_of(stage: str, path: Path) -> pa.Schema | None:
    """The columns that a file of a stage has; None for one that is not known."""
    if path.stem.isdecimal():
        numbered = "[0-9]*.parquet"
        of_stage = (
            s for name, pattern, s in query.VIEWS.values() if (name, pattern) == (stage, numbered)
        )
        return next(of_stage, tables.ATTEMPT if stage == "attempt" else None)
    named = (
        s for name, pattern, s in query.VIEWS.values() if (name, pattern) == (stage, path.name)
    )
    return next(named, None)


def _expected(found: Findings, at: At, names: list[str]) -> int:
    """How many units a stage that has begun has in the end, as far as that is known: by the recipe,
    by what is to be solved, or at least up to the last that is there."""
    there = [unit for name in names if (unit := _unit(name)) is not None]
    least = max(there, default=-1) + 1
    try:
        recipe = store.read_recipe(found.folder)
        if at.stage == "propose":
            return max(least, _parts(recipe.propose.samples, recipe.propose.per_unit))
        if at.stage in ("solve", "judge", "vary", "probe"):
            rows = readings.columns(at.folder.parent / "vet", ["fate"])
            kept = sum(row["fate"] == "kept" for row in rows)
            again = readings.length(at.folder.parent / "recall")
            return max(least, _parts(kept + again, recipe.solve.puzzles_per_unit))
        if at.stage == "evaluate" and "problems.parquet" in names:
            problems = readings.segment(at.folder / "problems.parquet", ["problem"])
            return max(least, _parts(len(problems), recipe.evaluate.problems_per_unit))
    except UserError:  # broken too, and said there
        return least
    return max(least, 1) if at.stage in ORDER else least


def _parts(count: int, size: int) -> int:
    return math.ceil(count / size)


def _checkpoint(found: Findings, at: At, tick: Tick) -> None:
    held = store.names(at.folder)
    if checkpoints.MARK not in held:
        if store.is_local(at.folder):  # where it is renamed into its place
            found.checkpoints["without"] += 1
        else:
            found.trainings.append(at)
        return
    try:
        flaws = list(checkpoints.flaws(at.folder, tick))
        flaws = flaws or _of_another(found, at)
    except InputError as error:
        flaws = [str(error)]
    if not flaws:
        found.checkpoints["thinned" if checkpoints.removed(at.folder) else "whole"] += 1
        return
    found.checkpoints["broken"] += 1
    found.broken.append(Broken(at, at.folder, "; ".join(flaws), again=True))
    found.trainings.append(at)


def _of_another(found: Findings, at: At) -> list[str]:
    """A whole checkpoint of another round, arm or run: its training had another seed."""
    report = at.folder / "training.json"
    if found.recipe or not report.exists():
        return []
    try:
        said = json.loads(report.read_bytes()).get("seed")
    except (ValueError, AttributeError, RecursionError):
        return ["training.json can't be read"]
    seed = store.read_recipe(found.folder).run.seed
    own = store.seed_for(seed, at.arm, at.round, at.stage, 0)
    return [] if said in (None, own) else [f"its training had the seed {said} in place of {own}"]


def _with_later(found: Findings, one: Broken) -> Broken:
    later = tuple(sorted(map(partial(_within, found.folder), _later(found.folder, one.at))))
    return Broken(one.at, one.path, one.flaw, one.again, later)


def _within(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _later(folder: Path, at: At) -> Iterator[Path]:
    """The stages that may have been made from one: those after it in its place, all rounds after
    it unless nothing is trained on it, and of the controls those that wait for the loop."""
    teaches = _rank(at.stage) <= ORDER.index("reinforce") and at.stage != "probe"
    for other in stages(folder):
        same = (other.arm, other.round) == (at.arm, at.round)
        after = _rank(other.stage) > _rank(at.stage) if same else teaches and _follows(at, other)
        if after:
            yield other.folder


def _follows(at: At, other: At) -> bool:
    last = math.inf
    if other.arm == at.arm:
        return (last if other.round is None else other.round) > (
            last if at.round is None else at.round
        )
    if at.arm != "verified":
        return False
    if at.round == 0:
        return True
    return other.arm == "unverified" and (other.round is None or other.round >= (at.round or 0))
