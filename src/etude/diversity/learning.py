"""How much a round's puzzles can teach: what the solver's success at them says. A pure reader.

Covered: learnability and its distribution, from the verdicts. Not covered: what was learned from
them, which takes a training (see `value`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from etude import store
from etude.query import ACCEPTED, Tables
from etude.stats import Estimate, mean_interval

Floats = npt.NDArray[np.float64]

BANDS = ("never", "to 1/4", "to 1/2", "to 3/4", "below 1", "always")
"""How often a puzzle was solved: 0, above 0 to 1/4, ..., above 3/4 and below 1, 1."""


@dataclass(frozen=True, slots=True)
class Learning:
    """What the attempts at a round's puzzles say."""

    round: int
    puzzles: int
    """Puzzles with at least two attempts."""
    learnability: Estimate
    """The mean over puzzles, from 0 to 1/4, with its 95% interval."""
    bands: tuple[int, ...]
    """Puzzles in each of BANDS."""
    taught: float
    """The mean learnability of those that became examples; NaN where there is none."""
    taught_puzzles: int


def learnability(attempts: int, accepted: int) -> float:
    """How far a puzzle is from always and from never being solved: p (1 - p), without bias.

    p' (1 - p') n / (n - 1), with p' = c / n: the expected value of p' (1 - p') is
    p (1 - p) (n - 1) / n. The variance of the reward p (1 - p) bounds from below how far a policy
    can move by a task (Bae et al., "Online Difficulty Filtering for Reasoning Oriented
    Reinforcement Learning", arXiv 2504.03380), so tasks of intermediate difficulty teach most. It
    is 0 at both ends and 1/4 at p = 1/2; the estimate can be up to 1/2, for one of two attempts.

    Raises ValueError for fewer than two attempts, where there is no unbiased estimate, or for
    impossible counts.
    """
    if attempts < 2 or not 0 <= accepted <= attempts:
        raise ValueError(
            "learnability needs at least two attempts, and no more accepted ones, but got "
            f"{accepted} of {attempts}"
        )
    rate = accepted / attempts
    return rate * (1 - rate) * attempts / (attempts - 1)


_COUNTS = f"""
with chosen as (
    select distinct round, puzzle_id from examples where arm = 'verified'
)
select v.round, v.puzzle_id, count(*) as attempts,
    count(*) filter (where {ACCEPTED}) as accepted,
    bool_or(c.puzzle_id is not null) as taught
from verdicts v left join chosen c on c.round = v.round and c.puzzle_id = v.puzzle_id
where v.arm = 'verified'
group by v.round, v.puzzle_id
having count(*) >= 2
"""
_SUMMED = f"""
select round, attempts, accepted, taught, count(*) as puzzles from ({_COUNTS})
group by all order by round, attempts, accepted, taught
"""


def learning(folder: Path) -> list[Learning]:
    """Each round of the loop that has verdicts. Raises `InputError` for a broken table."""
    with Tables(folder) as tables:
        rows = tables.rows(_SUMMED)
    numbers = sorted({row["round"] for row in rows})
    return [_round(n, [row for row in rows if row["round"] == n]) for n in numbers]


def _round(number: int, rows: Sequence[store.Row]) -> Learning:
    every = _values(rows)
    taught = _values([row for row in rows if row["taught"]])
    return Learning(
        round=number,
        puzzles=len(every),
        learnability=mean_interval(every.tolist()),
        bands=_bands(rows),
        taught=float(taught.mean()) if len(taught) else float("nan"),
        taught_puzzles=len(taught),
    )


def _values(rows: Sequence[store.Row]) -> Floats:
    values = [learnability(row["attempts"], row["accepted"]) for row in rows]
    return np.repeat(np.array(values, dtype=np.float64), [row["puzzles"] for row in rows])


def _bands(rows: Sequence[store.Row]) -> tuple[int, ...]:
    counts = [0] * len(BANDS)
    for row in rows:
        counts[band(row["attempts"], row["accepted"])] += row["puzzles"]
    return tuple(counts)


def band(attempts: int, accepted: int) -> int:
    """The place in BANDS."""
    if accepted in (0, attempts):
        return 0 if accepted == 0 else len(BANDS) - 1
    return min(4, -(-4 * accepted // attempts))
