"""The scheduler over any course of events: workers in virtual time, real units and segments."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import store
from etude.cluster import SET_ASIDE, Flow, Kind, Made, Stage, set_aside_in
from etude.cluster.flow import TRIES
from etude.errors import Fault

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "virtual.py"
SCHEMA = pa.schema([("unit", pa.int64())])


def _virtual() -> ModuleType:
    spec = importlib.util.spec_from_file_location("virtual", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["virtual"] = module
    spec.loader.exec_module(module)
    return module


virtual = _virtual()


class Desk:
    """Counts what is done at it."""

    def __init__(self) -> None:
        self.did: Counter[tuple[str, int]] = Counter()

    def unit_kept(self) -> None:
        pass

    def release(self, kind: Kind) -> None:
        pass

    def close(self) -> None:
        pass


def work(desk: Desk, unit: int, *, name: str, before: Path | None, broken: int | None) -> Made:
    """One row. Raises where the unit before it is not on the disk, or this one is broken."""
    if before is not None:
        store.read_table(store.unit_path(before, unit))
    if unit == broken:
        raise ValueError("broken")
    desk.did[name, unit] += 1
    return Made([{"unit": unit}])


KINDS: tuple[Kind, ...] = ("engine", "judge", "judge")


def stages(folder: Path, units: int, count: int = 2, broken: int | None = None) -> list[Stage]:
    places = [folder / f"{at}" for at in range(count)]
    made = []
    for at, (place, kind) in enumerate(zip(places, KINDS, strict=False)):
        before = places[at - 1] if at else None
        bad = broken if at == count - 1 else None
        doing = partial(work, name=place.name, before=before, broken=bad)
        made.append(Stage(place, units, doing, SCHEMA, kind))
    return made


def no_tick(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Course:
    """What happens while units are done."""

    units: int
    stages: int
    workers: dict[str, int]
    seconds: list[float]
    deaths: dict[tuple[int, int], int]
    """By stage and unit, how many workers die of it: fewer than it takes to be set aside."""
    losses: list[tuple[float, int, float]]
    there: set[tuple[int, int]]
    """Segments that an earlier process left: whatever it came to."""


@st.composite
def courses(draw: st.DrawFn) -> Course:
    units, count = draw(st.integers(0, 7)), draw(st.integers(1, 3))
    places = st.tuples(st.integers(0, count - 1), st.integers(0, max(0, units - 1)))
    there = draw(st.sets(places, max_size=6)) if units else set()
    return Course(
        units,
        count,
        {kind: draw(st.integers(1, 3)) for kind in ("engine", "judge")},
        draw(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=9)),
        draw(st.dictionaries(places, st.integers(1, TRIES - 1), max_size=4)),
        draw(
            st.lists(st.tuples(st.floats(0, 60), st.integers(0, 2), st.floats(0, 30)), max_size=3)
        ),
        {(at, unit) for at, unit in there if all((e, unit) in there for e in range(at))},
    )


def crew_of(course: Course, desk: Desk) -> Any:
    return virtual.Virtual(
        course.workers,
        lambda stage, unit: course.seconds[
            (7 * int(stage.folder.name) + unit) % len(course.seconds)
        ],
        dies=lambda stage, unit, before: (
            before < course.deaths.get((int(stage.folder.name), unit), 0)
        ),
        losses=[virtual.Loss(*loss) for loss in course.losses],
        nodes=3,
        desk=desk,
    )


@given(courses())
@settings(max_examples=40, deadline=None)
def test_whatever_dies_each_unit_is_done_once_and_after_the_one_before_it(course: Course) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flowing = stages(Path(folder), course.units, course.stages)
        for at, unit in course.there:
            store.write_table(store.unit_path(flowing[at].folder, unit), [{"unit": unit}], SCHEMA)
        desk = Desk()
        crew = crew_of(course, desk)
        ticks: list[tuple[int, int]] = []
        Flow(crew, flowing).finish(course.stages - 1, lambda *at: ticks.append(at))
        for stage in flowing:
            assert [row["unit"] for row in store.read_stage(stage.folder)] == list(
                range(course.units)
            )
            assert set_aside_in(stage.folder) == 0
        every = {(at, unit) for at in range(course.stages) for unit in range(course.units)}
        assert desk.did == Counter((f"{at}", unit) for at, unit in every - course.there)
        assert crew.most <= virtual.AHEAD * sum(course.workers.values())
        assert [done for done, _ in ticks] == list(range(ticks[0][0], course.units + 1))


@given(courses(), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_a_unit_that_kills_is_set_aside_and_harms_no_other(course: Course, poison: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flowing = stages(Path(folder), 7, course.stages)
        desk = Desk()
        crew = crew_of(course, desk)
        dies = crew._dies
        crew._dies = lambda stage, unit, before: (
            (unit == poison and stage is flowing[0]) or dies(stage, unit, before)
        )
        Flow(crew, flowing).finish(course.stages - 1, no_tick)
        first, *rest = flowing
        assert [row["unit"] for row in store.read_stage(first.folder)] == [
            unit for unit in range(7) if unit != poison
        ]
        [note] = store.read_notes(first.folder, SET_ASIDE)
        assert json.loads(note)["tries"] == TRIES
        assert desk.did["0", poison] == 0
        for stage in rest:  # it goes on without rows
            assert store.unit_path(stage.folder, poison).exists()
            assert set_aside_in(stage.folder) == 0


def test_workers_that_die_of_everything_end_the_flow(tmp_path: Path) -> None:
    crew = virtual.Virtual({"engine": 2}, lambda *_: 1.0, dies=lambda *_: True, desk=Desk())
    with pytest.raises(Fault, match="workers die of the units"):
        Flow(crew, stages(tmp_path, 20, 1)).finish(0, no_tick)
    assert set_aside_in(tmp_path / "0") <= 2


@given(courses(), st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_an_error_is_raised_and_what_was_done_is_kept(course: Course, broken: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        crew, desk = crew_of(course, Desk()), Desk()
        flow = Flow(crew, stages(Path(folder), 7, course.stages, broken))
        with pytest.raises(ValueError, match="broken"):
            flow.finish(course.stages - 1, no_tick)
        begun = len(crew.begun)
        kept = set(Path(folder).rglob("*.parquet"))
        crew.close()
        whole = stages(Path(folder), 7, course.stages)
        Flow(virtual.Virtual({"engine": 1, "judge": 1}, lambda *_: 1.0, desk=desk), whole).finish(
            course.stages - 1, no_tick
        )
        assert len(crew.begun) == begun
        assert desk.did.total() == 7 * course.stages - len(kept), "nothing is done again"


def test_a_slow_stage_stops_no_other_and_nothing_piles_up_in_the_crew(tmp_path: Path) -> None:
    """What waits between stages is a number: so sampling ends as if it were alone."""
    crew = virtual.Virtual(
        {"engine": 1, "judge": 1}, lambda stage, _: 1.0 if stage.kind == "engine" else 9.0
    )
    flow = Flow(crew, stages(tmp_path, 100))
    flow.finish(0, no_tick)
    assert 100 <= crew.now < 103
    flow.finish(1, no_tick)
    assert 900 <= crew.now < 911
    assert crew.most <= 2 * virtual.AHEAD


def test_the_faster_of_two_stages_costs_no_more_than_its_last_unit(tmp_path: Path) -> None:
    crew = virtual.Virtual(
        {"engine": 4, "judge": 2}, lambda stage, _: 2.0 if stage.kind == "engine" else 1.0
    )
    Flow(crew, stages(tmp_path, 400)).finish(1, no_tick)
    assert 200 / crew.now > 0.98


def test_the_drivers_own_time_is_the_limit_of_many_workers(tmp_path: Path) -> None:
    crew = virtual.Virtual({"engine": 512}, lambda *_: 1.0, driver=0.01)
    Flow(crew, stages(tmp_path, 2000, 1)).finish(0, no_tick)
    assert 20 < crew.now < 26
    assert crew.busy > 0.75 * crew.now


def test_a_unit_that_goes_with_its_nodes_is_never_set_aside(tmp_path: Path) -> None:
    losses = [virtual.Loss(at, 0, 0.5) for at in (1.0, 3.0, 5.0, 7.0, 9.0)]
    crew = virtual.Virtual({"engine": 1}, lambda *_: 3.0, losses=losses, desk=Desk())
    Flow(crew, stages(tmp_path, 1, 1)).finish(0, no_tick)
    assert len(store.read_stage(tmp_path / "0")) == 1
    assert len(crew.begun) == 6
    assert 12.5 <= crew.now < 12.6
