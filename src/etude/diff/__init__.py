"""Diff: what differs between two runs, or between two rounds.

    diff_runs(Console(), Path("runs/tiny"), Path("runs/seed-1"), None)   two runs
    diff_runs(Console(), Path("runs/tiny"), None, (1, 3))                two rounds of one

Settings, what entered and what left (puzzles, their forms, examples), the funnels and the outcomes
beside each other, and the held-out problems that changed, beside how many would by noise alone.
Covered: the loop of each run; a pure reader. Not covered: controls, which `etude show` has, and
the noise of training seeds: only more runs show that.
"""

from __future__ import annotations

from pathlib import Path

from etude.console import Console
from etude.diff.contents import Contents, contents, in_and_out
from etude.diff.funnels import Stage, funnels_beside
from etude.diff.problems import Changes, changes
from etude.diff.sides import Part, parts, settings_between
from etude.diff.words import show_contents, show_funnels, show_head, show_problems
from etude.errors import InputError

__all__ = ["Changes", "Contents", "Part", "Stage", "diff_runs"]


def diff_runs(
    console: Console, before: Path, after: Path | None, rounds: tuple[int, int] | None
) -> None:
    """Print what differs. `rounds` names a round of each; without them runs are compared whole.

    Raises `InputError` for a folder that is no run, or a round that has not begun.
    """
    old, new = parts(before, after, rounds)
    show_head(console, old, new, settings_between(old, new))
    with old.tables(), new.tables():
        for what in ("puzzles", "forms", "examples"):
            show_contents(console, in_and_out(what, contents(old, what), contents(new, what)))
        show_funnels(console, funnels_beside(old, new))
    try:
        found = changes(old, new)
    except InputError as error:  # what is not scored, or asked otherwise, has no comparison
        console.record("problems", compared=False, reason=str(error))
        console.say(f"\nheld-out problems: not compared. {error}")
        return
    show_problems(console, found, new)
