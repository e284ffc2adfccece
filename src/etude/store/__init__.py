"""The run folder: the resolved recipe, units as immutable Parquet segments, checkpoints.

    runs/tiny/
      recipe.toml            every setting, defaults included; it re-runs the run
      record.json            versions and machine
      round-00/              the model before the first round: pretrain, train, evaluate
      round-01/propose/00000.parquet   one file a unit; vet, solve, judge, select, train, evaluate
      final/                 the student: train, evaluate
      controls/NAME/...      the same folders for each control of the ladder

Done means that the file exists: it is written to a temporary name, synced and renamed. Every
segment carries a checksum (`sums`). Covered: atomic units, reading them back, one process at a
time in a folder, seeds. Not covered: what the rows mean (see `tables`).
"""

from etude.store.checkpoints import finished, keep, local, put, removed, thin, wait_for
from etude.store.leases import only_arm, only_writer
from etude.store.places import (
    is_file,
    is_local,
    move,
    names,
    open_whole,
    place,
    reaching,
    scratch,
    write_atomically,
    writing_to,
)
from etude.store.runs import (
    STARTED,
    Run,
    arm_folder,
    read_recipe,
    round_folder,
    round_folders,
    seed_for,
)
from etude.store.segments import (
    Row,
    escaped,
    open_table,
    owed,
    read_notes,
    read_schema,
    read_stage,
    read_table,
    remove_stage,
    segment_notes,
    segments,
    unit_path,
    write_new_table,
    write_table,
)

__all__ = [
    "STARTED",
    "Row",
    "Run",
    "arm_folder",
    "escaped",
    "finished",
    "is_file",
    "is_local",
    "keep",
    "local",
    "move",
    "names",
    "only_arm",
    "only_writer",
    "open_table",
    "open_whole",
    "owed",
    "place",
    "put",
    "reaching",
    "read_notes",
    "read_recipe",
    "read_schema",
    "read_stage",
    "read_table",
    "remove_stage",
    "removed",
    "round_folder",
    "round_folders",
    "scratch",
    "seed_for",
    "segment_notes",
    "segments",
    "thin",
    "unit_path",
    "wait_for",
    "write_atomically",
    "write_new_table",
    "write_table",
    "writing_to",
]
