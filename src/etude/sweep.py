"""The verb `sweep`: several runs or evaluations that differ in a few settings, and one table.

A sweep is a TOML file: a base, and members that are named lists of settings, a grid of settings,
or both. Every member is an ordinary folder, `runs/SWEEP/MEMBER`, that the other verbs read; they
are done one after the other. Given again, the command does what is owed. A member whose input is
bad does not stop the others: it is told at the end.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from etude import config, evaluating, session, store
from etude.config import Recipe, Section
from etude.console import Console
from etude.errors import InputError, RecipeError, UserError
from etude.forecast import Forecast, forecast
from etude.forecast.words import notes
from etude.ladder import LONGEST_FIRST
from etude.readings.members import Row, compared, row_of
from etude.sweep_words import as_dict, forecast_lines, table_lines

INTERRUPTED = 130
"""What a member that was interrupted leaves with, having said what continues it."""
NAME = r"^[\w.+-]+$"


class Sweep(Section):
    """A sweep's file. `members`: settings by name; `grid`: values by setting."""

    name: str = Field(pattern=NAME)
    kind: Literal["run", "evaluate"] = "run"
    recipe: str = ""
    """For runs: the recipe that all start from."""
    model: str = ""
    """For evaluations: the model; so are the rest."""
    suite: str = "tiny"
    samples: int = Field(100, ge=1)
    layout: Literal["paper", "line", "chat"] | None = None
    settings: tuple[str, ...] = ()
    """What all members have in common."""
    members: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    grid: dict[str, tuple[bool | int | float | str, ...]] = Field(default_factory=dict)
    rows: dict[str, str] = Field(default_factory=dict)
    """Label -> MEMBER/ARM; without it one row a member. The others are compared to the first."""

    @model_validator(mode="after")
    def _fits_together(self) -> Sweep:
        base = "recipe" if self.kind == "run" else "model"
        if not getattr(self, base):
            raise ValueError(f'{base} must be given for kind = "{self.kind}" but is missing')
        if not self.all_members():
            raise ValueError("[members] or [grid] must name at least one member but names none")
        names = [name for name, _ in self.all_members()]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"each member must have a name of its own, but {twice[0]} stands for "
                f"{names.count(twice[0])} of them: leave out a value, or name them one by one"
            )
        known = set(names)
        for label, place in self.rows.items():
            member, _, arm = place.partition("/")
            if self.kind != "run" or member not in known or arm not in LONGEST_FIRST:
                raise ValueError(
                    f"rows.{label} must be MEMBER/ARM, with a run of this sweep and one of "
                    f"{', '.join(LONGEST_FIRST)}, but is {place!r}"
                )
        return self

    def all_members(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every member with its own settings: the named ones, then the grid's."""
        found = list(self.members.items())
        for values in itertools.product(*self.grid.values()) if self.grid else ():
            chosen = list(zip(self.grid, values, strict=True))
            name = "+".join(f"{key.rpartition('.')[2]}-{value}" for key, value in chosen)
            found.append((name, tuple(f"{key}={json.dumps(value)}" for key, value in chosen)))
        return found


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    settings: Sequence[str] = ()
    base: str | None = None
    """A recipe or model in place of the file's."""
    out: Path | None = None
    json_lines: bool = False
    track: str | None = None
    """A tracker that hears of each member."""


def sweep_names() -> list[str]:
    """The sweeps that ship with etude."""
    folder = resources.files("etude.sweeps")
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load(source: str) -> Sweep:
    """A sweep by the name of one that ships, or by file. Raises `RecipeError`."""
    try:
        sweep = Sweep.model_validate(tomllib.loads(_read(source)))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} must be TOML but is not: {error}. Mend that line.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = str(first["msg"]).removeprefix("Value error, ")
        raise RecipeError(f"{source}: {f'{place}: ' if place else ''}{said}. Mend it.") from None
    for name, _ in sweep.all_members():
        if not re.fullmatch(NAME, name):
            raise RecipeError(
                f"{source}: a member's name must be letters, digits and . + - _ but is {name!r}. "
                "Rename it, or name the members of the grid one by one."
            )
    return sweep


def _read(source: str) -> str:
    if source in sweep_names():
        return (resources.files("etude.sweeps") / f"{source}.toml").read_text("utf-8")
    try:
        return Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{source} must be a sweep's file or one of {', '.join(sweep_names())}, but could not "
            f"be read ({error}). Give one of those, or the path of a TOML file."
        ) from None


def run_sweep(source: str, options: Options) -> None:
    """Do what is owed of a sweep, then show its table. Raises `InputError` naming the members
    that could not be done."""
    sweep, console = load(source), Console(json_lines=options.json_lines)
    folder = options.out or Path("runs") / sweep.name
    failed: dict[str, UserError] = {}
    for member in _members(sweep, options, folder):
        console.say(f"\n{sweep.name}: {member.name}  {' '.join(member.own)}", "bold")
        console.record("member", name=member.name, settings=member.settings)
        try:
            member.do()
        except UserError as error:
            failed[member.name] = error
            console.error(error)
        except SystemExit as left:
            if left.code == INTERRUPTED:
                print(f"The whole sweep:\n  {_command(source, options)}", file=sys.stderr)
            raise
    rows = _rows(sweep, folder)
    differences = compared(rows)
    store.write_atomically(
        folder / "sweep.json",
        json.dumps(as_dict(sweep.name, rows, differences, failed), indent=2).encode(),
    )
    console.record("sweep", **as_dict(sweep.name, rows, differences, failed))
    for line in table_lines(rows, differences, console.width):
        console.say(line)
    _tell_failed(failed, _command(source, options))
    console.say(f"\ntable:  {folder / 'sweep.json'}")


def _tell_failed(failed: dict[str, UserError], command: str) -> None:
    if failed:
        raise InputError(
            f"{len(failed)} members could not be done ({', '.join(failed)}); each says why above. "
            f"What was finished is kept. Continue with: {command}"
        )


def forecast_sweep(source: str, options: Options) -> None:
    """What every member would do and take. Nothing is written."""
    sweep, console = load(source), Console(json_lines=options.json_lines)
    folder = options.out or Path("runs") / sweep.name
    made: dict[str, Forecast] = {}
    last: Forecast | None = None
    for member in _members(sweep, options, folder):
        recipe = member.recipe()
        last = made[member.name] = forecast(recipe, recipe.controls.arms, like=last)
    console.record("forecast", name=sweep.name, members=[
        {"name": name, "hours": each.hours, "money": each.money} for name, each in made.items()
    ])  # fmt: skip
    console.say(f"{sweep.name}: what the sweep would do. Nothing is written; times are estimates.")
    for line in forecast_lines(made):
        console.say(line)
    for name, each in itertools.islice(made.items(), 1):
        console.say(f"\n{name}:")
        for line in notes(each, console.width):
            console.say(line)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its settings, and what is to be done."""

    name: str
    own: tuple[str, ...]
    settings: tuple[str, ...]
    """Those of the sweep, of the command line, its own, and the command line's for it alone; the
    later the stronger."""
    recipe: Callable[[], Recipe]
    do: Callable[[], None]


def _members(sweep: Sweep, options: Options, folder: Path) -> Iterator[Member]:
    shared, single = _split(sweep, options.settings)
    for name, own in sweep.all_members():
        settings = (*sweep.settings, *shared, *own, *single.get(name, ()))
        making = _run if sweep.kind == "run" else _evaluation
        recipe, do = making(sweep, options, settings, folder / name)
        yield Member(name, own, settings, recipe, do)


def _split(sweep: Sweep, given: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The settings of every member, and by its name those of one: `MEMBER/section.key=value`."""
    names = [name for name, _ in sweep.all_members()]
    shared: list[str] = []
    single: dict[str, list[str]] = {}
    for setting in given:
        name, slash, rest = setting.partition("/")
        if not slash or "=" in name:
            shared.append(setting)
        elif name in names:
            single.setdefault(name, []).append(rest)
        else:
            raise RecipeError(
                f"--set {setting!r} must name a member of {sweep.name}, which are "
                f"{', '.join(names)}, but {name!r} is none. Write MEMBER/section.key=value."
            )
    return shared, single


Work = tuple[Callable[[], Recipe], Callable[[], None]]


def _run(sweep: Sweep, options: Options, settings: Sequence[str], out: Path) -> Work:
    source = options.base or sweep.recipe

    def recipe() -> Recipe:
        return session.recipe_of(source, out, settings)[1]

    def do() -> None:
        if not _finished(out, recipe()):
            session.run(
                source,
                out,
                settings,
                controls=True,
                json_lines=options.json_lines,
                track=options.track,
            )

    return recipe, do


def _finished(folder: Path, recipe: Recipe) -> bool:
    """Whether all that this recipe asks for is there, made by no other recipe."""
    if not (folder / "recipe.toml").is_file():
        return False
    if config.differences(store.read_recipe(folder), recipe):
        return False  # which `session.run` refuses, naming what differs
    arms = ("verified", "seeds", *recipe.controls.arms)
    return all(row_of("", folder, arm) is not None for arm in arms)


def _evaluation(sweep: Sweep, options: Options, settings: Sequence[str], out: Path) -> Work:
    model = options.base or sweep.model

    def recipe() -> Recipe:
        student = evaluating.student_of(model)
        asked = evaluating.Asked(sweep.suite, None, sweep.samples, sweep.layout, settings)
        return asked.recipe(student)

    def do() -> None:
        evaluating.evaluate_model(
            model,
            sweep.suite,
            None,
            samples=sweep.samples,
            layout=sweep.layout,
            out=out,
            settings=settings,
            json_lines=options.json_lines,
            track=options.track,
        )

    return recipe, do


def _rows(sweep: Sweep, folder: Path) -> list[Row]:
    """The rows that have been scored, in the order of the file."""
    places = sweep.rows or {name: f"{name}/verified" for name, _ in sweep.all_members()}
    arm = "evaluation" if sweep.kind == "evaluate" else ""
    found = []
    for label, place in places.items():
        member, _, named = place.partition("/")
        row = row_of(label, folder / member, arm or named)
        found += [row] if row else []
    return found


def _command(source: str, options: Options) -> str:
    words: list[Any] = ["etude", "sweep", source]
    words += ["--base", options.base] if options.base else []
    words += ["--out", options.out] if options.out else []
    words += [word for setting in options.settings for word in ("--set", setting)]
    return shlex.join(map(str, words))
