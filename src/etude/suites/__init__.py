"""Suites: the held-out problems that a model is evaluated on.

    tiny        196 one-line problems: 96 new constants of training families, 100 of held-out ones
    regex       the same of the domain `regex`: 60 new constants, 65 of held-out families
    p3          the 228 test problems of P3: 150 derived from HumanEval, 78 others
    p3-train    its 155 training problems; p3-all: all of its 1,715 instances
    humaneval   164 functions with tests (Chen et al. 2021, arXiv 2107.03374)
    mbpp        functions with three assertions (Austin et al. 2021, arXiv 2108.07732)
    humaneval+, mbpp+   the same with many more tests (EvalPlus, Liu et al. 2023, arXiv 2305.01210)

P3 is downloaded once where no folder is given. The last four are read from a local file.
"""

from __future__ import annotations

from pathlib import Path

from etude import domains
from etude.errors import InputError
from etude.suites.own import read_puzzles
from etude.suites.p3 import P3_FILES, P3_URL, download_p3, p3_problems, p3_training
from etude.suites.programs import FORMATS, exercises
from etude.tiny.families import SPLIT_SEED
from etude.types import Problem

__all__ = [
    "FORMATS",
    "P3_FILES",
    "P3_URL",
    "SUITES",
    "download_p3",
    "exercises",
    "load",
    "p3_training",
    "read_puzzles",
]

_P3 = {"p3": "test", "p3-train": "train", "p3-all": "all"}
OWN = tuple(domain.own for domain in domains.DOMAINS.values())
SUITES = (*OWN, *_P3, *FORMATS)


def load(name: str, *, folder: Path | None = None, split_seed: int = SPLIT_SEED) -> list[Problem]:
    """The problems of a suite, in a fixed order.

    `folder` holds P3's `puzzles.json` and `split.json`; without it they are downloaded once. For
    HumanEval and MBPP it is the file, or the folder that holds it. `split_seed` chooses the
    held-out families of `tiny` and `regex`. Raises `InputError` for an unknown suite, a failed
    download, or files that are not what was asked for.

    >>> [problem.name for problem in load("tiny")][:2]
    ['of_length/0', 'anagram/0']
    """
    if domain := domains.of_suite(name):
        return domain.held_out(split_seed)
    if name in _P3:
        return p3_problems(_P3[name], folder)
    if name in FORMATS:
        return exercises(name, folder)
    raise InputError(f"A suite must be one of {', '.join(SUITES)}, but {name!r} was asked for.")
