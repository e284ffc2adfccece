"""What this machine can do: the judge's sandbox, tried by real attacks; extras; processors."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from etude.check import extras
from etude.judge import Judge
from etude.judge.isolation import GUARANTEES, LAYERS, State

WIDEST = 100
_DELEGATE = "not needed for any guarantee; systemd-run --user --scope -p Delegate=yes gives one"
_BUILD = "install a C compiler and Python's headers (Debian: gcc python3-dev), then etude again"


def show_machine(*, json_lines: bool = False) -> None:
    """Print each layer and each guarantee of the sandbox: whether it holds here, tried by real
    attacks; then what is installed, and what there is to work with."""
    with Judge(1) as judge:
        found, layers, guarantees = judge.isolation, judge.layers, judge.guarantees
        native, pace, group = judge.native, judge.pace, judge.group
    if json_lines:
        parts = {"layers": _listed(layers), "guarantees": _listed(guarantees)}
        rest = {"native": native, "pace": pace, "group": group}
        known = {"extras": [asdict(one) for one in extras.extras()], "machine": extras.machine()}
        print(json.dumps({"isolation": found, **parts, **rest, **known}))
        return
    print(f"isolation: {found}")
    print("layers")
    for name, state in layers.items():
        print("\n".join(_row(name, state, LAYERS[name])))
    print("guarantees, tried by attacks")
    for name, state in guarantees.items():
        print("\n".join(_row(name, state, f"kept by {', '.join(GUARANTEES[name])}")))
    print("beside them, where it is delegated")
    none = group.startswith("none: ")
    state = State(group.removeprefix("none: ") if none else "", _DELEGATE)
    print("\n".join(_row("control group", state, f"of a zygote and all below it: {group}")))
    print("speed")
    step = State(
        "" if native else "in Python, slower by a third: the C extension was not built", _BUILD
    )
    print("\n".join(_row("step in C", step, "children are forked and watched by the extension")))
    print(f"  {'pace':<18}  {1000 * pace:.1f} ms of CPU time for a fixed piece of work")
    _show_extras()


def _show_extras() -> None:
    print("extras")
    for one in extras.extras():
        state = State(f"{', '.join(one.missing)} not installed" if one.missing else "", one.mend)
        print("\n".join(_row(one.name, state, one.gives)))
    print("machine")
    found = extras.machine()
    print(f"  {'cores':<18}  {found['cores']}")
    print(f"  {'memory':<18}  {found['memory_bytes'] / 2**30:.0f} GiB")
    print(f"  {'GPUs':<18}  {found['gpus'] or 'none of NVIDIA'}")


def _listed(states: Mapping[str, State]) -> list[dict[str, Any]]:
    return [
        {"name": name, "on": state.on, "reason": state.reason, "mend": state.mend}
        for name, state in states.items()
    ]


def _row(name: str, state: State, means: str) -> list[str]:
    """A line that fits, and more of them for a reason and a mend that do not."""
    head = f"  {name:<18}  {'on' if state.on else 'off':<3}  "
    texts = [means] if state.on else [state.reason, f"mend: {state.mend}"]
    lines = [line for text in texts for line in textwrap.wrap(text, WIDEST - len(head))]
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]
