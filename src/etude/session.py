"""The verbs `run` and `evaluate`: open the folder, let the loop work, show what came of it."""

from __future__ import annotations

import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from etude import __version__, config, store
from etude.arm import Arm, load_problems
from etude.config import Recipe
from etude.console import Console
from etude.engines import open_engine
from etude.errors import InputError
from etude.evaluate import evaluate
from etude.ladder import climb
from etude.report import write_report
from etude.seeds import load_seeds

RECORDED = ("torch", "transformers", "tokenizers", "accelerate", "pyarrow", "numpy", "pydantic")


def run(
    source: str, out: Path | None, settings: Sequence[str], *, controls: bool, json_lines: bool
) -> None:
    """Start or continue a run, and end with its ladder and report."""
    console = Console(json_lines=json_lines)
    folder, recipe = _recipe_of(source, out, settings)
    _check_inputs(recipe)
    opened = store.Run.open(folder, recipe, record())
    command = f"etude run {folder}" + ("" if controls else " --no-controls")
    with _continued_by(folder, command):
        arms = recipe.controls.arms if controls else ()
        with console:
            climb(opened, arms, console.event)
    console.ladder(opened)
    console.report(write_report(folder))
    console.next_command(f"etude show {folder}")


def evaluate_model(
    model: str,
    suite: str,
    folder: Path | None,
    *,
    samples: int,
    layout: str,
    out: Path | None,
    settings: Sequence[str],
    json_lines: bool,
) -> None:
    """pass@k of one model; attempts and scores stay in the folder `out`."""
    console = Console(json_lines=json_lines)
    ks = [k for k in (1, 10, 100) if k <= samples]
    given = [
        f"evaluate.suite={_toml(suite)}",
        f"evaluate.samples={samples}",
        f"evaluate.final_samples={samples}",
        f"evaluate.ks={ks}",
        f"prompt.layout={_toml(layout)}",
        f"prompt.few_shot={'true' if layout == 'paper' else 'false'}",
    ]
    if folder is not None:
        given.append(f"evaluate.folder={_toml(str(folder))}")
    recipe = config.parse(_bare(model), "the options", [*given, *settings])
    _check_inputs(recipe)
    target = out or Path("runs") / f"evaluate-{suite}-{Path(model).name}"
    opened = store.Run.open(target, recipe, record())
    with (
        _continued_by(target, f"the same command (--out {target})"),
        store.only_writer(target),
        console,
        Arm(opened, "verified", console.event) as arm,
    ):
        scores = evaluate(arm, None, target, model, recipe.evaluate.final_samples)
    console.scores(scores)


def _bare(model: str) -> str:
    """A recipe that does nothing but evaluate."""
    return (
        f'name = "evaluate"\nmodel.base = {_toml(model)}\nrun.rounds = 0\n'
        "propose.samples = 1\nvet.max_puzzles = 1\nsolve.samples = 1\n"
    )


def _toml(text: str) -> str:
    """A text as a TOML value."""
    return tomli_w.dumps({"text": text}).removeprefix("text = ").strip()


def _recipe_of(source: str, out: Path | None, settings: Sequence[str]) -> tuple[Path, Recipe]:
    """The run folder and its recipe. `source` is a recipe, or a run folder to continue."""
    path = Path(source)
    if path.is_dir():
        text = config.dump(store.read_recipe(path))
        return out or path, config.parse(text, str(path / "recipe.toml"), settings)
    recipe = config.load(source, settings)
    folder = out or Path("runs") / recipe.name
    return folder, _resolved(recipe, folder)


def _check_inputs(recipe: Recipe) -> None:
    """Whatever the recipe names is looked at before a folder is made, and hours are spent on it.

    Raises `InputError` for seeds, a suite, a model or recordings that are not there.
    """
    load_seeds(recipe)
    load_problems(recipe)
    if recipe.engine.kind == "replay":
        open_engine("replay", recipe.engine.recordings).close()
    elif recipe.pretrain is None:
        from etude.engines.transformers.loading import load_config

        load_config(recipe.model.base)


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    """What the recipe leaves to the machine is decided once, at the start, and kept."""
    if recipe.model.precision != "auto":
        return recipe
    if (folder / "recipe.toml").is_file():
        precision = store.read_recipe(folder).model.precision
    else:
        from etude.training import resolve_precision

        precision = "bf16" if resolve_precision() == "bf16" else "fp32"
    return recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"precision": precision})}
    )


def record() -> dict[str, Any]:
    """Versions and machine, for the run's record."""
    versions = {"etude": __version__, "python": platform.python_version()}
    for name in RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"versions": versions, "machine": platform.machine(), "system": platform.platform()}


@contextmanager
def _continued_by(folder: Path, command: str) -> Iterator[None]:
    """On Ctrl-C, or a polite kill: say what is kept and what continues it, and exit with 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        kept = len(list(folder.rglob("[0-9]*.parquet")))
        print(
            f"\nInterrupted. {kept:,} finished units are kept in {folder}. Continue with:\n"
            f"  {command}",
            file=sys.stderr,
        )
        sys.exit(130)
    except InputError as error:
        raise InputError(f"{error}\nWhat was finished is kept. Continue with: {command}") from None
