"""Find a Ray cluster, or start one here, and look at its nodes before hours are spent on it."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from etude.cluster.rays.deaths import last_line
from etude.errors import InputError, UserError

Look = Callable[[str], None]
"""Tried on every node, with a name for it: raises `UserError` for what is not as it must be."""
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_LOOK = 120.0
COMPARED = ("ray", "torch", "transformers", "tokenizers", "numpy", "pyarrow", "accelerate", "peft")
"""Packages that make the bytes of tables and models: one version everywhere."""
CLIENT = "ray://"


@contextmanager
def reached_ray(way: str, look: Look) -> Iterator[str]:
    """The address of a cluster that was found or, for `auto`, may be started; `look` has seen it.

    A cluster that was started ends with the body. Raises `InputError` for one that can't be
    reached, or whose nodes are not alike.
    """
    found = _found(way)
    started = found is None
    address = _start() if found is None else found
    try:
        if not started:
            connect(address)
        _look_at_nodes(look)
        if not started:  # the arms have connections of their own
            ray.shutdown()
        yield address
    finally:
        ray.shutdown()


def connect(address: str) -> bool:
    """Be a driver of a cluster; False where this process is one already.

    Raises `InputError`, soon, where nothing answers.
    """
    if ray.is_initialized():
        return False
    _ask(address)
    try:
        with _own_signals():
            _init(address)
    except (RuntimeError, ConnectionError, RayError, OSError) as error:
        raise _unreachable(address, error) from None
    return True


def nodes() -> list[dict[str, Any]]:
    """The nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def _found(way: str) -> str | None:
    """The address that is meant; None when a cluster is to be started."""
    if way != "auto":
        return way
    named = os.environ.get("RAY_ADDRESS", "auto")
    if named not in ("auto", "local"):
        return named
    if named == "local":
        return None
    with suppress(ConnectionError), _own_signals():
        _init("auto")
        address = _own_address()
        ray.shutdown()
        return address
    return None


def _start() -> str:
    with _own_signals():
        _init("local", include_dashboard=False)
    return _own_address()


def _init(address: str, **more: object) -> None:
    _to_stderr()
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **more)


def _to_stderr() -> None:
    """What Ray sees of dead workers it prints at length on standard output, where a run's records
    are: one line of it goes to standard error."""

    def say(data: dict[str, Any], **_: object) -> None:
        for line in data["lines"]:
            print(f"ray: {line.splitlines()[0][:200]}", file=sys.stderr)

    worker: Any = importlib.import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):  # it has no setting of its own
        worker.print_to_stdstream = say


def _own_address() -> str:
    return str(ray.get_runtime_context().gcs_address)


def _ask(address: str) -> None:
    """Ray itself would ask for a minute, and then end this process."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: BaseException) -> InputError:
    reason = getattr(error, "strerror", None) or _plain(str(error)) or type(error).__name__
    return InputError(
        f"--cluster {address} must be a Ray cluster that answers, but does not ({reason}). See "
        "`ray status` on its head node; HOST:PORT is what `ray start --head` prints (6379), "
        "ray://HOST:PORT that of its client server (10001)."
    )


def _plain(text: str) -> str:
    """The first lines of an error, on one line and without colours."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).strip().splitlines()
    return " ".join(line.strip() for line in lines[:3])[:300]


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself: on it, a run says what is kept and how it is continued.

    One that comes while Ray starts, which takes seconds, is passed on to whom it was for.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    except SystemExit as left:  # Ray leaves with the number of the signal
        if before is not None and left.code == signal.SIGTERM:
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _look_at_nodes(look: Look) -> None:
    """Raises `InputError` naming the first node that is not as this machine, or can't work."""
    here, cwd = _versions(), os.getcwd()
    asked = {
        _SEEN_ON.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(look, cwd, node["NodeID"][:8]): f"{node['NodeManagerHostname']} "
        f"({node['NodeManagerAddress']})"
        for node in nodes()
    }
    done, silent = ray.wait(list(asked), num_returns=len(asked), timeout=SECONDS_TO_LOOK)
    for ref in done:
        _compare(here, _answer(ref, asked[ref]), asked[ref])
    if silent:
        raise InputError(
            f"Each node of the cluster must answer within {SECONDS_TO_LOOK:.0f} seconds, but "
            f"{', '.join(asked[ref] for ref in silent)} does not. Take it out of the cluster."
        )


def _answer(ref: Any, name: str) -> dict[str, str]:
    try:
        answer: dict[str, str] | UserError = ray.get(ref)
    except RayError as error:
        reason = last_line(str(error))
        raise InputError(
            f"etude must work on every node of the cluster, but on {name} it does not ({reason}). "
            "Install the same version there, with the same extras, where its `ray start` runs."
        ) from None
    if isinstance(answer, UserError):
        raise InputError(f"On the node {name}: {answer}")
    return answer


def _compare(here: dict[str, str], there: dict[str, str], name: str) -> None:
    """Other versions of Python or etude are refused; of packages, said."""
    for what in ("etude", "python"):
        if here[what] != there[what]:
            raise InputError(
                f"Every node must have {what} {here[what]}, as here, but {name} has "
                f"{there[what]}. Install the same there, or take it out of the cluster."
            )
    differing = [
        f"{what} {there[what]}, not {here[what]}" for what in COMPARED if here[what] != there[what]
    ]
    if differing:
        print(
            f"{name} has {'; '.join(differing)}: what is made there may differ in its numbers.",
            file=sys.stderr,
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("etude", *COMPARED):
        try:
            found[name] = metadata.version(name).partition("+")[0]  # without the build of torch
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def enter(folder: str) -> None:
    """Where paths of the recipe are relative, they are so to where the run was started."""
    with suppress(OSError):
        os.chdir(folder)


def _seen_on(look: Look, cwd: str, name: str) -> dict[str, str] | UserError:
    """What runs on a node."""
    enter(cwd)
    try:
        look(name)
    except UserError as error:
        return error
    return _versions()


_SEEN_ON: Any = ray.remote(_seen_on)
