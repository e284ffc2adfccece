"""One long piece of work on a node of the cluster: a training.

It is a Ray task that takes its GPUs together. It writes to the run folder, and begins where its
last checkpoint ended: so it is given to another node when its own dies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from etude.cluster.processes import sendable
from etude.cluster.rays.address import enter
from etude.cluster.rays.deaths import words_of
from etude.cluster.units import Needs, Tick
from etude.errors import Fault, UserError

TRIES = 3
"""Deaths at one and the same place; further on, they are counted anew."""
POLL_SECONDS = 0.5


def run_job(work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
    """Raises what the work raises, and `Fault` when it dies again and again at one place."""
    furthest, seen = -1, list[str]()
    while True:
        news = _NEWS.options(num_cpus=0).remote()
        task = _WORK.options(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0)
        ref = task.remote(work, os.getcwd(), news)
        reached = _followed(ref, news, tick)
        if reached > furthest:
            furthest, seen = reached, []
        try:
            said = ray.get(ref)
        except RayTaskError as error:
            raise Fault(f"a job on the cluster failed:\n{error}") from None
        except RayError as death:
            seen.append(words_of(death))
        else:
            return _raise(said)
        if len(seen) >= TRIES:
            raise Fault(f"a job on the cluster died {TRIES} times ({'; '.join(seen)})")
        print(
            f"the worker of a training died ({seen[-1]}): it goes on from its last checkpoint",
            file=sys.stderr,
        )


def _raise(said: object) -> None:
    if isinstance(said, UserError):
        raise said
    if said is not None:
        raise Fault(f"a job on the cluster failed:\n{said}")


def _followed(ref: Any, news: Any, tick: Tick) -> int:
    """Pass on how far the work is until it ends; the furthest."""
    last = (-1, 0)
    done: list[Any] = []
    while not done:
        done, _ = ray.wait([ref], timeout=POLL_SECONDS)
        try:
            told = ray.get(news.last.remote())
        except RayActorError:  # its node is gone; that of the work need not be
            continue
        if told is not None and told != last:
            last = told
            tick(*last)
    return last[0]


class News:
    """What the work told last."""

    def __init__(self) -> None:
        self._told: tuple[int, int] | None = None

    def tell(self, done: int, total: int) -> None:
        self._told = (done, total)

    def last(self) -> tuple[int, int] | None:
        return self._told


def _work(work: Callable[[Tick], object], cwd: str, news: Any) -> object:
    """None when it is done, else what went wrong."""
    enter(cwd)

    def tell(done: int, total: int) -> None:
        news.tell.remote(done, total)

    try:
        work(tell)
    except Exception as error:  # noqa: BLE001 - it goes to the other side, which raises it
        return sendable(error)
    return None


_NEWS: Any = ray.remote(News)
_WORK: Any = ray.remote(_work)
