"""Reviewing: the puzzles that wait for a person, and the verb `review`.

Waiting are puzzles of the loop that its model solved sometimes, those that taught most (a solve
rate p near a half, the largest p(1-p)) first. An edit is kept only when it is a puzzle by the
recipe's rules, no held-out problem, and the judge accepts a solution to it: one that the person
gives, or one that the puzzle had. Not covered: what the decisions change (see `reviews`).
"""

from __future__ import annotations

import getpass
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from etude import domains, reviews, store
from etude.arm import checked, limits_of, load_problems
from etude.config import Recipe
from etude.console import Console
from etude.errors import InputError
from etude.judge import Judge
from etude.puzzle import NotAPuzzle
from etude.query import ACCEPTED, Tables
from etude.readings.words import harmless
from etude.reviews import Review
from etude.types import Outcome, Puzzle

SOLUTIONS = 8
"""Known solutions of a puzzle that are tried on its edit, the shortest first."""
LONGEST_NOTE = 2_000
LONGEST_NAME = 200
SHOWN = 20

WAITING = """
    arm = 'verified' and 0 < accepted and accepted < attempts and not list_contains(?, puzzle_id)
"""
"""Whether a kept puzzle waits: the condition, whose parameter are the ids that are decided."""
ORDER = "accepted * (attempts - accepted) / (attempts * attempts) desc, puzzle_id"
"""The most informative first; equal ones by their ids."""
_KEPT = f"""(
    select p.arm, p.puzzle_id, p.round, p.source, p.answer_type, t.attempts, t.accepted
    from vetted as p join (
        select puzzle_id, count(*) as attempts,
               count(*) filter (where {ACCEPTED}) as accepted
        from verdicts where arm = 'verified' group by puzzle_id
    ) as t using (puzzle_id)
    where p.arm = 'verified' and p.fate = 'kept'
)"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A puzzle that no decision stands about."""

    puzzle_id: str
    round: int
    source: str
    answer_type: str
    attempts: int
    accepted: int


def queue(tables: Tables, decided: Sequence[str], limit: int, skip: int = 0) -> list[Waiting]:
    """The puzzles that wait, the most informative first; equal ones by their ids."""
    rows = tables.rows(
        f"select * exclude (arm) from {_KEPT} where {WAITING} order by {ORDER} limit ? offset ?",
        [list(decided), limit, skip],
    )
    return [Waiting(**row) for row in rows]


def waiting(tables: Tables, decided: Sequence[str]) -> int:
    """How many puzzles wait."""
    return int(tables.value(f"select count(*) from {_KEPT} where {WAITING}", [list(decided)]))


def puzzle_of(tables: Tables, puzzle_id: str) -> Puzzle:
    """A puzzle that the loop kept. Raises `InputError` where it kept none of this id."""
    rows = tables.rows(
        "select puzzle_id, source, answer_type, inputs, form from vetted "
        "where arm = 'verified' and fate = 'kept' and puzzle_id = ? limit 1",
        [puzzle_id],
    )
    if not rows:
        raise InputError(
            f"{harmless(puzzle_id, lines=1, width=40)!r} must be the id of a puzzle that the loop "
            f"kept, but is none. `etude review {tables.folder}` lists those that wait."
        )
    [row] = rows
    return Puzzle(row["puzzle_id"], row["source"], "f", *list(row.values())[2:])


def known_solutions(tables: Tables, puzzle_id: str) -> list[str]:
    """The shortest solutions to a puzzle that the judge accepted."""
    rows = tables.rows(
        "select distinct c.source, length(c.source) from candidates as c "
        f"join (select candidate_id from verdicts where puzzle_id = ? and {ACCEPTED}) "
        "using (candidate_id) where c.puzzle_id = ? order by all desc",
        [puzzle_id, puzzle_id],
    )
    sources = [row["source"] for row in rows]
    return sorted(sources, key=lambda text: (len(text), text))[:SOLUTIONS]


class Reviewer:
    """Keeps decisions about the puzzles of one run. The judge is started at the first edit."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._judge: Judge | None = None
        self._lock = threading.Lock()

    def decide(
        self,
        tables: Tables,
        puzzle_id: str,
        decision: str,
        *,
        reviewer: str,
        source: str = "",
        solution: str = "",
        note: str = "",
    ) -> Review:
        """Keep a decision. Raises `InputError` for what can't be kept, saying why."""
        if decision not in reviews.DECISIONS:
            raise InputError(
                f"a decision must be one of {', '.join(reviews.DECISIONS)} but is "
                f"{harmless(decision, lines=1, width=40)!r}."
            )
        name = _line(reviewer, "the reviewer's name", LONGEST_NAME)
        if not name:
            raise InputError("A review must say who made it: give a name with --reviewer.")
        puzzle = puzzle_of(tables, puzzle_id)
        kept, works = puzzle.source, ""
        if decision == "edit":
            known = [solution] if solution.strip() else known_solutions(tables, puzzle_id)
            kept, works = self.checked_edit(source, known)
        if decision == "undo" and puzzle_id not in reviews.standing(reviews.read(self.folder)):
            raise InputError(f"About the puzzle {puzzle_id} no decision stands to be undone.")
        return reviews.write(
            self.folder, puzzle_id, decision, kept,
            reviewer=name, solution=works, note=_line(note, "a note", LONGEST_NOTE),
        )  # fmt: skip

    def checked_edit(self, source: str, solutions: Sequence[str]) -> tuple[str, str]:
        """An edited puzzle, and the first of the solutions that the judge accepts.

        Raises `InputError` where it is no puzzle by the rules, is held out, or none is accepted.
        """
        puzzle = self._parsed(source.replace("\r\n", "\n").strip())
        if not solutions:
            raise InputError("An edit needs a solution that the judge accepts: give one.")
        with self._lock:
            if self._judge is None:
                section = self.recipe.judge
                self._judge = Judge(1, limits_of(section), section.isolation)
            tried = self._sources(solutions)
            [verdicts] = self._judge.verify_all([(puzzle, tried)])
        for solution, verdict in zip(tried, checked(verdicts), strict=True):
            if verdict.outcome is Outcome.ACCEPTED:
                return puzzle.source, solution
        first = verdicts[0]
        found = str(first.outcome) + (f" ({first.detail})" if first.detail else "")
        whose = "this solution" if len(tried) == 1 else f"{len(tried)} solutions"
        raise InputError(
            f"The judge must accept a solution to the edited puzzle, but of {whose} the first is "
            f"{harmless(found, lines=1, width=200)}. Mend the puzzle or give another solution."
        )

    def _sources(self, solutions: Sequence[str]) -> list[str]:
        """What was typed, or stands in a table, as the judge takes it."""
        domain = domains.named(self.recipe.domain)
        try:
            return [domain.solution_source(one.replace("\r\n", "\n").strip()) for one in solutions]
        except NotAPuzzle as reason:
            raise InputError(
                f"An edit's solution must be one of the domain {domain.name} but is {reason}."
            ) from None

    def _parsed(self, source: str) -> Puzzle:
        domain = domains.named(self.recipe.domain)
        try:
            puzzle = domain.parse(source)
            if puzzle.name != "f":
                raise NotAPuzzle("a function of another name than f")
            domain.check_rules(puzzle, paper=self.recipe.vet.rules == "paper")
        except NotAPuzzle as reason:
            raise InputError(
                f"An edit must be {domain.puzzles_are} by the recipe's rules "
                f"but is refused: {reason}."
            ) from None
        if puzzle.id in {problem.id for problem in load_problems(self.recipe)}:
            raise InputError(
                "An edit must not be a held-out problem, but this is one of the suite "
                f"{self.recipe.evaluate.suite}. Change it."
            )
        return puzzle

    def close(self) -> None:
        if self._judge is not None:
            self._judge.close()
            self._judge = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _line(text: str, what: str, most: int) -> str:
    text = text.strip()
    if len(text) > most:
        raise InputError(f"{what} must have at most {most:,} characters but has {len(text):,}.")
    return text


def likely_reviewer() -> str:
    """Git's name of the user, else the system's; empty where neither says who it is."""
    try:
        asked = subprocess.run(
            ["git", "config", "user.name"], capture_output=True, text=True, check=False, timeout=5
        )
        name = asked.stdout.strip()
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        name = ""
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # no entry for this user; KeyError before Python 3.13
        login = ""
    return name[:LONGEST_NAME] or ("" if login == "root" else login)


@dataclass(frozen=True, slots=True)
class Asked:
    """What `etude review` was asked for; no decision lists the puzzles that wait."""

    puzzle_id: str | None
    decision: str | None
    source: Path | None
    solution: Path | None
    note: str
    reviewer: str | None


def review(folder: Path, asked: Asked, console: Console) -> None:
    """Keep one decision, or list what waits. Raises `InputError` for what can't be kept."""
    run = store.Run.read(folder)
    if (asked.puzzle_id is None) != (asked.decision is None):
        raise InputError(
            "etude review takes a puzzle's id and a decision (--accept, --reject, --edit FILE or "
            "--undo), or neither, which lists the puzzles that wait. Give both or neither."
        )
    with Tables(folder) as tables, Reviewer(folder, run.recipe) as reviewer:
        if asked.puzzle_id is None or asked.decision is None:
            _list(tables, console)
            return
        made = reviewer.decide(
            tables,
            asked.puzzle_id,
            asked.decision,
            reviewer=likely_reviewer() if asked.reviewer is None else asked.reviewer,
            source=_read(asked.source),
            solution=_read(asked.solution),
            note=asked.note,
        )
    console.record("review", **asdict(made))
    console.say(f"{made.decision}  puzzle {made.puzzle_id}  by {harmless(made.reviewer, lines=1)}")
    console.next_command(shlex.join(["etude", "review", str(folder)]))


def _list(tables: Tables, console: Console) -> None:
    decided = list(reviews.standing(reviews.read(tables.folder)))
    count = waiting(tables, decided)
    found = queue(tables, decided, count if console.json_lines else SHOWN)
    console.say(f"{len(decided):,} decided  {count:,} waiting")
    for one in found:
        console.record("waiting", **asdict(one))
        console.say(f"\n{one.puzzle_id}  round {one.round}  solved {one.accepted}/{one.attempts}")
        for line in harmless(one.source, lines=20).split("\n"):
            console.say(f"    {line}")
    if found:
        words = ["etude", "review", str(tables.folder), found[0].puzzle_id, "--accept"]
        console.next_command(shlex.join(words))


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} must be a file of Python in UTF-8 but can't be read ({error})."
        ) from None
