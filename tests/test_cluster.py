"""Crews and the scheduler, with real workers and real segments."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cluster_work import SCHEMA, Desk, stage
from etude import cluster, store
from etude.cluster import Crew, Ended, Flow, Here, Inline, Made, Processes, Stage
from etude.cluster.processes import AHEAD
from etude.errors import Fault, InputError


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(partial(Desk, tmp_path), {"engine": 1, "judge": 2})
    yield made
    made.close()
    assert multiprocessing.active_children() == []


def no_tick(done: int, total: int) -> None:
    pass


def units_of(folder: Path) -> list[int]:
    return [row["unit"] for row in store.read_stage(folder)]


def test_each_unit_is_one_segment_with_its_notes(tmp_path: Path, crew: Processes) -> None:
    ticks: list[tuple[int, int]] = []
    Flow(crew, [stage(tmp_path / "a", 7)]).finish(0, lambda *at: ticks.append(at))
    assert units_of(tmp_path / "a") == list(range(7))
    assert store.read_notes(tmp_path / "a", "etude.note") == [str(unit) for unit in range(7)]
    assert ticks == [(done, 7) for done in range(8)]
    pids = {row["pid"] for row in store.read_stage(tmp_path / "a")}
    assert len(pids) == 2
    assert os.getpid() not in pids


class _Late(Inline):
    """A mount over a network: a segment is seen here some time after it was written."""

    def wait(self) -> Ended:
        ended = super().wait()
        path = store.unit_path(ended.stage.folder, ended.unit)
        path.rename(hidden := path.with_name(".hidden"))
        threading.Timer(0.5, hidden.rename, [path]).start()
        return ended


def test_a_stage_is_done_when_its_segments_are_seen_here(tmp_path: Path) -> None:
    Flow(_Late(Desk(tmp_path)), [stage(tmp_path / "a", 1)]).finish(0, no_tick)
    assert units_of(tmp_path / "a") == [0]


def test_a_segment_that_is_never_seen_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etude.cluster.flow.SEEN_SECONDS", 0.2)
    with pytest.raises(Fault, match=r"1 segments of .* are not seen here"):
        Flow(_Late(Desk(tmp_path)), [stage(tmp_path / "a", 1)]).finish(0, no_tick)


def test_units_that_are_there_are_left_alone(tmp_path: Path, crew: Processes) -> None:
    Flow(crew, [stage(tmp_path / "a", 2)]).finish(0, no_tick)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    Flow(crew, [stage(tmp_path / "a", 3)]).finish(0, no_tick)
    assert units_of(tmp_path / "a") == [0, 1, 2]
    assert all(path.stat().st_mtime_ns == was for path, was in before.items())


def test_a_unit_waits_for_its_own_of_the_stage_before_and_for_no_other(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    with_none = Inline(Desk(tmp_path))
    flow = Flow(with_none, [stage(first, 3, "engine"), stage(second, 3, after=first)])
    flow.finish(0, no_tick)
    assert units_of(first) == [0, 1, 2]
    assert units_of(second) == [0, 1]  # done meanwhile
    flow.finish(1, no_tick)
    assert units_of(second) == [0, 1, 2]


def test_rows_that_only_pass_are_not_owed_where_the_next_stage_has_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    Flow(Inline(Desk(tmp_path)), [stage(second, 2)]).finish(0, no_tick)
    stages = [stage(first, 3, "engine", passing=True), stage(second, 3, after=first)]
    flow = Flow(Inline(Desk(tmp_path)), stages)
    flow.finish(1, no_tick)
    assert units_of(first) == [2]
    assert units_of(second) == [0, 1, 2]


def test_a_unit_whose_worker_dies_is_done_by_another(tmp_path: Path, crew: Processes) -> None:
    bad = {1: "kill once", 4: "kill once"}
    Flow(crew, [stage(tmp_path / "a", 6, bad=bad)]).finish(0, no_tick)
    assert units_of(tmp_path / "a") == list(range(6))
    assert cluster.set_aside_in(tmp_path / "a") == 0


def test_a_unit_that_kills_every_worker_is_set_aside_and_the_rest_is_done(
    tmp_path: Path, crew: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    flow = Flow(crew, [stage(first, 5, "engine", bad={2: "kill"}), stage(second, 5, after=first)])
    flow.finish(0, no_tick)
    flow.finish(1, no_tick)
    assert units_of(first) == [0, 1, 3, 4]
    assert cluster.set_aside_in(first) == 1
    [note] = store.read_notes(first, cluster.SET_ASIDE)
    assert json.loads(note) == {"tries": 3, "seen": ["killed by SIGKILL"] * 3}
    assert "00002.parquet killed 3 workers and is set aside" in capfd.readouterr().err
    again = Flow(crew, [stage(first, 5, "engine", bad={2: "kill"})])
    again.finish(0, no_tick)  # it is not tried again


def test_where_every_unit_kills_nothing_is_set_aside_for_long(
    tmp_path: Path, crew: Processes
) -> None:
    flow = Flow(crew, [stage(tmp_path / "a", 2, bad=dict.fromkeys(range(2), "kill"))])
    with pytest.raises(Fault, match=r"workers die of the units of .*killed by SIGKILL"):
        flow.finish(0, no_tick)
    assert cluster.set_aside_in(tmp_path / "a") <= 1


def test_a_unit_that_the_run_needs_is_never_set_aside(tmp_path: Path, crew: Processes) -> None:
    flow = Flow(crew, [stage(tmp_path / "a", 1, spare=False, bad={0: "kill"})])
    with pytest.raises(Fault, match="workers die"):
        flow.finish(0, no_tick)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [("refuse", InputError, "What was asked for"), ("raise", Fault, "ValueError: a fault of ours")],
)
def test_what_a_worker_raises_is_raised_here(
    tmp_path: Path, crew: Processes, what: str, error: type[Exception], words: str
) -> None:
    flow = Flow(crew, [stage(tmp_path / "a", 2, bad={1: what})])
    with pytest.raises(error, match=words):
        flow.finish(0, no_tick)


def _broken() -> Desk:
    raise InputError("The desk can't be opened.")


def _dying() -> Desk:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_desk_that_can_not_be_opened_says_so(tmp_path: Path) -> None:
    crew = Processes(_broken, {"judge": 1})
    with pytest.raises(InputError, match="The desk can't be opened"):
        Flow(crew, [stage(tmp_path / "a", 2)]).finish(0, no_tick)
    crew.close()


def test_workers_that_die_while_they_start_are_no_fault_of_the_units(tmp_path: Path) -> None:
    crew = Processes(_dying, {"judge": 1})
    with pytest.raises(Fault, match="3 workers died while they started, lastly: killed by SIG"):
        Flow(crew, [stage(tmp_path / "a", 40)]).finish(0, no_tick)
    assert cluster.set_aside_in(tmp_path / "a") == 0
    crew.close()


def test_an_idle_worker_that_dies_costs_no_try(tmp_path: Path) -> None:
    crew = Processes(partial(Desk, tmp_path), {"judge": 1})
    Flow(crew, [stage(tmp_path / "a", 1)]).finish(0, no_tick)
    [row] = store.read_stage(tmp_path / "a")
    os.kill(row["pid"], signal.SIGKILL)
    while Path(f"/proc/{row['pid']}/fd").exists() and os.listdir(f"/proc/{row['pid']}/fd"):
        time.sleep(0.01)
    Flow(crew, [stage(tmp_path / "b", 1, spare=False)]).finish(0, no_tick)
    assert units_of(tmp_path / "b") == [0]
    crew.close()


def test_a_released_worker_closes_its_desk_and_another_is_started(tmp_path: Path) -> None:
    crew = Processes(partial(Desk, tmp_path), {"engine": 1})
    Flow(crew, [stage(tmp_path / "a", 1, "engine")]).finish(0, no_tick)
    [row] = store.read_stage(tmp_path / "a")
    crew.release("engine")
    assert (tmp_path / f"closed-{row['pid']}").exists()
    Flow(crew, [stage(tmp_path / "b", 1, "engine")]).finish(0, no_tick)
    assert units_of(tmp_path / "b") == [0]
    crew.close()


def test_here_samples_in_this_process_and_judges_beside_it(tmp_path: Path) -> None:
    heard: list[int] = []
    beside = Processes(partial(Desk, tmp_path), {"judge": 1})
    crew = Here(Desk(tmp_path), beside, lambda _, unit: heard.append(unit))
    first, second = tmp_path / "a", tmp_path / "b"
    flow = Flow(crew, [stage(first, 4, "engine"), stage(second, 4, after=first)])
    flow.finish(1, no_tick)
    assert {row["pid"] for row in store.read_stage(first)} == {os.getpid()}
    assert os.getpid() not in {row["pid"] for row in store.read_stage(second)}
    assert heard == [0, 1, 2, 3]
    crew.close()


def _when_none_works(desk: Desk, unit: int, *, beside: Path) -> Made:
    """Takes until the worker beside is dead, or has done all but the last few units before."""
    patience = time.monotonic() + 20
    while multiprocessing.active_children() and len(list(beside.glob("0*"))) < unit - AHEAD:
        assert time.monotonic() < patience, "the workers beside wait for this process"
        time.sleep(0.02)
    return Made([{"unit": unit, "pid": os.getpid()}])


def test_workers_beside_are_looked_after_while_this_process_is_busy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that died is replaced, its unit counted, and the others get work, all through."""
    first, second = tmp_path / "a", tmp_path / "b"
    crew = Here(Desk(tmp_path), Processes(partial(Desk, tmp_path), {"judge": 1}))
    sampling = Stage(first, 12, partial(_when_none_works, beside=second), SCHEMA, "engine")
    flow = Flow(crew, [sampling, stage(second, 12, after=first, bad={0: "kill"})])
    flow.finish(0, no_tick)
    assert cluster.set_aside_in(second) == 1
    assert len(list(second.iterdir())) >= 11 - AHEAD, "they did no more than was given in advance"
    crew.close()
    assert capfd.readouterr().err.count("it is tried again") == 2


@pytest.mark.parametrize("way", ["there", "processes:0", "processes:x", "ray://", ":1", "host:"])
def test_what_is_no_way_to_work_is_refused(tmp_path: Path, way: str) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(InputError, match="--cluster"):
        cluster.open_crew(way, desk, partial(Desk, tmp_path))


@pytest.mark.parametrize("way", ["inline", "here", "processes:2"])
def test_the_ways_to_work_on_one_machine_give_the_same_rows(tmp_path: Path, way: str) -> None:
    crew: Crew = cluster.open_crew(way, Desk(tmp_path), partial(Desk, tmp_path))
    first, second = tmp_path / "a", tmp_path / "b"
    flow = Flow(crew, [stage(first, 3, "engine"), stage(second, 3, after=first)])
    flow.finish(1, no_tick)
    assert units_of(first) == units_of(second) == [0, 1, 2]
    crew.close()


def test_a_paid_engine_stays_in_one_process(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    crew = cluster.open_crew("processes:3", desk, partial(Desk, tmp_path), engine_here=True)
    Flow(crew, [stage(tmp_path / "a", 3, "engine")]).finish(0, no_tick)
    assert {row["pid"] for row in store.read_stage(tmp_path / "a")} == {os.getpid()}
    crew.close()
