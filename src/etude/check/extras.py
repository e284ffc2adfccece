"""Which extras are installed here, and what of the machine a run can use."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from etude.cluster.processes import GPUS
from etude.judge.judge import usable_cores

GIVES = {
    "train": "runs, trainings, models of transformers",
    "vllm": "sampling with vLLM",
    "openai": "servers with OpenAI's API",
    "ray": "runs on a Ray cluster",
    "remote": "runs on object stores",
    "rl": "the judge as a reward of TRL",
    "inspect": "tasks and scorers for inspect_ai",
    "data": "near duplicates, diversity, the hub",
    "report": "reports",
    "browse": "local pages over the tables",
    "umap": "maps by UMAP",
    "track": "live tracking by trackio",
    "docs": "the site of these documents",
    "dev": "the tests",
}
"""What an extra is for."""


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the package, and what is missing of it."""

    name: str
    gives: str
    missing: tuple[str, ...]

    @property
    def mend(self) -> str:
        return f"pip install 'etude[{self.name}]'"


def extras() -> list[Extra]:
    """Every extra of the installed package, in the order in which they are declared."""
    wanted: dict[str, list[str]] = {}
    for name in metadata.metadata("etude").get_all("Provides-Extra") or ():
        wanted[name] = []
    for line in metadata.requires("etude") or ():
        package, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if named:
            wanted[named[1]].append(re.split(r"[\s\[<>=!~]", package.strip())[0])
    return [
        Extra(name, GIVES.get(name, ""), tuple(one for one in packages if not _installed(one)))
        for name, packages in wanted.items()
    ]


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def machine() -> dict[str, int]:
    """Processor cores that may be used, bytes of memory, and NVIDIA's GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": usable_cores(), "memory_bytes": memory, "gpus": gpus(GPUS)}


def gpus(place: Path) -> int:
    """How many there are, by the kernel's driver: nothing large is imported for it."""
    return len(list(place.iterdir())) if place.is_dir() else 0
