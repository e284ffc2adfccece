"""How much a recipe asks for, stage by stage: units, texts, judge's checks, training documents.

Counts of `propose` and `evaluate` are exact. How many puzzles get through `vet` is the model's
doing, so what follows from it is counted for as many as `vet.max_puzzles` allows: at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from etude import domains
from etude.budget import levels
from etude.config import FinalSection, FitSection, ProposeSection, Recipe, TrainSection
from etude.lend import CHECKED
from etude.shares import wanted
from etude.turn import PUZZLES as TURNED

Kept = Callable[[str, int], int]
"""How many puzzles a round of an arm keeps, by the names of both."""

CHECKS_A_PROBE = 3
"""Candidates that could be judged in the time of one puzzle's probe: two looks, and one question
for each of a few other values of its arguments, against two steps a candidate."""
TRIES_A_CHECK = 8
"""Solutions of a batch (see `batches`) that take as long as one that is judged alone."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one stage of one round of one arm does."""

    arm: str
    round: int | None
    stage: str
    units: int = 1
    prompts: int = 0
    samples: int = 0
    """Texts that a model writes."""
    checks: int = 0
    """Candidates and puzzles that the judge looks at."""
    documents: int = 0
    """Documents of one pass of a training."""
    epochs: float = 0.0
    """Passes over them; none where the recipe says how many tokens are trained on."""
    tokens: int = 0


def _training(place: tuple[str, int | None], stage: str, documents: int, fit: FitSection) -> Work:
    """A training by epochs, or by tokens."""
    epochs = 0.0 if fit.tokens else fit.epochs
    return Work(*place, stage, documents=documents, epochs=epochs, tokens=fit.tokens)


def most_kept(recipe: Recipe) -> Kept:
    """As many puzzles as the recipe lets through."""
    most = min(recipe.propose.samples, recipe.vet.max_puzzles)
    return lambda arm, number: most


def count_work(
    recipe: Recipe,
    *,
    pairs: int,
    problems: int,
    controls: Sequence[str] = (),
    kept: Kept | None = None,
    evaluation: bool = False,
) -> list[Work]:
    """Every stage of a run with these controls, in order; of an `evaluation`, that alone.

    `pairs`: seed pairs; `problems`: of the suite; `kept`: the most that there can be unless given.
    """
    counting = _Counting(recipe, pairs, problems, kept or most_kept(recipe))
    if evaluation:
        return [counting.evaluate("verified", None, recipe.evaluate.final_samples)]
    made = [*counting.begin(), *counting.loop("verified")]
    made.append(counting.evaluate("seeds", 0, recipe.evaluate.final_samples))
    for arm in controls:
        made += counting.control(arm)
    return made


def _prompts(section: ProposeSection, samples: int) -> int:
    """The prompts of a unit of so many samples."""
    mutated = round(section.mutate * samples)
    free = math.ceil((samples - mutated) / section.per_prompt)
    return free + math.ceil(mutated / section.per_mutation)


class _Counting:
    def __init__(self, recipe: Recipe, pairs: int, problems: int, kept: Kept) -> None:
        self.recipe, self.pairs, self.problems, self.kept = recipe, pairs, problems, kept

    def begin(self) -> Iterator[Work]:
        """Round 0."""
        recipe = self.recipe
        if recipe.seeds.source != domains.named(recipe.domain).own:
            yield Work("verified", 0, "seeds", checks=self.pairs)
        if recipe.pretrain:
            documents = recipe.pretrain.documents
            yield _training(("verified", 0), "pretrain", documents, recipe.pretrain)
        yield _training(("verified", 0), "train", self.pairs, recipe.seeds)

    def loop(self, arm: str) -> Iterator[Work]:
        """The rounds, and the student."""
        recipe = self.recipe
        for number in range(1, recipe.run.rounds + 1):
            yield from self._round(arm, number)
            yield self._training(arm, number)
            if arm == "verified":
                yield self.evaluate(arm, number, recipe.evaluate.samples)
        examples = sum(self._examples(arm, n) for n in range(1, recipe.run.rounds + 1))
        final = recipe.final
        documents = self._people(final, examples) + examples
        yield _training((arm, None), "train", documents, final)
        yield self.evaluate(arm, None, recipe.evaluate.final_samples)

    def _round(self, arm: str, number: int) -> Iterator[Work]:
        """What comes before the training of a round."""
        propose, solve = self.recipe.propose, self.recipe.solve
        full, rest = divmod(propose.samples, propose.per_unit)
        prompts = full * _prompts(propose, propose.per_unit) + _prompts(propose, rest)
        units = math.ceil(propose.samples / propose.per_unit)
        yield Work(arm, number, "propose", units, prompts, propose.samples)
        yield Work(arm, number, "vet", checks=propose.samples)
        kept = self.kept(arm, number) + self._again(arm, number)
        if self.recipe.retry.puzzles:
            yield Work(arm, number, "recall")
        units, texts = math.ceil(kept / solve.puzzles_per_unit), kept * solve.samples
        yield Work(arm, number, "solve", units, kept, texts)
        yield Work(arm, number, "judge", units, checks=texts)
        if arm == "verified":
            yield from self._levers(arm, number, units, kept)
            yield Work(arm, number, "probe", units, checks=CHECKS_A_PROBE * kept)
        yield Work(arm, number, "screen", checks=kept + self.problems)
        yield Work(arm, number, "select")
        if arm == "verified" and self.recipe.describe.tries:
            yield from self._described(arm, number, kept)

    def _levers(self, arm: str, number: int, units: int, kept: int) -> Iterator[Work]:
        """At most: every attempt of every puzzle may be accepted, or wrong. What is not repaired is
        posed."""
        vary, samples = self.recipe.vary, self.recipe.solve.samples
        if vary.tries:
            checks = kept * vary.tries * min(vary.solutions, samples)
            yield Work(arm, number, "vary", units, checks=checks)
        if self.recipe.hindsight.per_puzzle:
            tries = vary.tries if self.recipe.hindsight.general else 0
            yield Work(arm, number, "hindsight", checks=kept * samples * (2 + tries))
        repair = self.recipe.repair
        if tried := repair.tries + repair.borrow:
            alone = min(tried, CHECKED) + vary.tries * vary.solutions
            posed = repair.pose * (2 + CHECKED)  # its value, trivial answers, what is borrowed
            checks = kept * (math.ceil(tried / TRIES_A_CHECK) + max(alone, posed))
            yield Work(arm, number, "repair", units, checks=checks)
            if repair.turn:
                checks = repair.turn * (math.ceil(repair.borrow / TRIES_A_CHECK) + posed)
                yield Work(arm, number, "turn", math.ceil(repair.turn / TURNED), checks=checks)

    def _described(self, arm: str, number: int, kept: int) -> Iterator[Work]:
        """At most: every puzzle teaches, and every docstring is tried."""
        section = self.recipe.describe
        told = min(kept, section.most or kept)
        units = math.ceil(told / self.recipe.solve.puzzles_per_unit)
        docstrings = told * section.tries
        tried = docstrings * section.attempts
        prompts, texts = told + docstrings, docstrings + tried
        yield Work(arm, number, "describe", units, prompts, texts, checks=tried)

    def _training(self, arm: str, number: int) -> Work:
        section = self.recipe.train
        taken = section.turned_share
        new = self._examples(arm, number, taken)
        old = sum(self._examples(arm, earlier, taken) for earlier in range(1, number))
        if section.replay != "all":
            old = min(old, round(section.replay * new))
        documents = self._people(section, new + old) + new + old
        return _training((arm, number), "train", documents, section)

    def _people(self, section: TrainSection | FinalSection, made: int) -> int:
        """People's documents beside so many self-made ones. Reviews are not foreseen."""
        if section.human_share is None:
            return section.seed_repeat * self.pairs
        return wanted(made, section.human_share)

    def _examples(self, arm: str, number: int, share: float = 1.0) -> int:
        """With a share of those that attempts are turned into."""
        solve = self.recipe.solve
        tried = levels(solve.samples)[-1] if solve.budget == "adaptive" else solve.samples
        most = min(self.recipe.select.per_puzzle, tried)
        puzzles = self.kept(arm, number) + self._again(arm, number)
        found = min(puzzles * most, self.recipe.select.most or puzzles * most)
        if self.recipe.repair.is_on:  # of what nobody solved
            repaired = self.recipe.repair.per_puzzle
            found = max(found + (puzzles - found // most) * repaired, puzzles * repaired)
        derived = self.recipe.vary.examples + self.recipe.hindsight.per_puzzle
        if self.recipe.describe.tries:
            derived += self.recipe.describe.per_puzzle
        turned = self.recipe.repair.turn * self.recipe.repair.per_turned
        return found + puzzles * derived + round(share * turned)

    def _again(self, arm: str, number: int) -> int:
        """Puzzles of earlier rounds that are tried once more, at most."""
        earlier = sum(self.kept(arm, each) for each in range(1, number))
        return min(self.recipe.retry.puzzles, earlier)

    def control(self, arm: str) -> Iterator[Work]:
        """One control, whole. `more-epochs` trains for as many tokens as the student did."""
        if arm == "unverified":
            yield from self.loop(arm)
            return
        if arm == "more-epochs":
            student = [work for work in self.loop("verified") if work.stage == "train"]
            start = (self.recipe.train.start, self.recipe.final.start)
            chain = student[-1:] if start[1] == "base" else student
            chain = student[-2:] if start == ("base", "latest") else chain
            passes = sum(work.documents * work.epochs for work in chain)
            tokens = sum(work.tokens for work in chain)
            yield Work(
                *(arm, None, "train"),
                documents=self.pairs, epochs=passes / self.pairs, tokens=tokens,
            )  # fmt: skip
        yield self.evaluate(arm, None, self.recipe.evaluate.final_samples)

    def evaluate(self, arm: str, number: int | None, samples: int) -> Work:
        units = math.ceil(self.problems / self.recipe.evaluate.problems_per_unit)
        texts = self.problems * samples
        return Work(arm, number, "evaluate", units, self.problems, texts, checks=texts)
