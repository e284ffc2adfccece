"""Pairs that the loop made of others: which of them taught, and what the judge found of each.

A solution with other constants (`variant`), a puzzle whose constant was rewritten (`hindsight`), an
unsolved puzzle with an edited or a borrowed solution (`repair`), one that was posed anew with such
a solution (`posed`), or that was made of a solution (`turned`). Not covered: examples told in
English, whose pair is that of an attempt, and the control's, which nobody judged.
"""

from __future__ import annotations

from pathlib import Path

from etude import query, store
from etude.puzzle import parse

STAGES = {
    "variant": ("vary", "variant_id"),
    "hindsight": ("hindsight", "derived_id"),
    "repair": ("repair", "derived_id"),
    "posed": ("repair", "derived_id"),
    "turned": ("turn", "derived_id"),
}
"""By origin, the stage that judged such a pair and its column with the id of its puzzle."""
_NONE = """
    select ''::varchar as origin, ''::varchar as made_from, ''::varchar as derived_id,
        ''::varchar as candidate_id, ''::varchar as solution, ''::varchar as outcome,
        ''::varchar as answer, null::boolean as stable, null::double as cpu_seconds,
        ''::varchar as filename, 0 as round where false
"""


def read_made(tables: query.Tables, folder: Path, arm: str, number: int | None) -> None:
    """Makes the table `made`: round, example_id, origin, made_from (the puzzle), candidate_id, the
    pair's own puzzle_id, size, and its verdict with the segment (`filename`) that holds it.

    Of one round, or for None of all. The texts stay in the view `derived`.
    """
    judged, files = [_NONE], list[list[str]]()
    for name, place_number, place in query.places(folder):
        if name != arm or not place_number or number not in (None, place_number):
            continue
        for origin, (stage, own) in STAGES.items():
            if found := [str(path) for path in store.segments(place / stage)]:
                files.append(found)
                judged.append(
                    f"select '{origin}' as origin, puzzle_id as made_from, {own} as derived_id, "
                    "candidate_id, solution, outcome, answer, stable, cpu_seconds, filename, "
                    f"{place_number} as round from read_parquet($stage{len(files)}, "
                    "filename = true, union_by_name = true)"
                )
    given = {f"stage{at}": paths for at, paths in enumerate(files, 1)}
    connection = tables.connection
    connection.execute(f"create table tried as {' union all by name '.join(judged)}", given)
    connection.execute(
        """
        create table made as
        select d.round, d.example_id, d.origin, d.puzzle_id as made_from, d.candidate_id,
            d.derived_id as puzzle_id, length(d.solution) as size,
            t.outcome, t.answer, t.stable, t.cpu_seconds, t.filename
        from derived d left join tried t on t.round = d.round and t.origin = d.origin
            and t.made_from = d.puzzle_id and t.derived_id = d.derived_id
            and t.candidate_id = d.candidate_id and t.solution = d.solution
        where d.arm = $arm and ($number is null or d.round = $number)
            and list_contains($origins, d.origin)
        qualify row_number() over (partition by d.round, d.example_id order by t.filename) = 1
        """,
        {"arm": arm, "number": number, "origins": list(STAGES)},
    )
    connection.execute("drop table tried")


def told(puzzle: str) -> store.Row:
    """What the columns say of a puzzle that no table describes."""
    found = parse(puzzle)
    return {
        "answer_type": found.answer_type,
        "inputs": found.inputs,
        "whole_form": found.form,
    }
