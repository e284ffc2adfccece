"""What is asked of an export, and what one holds: read by its card and its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from etude import __version__, config, store
from etude.decontaminate import Hit
from etude.export.licence import Licence
from etude.export.pairs import Choice, Pairs
from etude.export.verifying import Refusals
from etude.types import Problem, content_id


@dataclass(frozen=True, slots=True)
class Options:
    """What `etude export` is asked for."""

    choice: Choice
    include_seeds: bool = False
    verify: bool = False
    test_share: float = 0.0
    license: str | None = None
    force: bool = False


@dataclass
class Exported:
    """What an export holds, for its card and manifest."""

    run: store.Run
    options: Options
    pairs: Pairs
    licence: Licence
    splits: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    seeds: int = 0
    refused: Refusals = field(default_factory=Refusals)
    problems: Sequence[Problem] | None = None
    """The held-out problems that the pairs were compared with; None where they can't be read."""
    hits: Sequence[Hit] = ()

    def as_dict(self) -> dict[str, Any]:
        """The manifest: nothing in it is a time or a place."""
        choice, counts = self.options.choice, self.pairs.counts
        return {
            "origin": origin(self.run),
            "run": self.run.recipe.name,
            "etude": __version__,
            "arm": choice.arm,
            "round": choice.round,
            "all_accepted": choice.everything,
            "with_derived": choice.derived,
            "dedup": choice.dedup,
            "splits": dict(self.splits),
            "seed_pairs": self.seeds,
            "candidates": counts.selected,
            "rejected_by_people": counts.refused,
            "verified": counts.verified,
            "duplicates": counts.duplicates,
            "derived": counts.derived,
            "judged_again": self.options.verify,
            "refused": self.refused.count,
            "license": self.licence.name,
            "suite": self.run.recipe.evaluate.suite if self.problems is not None else None,
            "problems_met": dict(Counter(hit.level for hit in self.hits)),
        }


def origin(run: store.Run) -> str:
    """What tells a run from others: its name, and a hash of every setting."""
    return f"{run.recipe.name} {content_id(config.dump(run.recipe))}"
