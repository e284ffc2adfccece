"""Which filters a proposal passed, in their order, and why a candidate became an example or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etude import domains, store
from etude.config import Recipe
from etude.generality import generalities
from etude.lineage.sources import Sources

Step = dict[str, Any]
"""`filter`, `fate` of what it drops, `passed` (None: not reached), `rule`: what it asks, `detail`:
what it found."""
_NAMES = {
    "unparsed": "a puzzle",
    "broken rule": "by the rules",
    "held out": "not held out",
    "duplicate": "new",
    "over the limit": "in the limit",
    "same form": "form not full",
    "same cell": "cell not full",
    "undefined": "defined",
    "trivial": "not trivial",
}
"""What a filter is called, by the fate of what it drops; one that is not here by that fate."""


def passed(recipe: Recipe, row: store.Row) -> list[Step]:
    """The filters of the vetting for one of its rows: passed, failed, or not reached."""
    rules = _rules(recipe, row)
    failed = _failed_at(row)
    if failed is not None and failed not in rules:  # one that this page does not know by name
        rules[failed] = ""
    names = list(rules)
    last = names.index(failed) if failed is not None else len(names)
    return [
        {
            "filter": _NAMES.get(name, name),
            "fate": "broken rule" if name == "undefined" else name,
            "passed": True if place < last else False if place == last else None,
            "rule": rules[name],
            "detail": (row["detail"] or "") if place == last else "",
        }
        for place, name in enumerate(names)
    ]


def _failed_at(row: store.Row) -> str | None:
    fate = row["fate"]
    if fate == "broken rule" and (row["detail"] or "").startswith("can't be defined"):
        return "undefined"
    return None if fate == "kept" else str(fate)


def _rules(recipe: Recipe, row: store.Row) -> dict[str, str]:
    """What each filter asks, by the fate of those that it drops, in the order of the vetting."""
    section = recipe.vet
    rules = {
        "unparsed": "finished within the token limit, and one function f that parses",
        "broken rule": f"the rules `{section.rules}`",
        "held out": f"no problem of the suite {recipe.evaluate.suite}, by its canonical form",
        "duplicate": "no earlier puzzle and no seed, by its canonical form",
        "over the limit": f"at most {section.max_puzzles:,} puzzles a round",
        "same form": f"at most {section.max_per_form:,} puzzles of one form",
    }
    if section.max_per_cell:
        rules["same cell"] = f"at most {section.max_per_cell:,} puzzles of one cell in a round"
    if section.rules == "paper":
        rules["undefined"] = "can be defined and called"
    answers = ""
    if row["fate"] in ("kept", "trivial"):  # other types than those of the rules have no answers
        count = len(
            domains.named(recipe.domain).trivial_answers(
                row["answer_type"], paper=section.rules == "paper"
            )
        )
        answers = f"none of {count} trivial answers satisfies it"
    skipped = f"; {section.skip_triviality:.0%} are let through untried"
    rules["trivial"] = answers + (skipped if section.skip_triviality else "")
    return rules


def why_selected(
    sources: Sources, arm: str, number: int, row: store.Row, examples: Sequence[store.Row]
) -> dict[str, Any]:
    """Whether a candidate became an example, and why not."""
    chosen = {"example_id": examples[0]["example_id"] if examples else None}
    section = sources.run.recipe.select
    tried = sources.tables.rows(
        "select candidate_id, outcome, stable, source from verdicts join candidates "
        "using (candidate_id, arm, round) where verdicts.puzzle_id = ? and arm = ? and round = ?",
        [row["puzzle_id"], arm, number],
    )
    accepted = [one for one in tried if _accepted(one)]
    rate = len(accepted) / len(tried) if tried else None
    found = chosen | {"attempts": len(tried), "accepted": len(accepted), "solve_rate": rate}
    found |= {"max_solve_rate": section.max_solve_rate, "per_puzzle": section.per_puzzle}
    own = next((one for one in tried if one["candidate_id"] == row["candidate_id"]), None)
    if examples:
        return found | {"reason": "selected"}
    if not any(sources.stage(arm, number, "select").glob("[0-9]*.parquet")):
        return found | {"reason": "nothing of this round has been selected yet"}
    if arm == "unverified":
        return found | {"reason": "not drawn: as many as the loop has, whatever the verdict"}
    siblings = sources.rows("examples", "puzzle_id", row["puzzle_id"], arm, number)
    reason = _why_not(own, rate or 0.0, section.max_solve_rate, taught=bool(siblings))
    in_bounds = (rate or 0.0) <= section.max_solve_rate
    if own is not None and _accepted(own) and _is_special(sources, arm, number, row):
        reason = "it does not solve its puzzle with other constants (`vary`)"
    elif section.most and own is not None and _accepted(own) and in_bounds:
        reason += f"; or others were preferred, of which a round gives {section.most:,} at most"
    return found | {"reason": reason}


def _is_special(sources: Sources, arm: str, number: int, row: store.Row) -> bool:
    """Whether `vary` found that it does not generalise, and the recipe minds."""
    section = sources.run.recipe.vary
    rows = sources.rows("variants", "puzzle_id", row["puzzle_id"], arm, number)
    tried = generalities(rows).get(row["puzzle_id"], {})
    own = tried.get(row["candidate_id"])
    others = section.rule == "require" or any(o.reaches(section.generality) for o in tried.values())
    minds = section.rule != "ignore" and others
    return minds and own is not None and not own.reaches(section.generality)


def _accepted(row: store.Row) -> bool:
    return row["outcome"] == "accepted" and row["stable"] is not False


def _why_not(own: store.Row | None, rate: float, most: float, *, taught: bool) -> str:
    if own is None:
        return "it has no verdict"
    if own["stable"] is False:
        return "its outcome changed at a second look"
    if not _accepted(own):
        return f"it is {own['outcome']}"
    if rate > most:
        return f"the puzzle is too easy: solved {rate:.0%} of the time"
    if not taught:
        return "the recipe drops the puzzle, or this pair, for what `probes` or `leaks` say of it"
    return "others with the same text, or shorter ones, were kept of this puzzle"
