"""The funnels of two parts beside each other, and the mix of outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etude.diff.sides import Part
from etude.query import ACCEPTED


@dataclass(frozen=True, slots=True)
class Stage:
    """One count of the funnel on both sides, and of how many it is."""

    stage: str
    name: str
    before: int
    after: int
    of_before: int
    of_after: int

    @property
    def shares(self) -> tuple[float | None, float | None]:
        """The counts as shares; None of nothing."""
        return (
            self.before / self.of_before if self.of_before else None,
            self.after / self.of_after if self.of_after else None,
        )


Counts = dict[str, int]


def funnels_beside(before: Part, after: Part) -> list[Stage]:
    """Each count of the stages, in their order; fates and outcomes by how many there are."""
    old, new = _counts(before), _counts(after)
    found: list[Stage] = []
    for stage, total in (("vet", "asked"), ("judge", "candidates")):
        of = old[""][total], new[""][total]
        found.append(Stage("propose" if stage == "vet" else "solve", total, *of, *of))
        names = _by_size(old[stage], new[stage])
        found += [
            Stage(stage, name, old[stage].get(name, 0), new[stage].get(name, 0), *of)
            for name in names
        ]
    kept = old[""]["puzzles"], new[""]["puzzles"]
    for name in ("solved", "taught"):
        stage = "judge" if name == "solved" else "select"
        found.append(Stage(stage, f"puzzles {name}", old[""][name], new[""][name], *kept))
    examples = old[""]["examples"], new[""]["examples"]
    found.append(Stage("select", "examples", *examples, *examples))
    derived = old["derive"], new["derive"]
    of = sum(derived[0].values()), sum(derived[1].values())
    found += [
        Stage("derive", name, derived[0].get(name, 0), derived[1].get(name, 0), *of)
        for name in _by_size(*derived)
    ]
    return found


def _by_size(*counts: Counts) -> Iterable[str]:
    """`kept` and `accepted` first, then the most frequent."""
    total = {name: sum(one.get(name, 0) for one in counts) for one in counts for name in one}
    return sorted(total, key=lambda name: (name not in ("kept", "accepted"), -total[name], name))


def _counts(part: Part) -> dict[str, Counts]:
    """By stage; those of no kinds under the empty name."""
    (asked,) = part.rows("select count(*) as n from proposals where {here}")
    (puzzles,) = part.rows("select count(distinct puzzle_id) as n from puzzles where {here}")
    (tried,) = part.rows("select count(*) as n from candidates where {here}")
    (solved,) = part.rows(
        f"select count(distinct puzzle_id) as n from verdicts where {{here}} and {ACCEPTED}"
    )
    (taught,) = part.rows(
        "select count(distinct puzzle_id) as n, count(*) as examples from examples where {here}"
    )
    return {
        "": {
            "asked": asked["n"],
            "puzzles": puzzles["n"],
            "candidates": tried["n"],
            "solved": solved["n"],
            "taught": taught["n"],
            "examples": taught["examples"],
        },
        "vet": _tally(part, "fate", "vetted"),
        "judge": _tally(part, "outcome", "verdicts"),
        "derive": _tally(part, "origin", "derived"),
    }


def _tally(part: Part, column: str, view: str) -> Counts:
    rows = part.rows(
        f"select {column} as name, count(*) as n from {view} where {{here}} group by 1"
    )
    return {row["name"]: row["n"] for row in rows}
