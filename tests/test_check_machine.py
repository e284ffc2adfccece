"""etude check, of the machine: every extra that is declared, and what is missing of it."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

from etude.check import extras

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))


def test_every_extra_is_told_with_what_it_gives() -> None:
    declared = PROJECT["project"]["optional-dependencies"]
    assert set(extras.GIVES) == set(declared)
    assert all(extras.GIVES.values())


def test_an_extra_of_packages_that_are_here_misses_nothing() -> None:
    found = {one.name: one for one in extras.extras()}
    assert found["train"].missing == ()
    missing = [name for one in found.values() for name in one.missing]
    here = {dist.metadata["Name"].lower() for dist in metadata.distributions()}
    assert not here & {name.lower() for name in missing}


def test_gpus_are_counted_by_the_driver(tmp_path: Path) -> None:
    assert extras.gpus(tmp_path / "none") == 0
    for number in range(3):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    assert extras.gpus(tmp_path) == 3
