"""Sources -> keys, in batches: here, or in processes that parse beside each other."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from etude.duplicates.keys import keys_of, shingles
from etude.errors import Fault, InputError
from etude.offspring import die_with_parent, no_interrupt
from etude.spill import Column

BATCH = 2_000
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Read:
    """What is compared of each text: one row a text."""

    canonical: npt.NDArray[np.uint64]
    form: npt.NDArray[np.uint64]
    parsed: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int32]
    """Shingles of each text; 0 where nobody asks for near ones, and no bands then."""
    bands: tuple[npt.NDArray[np.uint64], ...]
    """A column a band, each with one key a text."""


def read_all(
    pairs: Iterable[tuple[str, str]], *, trees: bool, near: float | None, processes: int
) -> Read:
    """Read texts as `plain` gives them, in order.

    `trees`: parse them; otherwise the first three columns say nothing. `near`: the threshold for
    which bands are wanted. Raises `InputError` where near ones are wanted without rensa.
    """
    if near is not None:
        _check_rensa()
    read = partial(read_batch, trees=trees, near=near)
    batches = _batched(iter(pairs))
    opening = list(itertools.islice(batches, 2))
    everything = itertools.chain(opening, batches)
    if processes > 1 and len(opening) > 1:
        parts = _in_processes(read, everything, processes)
    else:
        parts = map(read, everything)
    return _gathered(itertools.chain([read([])], parts))


def _gathered(parts: Iterator[Read]) -> Read:
    """All of it, a column each, on the disk where it is large. The first has no row."""
    first = next(parts)
    columns = [Column(part.dtype) for part in _columns(first)]
    for read in parts:
        for column, values in zip(columns, _columns(read), strict=True):
            column.extend(values)
    canonical, form, parsed, sizes, *bands = (column.array() for column in columns)
    return Read(canonical, form, parsed, sizes, tuple(bands))


def _columns(read: Read) -> list[npt.NDArray[Any]]:
    return [read.canonical, read.form, read.parsed, read.sizes, *read.bands]


def _check_rensa() -> None:
    try:
        import rensa  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "the level near needs rensa, which is not installed: pip install 'etude[data]'. "
            "Without it there are the levels exact, canonical and form: name them."
        ) from None


def _batched(pairs: Iterator[tuple[str, str]]) -> Iterator[Pairs]:
    while batch := list(itertools.islice(pairs, BATCH)):
        yield batch


def read_batch(pairs: Pairs, *, trees: bool, near: float | None) -> Read:
    """Read some texts."""
    keys = [keys_of(*pair) if trees else (0, 0, False) for pair in pairs]
    canonical, form, parsed = zip(*keys, strict=True) if keys else ((), (), ())
    sizes, bands = np.zeros(len(pairs), np.int32), np.zeros((0, len(pairs)), np.uint64)
    if near is not None:
        from etude.duplicates import minhash

        runs = [shingles("\n".join(filter(None, pair))) for pair in pairs]
        sizes = np.array([len(one) for one in runs], np.int32)
        bands = minhash.bands_of(runs, near).T
    return Read(
        np.array(canonical, np.uint64),
        np.array(form, np.uint64),
        np.array(parsed, bool),
        sizes,
        tuple(bands),
    )


def _in_processes(
    read: Callable[[Pairs], Read], batches: Iterable[Pairs], processes: int
) -> Iterator[Read]:
    """The batches in order; only as many are under way as keep the processes busy."""
    context = multiprocessing.get_context("spawn")
    under_way: deque[Future[Read]] = deque()
    with ProcessPoolExecutor(processes, mp_context=context, initializer=die_with_parent) as pool:
        try:
            for batch in batches:
                with no_interrupt():  # it may start a process
                    under_way.append(pool.submit(read, batch))
                if len(under_way) > 2 * processes:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise Fault(f"a process that reads sources died: {error}") from error
        finally:
            for future in under_way:
                future.cancel()
