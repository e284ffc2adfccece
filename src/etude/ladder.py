"""The ladder: the loop and its controls, each with one thing changed, on the same budget.

verified     the loop itself
seeds        no self-made pairs: the model that the first round starts from
unverified   the same loop, trained on as many of its own pairs, whatever the verdict
more-epochs  no self-made pairs: the seeds alone, as many tokens as the loop trained on
pretrained   no training after the pretraining

Each arm is a process of its own, so that two run at a time; what they tell is passed on. An arm
dies with the process that started it.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from etude import store
from etude.arm import Arm, Tell
from etude.errors import Fault, UserError
from etude.evaluate import evaluate
from etude.loop import begin, start_of, teach_itself
from etude.offspring import die_with_parent, no_interrupt
from etude.train import train_longer_on_seeds
from etude.types import Event

LONGEST_FIRST = ("verified", "unverified", "more-epochs", "seeds", "pretrained")
"""The order in which arms start, so that the processes end at about the same time."""


def climb(run: store.Run, controls: Sequence[str], tell: Tell) -> None:
    """Run the loop and these controls; return when all have ended.

    Raises `UserError` for what the caller can mend, `Fault` when a part of etude failed.
    """
    with store.only_writer(run.folder):
        with Arm(run, "verified", tell) as arm:
            begin(arm)
        wanted = {"verified", "seeds", *controls}
        _in_processes(run, [name for name in LONGEST_FIRST if name in wanted], tell)


def run_arm(arm: Arm) -> None:
    """One arm after round 0, to its end."""
    if arm.name in ("verified", "unverified"):
        return teach_itself(arm)
    base, seeded = start_of(arm)
    samples = arm.recipe.evaluate.final_samples
    if arm.name == "seeds":
        evaluate(arm, 0, store.round_folder(arm.run.folder, 0), seeded, samples)
    elif arm.name == "pretrained":
        evaluate(arm, None, arm.folder / "final", base, samples)
    elif arm.name == "more-epochs":
        longer = _longer(arm, base, seeded)
        evaluate(arm, None, arm.folder / "final", longer, samples)
    return None


def _longer(arm: Arm, base: str | Path, seeded: Path) -> Path:
    """As many epochs on the seeds as the student's tokens allow; the student is waited for."""
    student = arm.run.folder / "final" / "train"
    store.wait_for(student)
    return train_longer_on_seeds(arm, base, seeded)


Ended = tuple[str, BaseException | str | None]


def _in_processes(run: store.Run, arms: Sequence[str], tell: Tell) -> None:
    """Keep `run.processes` arms running until all have ended, or one has failed."""
    owed = deque(arms)
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while owed or running:
            while owed and len(running) < run.recipe.run.processes:
                name = owed.popleft()
                running |= _start(run.folder, name)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                _hear(ready, running, tell)
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


def _start(folder: Path, name: str) -> dict[Connection, tuple[str, BaseProcess]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_arm_process, args=(folder, name, theirs), name=name)
    with no_interrupt():
        process.start()
    theirs.close()
    return {ours: (name, process)}


def _hear(
    ready: Connection, running: dict[Connection, tuple[str, BaseProcess]], tell: Tell
) -> None:
    """Pass on one message of an arm. Raises what the arm raised."""
    name, process = running[ready]
    try:
        said = ready.recv()
    except EOFError:
        process.join()
        raise Fault(f"the arm {name} died with exit code {process.exitcode}") from None
    if isinstance(said, Event):
        tell(said)
        return
    del running[ready]
    process.join()
    if isinstance(said, UserError):
        raise said
    if said is not None:
        raise Fault(f"the arm {name} failed:\n{said}")


def _arm_process(folder: Path, name: str, out: Connection) -> None:
    """What runs in the process of an arm: events go out, then None or what went wrong."""
    die_with_parent()
    try:
        run = store.Run.read(folder)
        with (
            store.only_writer(store.arm_folder(folder, name) / ".arm"),
            Arm(run, name, out.send) as arm,
        ):
            run_arm(arm)
    except UserError as error:
        out.send(error)
    except BaseException:  # noqa: BLE001 - it goes to the parent, which raises it
        out.send(traceback.format_exc())
    else:
        out.send(None)
