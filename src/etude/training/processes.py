"""Several processes that train one model together: each has its share of every batch.

Each of them holds a GPU and a shard of the weights (FSDP2, by accelerate), or, without a GPU, all
weights (DDP over gloo). When one dies, or fails, all end; none outlives the process that started
them. They are started afresh, so a script that calls `fit` with several processes needs its
`if __name__ == "__main__":`, as with anything that uses multiprocessing.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch import distributed

from etude.engines.transformers.loading import quiet, torch_threads
from etude.errors import Fault, InputError, UserError
from etude.offspring import die_with_parent, no_interrupt
from etude.training.trainer import Job, Progress, train

PATIENCE_SECONDS = 5.0
"""How long to listen on after one has failed: the others fail of that, and may be heard first."""


class OutOfMemory(Exception):
    """A device had too little memory for its part of a batch."""


@dataclass(frozen=True)
class _Failed:
    """What a process tells of an exception that is no user's to mend."""

    trace: str


def check_devices(processes: int) -> None:
    """Raises `InputError` when there are GPUs, but fewer than processes."""
    found = torch.cuda.device_count()
    if processes > 1 and 0 < found < processes:
        raise InputError(
            f"processes = {processes} needs a GPU for each, but there are {found}: "
            f"use at most {found}, or more with accumulate."
        )


def train_together(job: Job, progress: Progress | None) -> None:
    """Trains in `job.settings.processes` processes, and returns when all have ended well.

    Raises:
        UserError: as one of them raised it.
        OutOfMemory: a device was too small for its part.
        Fault: one died, or failed in a way that nobody foresaw.
    """
    with tempfile.TemporaryDirectory(prefix="etude-") as place:
        running: dict[Connection, tuple[int, BaseProcess]] = {}
        try:
            for rank in range(job.settings.processes):
                running |= _start(job, rank, Path(place) / "meeting")
            _listen(running, progress)
            for _, process in running.values():
                process.join(
                    PATIENCE_SECONDS
                )  # killed on its way out, it would leave things behind
        finally:
            for _, process in running.values():
                process.kill()
            for _, process in running.values():
                process.join()


def _start(job: Job, rank: int, meeting: Path) -> dict[Connection, tuple[int, BaseProcess]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    name = f"training process {rank}"
    process = context.Process(target=_work, args=(job, rank, str(meeting), theirs), name=name)
    with no_interrupt():
        process.start()
    theirs.close()
    return {ours: (rank, process)}


def _listen(running: dict[Connection, tuple[int, BaseProcess]], progress: Progress | None) -> None:
    """Passes on how far they are, until all have ended. Raises what ended one of them."""
    open_, failures = list(running), list[Exception]()
    while open_:
        ready = wait(open_, PATIENCE_SECONDS if failures else None)
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            said = _heard(pipe, *running[pipe])
            if isinstance(said, tuple):
                if progress and not failures:
                    progress(*said)
                continue
            open_.remove(pipe)
            if said is not None:
                failures.append(said)
        if any(isinstance(failure, UserError | OutOfMemory) for failure in failures):
            break
    if failures:
        raise min(failures, key=lambda one: isinstance(one, Fault))


def _heard(pipe: Connection, rank: int, process: BaseProcess) -> tuple[int, int] | Exception | None:
    """One message: how far it is, what went wrong, or None at its good end."""
    try:
        said = pipe.recv()
    except EOFError:
        process.join()
        return Fault(f"training process {rank} died with exit code {process.exitcode}")
    if isinstance(said, _Failed):
        return Fault(f"training process {rank} failed:\n{said.trace}")
    assert said is None or isinstance(said, tuple | Exception)
    return said


def _work(job: Job, rank: int, meeting: str, out: Connection) -> None:
    """What runs in each process. Only the first tells how far it is: all go in step."""
    die_with_parent()
    count = job.settings.processes
    # What accelerate reads. On one machine, the ranks meet at a file: no port can be taken.
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ["OMP_NUM_THREADS"] = str(job.settings.threads)  # or accelerate sets another number
    # Otherwise gloo looks the machine's name up, which not every network knows.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(rank)
    tell: Progress | None = (lambda *at: out.send(at)) if rank == 0 else None
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            init_method=f"file://{meeting}",
            rank=rank,
            world_size=count,
        )
        with quiet(), torch_threads(job.settings.threads):
            train(job, tell)
        distributed.barrier()
        distributed.destroy_process_group()
    except UserError as error:
        out.send(error)
    except torch.OutOfMemoryError as error:
        out.send(OutOfMemory(str(error)))
    except BaseException:  # noqa: BLE001 - it goes to the parent, which raises it
        out.send(_Failed(traceback.format_exc()))
    else:
        out.send(None)
