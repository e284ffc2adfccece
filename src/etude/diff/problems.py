"""Which held-out problems changed, and how many would seem to by noise alone.

Two questions, each with its test. Over all problems: pass@k, paired (`comparing`). Of each problem:
Fisher's exact test of its attempts, corrected for there being many problems by the false discovery
rate of Benjamini and Hochberg. What noise alone would show is worked out from the same counts: if
the models are equal, which of them made a problem's accepted attempts is chance.
"""

from __future__ import annotations

from dataclasses import dataclass

from etude import readings
from etude.comparing import Comparison, compare, read_side
from etude.diff.sides import Part
from etude.errors import InputError
from etude.stats import chance_of, chance_solved, false_discovery, fisher

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """One problem on both sides."""

    problem: str
    part: str
    before: int
    attempts_before: int
    after: int
    attempts_after: int
    p: float
    """Fisher's exact test, two-sided."""
    q: float
    """The same, adjusted for all the problems."""

    @property
    def gain(self) -> float:
        return self.after / self.attempts_after - self.before / self.attempts_before


@dataclass(frozen=True, slots=True)
class Beside:
    """How many problems there are of some kind, and how many noise alone is expected to make."""

    name: str
    """`changed` at p <= 0.05; `solved after alone`; `solved before alone`."""
    found: int
    expected: float


@dataclass(frozen=True, slots=True)
class Changes:
    """All that changed on the held-out problems."""

    comparison: Comparison
    problems: tuple[Change, ...]
    """All that both attempted, in the order of the suite."""
    beside_noise: tuple[Beside, ...]

    @property
    def certain(self) -> list[Change]:
        """More than noise: the smallest q first."""
        found = [change for change in self.problems if change.q <= LEVEL]
        return sorted(found, key=lambda change: (change.q, change.p, change.problem))


def changes(before: Part, after: Part) -> Changes:
    """Raises `InputError` where one is not scored, or was asked other problems."""
    for part in (before, after):
        if not (part.scored / "evaluate" / "problems.parquet").is_file():
            raise InputError(f"{part.name} has no scores yet: let it finish.")
    comparison = compare(read_side(before.scored), read_side(after.scored))
    found = _changes(before, after)
    return Changes(comparison, tuple(found), tuple(_beside_noise(found)))


def _changes(before: Part, after: Part) -> list[Change]:
    old, new = (
        {row["problem"]: row for row in readings.problems(part.scored / "evaluate")}
        for part in (before, after)
    )
    asked = [name for name in new if old[name]["attempts"] and new[name]["attempts"]]
    p_values = [
        fisher(*(side[name][key] for side in (old, new) for key in ("accepted", "attempts")))
        for name in asked
    ]
    return [
        Change(
            problem=name,
            part=new[name]["part"],
            before=old[name]["accepted"],
            attempts_before=old[name]["attempts"],
            after=new[name]["accepted"],
            attempts_after=new[name]["attempts"],
            p=p,
            q=q,
        )
        for name, p, q in zip(asked, p_values, false_discovery(p_values), strict=True)
    ]


def _beside_noise(found: list[Change]) -> list[Beside]:
    called = [one for one in found if one.p <= LEVEL]
    gained = [one for one in found if one.after and not one.before]
    lost = [one for one in found if one.before and not one.after]
    totals = [(one.before + one.after, one.attempts_before, one.attempts_after) for one in found]
    return [
        Beside("changed", len(called), sum(chance_of(n, a, b, LEVEL) for n, a, b in totals)),
        Beside("solved after alone", len(gained), sum(chance_solved(*three) for three in totals)),
        Beside("solved before alone", len(lost), sum(chance_solved(n, b, a) for n, a, b in totals)),
    ]
