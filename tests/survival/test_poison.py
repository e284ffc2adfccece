"""Units that kill whoever works on them: tried three times, then set aside, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import runs
from etude.cluster import SET_ASIDE

pytestmark = pytest.mark.slow
UNIT = "round-02/judge/00001.parquet"


def run_with_deaths(run: Path, folder: Path, times: int) -> str:
    """Continue a run in which the unit kills so often; what the run says."""
    driver = runs.Driver(
        runs.command(run, "--no-controls"),
        folder,
        PYTHONPATH=str(runs.STAGE),
        ETUDE_STAGE_LETHAL="round-02/judge/.00001.parquet",
        ETUDE_STAGE_COUNT=str(folder / "deaths"),
        ETUDE_STAGE_TIMES=str(times),
    )
    try:
        assert driver.ended() == (0, ""), driver.text
        return driver.text
    finally:
        driver.strike_all()


@pytest.mark.long
def test_a_unit_that_kills_its_workers_twice_is_done_at_the_third_try(
    undisturbed: Path, tmp_path: Path
) -> None:
    run = runs.cut(undisturbed, tmp_path / "run", "final", UNIT)
    said = run_with_deaths(run, tmp_path, 2)
    assert (tmp_path / "deaths").read_text() == "xx"
    assert said.count("it is tried again") == 2
    assert runs.differing(run, undisturbed) == []


def test_a_unit_that_kills_whoever_works_on_it_is_set_aside(
    undisturbed: Path, tmp_path: Path
) -> None:
    later = [f"round-02/{name}" for name in ("probe", "screen", "select", "train", "evaluate")]
    run = runs.cut(undisturbed, tmp_path / "run", "final", UNIT, *later, "round-02/health")
    said = run_with_deaths(run, tmp_path, 3)
    assert (tmp_path / "deaths").read_text() == "xxx"
    assert "is set aside: killed by SIGKILL" in said
    assert "1 unit set aside" in said
    left = pq.read_table(run / UNIT)
    assert left.num_rows == 0, "a fourth try would have written its rows"
    assert "SIGKILL" in left.schema.metadata[SET_ASIDE.encode()].decode()
    downstream = ("final", "round-02/", "controls/seeds")
    assert runs.differing(run, undisturbed, but=downstream) == []
    assert runs.differing(run / "round-02/judge", undisturbed / "round-02/judge") == [
        Path(UNIT).name
    ]
