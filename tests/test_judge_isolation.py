"""What the judge promises where it can't have everything.

Each place is made in a process of its own: another user, a seccomp policy such as a container's, a
system without namespaces, landlock or seccomp, and something that is no Linux. In each, the level
must be the right one, and candidates must get the right outcomes and do no harm.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import etude
from etude.errors import InputError
from etude.judge import Judge, isolation, trial
from etude.judge.isolation import GUARANTEES, LAYERS, State

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="makes its places by Linux's means")
FILTERS = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"),
    reason="its seccomp policies are written for Linux on x86-64 and aarch64",
)
ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
ORDINARY_USER = 23456
SOURCE = Path(etude.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE)}

# name: (x86-64, aarch64)
CALLS = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "seccomp": (317, 277),
    "prctl": (157, 167),
}
NAMESPACES = dict.fromkeys(("unshare", "setns"), errno.EPERM)
CONTAINER = dict.fromkeys(list(CALLS)[:11], errno.EPERM)
NO_LANDLOCK = {name: errno.ENOSYS for name in CALLS if name.startswith("landlock")}
NO_SECCOMP = {"seccomp": errno.EINVAL, "prctl PR_SET_SECCOMP": errno.EINVAL}

CASES = [
    ("honest", "def g(n=7):\n    return n", "accepted"),
    ("wrong", "def g(n=7):\n    return n + 1", "wrong"),
    ("endless", "def g():\n    while True: pass", "timeout"),
    ("asleep", "def g():\n    import time; time.sleep(60)", "timeout"),
    ("memory", "def g():\n    x = bytearray(3 << 30); return 7", "memory"),
    ("leaves", "def g():\n    import os; os._exit(0)", "crashed"),
    ("prints", "def g():\n    print('x' * 10**6); return 7", "accepted"),
    ("raises", "def g():\n    raise SystemExit(0)", "raised"),
    ("lies", "class A(int):\n    pass\ndef g():\n    return A(7)", "mistyped"),
    ("recursion", "def g(n=0):\n    return g(n + 1)", "raised"),
]
HOSTILE = [
    ("reads", "def g():\n    return len(open('@FOLDER@/secret').read())", "refused"),
    ("writes", "def g():\n    open('@FOLDER@/made', 'w').write('x'); return 7", "refused"),
    ("deletes", "def g():\n    import os; os.unlink('@FOLDER@/secret'); return 7", "refused"),
    (
        "connects",
        "def g():\n    import socket\n    socket.create_connection(('127.0.0.1', @PORT@))\n"
        "    return 7",
        "refused",
    ),
    ("forks", "def g():\n    import os\n    while True: os.fork()", "refused"),
    (
        "lingers",
        "def g():\n    import os, time\n    if os.fork() == 0:\n        os.setsid()\n"
        "        time.sleep(3600)\n    return 7",
        "refused",
    ),
    ("kills", "def g():\n    import os; os.kill(os.getppid(), 9); return 7", "refused"),
    ("kills all", "def g():\n    import os; os.kill(-1, 9); return 7", "refused"),
    ("executes", "def g():\n    import os; os.execv('/bin/true', ['true'])", "refused"),
]
PUZZLE = "def f(x: int, n=7):\n    return x == n"

SCRIPT = """
import json, sys
from etude.errors import InputError
from etude.judge import Judge, Limits
from etude.judge.kernel import Kernel
given = json.loads(sys.argv[1])
{prepare}
limits = Limits(cpu_seconds=0.3, wall_seconds=1.0)
with Judge(workers=1, limits=limits, isolation=given["isolation"]) as judge:
    found = {{
        "level": judge.isolation,
        "layers": {{name: state.reason for name, state in judge.layers.items()}},
        "guarantees": {{name: state.reason for name, state in judge.guarantees.items()}},
        "mends": {{name: state.mend for name, state in judge.layers.items() if state.mend}},
        "outcomes": [judge.verify(given["puzzle"], text).outcome for text in given["solutions"]],
        "alive": judge.verify(given["puzzle"], given["solutions"][0]).outcome,
    }}
try:
    Judge(workers=1, isolation="full").close()
    found["refusal"] = ""
except InputError as error:
    found["refusal"] = str(error)
print(json.dumps(found))
"""


def policy(refused: dict[str, int]) -> str:
    """Lines of a script that put a seccomp policy on the process they run in."""
    code = _policy_code(refused)
    return textwrap.dedent(f"""
        kernel = Kernel()
        kernel.no_new_privileges()
        kernel.install(kernel.program(bytes.fromhex({code.hex()!r})))
    """)


def _policy_code(refused: dict[str, int]) -> bytes:
    column = ("x86_64", "aarch64").index(os.uname().machine)
    lines = [(0x20, 0, 0, 0)]
    for name, error in refused.items():
        number = CALLS[name.split()[0]][column]
        answer = (0x06, 0, 0, 0x50000 | error)
        if name.startswith("prctl"):  # its first argument: PR_SET_SECCOMP
            lines += [(0x15, 0, 4, number), (0x20, 0, 0, 16), (0x15, 0, 1, 22), answer]
            lines += [(0x06, 0, 0, 0x7FFF0000)]
        else:
            lines += [(0x15, 0, 1, number), answer]
    lines += [(0x06, 0, 0, 0x7FFF0000)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def become(user: int) -> str:
    return f"import os\nos.setgroups([])\nos.setresgid({user}, {user}, {user})\n" + (
        f"os.setresuid({user}, {user}, {user})\nKernel().set_dumpable(True)\n"
    )


class Place:
    """Where a judge runs: a folder that it could harm, a port that it could reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.write_text("secret")
        self.secret.chmod(0o666)
        folder.chmod(0o777)
        for path in folder.parents[:2]:  # pytest's own, which it keeps to itself
            path.chmod(path.stat().st_mode | 0o011)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)

    def run(
        self, prepare: str, *, but: tuple[str, ...] = (), python: str = sys.executable
    ) -> dict[str, Any]:
        """Judge every case in a process of its own that `prepare` has weakened."""
        cases = [case for case in CASES + HOSTILE if case[0] not in but]
        port = self.listener.getsockname()[1]
        solutions = [
            text.replace("@FOLDER@", str(self.folder)).replace("@PORT@", str(port))
            for _, text, _ in cases
        ]
        given = {"isolation": "auto", "puzzle": PUZZLE, "solutions": solutions}
        done = subprocess.run(
            [python, "-c", SCRIPT.format(prepare=prepare), json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        found["wrong"] = [
            (name, outcome, right)
            for (name, _, right), outcome in zip(cases, found["outcomes"], strict=True)
            if outcome != right
        ]
        return found

    def damage(self) -> list[str]:
        """What is not as it was."""
        found = [path.name for path in self.folder.iterdir() if path != self.secret]
        if not self.secret.exists() or self.secret.read_text() != "secret":
            found.append("the secret")
        try:
            self.listener.accept()
            found.append("a connection")
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.listener.close()


def off(found: dict[str, Any], kind: str) -> set[str]:
    return {name for name, reason in found[kind].items() if reason}


def here() -> str:
    """The level that this machine gives."""
    with Judge(workers=1) as judge:
        return judge.isolation


@LINUX
def test_here(place: Place) -> None:
    found = place.run("")
    if found["level"] != "full":
        pytest.skip(f"this machine gives {found['level']}: {found['layers']}")
    assert off(found, "layers") == off(found, "guarantees") == set()
    assert found["wrong"] == place.damage() == []
    assert found["refusal"] == ""


RUN = """
import sys
from etude.judge.kernel import Kernel
{prepare}
from etude.cli import main
main()
"""


@FILTERS
def test_a_run_that_gets_too_little_is_refused_before_it_begins(tmp_path: Path) -> None:
    """Not hours later, when there is something to judge."""
    out = tmp_path / "run"
    code = RUN.format(prepare=policy(NAMESPACES))
    words = ["run", "smoke", "--set", "judge.isolation=full", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "namespaces off (unshare: Operation not permitted)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@LINUX
@ROOT
@pytest.mark.parametrize("user", [ORDINARY_USER, 65534])
def test_an_ordinary_user_gets_what_root_gets(place: Place, user: int) -> None:
    preparation, python = user_and_python(user)
    found = place.run(preparation, python=python)
    assert found["level"] == here(), found["layers"]
    assert found["wrong"] == place.damage() == []


@FILTERS
@pytest.mark.parametrize("refused", [NAMESPACES, CONTAINER], ids=["unshare alone", "a container"])
@pytest.mark.parametrize("user", [None, ORDINARY_USER], ids=["as we are", "ordinary user"])
def test_in_a_container_every_guarantee_holds(
    place: Place, refused: dict[str, int], user: int | None
) -> None:
    preparation, python = user_and_python(user)
    found = place.run(preparation + policy(refused), python=python)
    assert off(found, "layers") == {"namespaces"}
    assert off(found, "guarantees") == set()
    assert found["level"] == "filtered"
    assert found["wrong"] == place.damage() == []
    assert "namespaces off (unshare: Operation not permitted)" in found["refusal"]
    assert "To get it: " in found["refusal"]
    assert found["mends"]["namespaces"] in found["refusal"]


@LINUX
@pytest.mark.parametrize("user", [None, ORDINARY_USER], ids=["as we are", "ordinary user"])
def test_where_user_namespaces_are_turned_off(place: Place, user: int | None) -> None:
    """Turned off inside a user namespace of the test's own, so nobody else notices."""
    preparation, python = user_and_python(user)
    within_ours = preparation + textwrap.dedent("""
        import os
        from etude.judge.kernel import CLONE_NEWUSER
        uid, gid = os.getuid(), os.getgid()
        def put(path, text):
            with open(path, "w") as file:
                file.write(text)
        Kernel().unshare(CLONE_NEWUSER)
        put("/proc/self/setgroups", "deny")
        put("/proc/self/uid_map", f"0 {uid} 1")
        put("/proc/self/gid_map", f"0 {gid} 1")
        put("/proc/sys/user/max_user_namespaces", "0")
    """)
    needs(within_ours, python)
    found = place.run(within_ours, python=python)
    assert off(found, "layers") >= {"namespaces"}
    assert off(found, "guarantees") == set()
    assert found["level"] == "filtered"
    assert found["wrong"] == place.damage() == []
    assert "sysctl -w user.max_user_namespaces=" in found["refusal"]


@FILTERS
def test_without_landlock(place: Place) -> None:
    found = place.run(policy(NO_LANDLOCK))
    assert off(found, "layers") >= {"landlock"}
    assert off(found, "guarantees") == set()
    assert found["level"] == "filtered"
    assert found["wrong"] == place.damage() == []
    assert (
        "landlock off (the kernel offers no landlock: Function not implemented)"
        in (found["refusal"])
    )


@FILTERS
def test_without_landlock_and_namespaces(place: Place) -> None:
    """seccomp alone holds every guarantee that is more than a limit."""
    found = place.run(policy(NO_LANDLOCK | CONTAINER))
    assert off(found, "layers") == {"namespaces", "landlock"}
    assert off(found, "guarantees") == set()
    assert found["level"] == "filtered"
    assert found["wrong"] == place.damage() == []


@FILTERS
@pytest.mark.parametrize("user", [None, ORDINARY_USER], ids=["as we are", "ordinary user"])
def test_without_seccomp(place: Place, user: int | None) -> None:
    """Namespaces and landlock still keep files, but not the rest: that is said."""
    preparation, python = user_and_python(user)
    found = place.run(preparation + policy(NO_SECCOMP), python=python)
    assert off(found, "layers") == {"seccomp"}
    assert {"no network", "no rare calls"} <= off(found, "guarantees")
    kept = {"no files", "no processes", "no foreign memory", "bounded time", "no afterlife"}
    assert not kept & off(found, "guarantees")
    assert found["level"] == "process"
    assert place.damage() == []
    ordinary = {name for name, _, _ in CASES}
    assert [row for row in found["wrong"] if row[0] in ordinary] == []
    assert found["alive"] == "accepted"


@FILTERS
def test_without_seccomp_and_namespaces(place: Place) -> None:
    found = place.run(policy(NO_SECCOMP | CONTAINER), but=("kills", "kills all"))
    assert off(found, "layers") == {"seccomp", "namespaces"}
    assert not {"no files", "no processes", "bounded time", "no afterlife"} & off(
        found, "guarantees"
    )
    assert found["level"] == "process"
    assert place.damage() == []
    ordinary = {name for name, _, _ in CASES}
    assert [row for row in found["wrong"] if row[0] in ordinary] == []


@LINUX
def test_another_system_gets_processes_and_limits(place: Place, tmp_path: Path) -> None:
    """As far as Linux can play macOS: no call of Linux's own, and none of its constants."""
    shim = tmp_path / "python"
    lines = [
        "import mmap, os, runpy, select, signal, sys",
        "sys.platform = 'darwin'",
        "del signal.sigtimedwait, select.POLLRDHUP, mmap.MADV_DONTFORK, os.setresuid",
        "sys.argv = sys.argv[1:]",
        "sys.path.insert(0, os.path.dirname(sys.argv[0]))",
        "runpy.run_path(sys.argv[0], run_name='__main__')",
    ]
    # The options and the script are passed on as they are given: -s -S -P -Wignore SCRIPT ...
    shim.write_text(
        f"#!/bin/sh\nshift 4\nexec {sys.executable} -s -S -P -Wignore -c "
        f'"{"; ".join(lines)}" "$@"\n'
    )
    shim.chmod(0o755)
    found = place.run(f"sys.executable = {str(shim)!r}", but=tuple(name for name, *_ in HOSTILE))
    assert off(found, "layers") >= set(LAYERS) - {"rlimits"}
    assert found["level"] == "process"
    assert {"no files", "no network", "no rare calls"} <= off(found, "guarantees")
    assert not {"bounded memory", "bounded time", "no afterlife"} & off(found, "guarantees")
    assert found["wrong"] == []
    assert "darwin is not Linux" in found["refusal"]


def test_guarantees_and_layers_have_the_same_names_everywhere() -> None:
    with Judge(workers=1) as judge:
        assert tuple(judge.layers) == tuple(LAYERS)
        assert tuple(judge.guarantees) == tuple(GUARANTEES)
    documented = (Path(__file__).parents[1] / "docs" / "judge.md").read_text()
    assert [name for name in (*LAYERS, *GUARANTEES) if f"| {name} |" not in documented] == []


@FILTERS
def test_check_prints_what_is_missing_and_the_mend() -> None:
    script = f"""
import sys
from etude.judge.kernel import Kernel
{policy(NO_SECCOMP | CONTAINER)}
from etude.check.machine import show_machine
show_machine(json_lines=len(sys.argv) > 1)
"""
    text = subprocess.check_output([sys.executable, "-c", script], text=True)
    lines = text.splitlines()
    assert lines[0] == "isolation: process"
    assert max(map(len, lines)) <= 100
    assert "  namespaces          off  unshare: Operation not permitted" in lines
    assert text.count("mend: ") > 2
    for name in (*LAYERS, *GUARANTEES):
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    found = json.loads(subprocess.check_output([sys.executable, "-c", script, "json"], text=True))
    assert found["isolation"] == "process"
    assert [layer["name"] for layer in found["layers"] if not layer["on"]] == [
        *("namespaces", "seccomp"),
    ]
    assert {row["name"] for row in found["guarantees"]} == set(GUARANTEES)


ON = {name: State() for name in LAYERS}
HOLD = {name: State() for name in GUARANTEES}
OFF = State("unshare: Operation not permitted", "sysctl -w x=1")


@pytest.mark.parametrize(
    ("layers", "guarantees", "level"),
    [
        ({}, {}, "full"),
        ({"namespaces": OFF}, {}, "filtered"),
        ({}, {"no files": OFF}, "process"),
        ({"seccomp": OFF}, {"no network": OFF}, "process"),
    ],
)
def test_the_level(layers: dict[str, State], guarantees: dict[str, State], level: str) -> None:
    found = isolation.level(ON | layers, HOLD | guarantees)
    assert found == level
    reached = [asked for asked in isolation.LEVELS if isolation.reaches(found, asked)]
    order = ["full", "filtered", "process"]
    assert reached == ["auto", *order[order.index(level) :]]


def test_a_layer_that_a_worker_lacks_or_does_not_report_is_off() -> None:
    whole = dict.fromkeys(LAYERS, "")
    states = isolation.layer_states([whole, whole | {"landlock": "gone"}])
    assert [name for name, state in states.items() if not state.on] == ["landlock"]
    assert isolation.layer_states([{}])["seccomp"].reason == "not reported"
    assert isolation.level(states, isolation.guarantee_states([{}], states)) == "process"


@FILTERS
def test_a_level_that_can_not_be_had_is_one_line() -> None:
    script = f"""
from etude.errors import InputError
from etude.judge import Judge
from etude.judge.kernel import Kernel
{policy(NO_SECCOMP)}
for level in ("filtered", "full"):
    try:
        Judge(workers=1, isolation=level)
    except InputError as error:
        print(error)
Judge(workers=1, isolation="process").close()
"""
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert len(lines) == 2
    for line, level in zip(lines, ("filtered", "full"), strict=True):
        assert line.startswith(f"isolation '{level}' was asked for but this machine gives 'proc")
        assert "CONFIG_SECCOMP_FILTER" in line
        assert line.endswith("Or ask for 'process' or 'auto', and run with what there is.")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(InputError, match="one of auto, full, filtered, process, but is 'iron'"):
        Judge(isolation="iron")


@LINUX
def test_a_self_test_that_is_not_stopped_says_what_it_could_do() -> None:
    """The attacks themselves succeed in a process that nothing holds: they test something."""
    script = textwrap.dedent("""
        import os
        from etude.judge import trial
        from etude.judge.kernel import Kernel
        groups = (trial._files(), trial._network(), trial._signals(os.getpid()))
        groups += (trial._machine_code(Kernel()), trial._rare_calls(Kernel()))
        for attacks in groups:
            print(*[name for name, attempt in attacks.items() if trial._succeeds(attempt)], sep=";")
    """)
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert set(lines[0].split(";")) == set(trial._files())
    assert "open a TCP socket" in lines[1]
    assert "signal its zygote" in lines[2]
    assert "make memory executable" in lines[3]
    assert "set a timer" in lines[4]


def user_and_python(user: int | None) -> tuple[str, str]:
    """The lines that become the user, and an interpreter that they can start."""
    if user is None:
        return "", sys.executable
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    preparation = become(user)
    starts = "import subprocess, sys\nsubprocess.check_call([sys.executable, '-c', 'import etude'])"
    for python in (sys.executable, "/usr/bin/python3"):
        if not _fails(preparation + starts, python):
            return preparation, python
    pytest.skip("no interpreter that every user may start: this one is in a folder of root's")


def needs(preparation: str, python: str) -> None:
    """Step aside where the machine does not let a place be made."""
    if error := _fails(preparation, python):
        pytest.skip(f"this machine does not allow it: {error}")


def _fails(preparation: str, python: str) -> str:
    """The last line of what went wrong in a process of its own, or ""."""
    script = f"from etude.judge.kernel import Kernel\n{preparation}"
    try:
        tried = subprocess.run(
            [python, "-c", script], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
    except OSError as error:
        return str(error)
    return (tried.stderr.strip() or "it failed").splitlines()[-1] if tried.returncode else ""
