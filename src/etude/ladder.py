"""The ladder: the loop and its controls, each with one thing changed, on the same budget.

verified     the loop itself
seeds        no self-made pairs: the model that the first round starts from
unverified   the same loop, trained on as many of its own pairs, whatever the verdict
more-epochs  no self-made pairs: the seeds alone, as many tokens as the loop trained on
pretrained   no training after the pretraining

Arms run in processes, so that two run at a time; what they tell is passed on. A process that is
done with one arm takes the next, for it takes seconds to import what trains. It dies with the one
that started it. An arm that dies by itself is started again; a unit on which that happens again and
again is set aside (see `cluster`).
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from etude import cluster, store
from etude.arm import Arm, Tell
from etude.cluster.flow import MOST_DEATHS, TRIES
from etude.cluster.processes import words_of
from etude.errors import Fault, UserError, for_the_caller
from etude.evaluate import evaluate
from etude.loop import begin, start_of, teach_itself
from etude.offspring import die_with_parent, no_interrupt
from etude.train import train_longer_on_seeds, trainings_of_student
from etude.types import Event

LONGEST_FIRST = ("verified", "unverified", "more-epochs", "seeds", "pretrained")
"""The order in which arms start, so that the processes end at about the same time."""


def climb(run: store.Run, controls: Sequence[str], tell: Tell, way: str = "here") -> None:
    """Run the loop and these controls; return when all have ended. `way`: who works (`cluster`).

    Raises `UserError` for what the caller can mend, `Fault` when a part of etude failed.
    """
    with store.only_writer(run.folder):
        with Arm(run, "verified", tell) as arm:
            begin(arm)
        wanted = {"verified", "seeds", *controls}
        arms = [name for name in LONGEST_FIRST if name in wanted]
        if (most := cluster.arms_at_once(way, run.recipe.run.processes)) == 0:
            _in_turn(run, arms, tell, way)
        else:
            _Arms(run, tell, way).run(arms, most)


def _in_turn(run: store.Run, arms: Sequence[str], tell: Tell, way: str) -> None:
    """All arms in this process. Each waits only for what the loop writes, which is the first."""
    for name in arms:
        with Arm(run, name, tell, way=way) as arm:
            run_arm(arm)


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
    store.wait_for(trainings_of_student(arm)[-1])
    return train_longer_on_seeds(arm, base, seeded)


@dataclass(frozen=True)
class _Starting:
    """What an arm says before it does a unit itself: should it die of it, its driver knows."""

    stage: cluster.Stage
    unit: int


@dataclass
class _Running:
    """An arm at work, in a process that may have done others before."""

    name: str
    process: BaseProcess
    at: _Starting | None = None
    told: tuple[object, ...] = ()
    """How far it was, as it said last."""


@dataclass
class _Arms:
    """Keeps arms running until all have ended, or one has failed."""

    run_: store.Run
    tell: Tell
    way: str
    owed: deque[str] = field(default_factory=deque)
    running: dict[Connection, _Running] = field(default_factory=dict)
    deaths: defaultdict[tuple[object, ...], list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """What was seen of arms that died, by the unit they were at, or how far they were."""

    def run(self, arms: Sequence[str], most: int) -> None:
        """`most` of them at a time. Raises what an arm raised."""
        self.owed.extend(arms)
        try:
            while self.owed or self.running:
                while self.owed and len(self.running) < most:
                    self._start(self.owed.popleft())
                for ready in wait(list(self.running)):
                    assert isinstance(ready, Connection)
                    self._hear(ready)
        finally:
            for arm in self.running.values():
                arm.process.kill()
                arm.process.join()

    def _start(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        args = (self.run_.folder, name, theirs, self.way)
        process = context.Process(target=_arms_process, args=args, name=name)
        with no_interrupt():
            process.start()
        theirs.close()
        self.running[ours] = _Running(name, process)

    def _hear(self, ready: Connection) -> None:
        """One message of an arm. Raises what the arm raised."""
        arm = self.running[ready]
        try:
            said = ready.recv()
        except (EOFError, ConnectionResetError):
            return self._died(ready)
        if isinstance(said, _Starting):
            arm.at = said
            return None
        if isinstance(said, Event):
            arm.at, arm.told = None, (said.round, said.stage, said.done)
            self.tell(said)
            return None
        del self.running[ready]
        if said is None and self.owed:
            return self._go_on(ready, arm.process)
        ready.close()
        arm.process.join()
        if isinstance(said, UserError):
            raise said
        if said is not None:
            raise Fault(f"the arm {arm.name} failed:\n{said}")
        return None

    def _go_on(self, ready: Connection, process: BaseProcess) -> None:
        """The next arm, in a process that is done with one."""
        name = self.owed.popleft()
        try:
            ready.send(name)
        except OSError:  # it died of something after its arm
            process.join()
            return self._start(name)
        self.running[ready] = _Running(name, process)
        return None

    def _died(self, ready: Connection) -> None:
        """Start it again, but not for ever at the same place: then that unit is set aside.

        Raises `Fault` where the run can't do without it.
        """
        arm = self.running.pop(ready)
        arm.process.join()
        seen = words_of(arm.process.exitcode)
        key = (arm.at.stage.folder, arm.at.unit) if arm.at else (arm.name, *arm.told)
        self.deaths[key].append(seen)
        if sum(map(len, self.deaths.values())) >= MOST_DEATHS:
            raise Fault(f"arms died {MOST_DEATHS} times, lastly {arm.name} ({seen})")
        if len(self.deaths[key]) >= TRIES:
            if arm.at is None or not arm.at.stage.spare:
                raise Fault(f"the arm {arm.name} died {TRIES} times at one place ({seen})")
            cluster.set_aside(arm.at.stage, arm.at.unit, self.deaths[key])
            print(f"unit {key[1]} of {key[0]} is set aside: {seen}", file=sys.stderr)
        print(f"the arm {arm.name} died ({seen}) and is started again", file=sys.stderr)
        self._start(arm.name)


def _arms_process(folder: Path, name: str, parent: Connection, way: str) -> None:
    """What runs in a process of arms: of each, events go out, then None or what went wrong; then
    the next one's name comes in, or nothing does any more."""
    die_with_parent()
    next_: str | None = name
    while next_ is not None:
        try:
            _do_arm(folder, next_, parent, way)
        except BaseException as error:  # noqa: BLE001 - it goes to the parent, which raises it
            parent.send(for_the_caller(error) or traceback.format_exc())
            return
        parent.send(None)
        next_ = _next_of(parent)


def _next_of(parent: Connection) -> str | None:
    try:
        return str(parent.recv())
    except EOFError:
        return None


def _do_arm(folder: Path, name: str, out: Connection, way: str) -> None:
    def starting(stage: cluster.Stage, unit: int) -> None:
        out.send(_Starting(stage, unit))

    run = store.Run.read(folder)
    with (
        store.only_arm(store.arm_folder(folder, name) / ".arm"),
        Arm(run, name, out.send, way=way, starting=starting) as arm,
    ):
        run_arm(arm)
