"""How well a sandbox is isolated, in words: layers, guarantees, levels, and what mends a gap.

Read by the supervisor. The zygote says which layers are on and what its self-test's attacks came
to; here that becomes a level, and each gap gets the reason and the mend.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEVELS: Final = ("auto", "full", "filtered", "process")
"""What may be asked for, the strongest after `auto` first."""

LAYERS: Final = {
    "namespaces": "own users, processes, network; an empty read-only root",
    "privileges": "not root, no capabilities, none to be gained",
    "landlock": "no file, port or signal to outside",
    "seccomp": "a short list of system calls",
    "rlimits": "address space, CPU time, stack, open files",
}

GUARANTEES: Final = {
    "no files": ("namespaces", "landlock", "seccomp"),
    "no network": ("seccomp",),
    "no processes": ("seccomp", "rlimits"),
    "no signals": ("seccomp",),
    "no foreign memory": ("seccomp", "privileges"),
    "no machine code": ("seccomp",),
    "no privileges": ("seccomp",),
    "no rare calls": ("seccomp",),
    "no inheritance": ("seccomp", "namespaces"),
    "bounded memory": ("rlimits", "seccomp"),
    "bounded output": ("rlimits", "seccomp"),
    "bounded time": ("the zygote, which kills",),
    "no afterlife": ("seccomp", "namespaces", "rlimits"),
}
"""What a candidate can't do, tried at every start, and the layers that see to it."""

_SYSCTL: Final = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user/max_user_namespaces", "0", "15000"),
)
"""Files under /proc/sys, the value that keeps user namespaces off, and one that lets them be."""
_DOCKER: Final = (
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined ..."
)


@dataclass(frozen=True, slots=True)
class State:
    """Whether a layer is on, or a guarantee holds; where not, why, and what to do about it.

    >>> str(State())
    'on'
    >>> str(State("unshare: Operation not permitted", "sysctl -w ..."))
    'off (unshare: Operation not permitted)'
    """

    reason: str = ""
    mend: str = ""

    @property
    def on(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        return "on" if self.on else f"off ({self.reason})"


States = Mapping[str, State]


def layer_states(reports: Iterable[Mapping[str, str]]) -> dict[str, State]:
    """The layers from what each zygote reported: one that is off anywhere is off."""
    reasons = _worst(LAYERS, reports)
    return {name: State(why, _mend(name, why) if why else "") for name, why in reasons.items()}


def guarantee_states(reports: Iterable[Mapping[str, str]], layers: States) -> dict[str, State]:
    """The guarantees from what each zygote reported."""
    found = {}
    for name, why in _worst(GUARANTEES, reports).items():
        off = [layer for layer in GUARANTEES[name] if layer in layers and not layers[layer].on]
        # No layer is off, yet an attack succeeded: nothing that a user could set right.
        mend = f"needs {' or '.join(off)}" if off else "please report it: docs/judge.md says how"
        found[name] = State(why, mend if why else "")
    return found


def level(layers: States, guarantees: States) -> str:
    """`full`: every layer is on, and every guarantee holds. `filtered`: every guarantee holds.
    `process`: a process of its own, with limits."""
    if not all(state.on for state in guarantees.values()):
        return "process"
    return "full" if all(state.on for state in layers.values()) else "filtered"


def reaches(found: str, asked: str) -> bool:
    """Whether a level is enough for what was asked for."""
    return asked == "auto" or LEVELS.index(found) <= LEVELS.index(asked)


def refusal(asked: str, layers: States, guarantees: States) -> str:
    """What is missing of the level that was asked for, and how to get it."""
    found = level(layers, guarantees)
    off = {name: state for name, state in layers.items() if not state.on}
    broken = {name: state for name, state in guarantees.items() if not state.on}
    missing = off | broken if asked == "full" else broken
    mends = {state.mend for state in off.values()} or {state.mend for state in broken.values()}
    return (
        f"isolation {asked!r} was asked for but this machine gives {found!r}: "
        f"{'; '.join(f'{name} {state}' for name, state in missing.items())}. "
        f"To get it: {'; '.join(sorted(mends))}. "
        f"Or ask for {found!r} or 'auto', and run with what there is."
    )


def _worst(names: Iterable[str], reports: Iterable[Mapping[str, str]]) -> dict[str, str]:
    rows = list(reports)
    return {
        name: next((row[name] for row in rows if row.get(name)), "")
        if all(name in row for row in rows)
        else "not reported"
        for name in names
    }


def _mend(layer: str, reason: str) -> str:
    if not sys.platform.startswith("linux"):
        return "run on Linux, or in a Linux container or virtual machine"
    if "system calls for" in reason:
        return "run on x86-64 or aarch64"
    if layer == "namespaces":
        return _mend_namespaces(reason)
    if layer == "landlock":
        return _mend_landlock()
    if layer == "seccomp":
        return "a kernel with CONFIG_SECCOMP_FILTER, and a container that allows seccomp(2)"
    if layer == "privileges":
        return "run as an ordinary user, or as root with CAP_SETUID and CAP_SETGID"
    return "mount /proc and raise the hard limits (ulimit -H -a)"


def _mend_namespaces(reason: str) -> str:
    if reason == "not asked for":
        return "ask for isolation 'full' or 'auto'"
    for path, forbids, permits in _SYSCTL:
        if _read(f"/proc/sys/{path}") == forbids:
            return f"sysctl -w {path.replace('/', '.')}={permits}"
    if _in_container():
        return _DOCKER
    return "let this process make user namespaces: a seccomp or security policy forbids it"


def _mend_landlock() -> str:
    if _kernel_version() < (5, 13):
        return "Linux 5.13 or newer"
    modules = _read("/sys/kernel/security/lsm")
    if modules and "landlock" not in modules.split(","):
        return f"boot with lsm=landlock,{modules}"
    if _in_container():
        return _DOCKER
    return "a kernel with CONFIG_SECURITY_LANDLOCK, and a seccomp policy that allows landlock"


def _kernel_version() -> tuple[int, ...]:
    numbers = platform.release().split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def _in_container() -> bool:
    marks = ("/.dockerenv", "/run/.containerenv")
    return any(os.path.exists(mark) for mark in marks) or "container" in os.environ


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
