"""A crew of Ray actors, on clusters of two and three nodes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster_work import Desk, stage
from etude import cluster, store
from etude.cluster import Flow, Inline, Needs
from etude.errors import Fault, InputError
from ray_work import begun, broken, dying, dying_until, failing, job, look, refusing, slow_stage

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray

from etude.cluster.rays import RayCrew, reached_ray  # noqa: E402 - ray may be missing

ONE: dict[cluster.Kind, Needs] = {"engine": Needs(1), "judge": Needs(1), "plain": Needs(1)}
HEAD = {"num_cpus": 1, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes with one CPU each; its workers find the modules of the tests."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.delenv("RAY_ADDRESS", raising=False)
        made = Cluster(initialize_head=True, head_node_args=HEAD)
        made.add_node(num_cpus=1)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def crew(nodes: Any, tmp_path: Path) -> Iterator[RayCrew]:
    made = RayCrew(nodes.address, partial(Desk, tmp_path), ONE)
    yield made
    made.close()


def no_tick(done: int, total: int) -> None:
    pass


def units_of(folder: Path) -> list[int]:
    return [row["unit"] for row in store.read_stage(folder)]


def when(ready: Callable[[], Any], then: Callable[[], Any]) -> threading.Thread:
    """Does something beside the test as soon as something is so."""

    def watch() -> None:
        while not ready():
            time.sleep(0.05)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_units_are_done_on_all_nodes_and_the_rows_are_those_of_one(
    tmp_path: Path, crew: RayCrew
) -> None:
    Flow(crew, [slow_stage(tmp_path / "a", 8)]).finish(0, no_tick)
    assert units_of(tmp_path / "a") == list(range(8))
    found = begun(tmp_path)
    assert len(found) == 8
    assert len({node for _, _, node in found}) == 2
    assert len({pid for _, pid, _ in found}) == 2


def test_judging_goes_on_beside_sampling(tmp_path: Path, crew: RayCrew) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    after = stage(second, 4, after=first)
    Flow(crew, [stage(first, 4, "engine"), after]).finish(1, no_tick)
    alone = tmp_path / "alone"
    Flow(Inline(Desk(tmp_path)), [stage(alone, 4)]).finish(0, no_tick)
    assert units_of(first) == units_of(second) == units_of(alone)
    assert store.read_notes(second, "etude.note") == store.read_notes(alone, "etude.note")


def test_a_worker_that_is_killed_is_replaced_and_no_more_than_its_unit_is_done_again(
    tmp_path: Path, crew: RayCrew
) -> None:
    killer = when(lambda: begun(tmp_path), lambda: os.kill(begun(tmp_path)[0][1], signal.SIGKILL))
    Flow(crew, [slow_stage(tmp_path / "a", 6, seconds=1)]).finish(0, no_tick)
    killer.join()
    assert units_of(tmp_path / "a") == list(range(6))
    assert cluster.set_aside_in(tmp_path / "a") == 0
    times = Counter(unit for unit, _, _ in begun(tmp_path))
    assert sum(times.values()) == 7


def test_a_unit_that_kills_every_worker_is_set_aside_and_the_rest_is_done(
    tmp_path: Path, crew: RayCrew
) -> None:
    flow = Flow(crew, [stage(tmp_path / "a", 6, bad={2: "kill"})])
    flow.finish(0, no_tick)
    assert units_of(tmp_path / "a") == [0, 1, 3, 4, 5]
    [note] = store.read_notes(tmp_path / "a", cluster.SET_ASIDE)
    assert '"tries": 3' in note
    assert "killed, or crashed" in note


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [("refuse", InputError, "What was asked for"), ("raise", Fault, "ValueError: a fault of ours")],
)
def test_what_a_worker_raises_is_raised_here(
    tmp_path: Path, crew: RayCrew, what: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Flow(crew, [stage(tmp_path / "a", 2, bad={1: what})]).finish(0, no_tick)


def test_a_desk_that_can_not_be_opened_says_so(nodes: Any, tmp_path: Path) -> None:
    with (
        closing(RayCrew(nodes.address, broken, ONE)) as crew,
        pytest.raises(InputError, match="The desk can't be opened"),
    ):
        Flow(crew, [stage(tmp_path / "a", 2)]).finish(0, no_tick)


@pytest.mark.slow
def test_workers_that_die_while_they_start_are_no_fault_of_the_units(
    nodes: Any, tmp_path: Path
) -> None:
    with (
        closing(RayCrew(nodes.address, dying, ONE)) as crew,
        pytest.raises(Fault, match=r"3 workers died .* before they could begin"),
    ):
        Flow(crew, [stage(tmp_path / "a", 3)]).finish(0, no_tick)
    assert cluster.set_aside_in(tmp_path / "a") == 0


@pytest.mark.slow
def test_a_bad_moment_of_the_cluster_is_waited_out(nodes: Any, tmp_path: Path) -> None:
    desk = partial(dying_until, time.time() + 4, tmp_path)
    with closing(RayCrew(nodes.address, desk, ONE)) as crew:
        crew.start(stage(tmp_path / "a", 1), 0)
        assert crew.wait().how == "done"


def test_a_released_worker_closes_its_desk_and_another_is_started(
    tmp_path: Path, crew: RayCrew
) -> None:
    Flow(crew, [stage(tmp_path / "a", 1)]).finish(0, no_tick)
    [row] = store.read_stage(tmp_path / "a")
    crew.release("judge")
    patience = time.monotonic() + 20
    while not (tmp_path / f"closed-{row['pid']}").exists():
        assert time.monotonic() < patience
        time.sleep(0.05)
    Flow(crew, [stage(tmp_path / "b", 1)]).finish(0, no_tick)
    [other] = store.read_stage(tmp_path / "b")
    assert other["pid"] != row["pid"]


def test_idle_workers_make_room_for_those_that_are_needed(tmp_path: Path, crew: RayCrew) -> None:
    """Two judges hold both CPUs; then an engine is needed, and nobody releases them."""
    Flow(crew, [slow_stage(tmp_path / "a", 4)]).finish(0, no_tick)
    Flow(crew, [slow_stage(tmp_path / "b", 2, "engine")]).finish(0, no_tick)
    assert units_of(tmp_path / "b") == [0, 1]


def test_a_job_tells_how_far_it_is_and_goes_on_after_a_death(tmp_path: Path, crew: RayCrew) -> None:
    ticks: list[tuple[int, int]] = []
    work = partial(job, folder=tmp_path, steps=5, kill_at={2: 2}, seconds=0.4)
    crew.job(work, Needs(1), lambda *at: ticks.append(at))
    assert len(list(tmp_path.glob("step-*"))) == 5
    assert len(list(tmp_path.glob("death-*"))) == 2
    assert ticks == sorted(ticks)
    assert len(ticks) >= 2


@pytest.mark.slow
def test_a_job_that_dies_at_one_place_for_ever_is_given_up(tmp_path: Path, crew: RayCrew) -> None:
    work = partial(job, folder=tmp_path, steps=2, kill_at={1: 99}, seconds=0)
    with pytest.raises(Fault, match="died 3 times"):
        crew.job(work, Needs(1), no_tick)


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [(refusing, InputError, "The loss is no longer"), (failing, Fault, "a fault of ours")],
)
def test_what_a_job_raises_is_raised_here(
    crew: RayCrew, work: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        crew.job(work, Needs(1), no_tick)


@pytest.mark.slow
def test_a_node_that_goes_takes_its_units_and_none_is_blamed(
    tmp_path: Path, nodes: Any, crew: RayCrew
) -> None:
    """Without a word, as when its machine is cut off: Ray takes its time to be sure."""
    third = nodes.add_node(num_cpus=1)
    gone = when(
        lambda: [node for _, _, node in begun(tmp_path) if node == third.node_id],
        lambda: nodes.remove_node(third, allow_graceful=False),
    )
    Flow(crew, [slow_stage(tmp_path / "a", 24, seconds=1)]).finish(0, no_tick)
    gone.join()
    assert units_of(tmp_path / "a") == list(range(24))
    assert cluster.set_aside_in(tmp_path / "a") == 0
    assert 24 <= len(begun(tmp_path)) <= 26
    assert third.node_id not in {node for _, _, node in begun(tmp_path)[-3:]}


@pytest.mark.slow
def test_a_job_goes_on_when_its_node_goes(tmp_path: Path, nodes: Any, crew: RayCrew) -> None:
    """It has room on two of four nodes."""
    large = {node.node_id: node for node in (nodes.add_node(num_cpus=2) for _ in range(2))}

    def remove() -> None:
        nodes.remove_node(large[(tmp_path / "node-0").read_text()], allow_graceful=False)

    gone = when(lambda: (tmp_path / "step-1").exists(), remove)
    work = partial(job, folder=tmp_path, steps=30, kill_at={}, seconds=0.3)
    crew._looked = None
    crew.job(work, Needs(2), no_tick)
    gone.join()
    assert len(list(tmp_path.glob("step-*"))) == 30
    assert {path.read_text() for path in tmp_path.glob("node-*")} == large.keys()


def test_each_node_is_looked_at(nodes: Any, tmp_path: Path) -> None:
    with reached_ray(nodes.address, partial(look, marks=tmp_path)) as address:
        assert address == nodes.address
    assert len(list(tmp_path.iterdir())) == len(nodes.list_all_nodes())


def test_a_node_that_is_not_as_it_must_be_is_named(nodes: Any, tmp_path: Path) -> None:
    wrong = partial(look, marks=tmp_path, refused="the folder is not there.")
    with (
        pytest.raises(InputError, match=r"On the node \S+ \(\S+\): the folder is not there"),
        reached_ray(nodes.address, wrong),
    ):
        raise AssertionError


def test_where_nothing_answers_that_is_said_soon() -> None:
    start = time.monotonic()
    with (
        pytest.raises(InputError, match="must be a Ray cluster that answers, but does not"),
        reached_ray("127.0.0.1:1", print),
    ):
        raise AssertionError
    assert time.monotonic() - start < 10


STARTING = """
import sys
from pathlib import Path
from etude.cluster.rays import reached_ray
from etude.session import leaving

print("begun", flush=True)
with leaving(Path(sys.argv[1]), "etude run HERE"), reached_ray("auto", print):
    print("reached", flush=True)
"""


def of_session(leader: int) -> str:
    """What runs of all that a process started."""
    words = ["ps", "-ww", "-s", str(leader), "-o", "args="]  # else as wide as COLUMNS says
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_a_polite_kill_while_ray_starts_is_heard_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTING, str(tmp_path)],
        env={**os.environ, "RAY_ADDRESS": "local"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = time.monotonic() + 60
    while "gcs_server" not in of_session(process.pid):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience, of_session(process.pid)
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    assert out == "begun\n"
    assert process.returncode == 130, said
    assert "Continue with:\n  etude run HERE" in said
    assert "Traceback" not in said
    while of_session(process.pid):
        assert time.monotonic() < patience, of_session(process.pid)
        time.sleep(0.1)


def test_without_ray_the_command_that_installs_it_is_said(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ray'] = None\nfrom etude.cli import main; main()"
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "run",
            "smoke",
            "--cluster",
            "auto",
            "--out",
            tmp_path / "run",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "pip install 'etude[ray]'" in said.stderr
    assert not (tmp_path / "run").exists()
