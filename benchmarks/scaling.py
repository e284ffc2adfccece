"""The scheduler: what a unit costs, how sampling and judging overlap, where the driver's limit is.

    python benchmarks/scaling.py RUN                     # everything, in some minutes
    python benchmarks/scaling.py RUN --only overhead simulated
    python benchmarks/scaling.py RUN --out docs/scaling.md

RUN is a finished run, of which a copy is worked on: its model, and the puzzles of its last round.

overhead   units that do nothing but write a segment of one row: all seconds of a unit, by part
overlap    sampling alone, judging alone, both beside each other, one after the other and again:
           `alone(slower) / together`; and, which a busy machine changes less, in how much of the
           time together the slower one worked
workers    the same units with 1 and 2 processes that sample and as many that judge
simulated  the same scheduler over 1 to 256 workers in virtual time (`virtual.py`), with the seconds
           of units as they were measured, workers that die, and the driver's own time

With `--out` the tables replace what stands between `<!-- scheduler -->` and
`<!-- scheduler ends -->` in that file.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from etude import solve, store, tables
from etude.arm import Arm
from etude.cluster import Crew, Flow, Inline, Kind, Made, Processes, Stage
from virtual import Loss, Virtual

MARKS = ("<!-- scheduler -->", "<!-- scheduler ends -->")
SCHEMA = pa.schema([("unit", pa.int64())])
UNITS = 300
"""Units of the overhead."""
LIMITS = {"in process": 0.020, "processes:1": 0.020, "processes:2": 0.020, "Ray": 0.060}
"""Seconds that a unit may cost, by the way to work."""
PUZZLES, PER_UNIT = 300, 10
TURNS = 2
SIMULATED = tuple(2**power for power in range(9))
LARGER = 10
"""How much longer units are in virtual time than those that are measured: these are small, so
that the overlap shows; a run has those of its recipe."""
PER_WORKER = 40
"""Units for each simulated worker that samples."""
DEATHS = 0.001
NODE = 8
"""Simulated workers of a node."""
WANTED = 0.90
TOOK = "benchmark.seconds"


class Bare:
    """A desk with nothing on it."""

    def unit_kept(self) -> None:
        pass

    def release(self, kind: Kind) -> None:
        pass

    def close(self) -> None:
        pass


def nothing(desk: Bare, unit: int) -> Made:
    return Made([{"unit": unit}])


def timed(desk: Any, unit: int, *, work: Callable[[Any, int], Made]) -> Made:
    """A unit, with a note of the seconds that it took."""
    start = time.perf_counter()
    made = work(desk, unit)
    took = time.perf_counter() - start
    return Made(made.rows, {**made.notes, TOOK: repr(took)})


def no_tick(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Cost:
    """Seconds a unit, all of them and by part."""

    way: str
    all: float
    driver: float
    """Processor time of the driver's thread: scheduling, pickling, sending and hearing."""
    pickling: float
    encoding: float
    writing: float
    """The file: written, synced, renamed."""

    @property
    def row(self) -> str:
        parts = (self.all, self.driver, self.pickling, self.encoding, self.writing)
        limit = LIMITS[self.way]
        fit = "yes" if self.all <= limit else "NO"
        cells = " | ".join(f"{1000 * part:.2f}" for part in parts)
        return f"| {self.way} | {cells} | {1000 * limit:.0f} | {fit} |"


def cost(way: str, crew: Crew, folder: Path) -> Cost:
    """Of UNITS units that do nothing, after a few that start the workers."""
    Flow(crew, [Stage(folder / "warm", 8, nothing, SCHEMA, "judge")]).finish(0, no_tick)
    stage = Stage(folder / "units", UNITS, nothing, SCHEMA, "judge")
    start, worked = time.perf_counter(), time.thread_time()
    Flow(crew, [stage]).finish(0, no_tick)
    took, worked = time.perf_counter() - start, time.thread_time() - worked
    crew.close()
    return Cost(way, took / UNITS, worked / UNITS, *parts_of(stage, folder / "parts"))


def parts_of(stage: Stage, folder: Path) -> tuple[float, float, float]:
    """Medians of the parts that are the same whoever works: pickling, encoding, writing."""
    pickling, encoding, writing = [], [], []
    data = store.unit_path(stage.folder, 0).read_bytes()
    for unit in range(UNITS):
        a = time.perf_counter()
        sent = pickle.dumps((stage, unit))
        pickle.loads(sent)
        b = time.perf_counter()
        store.write_table(folder / "table", [{"unit": unit}], SCHEMA)
        c = time.perf_counter()
        store.write_atomically(folder / "bytes", data)
        pickling.append(b - a)
        writing.append(time.perf_counter() - c)
        encoding.append(c - b - writing[-1])
    return statistics.median(pickling), statistics.median(encoding), statistics.median(writing)


def overhead(place: Path) -> list[Cost]:
    crews: dict[str, Callable[[], Crew]] = {
        "in process": lambda: Inline(Bare()),
        "processes:1": lambda: Processes(Bare, {"judge": 1}),
        "processes:2": lambda: Processes(Bare, {"judge": 2}),
    }
    found = [cost(way, make(), place / way) for way, make in crews.items()]
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError:
        print("no Ray here: pip install 'etude[ray]'", file=sys.stderr)
        return found
    return [*found, on_ray(place / "Ray")]


def on_ray(place: Path) -> Cost:
    """On a cluster of one node, started for this and ended."""
    import ray

    from etude.cluster import Needs
    from etude.cluster.rays import RayCrew

    started = ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        address = started.address_info["gcs_address"]
        return cost("Ray", RayCrew(address, Bare, {"judge": Needs(1)}), place)
    finally:
        ray.shutdown()


class Round:
    """The last round of a copied run: its kept puzzles are tried and judged, again and again."""

    def __init__(self, run: Path, place: Path, way: str) -> None:
        recipe = store.read_recipe(run)
        settings = recipe.solve.model_copy(update={"puzzles_per_unit": PER_UNIT})
        numbers = [number for number, _ in store.round_folders(run) if number]
        if not numbers:
            sys.exit(f"{run} must have a round, but has none.")
        self.number = numbers[-1]
        changed = recipe.model_copy(update={"solve": settings})
        self.arm = Arm(store.Run.open(place, changed, {}), "verified", lambda event: None, way=way)
        self.model = store.round_folder(place, self.number - 1) / "train"
        shutil.copytree(store.round_folder(run, self.number - 1) / "train", self.model)
        vetted = store.round_folder(run, self.number) / "vet"
        shutil.copytree(vetted, self.arm.round(self.number) / "vet")
        self.units = math.ceil(min(PUZZLES, len(self.arm.puzzles(self.number))) / PER_UNIT)
        folder = self.arm.round(self.number)
        sampling = partial(solve._sampled, number=self.number, model=self.model)
        judging = partial(solve._judged, number=self.number)
        self.sampling = Stage(
            folder / "solve", self.units, partial(timed, work=sampling), tables.SOLVE, "engine"
        )
        self.judging = Stage(
            folder / "judge", self.units, partial(timed, work=judging), tables.JUDGE, "judge"
        )

    def warm(self) -> None:
        """Engine and judges are open before anything is measured."""
        few = [replace(stage, units=min(8, self.units)) for stage in (self.sampling, self.judging)]
        Flow(self.arm.crew, few).finish(1, no_tick)

    def seconds(self, *stages: Stage) -> float:
        """On the wall, for all units of these stages."""
        for stage in stages:
            shutil.rmtree(stage.folder, ignore_errors=True)
        start = time.perf_counter()
        Flow(self.arm.crew, stages).finish(len(stages) - 1, no_tick)
        return time.perf_counter() - start

    def measured(self, stage: Stage) -> list[float]:
        """Seconds of each unit, the last time it was done."""
        return [float(note) for note in store.read_notes(stage.folder, TOOK)]


@dataclass(frozen=True)
class Overlap:
    sampling: float
    judging: float
    together: float
    at_work: float
    """Of the time together, in how much the stage worked that has more to do."""

    @property
    def share(self) -> float:
        return max(self.sampling, self.judging) / self.together


def overlap(run: Path, place: Path) -> tuple[list[Overlap], list[float], list[float]]:
    """Each turn, and the seconds of the units that sample and that judge, alone."""
    one = Round(run, place, "here")
    turns: list[Overlap] = []
    with one.arm:
        one.warm()
        for _ in range(TURNS):
            sampling = one.seconds(one.sampling)
            sampled = one.measured(one.sampling)
            judging = one.seconds(one.judging)
            judged = one.measured(one.judging)
            together = one.seconds(one.sampling, one.judging)
            worked = (sum(one.measured(stage)) for stage in (one.sampling, one.judging))
            turns.append(Overlap(sampling, judging, together, max(worked) / together))
    return turns, sampled, judged


def workers(run: Path, place: Path) -> list[tuple[int, int, float]]:
    """Workers of each kind, units of both stages, seconds."""
    found = []
    for count in (1, 2):
        one = Round(run, place / f"{count}", f"processes:{count}")
        with one.arm:
            one.warm()
            found.append((count, 2 * one.units, one.seconds(one.sampling, one.judging)))
    return found


@dataclass(frozen=True)
class Simulated:
    workers: int
    judges: int
    seconds: float
    units: int
    ideal: float
    """Seconds if no worker ever waited, nor died."""
    driver: float
    """The share of the time in which the driver worked."""

    @property
    def row(self) -> str:
        return (
            f"| {self.workers} | {self.judges} | {self.units / self.seconds:,.2f} "
            f"| {100 * self.ideal / self.seconds:.0f}% | {100 * self.driver:.1f}% |"
        )


def simulated(
    count: int,
    sampled: Sequence[float],
    judged: Sequence[float],
    driver: float,
    *,
    deaths: float = DEATHS,
    losses: Sequence[Loss] = (),
    faster: float = 1.0,
) -> Simulated:
    """`count` workers that sample and as many judges as keep up with them, on nodes of NODE.

    `faster` divides the seconds of units. Raises `Fault` as the scheduler does.
    """
    rng = random.Random(count)
    judges = max(1, math.ceil(count * statistics.mean(judged) / statistics.mean(sampled)))
    units = count * PER_WORKER

    def seconds(stage: Stage, unit: int) -> float:
        return rng.choice(sampled if stage.kind == "engine" else judged) / faster

    with tempfile.TemporaryDirectory() as folder:
        stages = [
            Stage(Path(folder) / kind, units, nothing, SCHEMA, kind) for kind in ("engine", "judge")
        ]
        crew = Virtual(
            {"engine": count, "judge": judges},
            seconds,
            driver=driver,
            dies=lambda stage, unit, before: rng.random() < deaths,
            losses=losses,
            nodes=max(1, count // NODE),
            seed=count,
        )
        Flow(crew, stages).finish(1, no_tick)
    slower = max(statistics.mean(sampled) / count, statistics.mean(judged) / judges)
    ideal = units * slower / faster
    return Simulated(count, judges, crew.now, 2 * units, ideal, crew.busy / crew.now)


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; processes that ran or "
        f"waited over the minute before: {load:.1f}"
    )


def overhead_lines(costs: Sequence[Cost]) -> Iterator[str]:
    yield f"What a unit costs that does nothing, in milliseconds ({UNITS} units; {machine()}):"
    yield ""
    yield "| | a unit | the driver's thread | pickling | encoding | writing, fsync | limit | |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    yield from (cost.row for cost in costs)
    yield ""


def overlap_lines(turns: Sequence[Overlap]) -> Iterator[str]:
    size = f"{PUZZLES} puzzles in units of {PER_UNIT}"
    yield f"Sampling and judging, in seconds ({size}; {machine()}):"
    yield ""
    yield "| sampling alone | judging alone | together | of the ideal | the slower one at work |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for turn in turns:
        cells = (turn.sampling, turn.judging, turn.together)
        yield (
            f"| {' | '.join(f'{one:.1f}' for one in cells)} | {100 * turn.share:.0f}% "
            f"| {100 * turn.at_work:.0f}% |"
        )
    yield ""


def workers_lines(found: Sequence[tuple[int, int, float]]) -> Iterator[str]:
    yield f"Units of both stages a second, with real processes ({machine()}):"
    yield ""
    yield "| processes that sample, and that judge | units a second |"
    yield "| ---: | ---: |"
    yield from (f"| {count} | {units / seconds:.2f} |" for count, units, seconds in found)
    yield ""


def simulated_lines(
    sampled: Sequence[float], judged: Sequence[float], driver: float
) -> Iterator[str]:
    means = statistics.mean(sampled), statistics.mean(judged)
    yield (
        f"In virtual time: units of {LARGER * means[0]:.2f} s and {LARGER * means[1]:.2f} s, "
        f"{LARGER} times as long as those measured above, as units of {LARGER * PER_UNIT} puzzles "
        f"are; {PER_WORKER} of each a worker; a worker dies in one of "
        f"{1 / DEATHS:,.0f} units; the driver's own time, and {1000 * driver:.2f} ms a unit:"
    )
    head = [
        "| workers that sample | judges | units a second | of the ideal | driver at work |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    yield from ["", *head]
    larger = [[LARGER * took for took in found] for found in (sampled, judged)]
    yield from (simulated(count, *larger, driver).row for count in SIMULATED)
    yield from [
        "",
        "The same with a node of 8 workers lost after a third of the time, for a minute:",
    ]
    yield from ["", *head]
    for count in (count for count in SIMULATED if count >= 2 * NODE):
        whole = simulated(count, *larger, driver)
        losses = [Loss(whole.seconds / 3, 0, 60.0)]
        yield simulated(count, *larger, driver, losses=losses).row
    yield from [
        "",
        "The driver's limit, with units a tenth, a hundredth and a thousandth as long as measured:",
        "",
    ]
    yield from ["| units of | " + head[0][2:], "| ---: " + head[1]]
    for faster in (10.0, 100.0, 1000.0):
        for count in (16, 64, 256):
            found = simulated(count, sampled, judged, driver, faster=faster, deaths=0.0)
            yield f"| {1000 * means[0] / faster:.1f} ms {found.row}"
    yield ""


PARTS = ("overhead", "overlap", "workers", "simulated")


def main() -> None:
    """Measure and print; with `--out`, into a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines: list[str] = []

    def tell(part: Iterator[str]) -> None:
        made = list(part)
        lines.extend(made)
        print("\n".join(made), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if {"overhead", "simulated"} & set(asked.only):
            costs = overhead(place)
            tell(overhead_lines(costs))
        if {"overlap", "simulated"} & set(asked.only):
            turns, sampled, judged = overlap(asked.run, place / "overlap")
            tell(overlap_lines(turns))
        if "workers" in asked.only:
            tell(workers_lines(workers(asked.run, place / "workers")))
        if "simulated" in asked.only:
            tell(simulated_lines(sampled, judged, costs[-1].driver))
    if asked.out is not None:
        _into(asked.out, lines)


def _into(out: Path, lines: Sequence[str]) -> None:
    before, _, rest = out.read_text("utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    out.write_text("\n".join([before + MARKS[0], *lines, MARKS[1] + after]), "utf-8")


if __name__ == "__main__":
    main()
