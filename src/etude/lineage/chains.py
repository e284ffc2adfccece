"""The chain of an example, a candidate, a puzzle, a proposal or a seed pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from etude import store
from etude.generality import generalities, is_accepted, turns
from etude.lineage.checkpoints import checkpoints, trainings
from etude.lineage.filters import passed, why_selected
from etude.lineage.found import MADE, Found
from etude.lineage.links import Chain, Link
from etude.lineage.sources import Sources
from etude.query import VIEWS
from etude.stats import share_interval

DEEPEST = 20
"""Generations of parents that are followed: each is a round, and a round shows earlier ones."""
_TOLD = {"proposals", "vetted", "candidates", "verdicts", "examples", "seeds"} | {
    "variants",
    "rewritten",
    "derived",
    "repairs",
    "turned",
    "retellings",
}
"""Views with puzzles of which a chain speaks link by link; any other is told row by row."""


def chain_of(sources: Sources, found: Found) -> Chain:
    """The whole chain of a row that was found."""
    walk = _Walk(sources, found)
    links = tuple(walk.links())
    return Chain(
        sources.run.folder, found.kind, found.id, found.arm, found.round, found.copies, links
    )


_TRIED = {
    "variant": ("variants", "variant_id"),
    "hindsight": ("rewritten", "derived_id"),
    "repair": ("repairs", "derived_id"),
    "posed": ("repairs", "derived_id"),
    "turned": ("turned", "derived_id"),
}
"""By the origin of a further example, where the judge's word on it is, and the column of its id."""
_SAME = ("puzzle_id", "candidate_id", "solution")
_BORROWED = ("repair", "posed", "turned")
_ATTEMPTS = ("attempt_id", "candidate_id")
"""The columns of the attempt that a puzzle was made of, and of that which was tried on it."""


class _Walk:
    """From one row to all that it came from and that came of it."""

    def __init__(self, sources: Sources, found: Found) -> None:
        self.sources = sources
        self.found = found
        self.arm = found.arm
        self.round = found.round or 0
        self.engines: dict[str, str] = {}

    def links(self) -> Iterator[Link]:
        yield from {
            "example": self._example,
            "derived": self._derived,
            "candidate": self._candidate_first,
            "puzzle": self._puzzle_first,
            "proposal": self._proposal_first,
            "made": self._made,
            "seed": self._seed,
        }[self.found.kind](self.found.id)
        yield from checkpoints(self.sources, self.engines)

    def _rows(self, view: str, column: str, value: str) -> list[store.Row]:
        return self.sources.rows(view, column, value, self.arm, self.round)

    def _example(self, example: str) -> Iterator[Link]:
        (row, *_) = self._rows("examples", "example_id", example)
        yield Link("example", example, row)
        yield from self._candidate(row["candidate_id"])
        yield from self._puzzle(row["puzzle_id"])
        yield from trainings(self.sources, example, self.arm)

    def _derived(self, example: str) -> Iterator[Link]:
        """An example that was made from a pair: that pair's candidate and puzzle."""
        (row, *_) = self._rows("derived", "example_id", example)
        yield Link("derived", example, row)
        if row["origin"] in _TRIED:
            view, column = _TRIED[row["origin"]]
            for tried in self._rows(view, column, row["derived_id"]):
                if all(tried[name] == row[name] for name in _SAME):
                    yield Link("tried", example, tried)
                    if tried.get("attempt_id", row["candidate_id"]) != row["candidate_id"]:
                        yield from self._candidate(tried["attempt_id"])
        if row["origin"] == "description":
            for told in self._rows("descriptions", "puzzle_id", row["puzzle_id"]):
                if f'"""{told["docstring"]}"""' in row["text"]:
                    yield Link("tried", example, told)
        yield from self._candidate(row["candidate_id"], borrowed=row["origin"] in _BORROWED)
        yield from self._puzzle(row["puzzle_id"])
        yield from trainings(self.sources, example, self.arm)

    def _made(self, puzzle: str) -> Iterator[Link]:
        """A puzzle that was made of another, with the first of its right solutions, or of all, and
        the attempts that it and these are from; what it taught; and that other puzzle."""
        for view, column in MADE:
            rows = self._rows(view, column, puzzle)
            for row in sorted(rows, key=is_accepted, reverse=True)[:1]:
                yield Link("tried", puzzle, row)
                for candidate in filter(None, dict.fromkeys(map(row.get, _ATTEMPTS))):
                    yield from self._candidate(candidate, borrowed=True)
                for example in self._rows("derived", "derived_id", puzzle):
                    yield Link("derived", puzzle, example)
                    yield from trainings(self.sources, example["example_id"], self.arm)
                yield from self._puzzle(row["puzzle_id"])
                return

    def _taught(self, column: str, value: str) -> Iterator[Link]:
        """The examples of a candidate or puzzle, and what was derived from it."""
        for view, kind in (("examples", "example"), ("derived", "derived")):
            rows: Iterable[store.Row]
            if column == "puzzle_id":  # it may be tried again in later rounds
                rows = self._of_puzzle(view, value)
            elif kind == "derived":  # a candidate may be borrowed in any
                rows = self.sources.rows(view, column, value, self.arm)
            else:
                rows = self._rows(view, column, value)
            for row in rows:
                yield Link(kind, value, row)
                yield from trainings(self.sources, row["example_id"], self.arm)

    def _candidate_first(self, candidate: str) -> Iterator[Link]:
        yield from self._candidate(candidate)
        (row, *_) = self._rows("candidates", "candidate_id", candidate)
        examples = self._rows("examples", "candidate_id", candidate)
        reason = why_selected(self.sources, self.arm, self.round, row, examples)
        yield Link("selection", candidate, reason)
        yield from self._puzzle(row["puzzle_id"])
        yield from self._taught("candidate_id", candidate)

    def _candidate(self, candidate: str, *, borrowed: bool = False) -> Iterator[Link]:
        """With its verdict. A borrowed one may be of an earlier round."""
        number = None if borrowed else self.round
        for row in self.sources.rows("candidates", "candidate_id", candidate, self.arm, number):
            at = row["round"]
            origin = self._origin("solve", "candidate_id", candidate, at, base=bool(row["base"]))
            section = self.sources.run.recipe.solve
            yield Link("candidate", candidate, row | origin | {"temperature": section.temperature})
        for row in self.sources.rows("verdicts", "candidate_id", candidate, self.arm, number):
            said = self.sources.origin(self.arm, row["round"], "judge", "candidate_id", candidate)
            yield Link("verdict", candidate, row | {"judge": said["judge"]})

    def _origin(
        self, stage: str, column: str, value: str, number: int | None = None, *, base: bool = False
    ) -> store.Row:
        """The unit, its seed and the engine, which is kept to be followed at the end."""
        at = self.round if number is None else number
        said = self.sources.origin(self.arm, at, stage, column, value)
        engine = said["base" if base else "engine"]
        if engine:
            self.engines.setdefault(engine, value)
        return {"unit": said["unit"], "seed": said["seed"], "engine": engine}

    def _puzzle_first(self, puzzle: str) -> Iterator[Link]:
        yield from self._puzzle(puzzle)
        outcomes = Counter[str]()
        for row in self._of_puzzle("verdicts", puzzle):
            outcomes["unstable" if row["stable"] is False else row["outcome"]] += 1
        if outcomes:
            rate = share_interval(outcomes["accepted"], outcomes.total())
            yield Link(
                "attempts",
                puzzle,
                {"attempts": outcomes.total(), "outcomes": dict(outcomes.most_common())}
                | {"solve_rate": rate.value, "low": rate.low, "high": rate.high},
            )
        yield from self._taught("puzzle_id", puzzle)

    def _of_puzzle(self, view: str, puzzle: str) -> Iterator[store.Row]:
        """The rows of the round that kept a puzzle, and of those that tried it again."""
        again = self.sources.rows("recalled", "puzzle_id", puzzle, self.arm)
        for number in (self.round, *(row["round"] for row in again)):
            yield from self.sources.rows(view, "puzzle_id", puzzle, self.arm, number)

    def _puzzle(self, puzzle: str) -> Iterator[Link]:
        """The puzzle as the round kept it that proposed it, though a later one tried it again."""
        here = self.round
        for row in self._rows("recalled", "puzzle_id", puzzle):
            self.round = row["first_round"]
        yield from self._kept(puzzle)
        self.round = here

    def _kept(self, puzzle: str) -> Iterator[Link]:
        """The puzzle that was kept, or the first of its copies; its filters; its proposal."""
        rows = self._rows("vetted", "puzzle_id", puzzle)
        rows = [row for row in rows if row["fate"] == "kept"] or rows[:1]
        for row in rows[:1]:
            yield from self._vetted(row)
            yield from self._of_others(puzzle)
            yield from self._variants(puzzle)
            yield from self._tries(puzzle)
            yield from self._proposal(row["proposal_id"])

    def _vetted(self, row: store.Row) -> Iterator[Link]:
        said = self.sources.origin(self.arm, self.round, "vet", "proposal_id", row["proposal_id"])
        of = row["puzzle_id"] or row["proposal_id"]
        yield Link("puzzle", of, row)
        steps = passed(self.sources.run.recipe, row)
        yield Link("filters", of, {"steps": steps, "judge": said["judge"]})

    def _of_others(self, puzzle: str) -> Iterator[Link]:
        """What further stages and people found about the puzzle, such as probes: a link a row."""
        for view, (_, _, schema) in VIEWS.items():
            if view not in _TOLD and "puzzle_id" in schema.names:
                own = "" if view == "reviews" else self.arm  # which are of the whole run
                for row in self.sources.rows(view, "puzzle_id", puzzle, own):
                    yield Link(view, puzzle, row)

    def _variants(self, puzzle: str) -> Iterator[Link]:
        """How many variants of the puzzle each solution solves that was tried on them."""
        for solutions in generalities(self._rows("variants", "puzzle_id", puzzle)).values():
            for candidate, found in solutions.items():
                content = {"candidate_id": candidate, **asdict(found), "share": found.share}
                yield Link("variants", puzzle, content)

    def _tries(self, puzzle: str) -> Iterator[Link]:
        """How many repairs of the puzzle, and attempts at its docstrings, were tried, and what was
        made of attempts at it: they are many. What taught is told of its example."""
        for view in ("repairs", "retellings"):
            rows = self.sources.rows(view, "puzzle_id", puzzle, self.arm)
            if rows:
                tried = rows[0]["tried"] if view == "repairs" else len(rows)
                accepted = sum(map(is_accepted, rows))
                yield Link(view, puzzle, {"tried": tried, "accepted": accepted})
        if rows := self.sources.rows("turned", "puzzle_id", puzzle, self.arm):
            yield Link("turned", puzzle, dict(turns(rows)))

    def _proposal_first(self, proposal: str) -> Iterator[Link]:
        yield from self._proposal(proposal)
        for row in self._rows("vetted", "proposal_id", proposal):
            yield from self._vetted(row)

    def _proposal(self, proposal: str, depth: int = 1) -> Iterator[Link]:
        for row in self._rows("proposals", "proposal_id", proposal):
            origin = self._origin("propose", "proposal_id", proposal)
            section = self.sources.run.recipe.propose
            content = row | origin | {"temperature": section.temperature}
            yield Link("proposal", proposal, content)
            yield from self._parents(row["parents"] or [], proposal, depth)

    def _parents(self, parents: list[str], of: str, depth: int) -> Iterator[Link]:
        seeds, missing = self.sources.readable_seeds() if parents else ([], "")
        known = {seed.puzzle.id: seed for seed in seeds}
        reviewed = {row["shown_id"]: row for row in self._anchors()} if parents else {}
        for parent in dict.fromkeys(parents):
            told = {"puzzle_id": parent, "depth": depth, "name": "", "note": "", "round": 0}
            if parent in known:
                seed = known[parent]
                told |= {"origin": "seed", "name": seed.name, "source": seed.puzzle.source}
                yield Link("parent", of, told)
            elif parent in reviewed:
                row = reviewed[parent]
                told |= {"origin": "anchor", "name": f"{row['decision']} by {row['reviewer']}"}
                yield Link("parent", of, told | {"source": row["source"], "round": row["round"]})
                yield from self._earlier(row["puzzle_id"], parent, depth)
            else:
                yield from self._earlier(parent, of, depth, missing)

    def _anchors(self) -> list[store.Row]:
        """What people had accepted when the round began; all arms have the same."""
        return self.sources.tables.rows(
            "select * from anchors where arm = 'verified' and round = ? and shown_id is not null",
            [self.round],
        )

    def _earlier(self, parent: str, of: str, depth: int, missing: str = "") -> Iterator[Link]:
        """A parent that an earlier round wrote, and what that came from."""
        rows = self.sources.tables.rows(
            "select * from vetted where puzzle_id = ? and fate = 'kept' and arm = ? and round < ? "
            "order by round desc limit 1",
            [parent, self.arm, self.round],
        )
        told = {"puzzle_id": parent, "depth": depth, "name": ""}
        if not rows:
            note = missing or "neither a seed of the recipe nor a puzzle of an earlier round"
            empty = {"origin": "unknown", "source": None, "round": None}
            yield Link("parent", of, told | empty | {"note": note})
            return
        row, here = rows[0], self.round
        told |= {"origin": "round", "source": row["source"], "round": row["round"], "note": ""}
        yield Link("parent", of, told)
        if depth < DEEPEST:
            self.round = row["round"]
            yield from self._proposal(row["proposal_id"], depth + 1)
            self.round = here

    def _seed(self, row_id: str) -> Iterator[Link]:
        seeds, _ = self.sources.readable_seeds()
        for seed in seeds:
            if row_id in (seed.puzzle.id, seed.example_id):
                content = {"puzzle_id": seed.puzzle.id, "example_id": seed.example_id or None}
                content |= {"name": seed.name, "source": self.sources.run.recipe.seeds.source}
                content |= {"puzzle": seed.puzzle.source, "text": seed.text or None}
                yield Link("seed", row_id, content)
                for verdict in self._rows("seeds", "puzzle_id", seed.puzzle.id):
                    yield Link("verdict", row_id, verdict)
                if seed.example_id:
                    yield from trainings(self.sources, seed.example_id, self.arm)
