"""Runs of the real program, for those who disturb them: start, watch, strike, continue, compare.

A run ends with return code 0 and its tables, or with a sentence; whatever else it does is found
here (`Driver.ended`, `finish`): a traceback, a process that stays, a code that is none of ours.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etude import config, store
from etude.tables import MEASURED

SHRUNK = (
    # Of the levers those that the default recipe has on.
    *("propose.base_share=0.25", "solve.base_share=0.25", 'vet.unused="trim"'),
    *("repair.borrow=20", "vary.tries=2"),
    "propose.per_unit=64",
    "propose.per_prompt=64",
    "solve.puzzles_per_unit=6",
    "evaluate.samples=1",
    "evaluate.final_samples=1",
    "evaluate.ks=[1]",
    "evaluate.max_new_tokens=12",
    "train.epochs=1",
    "final.epochs=1",
    "final.seed_repeat=1",
)
"""Of the recipe `smoke`: every stage, two rounds, all arms; little to sample and to learn."""
KILLS = int(os.environ.get("ETUDE_KILLS", "10"))
LONG = KILLS > 10
"""Whether every variant of a case is tried, and not the cheapest that show it."""
STAGE = Path(__file__).parent / "stage"
PATIENCE = 600.0
"""Seconds after which a run hangs, on a busy machine too."""
CODES = (0, 1, 2, 130)
LEAVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a run to end."""


def settings(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def command(run: Path, *more: str, of: str = "smoke") -> list[str]:
    """The command that starts a run of the shrunk recipe, and continues it."""
    sets = settings(*SHRUNK) if of == "smoke" else []
    return [sys.executable, "-m", "etude", "run", of, *sets, "--out", str(run), *more]


def tables(run: Path) -> dict[str, bytes]:
    """Every table of a run as bytes, without the measured columns, by its path."""
    found = {}
    for path in sorted(run.rglob("*.parquet")):
        table = pq.read_table(path)
        table = table.drop_columns([name for name in table.column_names if name in MEASURED])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[str(path.relative_to(run))] = sink.getvalue().to_pybytes()
    return found


def weights(run: Path) -> dict[str, bytes]:
    paths = sorted(run.rglob("*.safetensors"))
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def differing(run: Path, expected: Path, *, but: Sequence[str] = ()) -> list[str]:
    """The tables and weights in which two runs differ, or that one has not; none under `but`."""
    ours, theirs = tables(run) | weights(run), tables(expected) | weights(expected)
    paths = [path for path in ours.keys() | theirs.keys() if not path.startswith(tuple(but))]
    return sorted(path for path in paths if ours.get(path) != theirs.get(path))


def finished(run: Path) -> int:
    """How far a run is: its files that are whole; of one that works, whose folders come and go."""
    # not rglob, which raises where a folder is gone between its name and its look inside
    names = (name for _, _, files in os.walk(run) for name in files)
    return sum(1 for name in names if name.endswith((".parquet", ".safetensors")))


@dataclass(frozen=True)
class Process:
    """A process as the kernel tells it; with its start, since numbers are used again."""

    pid: int
    parent: int
    start: int
    words: str

    @property
    def alive(self) -> bool:
        found = read_process(self.pid)
        return found is not None and found.start == self.start

    def kill(self) -> bool:
        """False when it was gone already."""
        if not self.alive:
            return False
        os.kill(self.pid, signal.SIGKILL)
        return True


def read_process(pid: int) -> Process | None:
    """None for one that is gone, or a corpse that nobody has collected."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = said.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[1]), int(fields[19]), words)


def below(root: int) -> list[Process]:
    """All that a process started, and they in turn."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    all_ = [found for pid in numbers if (found := read_process(pid)) is not None]
    family, before = {root}, 0
    while len(family) > before:
        before = len(family)
        family |= {process.pid for process in all_ if process.parent in family}
    return [process for process in all_ if process.pid in family and process.pid != root]


class Driver:
    """A run under way, in a session of its own, with whatever it says in a file."""

    def __init__(self, words: Sequence[str], folder: Path, **environment: str) -> None:
        self.said = folder / f"said-{time.monotonic_ns()}"
        self._met: dict[tuple[int, int], Process] = {}
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def text(self) -> str:
        return self.said.read_text("utf-8", "replace")

    def family(self) -> list[Process]:
        found = below(self.pid)
        self._met |= {(process.pid, process.start): process for process in found}
        return found

    def arms(self) -> list[Process]:
        return [
            one for one in self.family() if one.parent == self.pid and "spawn_main" in one.words
        ]

    def workers(self) -> list[Process]:
        """The processes beside an arm that judge for it."""
        arms = {arm.pid for arm in self.arms()}
        return [one for one in self.family() if one.parent in arms and "spawn_main" in one.words]

    def judges(self) -> list[Process]:
        """The sandboxes, and not what they have running in them."""
        found = [one for one in self.family() if "zygote.py" in one.words]
        inside = {one.pid for one in found}
        return [one for one in found if one.parent not in inside]

    def engines(self) -> list[Process]:
        return [one for one in self.family() if "etude.engines.child" in one.words]

    @property
    def listens(self) -> bool:
        """Whether it has begun to hear the signals that ask it to end."""
        said = Path(f"/proc/{self.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*(\w+)", said)[1], 16)  # type: ignore[index]
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def wait_until(self, true: Callable[[], object], patience: float = PATIENCE) -> bool:
        """Whether it became true before the run ended."""
        end = time.monotonic() + patience
        while not (found := true()) and self.running:
            assert time.monotonic() < end, f"nothing happens any more:\n{self.text[-2000:]}"
            time.sleep(0.02)
        return bool(found)

    def wait(self, seconds: float) -> None:
        """So long, unless it ends before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running:
            self.family()
            time.sleep(0.05)

    def end(self, patience: float = PATIENCE) -> int:
        """Wait until it ends and nothing of it is left; its return code."""
        end = time.monotonic() + patience
        while self.running:
            self.family()
            assert time.monotonic() < end, f"the run hangs:\n{self.text[-2000:]}"
            time.sleep(0.2)
        self.check_gone()
        return self.process.returncode

    def check_gone(self, patience: float = 20.0) -> None:
        """Nothing that the run started stays longer than it takes to see that it is alone."""
        end = time.monotonic() + patience
        while left := [one for one in self._met.values() if one.alive]:
            assert time.monotonic() < end, f"still there: {left}"
            time.sleep(0.1)

    def ended(self) -> tuple[int, str]:
        """Its return code and its last words, which are for people, whatever happened."""
        code = self.end()
        assert code >= 0 or -code in (signal.SIGKILL, *LEAVE), self.text[-3000:]
        assert code < 0 or code in CODES, self.text[-3000:]
        if code not in (0, 1):
            assert "Traceback" not in self.text, self.text[-3000:]
        if code == 1:
            assert "a fault of etude itself" in self.text, self.text[-3000:]
        return code, last_words(self.text)

    def strike_all(self) -> None:
        """Whatever a test leaves, by number."""
        for one in [*self._met.values(), *self.family()]:
            one.kill()
        if self.running:
            self.process.kill()
        self.process.wait()


def last_words(text: str) -> str:
    """The sentence that a run ended with."""
    told = [line for line in text.splitlines() if line.startswith("etude: ")]
    return told[-1] if told else ""


def run_to_the_end(words: Sequence[str], folder: Path, **environment: str) -> tuple[int, str]:
    """Run a command, as `Driver.ended`."""
    driver = Driver(words, folder, **environment)
    try:
        return driver.ended()
    finally:
        driver.strike_all()


def finish(words: Sequence[str], folder: Path, **environment: str) -> None:
    """Run a command, which must end well."""
    driver = Driver(words, folder, **environment)
    try:
        code = driver.end()
        assert code == 0, driver.text[-3000:]
        assert "Traceback" not in driver.text
    finally:
        driver.strike_all()


def cut(run: Path, out: Path, *gone: str) -> Path:
    """A copy of a run that lacks some of its folders and files, as if it had not come so far."""
    shutil.copytree(run, out)
    for name in ("report.html", *gone):
        place = out / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    return out


def begun(run: Path, out: Path, *values: str) -> Path:
    """The start of a run with other settings, its round 0 taken from one that has the same."""
    recipe = config.parse((run / "recipe.toml").read_text(), "recipe.toml", values)
    out.mkdir()
    for name in (store.STARTED, "recipe.toml"):
        (out / name).write_text(config.dump(recipe))
    shutil.copytree(run / "round-00", out / "round-00")
    shutil.rmtree(out / "round-00" / "evaluate")
    return out


def sentence(text: str, *parts: str) -> None:
    """One refusal for people: these parts in it, and no innards."""
    assert "Traceback" not in text
    for part in parts:
        assert re.search(part, text), f"{part!r} is not in: {text}"


class Teachers:
    """Runs whose puzzles come from an engine in a process of its own, and whose solutions come from
    a server; the model that learns is only scored."""

    def __init__(self, undisturbed: Path, url: str) -> None:
        self.undisturbed, self.url = undisturbed, url

    def begin(self, out: Path) -> Path:
        """A run that has its round 0."""
        model = self.undisturbed / "round-00" / "train"
        values = ["run.rounds=1", "controls.arms=[]", "propose.base_share=0", "solve.base_share=0"]
        values += ["propose.engine.kind=vllm", f"propose.engine.model={model}"]
        values += ["solve.engine.kind=openai", "solve.engine.model=teacher", "propose.per_unit=32"]
        return begun(self.undisturbed, out, *values, *self._server())

    def words(self, run: Path) -> list[str]:
        return [sys.executable, "-m", "etude", "run", str(run), *settings(*self._server())]

    def start(self, run: Path, folder: Path) -> Driver:
        return Driver(self.words(run), folder, PYTHONPATH=str(STAGE))

    def _server(self) -> list[str]:
        return [f"solve.engine.url={self.url}", "solve.engine.retries=2", "solve.engine.timeout=5"]
