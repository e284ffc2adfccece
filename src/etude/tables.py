"""The columns of every table of a run. What is measured, and so differs from run to run, is marked.

A table is a folder of Parquet segments, `round-02/solve/00000.parquet`, ... Those of `seeds`,
`vet`, `judge`, `probe`, `screen` and `evaluate` have in their metadata what the verdicts rest on:
the judge's version, isolation and limits. Row ids are content hashes, so lineage is a join:
example -> verdict -> candidate -> puzzle -> proposal -> prompt -> parents.
"""

from __future__ import annotations

import pyarrow as pa

from etude.types import Outcome

TEXT = pa.string()

SEEDS = pa.schema(
    [
        ("puzzle_id", TEXT),
        ("name", TEXT),  # its line in the file, or its name in P3
        ("outcome", TEXT),  # what the judge found; only accepted pairs teach
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
    ]
)
PROPOSE = pa.schema(
    [
        ("proposal_id", TEXT),  # content hash of (model, seed of the unit, draw)
        ("draw", pa.int32()),  # number of the sample in its unit
        ("parents", pa.list_(TEXT)),  # ids of the training puzzles that the prompt showed
        ("prompt", TEXT),
        ("text", TEXT),  # what the model wrote, kept whole
        ("finished", pa.bool_()),  # False: the token limit came before the end of the function
        ("mutation", TEXT),  # its kind (see `mutate`); null for a free one, and in runs without any
    ]
)
FREE = PROPOSE.remove(PROPOSE.get_field_index("mutation"))
"""Of a run without mutations: as before there were any."""
VET = pa.schema(
    [
        ("proposal_id", TEXT),
        ("fate", TEXT),  # `kept`, or why it was dropped
        ("detail", TEXT),
        ("puzzle_id", TEXT),  # null for a proposal that is no puzzle
        ("source", TEXT),
        ("answer_type", TEXT),
        ("inputs", TEXT),
        ("form", TEXT),
    ]
)
RECALL = pa.schema(
    [
        ("puzzle_id", TEXT),  # of an earlier round, tried again in this one
        ("proposal_id", TEXT),
        ("source", TEXT),
        ("answer_type", TEXT),
        ("inputs", TEXT),
        ("form", TEXT),
        ("first_round", pa.int32()),  # that kept it
        ("tries", pa.int32()),  # rounds before this one in which it was tried
        ("attempts", pa.int32()),  # in all of these
        ("expected", pa.float64()),  # solve rate, 0 to 1; null where verdicts are ignored
    ]
)
SOLVE = pa.schema(
    [
        ("candidate_id", TEXT),  # content hash of (puzzle, seed of the unit, draw)
        ("puzzle_id", TEXT),
        ("draw", pa.int32()),
        ("source", TEXT),
        ("finished", pa.bool_()),
        ("base", pa.bool_()),  # written by the base; null in runs that do not ask it
    ]
)
OWN = SOLVE.remove(SOLVE.get_field_index("base"))
"""Of a run in which the model that learns writes all: as before any did not."""
JUDGE = pa.schema(
    [
        ("candidate_id", TEXT),
        ("puzzle_id", TEXT),
        ("outcome", TEXT),
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),  # null where there was no second look
    ]
)
PROBE = pa.schema(
    [
        ("puzzle_id", TEXT),
        ("answer_type", TEXT),
        ("attempts", pa.int32()),
        ("accepted", pa.int32()),
        ("solve_rate", pa.float64()),  # 0 to 1, with its 95% interval; null without an attempt
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("strangers", pa.int32()),  # answers of other puzzles that it was tried with
        ("satisfied", pa.int32()),  # of these, how many it accepts
        ("weak", pa.bool_()),  # satisfied by too many of them, by the recipe
        ("stable", pa.bool_()),  # False: a second look found another verdict; null: nothing to ask
        ("unused_arguments", pa.list_(TEXT)),  # that its body never reads
        ("idle_arguments", pa.list_(TEXT)),  # that it reads, and whose value changed no verdict
        ("signature", TEXT),  # of the probes of its answer type, the same ones in all rounds
    ]
)
SELECT = pa.schema(
    [
        ("example_id", TEXT),
        ("puzzle_id", TEXT),
        ("candidate_id", TEXT),  # null for a seed pair
        ("text", TEXT),
        ("solve_rate", pa.float64()),
    ]
)
VARY = pa.schema(
    [
        ("puzzle_id", TEXT),  # the puzzle that was solved
        ("variant_id", TEXT),  # the id of the same puzzle with other constants
        ("variant", TEXT),  # its source
        ("candidate_id", TEXT),  # null for a variant that is a held-out problem
        ("solution", TEXT),  # the candidate's source with these constants
        ("outcome", TEXT),  # or `held out`: asked of nobody
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),
    ]
)
HINDSIGHT = pa.schema(
    [
        ("puzzle_id", TEXT),  # the puzzle that was missed
        ("candidate_id", TEXT),  # by what
        ("input", TEXT),  # whose default was rewritten
        ("value", TEXT),  # to what, as the judge computed it
        ("derived_id", TEXT),  # the id of the rewritten puzzle
        ("source", TEXT),
        ("solution", TEXT),  # the candidate's source with this default
        ("outcome", TEXT),
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),
        ("fate", TEXT),  # of an accepted pair: `kept`, or why it was dropped
        ("fate_detail", TEXT),
    ]
)
REPAIR = pa.schema(
    [
        ("puzzle_id", TEXT),  # the puzzle that nobody solved
        ("tried", pa.int32()),  # solutions of the puzzle that were tried, on each row of it
        ("search_seconds", pa.float64()),  # CPU time of that in batches, on each row of it
        ("way", TEXT),  # edit, borrowed or posed; null, as all below, where none seemed right
        ("candidate_id", TEXT),  # a wrong attempt one edit away, or one at another puzzle
        ("repair_id", TEXT),  # content hash of the puzzle's id and the solution that is tried
        ("near", pa.int32()),  # different wrong attempts one edit away; attempts with its body
        ("derived_id", TEXT),  # the id of the puzzle that is asked: that one, or a variant of it
        ("source", TEXT),  # this puzzle
        ("solution", TEXT),  # with its constants
        ("outcome", TEXT),
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),
    ]
)
TURN = pa.schema(
    [
        ("turned_id", TEXT),  # the puzzle that was made of an attempt
        ("turned", TEXT),  # its source
        ("attempt_id", TEXT),  # the attempt
        *REPAIR,  # `puzzle_id`: that of the attempt; `way`: posed, forward or null
    ]
)
DESCRIBE = pa.schema(
    [
        ("description_id", TEXT),  # content hash of the puzzle's id, the draw and the docstring
        ("puzzle_id", TEXT),
        ("candidate_id", TEXT),  # the first solution of it that teaches
        ("solution", TEXT),  # its source
        ("draw", pa.int32()),
        ("docstring", TEXT),
        ("fault", TEXT),  # why it was not tried, such as `code`; empty for one that was
        ("attempts", pa.list_(TEXT)),  # solutions that were written by it alone
    ]
)
RETELL = pa.schema(
    [
        ("description_id", TEXT),
        ("puzzle_id", TEXT),
        ("draw", pa.int32()),  # number of the attempt among those of its docstring
        ("source", TEXT),
        ("outcome", TEXT),
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),
    ]
)
DERIVE = pa.schema(
    [
        ("example_id", TEXT),
        ("origin", TEXT),  # variant, hindsight, repair, posed, turned, description; redrawn
        ("puzzle_id", TEXT),  # the puzzle that it was made from
        ("candidate_id", TEXT),  # and its solution
        ("derived_id", TEXT),  # the id of its own puzzle
        ("source", TEXT),  # that puzzle
        ("solution", TEXT),  # of a description: the part of its text that a solver writes
        ("text", TEXT),
    ]
)
TRAINED = pa.schema(
    [
        ("example_id", TEXT),  # content hash of the text, a seed pair's too
        ("documents", pa.int32()),  # how often it stands among the documents of the training
        ("shown", pa.int32()),  # how often it was trained on, over all epochs; 0: it is too long
    ]
)
REWARD_COUNTS = (
    *("solutions", "accepted", "with_arguments", "constants"),
    *("proposals", "no_puzzle", "duplicates", "trivial", "unsolved"),
)
REINFORCED = pa.schema(
    [
        ("step", pa.int32()),  # an update; 0 is before the first
        ("loss", pa.float64()),
        ("reward", pa.float64()),  # mean of the samples
        ("reward_std", pa.float64()),
        ("flat_groups", pa.float64()),  # share of the groups that earned all alike: they teach none
        ("kl", pa.float64()),  # from the start, in nats a token; null with beta = 0
        ("entropy", pa.float64()),  # in nats a token
        ("clipped", pa.float64()),  # share of the tokens whose ratio was clipped
        ("gradient", pa.float64()),  # its norm before clipping
        ("learning_rate", pa.float64()),
        ("length", pa.float64()),  # mean tokens of a sample
        *((name, pa.int32()) for name in REWARD_COUNTS),  # null without new samples
        ("held_out", pa.float64()),  # accepted share on the puzzles held apart, at a look
        ("alarm", TEXT),  # what the monitor found; then nothing is trained any more
    ]
)
REWARDED = pa.schema(
    [
        ("step", pa.int32()),
        ("task", TEXT),  # solve or propose
        ("puzzle_id", TEXT),  # null for a proposal that is no new puzzle
        ("source", TEXT),
        ("outcome", TEXT),  # the judge's; of a proposal: solved, unsolved, trivial, ...
        ("solve_rate", pa.float64()),  # of a proposal, in the policy's attempts
        ("constant", pa.bool_()),  # an accepted solution that reads none of its arguments
        ("reward", pa.float64()),  # null where the sandbox failed
    ]
)
SCREEN = pa.schema(
    [
        ("suite", TEXT),
        ("problem", TEXT),
        ("part", TEXT),
        ("level", TEXT),  # exact, canonical, form, 8-gram or behaviour
        ("share", pa.float64()),  # of the problem's 8-grams, how many stand in the example
        ("puzzle_id", TEXT),
        ("example_id", TEXT),  # null where the puzzle itself is met, with whatever solution
        ("dropped", pa.bool_()),  # not trained on for this, by the recipe
        ("problem_text", TEXT),
        ("example_text", TEXT),  # or the puzzle's
    ]
)
ATTEMPT = pa.schema(
    [
        ("problem", TEXT),
        ("part", TEXT),
        ("draw", pa.int32()),
        ("source", TEXT),
    ]
)
EVALUATE = pa.schema(
    [
        ("problem", TEXT),
        ("part", TEXT),
        ("draw", pa.int32()),
        ("source", TEXT),
        ("outcome", TEXT),
        ("answer", TEXT),
        ("detail", TEXT),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
    ]
)
HEALTH = pa.schema(
    [
        ("measure", TEXT),  # see `docs/health.md`
        ("value", pa.float64()),  # null where nothing was counted
        ("warn", pa.float64()),  # the recipe's limits; null where there is none
        ("stop", pa.float64()),
        ("state", TEXT),  # ok, warn or stop
    ]
)
SCORES = pa.schema(
    [
        ("suite", TEXT),
        ("part", TEXT),
        ("k", pa.int32()),
        ("value", pa.float64()),  # pass@k, 0 to 1
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("problems", pa.int32()),
        ("samples", pa.int32()),
        ("asked", pa.bool_()),  # False: of the whole curve, but not among the recipe's ks
        ("error_attempts", pa.float64()),  # standard error of other attempts; null for 2k > samples
        ("error_problems", pa.float64()),  # of other problems alone; null likewise
    ]
)
OUTCOMES = tuple(str(outcome) for outcome in Outcome if outcome is not Outcome.FAULT)
PROBLEMS = pa.schema(
    [
        ("problem", TEXT),
        ("problem_id", TEXT),  # content hash of what is asked
        ("part", TEXT),
        ("attempts", pa.int32()),  # 0 where the prompt does not fit the model
        ("accepted", pa.int32()),
        ("pass_at_1", pa.float64()),
        *((outcome, pa.int32()) for outcome in OUTCOMES[1:]),
    ]
)
CONTAMINATION = pa.schema(
    [
        ("problem", TEXT),
        ("part", TEXT),
        ("level", TEXT),  # exact, canonical, form or 8-gram
        ("examples", pa.int64()),  # training examples that meet the problem at this level
        ("share", pa.float64()),  # of the problem's 8-grams that the worst example holds
        ("example_id", TEXT),
        ("problem_text", TEXT),
        ("example_text", TEXT),
    ]
)
REVIEWS = pa.schema(
    [
        ("review_id", TEXT),
        ("puzzle_id", TEXT),  # the puzzle that was looked at
        ("decision", TEXT),  # accept, reject, edit or undo
        ("source", TEXT),  # the puzzle as it was shown, or for `edit` as it was edited
        ("solution", TEXT),  # for `edit`: the solution with which the judge accepted it
        ("note", TEXT),
        ("reviewer", TEXT),
        ("at", TEXT),  # UTC, ISO 8601
    ]
)
ANCHORS = pa.schema(
    [
        ("review_id", TEXT),  # the reviews that stood when the round began
        ("puzzle_id", TEXT),  # the puzzle that was looked at
        ("decision", TEXT),  # accept, reject or edit
        ("shown_id", TEXT),  # the puzzle that prompts show; null for `reject`
        ("source", TEXT),
        ("reviewer", TEXT),
    ]
)
MEASURED = frozenset({"cpu_seconds", "search_seconds", "peak_bytes"})
"""Columns of measured time and memory: left out when two runs are compared."""
DROPPED = "etude.dropped"
"""Where the metadata of `select` and `derive` has how many were dropped, by the reason (JSON)."""
