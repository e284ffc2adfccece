"""Vouch: seed pairs that come from files are judged once, before anything is trained on them.

A wrong human-written pair would teach silently. A file's pair that the judge does not accept is
refused by its line. Of P3's reference solutions a few pass a usual limit of time or memory: these
teach nothing, and are counted.
"""

from __future__ import annotations

from pathlib import Path

from etude import store, tables
from etude.arm import Arm, checked
from etude.attempts import verdict_columns
from etude.cluster import Made, Stage
from etude.errors import InputError
from etude.seeds import P3, SeedPair, load_seeds
from etude.types import Outcome, Verdict

OVER_A_LIMIT = frozenset({Outcome.TIMEOUT, Outcome.MEMORY})
"""Outcomes that P3's own solutions may have: the solution is right, the recipe's limits are low."""


def vouch(arm: Arm) -> Path | None:
    """The folder of the verdicts on the seed pairs; None for the domain's own, made right here.

    Raises `InputError` naming the pairs that are no solved puzzles.
    """
    if arm.recipe.seeds.source == arm.domain.own:
        return None
    folder = store.round_folder(arm.run.folder, 0) / "seeds"
    with arm.watched(0, "seeds", 1) as watched:
        flow = arm.flow(Stage(folder, 1, _work, tables.SEEDS, "judge", spare=False))
        flow.finish(0, watched.tick)
        rows = store.read_stage(folder)
        accepted = sum(row["outcome"] == "accepted" for row in rows)
        watched.summary = f"{len(arm.shown):,} puzzles  {accepted:,} pairs accepted by the judge"
        if accepted < len(rows):
            watched.summary += f"  {len(rows) - accepted:,} over the judge's limits, left out"
    return folder


def _work(arm: Arm, _: int) -> Made:
    return Made(_rows(arm), arm.conditions())


def _rows(arm: Arm) -> list[store.Row]:
    pairs = load_seeds(arm.recipe)
    judged = arm.judge.verify_all([(pair.puzzle, [pair.solution]) for pair in pairs])
    verdicts = [verdict for found in judged for verdict in checked(found)]
    _refuse(arm.recipe.seeds.source, pairs, verdicts)
    return [
        {"puzzle_id": pair.puzzle.id, "name": pair.name} | verdict_columns(verdict)
        for pair, verdict in zip(pairs, verdicts, strict=True)
    ]


def _refuse(source: str, pairs: list[SeedPair], verdicts: list[Verdict]) -> None:
    """Raises `InputError` for pairs that must not teach."""
    harmless = {Outcome.ACCEPTED, *(OVER_A_LIMIT if source == P3 else ())}
    bad = [
        f"{pair.name} is {verdict.outcome}" + (f" ({verdict.detail})" if verdict.detail else "")
        for pair, verdict in zip(pairs, verdicts, strict=True)
        if verdict.outcome not in harmless
    ]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise InputError(
            f"Every seed pair of {source} must be accepted by the judge, but {len(bad)} of "
            f"{len(pairs)} are not: {'; '.join(bad[:5])}{more}. Mend or remove them, or raise the "
            "limits in [judge]."
        )
