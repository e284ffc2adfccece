"""The verb `run`: open the folder, let the loop work, show what came of it."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from etude import __version__, cluster, config, readings, roles, spill, store
from etude.arm import Tell, limits_of, load_held_out, watching
from etude.config import Recipe
from etude.console import Console
from etude.errors import InputError, MissingExtra
from etude.judge import Judge
from etude.ladder import climb
from etude.reinforce import check_extra
from etude.report import write_report
from etude.seeds import load_seeds
from etude.tracking import check_tracker, tracking
from etude.types import Event

LEAVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a run to end."""
_MOMENT = 0.05
"""Seconds after which a signal that was lost is sent again."""
RECORDED = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "trl",
    "pyarrow",
    "numpy",
    "pydantic",
)


def run(
    source: str,
    out: Path | None,
    settings: Sequence[str],
    *,
    controls: bool,
    json_lines: bool,
    track: str | None = None,
    way: str = "here",
) -> None:
    """Start or continue a run, and end with its ladder and report.

    `track` names a tracker, `way` who works (see `cluster`): no matters of the recipe.
    """
    console = Console(json_lines=json_lines)
    check_asked(track, way)
    folder, recipe = recipe_of(source, out, settings)
    words = [] if controls else ["--no-controls"]
    words += ["--track", track] if track is not None else []
    words += ["--cluster", way] if way != "here" else []
    command = shlex.join(["etude", "run", str(folder), *words])
    arms = recipe.controls.arms if controls else ()
    with leaving(folder, command):
        check_inputs(recipe)
        recorded = record(recipe)
        opened = store.Run.open(folder, recipe, recorded)
        with (
            continued_by(folder, command),
            watching(folder, recorded["judge"], way) as look,
            cluster.reached(way, look) as workers,
            console,
            tracking(track, folder) as hear,
        ):
            climb(opened, arms, both(console.event, hear), workers)
        console.ladder(opened)
        _report(console, folder)
    console.next_command(shlex.join(["etude", "show", str(folder)]))


def _report(console: Console, folder: Path) -> None:
    """The report of a run that has ended; else what it takes, and the run is none the worse."""
    try:
        console.report(write_report([folder]))
    except MissingExtra as missing:
        command = shlex.join(["etude", "report", str(folder)])
        console.record("report", path=None, missing=str(missing), command=command)
        console.say(f"\nno report: {missing} Then: {command}")


def both(first: Tell, second: Tell) -> Tell:
    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell


def check_asked(track: str | None, way: str) -> None:
    """Raises `InputError` for what is no tracker, or no way to work."""
    cluster.check_way(way)
    if track is not None:
        check_tracker(track)


def forecast_run(
    source: str,
    settings: Sequence[str],
    *,
    controls: bool,
    json_lines: bool,
    track: str | None = None,
    way: str = "here",
) -> None:
    """What a run would do and take, with what `run` takes. Nothing is written."""
    from etude.forecast import forecast
    from etude.forecast.words import show

    check_asked(track, way)
    _, recipe = recipe_of(source, None, settings)
    show(forecast(recipe, recipe.controls.arms if controls else ()), Console(json_lines=json_lines))


def recipe_of(source: str, out: Path | None, settings: Sequence[str]) -> tuple[Path, Recipe]:
    """The run folder and its recipe. `source` is a recipe, or a run folder to continue."""
    path = store.place(source)
    if _is_run(path):
        kept = store.read_recipe(path)
        if readings.is_evaluation(kept):
            raise InputError(
                f"{path} must be a run but holds an evaluation: see it with `etude show {path}`."
            )
        text = config.dump(kept)
        return out or path, config.parse(text, str(path / "recipe.toml"), settings)
    recipe = config.load(source, settings)
    folder = out or Path("runs") / recipe.name
    return folder, _resolved(recipe, folder)


def _is_run(path: Path) -> bool:
    """A local folder, or whatever lies on another file system: recipes are files of this one."""
    return not store.is_local(path) or path.is_dir()


def check_inputs(recipe: Recipe) -> None:
    """Whatever the recipe names is looked at before a folder is made, and hours are spent on it.

    Raises `InputError` for seeds, a suite, a model or recordings that are not there and for an
    ETUDE_MEMORY that is no size, and `RecipeError` for a precision that this machine has not.
    """
    spill.memory()
    check_extra(recipe)
    if recipe.model.precision == "fp16":
        from etude.precision import resolve_precision

        resolve_precision("fp16")
    load_seeds(recipe)
    load_held_out(recipe)
    if recipe.pretrain is None and recipe.engine.kind not in ("replay", "openai"):
        from etude.engines.transformers.loading import load_config

        load_config(store.local(recipe.model.base))
    roles.check(recipe)


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    """What the recipe leaves to the machine is decided once, at the start, and kept."""
    if recipe.model.precision != "auto":
        return recipe
    if store.is_file(folder / "recipe.toml"):
        precision = store.read_recipe(folder).model.precision
    else:
        from etude.precision import resolve_precision

        precision = "bf16" if resolve_precision() == "bf16" else "fp32"
    return recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"precision": precision})}
    )


def record(recipe: Recipe) -> dict[str, Any]:
    """Versions, machine, and what verdicts rest on here, for the run's record.

    A sandbox is started for it, so that less isolation than the recipe asks for is refused now
    and not after hours. Raises `InputError`.
    """
    versions = {"etude": __version__, "python": platform.python_version()}
    for name in RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    with Judge(1, limits_of(recipe.judge), recipe.judge.isolation) as judge:
        sandbox = {"judge": str(judge.conditions), "pace_seconds": judge.pace}
    machine = {"machine": platform.machine(), "system": platform.platform()}
    return {"versions": versions, **machine, **sandbox}


class _Leaving:
    """Hears the signals that end a run. At the second it ends at once: what cleaning up takes is
    not waited for, as whatever was started dies with this process.

    Python drops what is raised while it collects garbage, the interrupt too, and says so to
    `sys.unraisablehook`. Then the signal is sent again, a moment later.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self._folder = folder
        self._command = command
        self._asked = 0
        self.said = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self.say()
            os._exit(130)
        self._asked = number
        raise KeyboardInterrupt

    def again(self, lost: sys.UnraisableHookArgs) -> bool:
        """Whether what was lost is the interrupt, which is then under way anew."""
        if not self._asked or self.said or not issubclass(lost.exc_type, KeyboardInterrupt):
            return False
        number, self._asked = self._asked, 0
        later = threading.Timer(_MOMENT, os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()
        return True

    def say(self) -> None:
        """What is kept and what continues it. From here on no signal is heard any more."""
        self.said = True
        for number in LEAVE:
            signal.signal(number, lambda *_: None)
        kept = len(list(self._folder.rglob("[0-9]*.parquet")))
        words = (
            f"\nInterrupted. {kept:,} finished units are kept in {self._folder}. Continue with:\n"
            f"  {self._command}\n"
        )
        with suppress(OSError):  # the terminal may be what is gone
            os.write(2, words.encode("utf-8", "backslashreplace"))


@contextmanager
def leaving(folder: Path, command: str) -> Iterator[None]:
    """On Ctrl-C, a polite kill, or a terminal that is gone: say what is kept and what continues it,
    and exit with 130. Signals that whoever started this process turned off stay so."""
    leave = _Leaving(folder, command)
    before = {number: signal.getsignal(number) for number in LEAVE}
    unraisable = sys.unraisablehook

    def hear(lost: sys.UnraisableHookArgs) -> None:
        if not leave.again(lost):
            unraisable(lost)

    sys.unraisablehook = hear
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    except KeyboardInterrupt:
        leave.say()
        sys.exit(130)
    finally:
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            if signal.getsignal(number) is leave:  # else one further in has said it
                signal.signal(number, handler)


@contextmanager
def continued_by(folder: Path, command: str) -> Iterator[None]:
    """As `leaving`; and what the caller can mend comes with the command that continues."""
    with leaving(folder, command):
        try:
            yield
        except InputError as error:
            raise InputError(
                f"{error}\nWhat was finished is kept. Continue with: {command}"
            ) from None
