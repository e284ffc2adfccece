"""The paper's loop: propose, vet, solve, judge, select, train, evaluate, and again.

Haluptzok, Bowers, Kalai, "Language Models Can Teach Themselves to Program Better" (ICLR 2023).
The ways from this page: one module a stage, named as the stage; `ladder` for the controls.
"""

from __future__ import annotations

from pathlib import Path

from etude.arm import Arm
from etude.course import stops_after
from etude.derive import derive
from etude.describe import describe
from etude.evaluate import evaluate
from etude.health import examine
from etude.hindsight import hindsight
from etude.probe import probe
from etude.propose import propose
from etude.recall import recall
from etude.reinforce import reinforce
from etude.repair import repair
from etude.screen import screen
from etude.select import select
from etude.solve import judge, solve
from etude.train import pretrain, thin, train, train_on_seeds, train_student
from etude.turn import turn
from etude.vary import vary
from etude.vet import vet
from etude.vouch import vouch


def begin(arm: Arm) -> None:
    """Round 0: the seed pairs are judged, and the base is fine-tuned on them."""
    vouch(arm)
    train_on_seeds(arm, pretrain(arm))


def teach_itself(arm: Arm) -> None:
    """The rounds, and the student that is trained on all that they gave."""
    base, seeded = start_of(arm)
    latest = base if arm.recipe.seeds.begin == "base" else seeded
    for number in range(1, arm.recipe.run.rounds + 1):
        propose(arm, number, latest, base)
        vet(arm, number)
        recall(arm, number)  # with `retry.puzzles`: what no earlier round solved, once more
        candidates = solve(arm, number, latest, base)  # they are judged while more are sampled
        judge(arm, number, candidates)
        if arm.name == "verified":  # the control takes its pairs whatever is found
            vary(arm, number)
            hindsight(arm, number)
            repair(arm, number)
            turn(arm, number)
            probe(arm, number)
        screen(arm, number)
        select(arm, number)
        if arm.name == "verified":
            describe(arm, number, latest)
        derive(arm, number)
        latest = reinforce(arm, number, train(arm, number, base, latest))
        if arm.name == "verified":  # a control is scored at its end
            before = arm.round(number - 1) if number > 1 else None
            evaluate(arm, number, arm.round(number), latest, arm.recipe.evaluate.samples, before)
            examine(arm, number)
        if stops_after(arm.run.folder, arm.recipe, number):
            break
        thin(arm, number)
    student = reinforce(arm, None, train_student(arm, base, latest))
    evaluate(arm, None, arm.folder / "final", student, arm.recipe.evaluate.final_samples)


def start_of(arm: Arm) -> tuple[str | Path, Path]:
    """The base and the model of round 0, which `begin` made."""
    made = arm.run.folder / "round-00"
    base = made / "pretrain" if arm.recipe.pretrain else arm.recipe.model.base
    return base, made / "train"
