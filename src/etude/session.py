"""The verbs `run` and `evaluate`: open the folder, let the loop work, show what came of it."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from etude import __version__, config, readings, store
from etude.arm import Arm, load_problems
from etude.config import Recipe
from etude.console import Console
from etude.engines import open_engine
from etude.errors import InputError, RecipeError
from etude.evaluate import evaluate
from etude.ladder import climb
from etude.report import write_report
from etude.seeds import load_seeds

RECORDED = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "pyarrow",
    "numpy",
    "pydantic",
)


def run(
    source: str, out: Path | None, settings: Sequence[str], *, controls: bool, json_lines: bool
) -> None:
    """Start or continue a run, and end with its ladder and report."""
    console = Console(json_lines=json_lines)
    folder, recipe = _recipe_of(source, out, settings)
    _check_inputs(recipe)
    opened = store.Run.open(folder, recipe, record())
    command = shlex.join(["etude", "run", str(folder), *([] if controls else ["--no-controls"])])
    with _continued_by(folder, command):
        arms = recipe.controls.arms if controls else ()
        with console:
            climb(opened, arms, console.event)
    console.ladder(opened)
    console.report(write_report(folder))
    console.next_command(shlex.join(["etude", "show", str(folder)]))


def evaluate_model(
    model: str,
    suite: str,
    folder: Path | None,
    *,
    samples: int,
    layout: str | None,
    out: Path | None,
    settings: Sequence[str],
    json_lines: bool,
) -> None:
    """pass@k of one model; attempts and scores stay in the folder `out`.

    A run stands for its student, and a model of a run is asked as the run asks it.
    """
    console = Console(json_lines=json_lines)
    model = _student_of(model)
    ks = [k for k in (1, 10, 100) if k <= samples]
    given = [
        f"evaluate.suite={_toml(suite)}",
        f"evaluate.samples={samples}",
        f"evaluate.final_samples={samples}",
        f"evaluate.ks={ks}",
        *_asked_by_its_run(model),
    ]
    if layout is not None:
        few_shot = "true" if layout == "paper" else "false"
        given += [f"prompt.layout={_toml(layout)}", f"prompt.few_shot={few_shot}"]
    if folder is not None:
        given.append(f"evaluate.folder={_toml(str(folder))}")
    recipe = config.parse(_bare(model), "the options", [*given, *settings])
    _check_inputs(recipe)
    target = out or Path("runs") / f"evaluate-{suite}-{_named(model)}"
    _check_target(target, recipe)
    opened = store.Run.open(target, recipe, record())
    words = ["--model", model, "--suite", suite, "--samples", str(samples)]
    words += ["--layout", layout] if layout else []
    words += ["--folder", str(folder)] if folder else []
    words += [word for setting in settings for word in ("--set", setting)]
    with (
        _continued_by(target, shlex.join(["etude", "evaluate", *words, "--out", str(target)])),
        store.only_writer(target),
        console,
        Arm(opened, "verified", console.event) as arm,
    ):
        scores = evaluate(arm, None, target, model, recipe.evaluate.final_samples)
    console.scores(scores, readings.unattempted(target / "evaluate", scores))
    console.next_command(shlex.join(["etude", "show", str(target)]))


def _student_of(model: str) -> str:
    """The student's folder, where the model is a run."""
    path = Path(model)
    if not (path / "recipe.toml").is_file():
        return model
    student = path / "final" / "train"
    if not student.is_dir():
        raise InputError(
            f"{path} must be a finished run to be evaluated, but has no student yet. Finish it "
            f"with `etude run {path}`, or give a model within it, such as {path}/round-01/train."
        )
    return str(student)


def _asked_by_its_run(model: str) -> list[str]:
    """The settings with which the run that made the model asks it; none for other models.

    With other limits a small model is asked less than it can, and with another split it may have
    been trained on what is held out here.
    """
    made = (parent for parent in Path(model).parents if (parent / "recipe.toml").is_file())
    run = next(made, None)
    if run is None:
        return []
    recipe = store.read_recipe(run)
    return [
        f"prompt.layout={_toml(recipe.prompt.layout)}",
        f"prompt.few_shot={'true' if recipe.prompt.few_shot else 'false'}",
        f"evaluate.temperature={recipe.evaluate.temperature}",
        f"evaluate.max_new_tokens={recipe.evaluate.max_new_tokens}",
        f"seeds.split_seed={recipe.seeds.split_seed}",
        f"engine.dtype={_toml(recipe.engine.dtype)}",
    ]


def _named(model: str) -> str:
    """`tiny-final-train` for the model `runs/tiny/final/train`: a name for its evaluation."""
    parts = Path(model).parts[-3:] if Path(model).is_dir() else Path(model).parts
    return "-".join(part for part in parts if part not in ("/", ".", "..", "runs"))


def _check_target(target: Path, recipe: Recipe) -> None:
    """Raises `RecipeError` where another evaluation, or a run, is kept."""
    if not (target / "recipe.toml").is_file():
        return
    changed = config.differences(store.read_recipe(target), recipe)
    if changed:
        raise RecipeError(
            f"{target} holds something else ({'; '.join(changed)}). "
            f"Choose another folder, for example --out {target}-2."
        )


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
    if os.path.isfile(folder / "recipe.toml"):  # a name too long is no error here
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
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    finally:
        signal.signal(signal.SIGTERM, before)
