"""The verb `evaluate`: pass@k of one model, of two side by side, and of a suite's own solutions."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from etude import config, domains, readings, store
from etude.arm import Arm, checked, load_problems
from etude.comparing import check_same_problems, is_evaluated, read_side, show_comparison
from etude.config import Recipe
from etude.console import Console, wrapped
from etude.errors import InputError, RecipeError
from etude.evaluate import evaluate, verdicts_of
from etude.readings.words import harmless
from etude.session import both, check_inputs, continued_by, record
from etude.show import say_contamination
from etude.stats import detectable_range
from etude.tracking import check_tracker, tracking
from etude.types import Outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model is evaluated: the options of `etude evaluate`."""

    suite: str
    folder: Path | None
    samples: int
    layout: str | None
    settings: Sequence[str]
    track: str | None = None
    """A tracker that hears of it; no matter of the recipe."""

    def recipe(self, model: str) -> Recipe:
        """A model of a run is asked as the run asks it, but for what the options say."""
        samples, domain = self._samples(), domains.of_suite(self.suite) or domains.PYTHON
        given = [
            f"evaluate.suite={_toml(self.suite)}",
            f"domain={_toml(domain.name)}",
            f"seeds.source={_toml(domain.own)}",
            f"evaluate.samples={samples}",
            f"evaluate.final_samples={samples}",
            f"evaluate.ks={[k for k in (1, 10, 100) if k <= samples]}",
            *_asked_by_its_run(model),
        ]
        if self.layout is not None:
            few_shot = "true" if self.layout == "paper" else "false"
            given += [f"prompt.layout={_toml(self.layout)}", f"prompt.few_shot={few_shot}"]
        if self.folder is not None:
            given.append(f"evaluate.folder={_toml(str(self.folder))}")
        return config.parse(_bare(model), "the options", [*given, *self.settings])

    def _samples(self) -> int:
        """`--set evaluate.samples=N` means `--samples N`: an evaluation has no rounds beside it."""
        samples = self.samples
        for setting in self.settings:
            key, _, value = setting.partition("=")
            if key.strip() == "evaluate.samples" and value.strip().isdecimal():
                samples = int(value)
        return samples

    def words(self, model: str) -> list[str]:
        """The options as they are given."""
        words = ["--model", model, "--suite", self.suite, "--samples", str(self.samples)]
        words += ["--layout", self.layout] if self.layout else []
        words += ["--folder", str(self.folder)] if self.folder else []
        words += ["--track", self.track] if self.track else []
        return words + [word for setting in self.settings for word in ("--set", setting)]


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
    against: str | None = None,
    track: str | None = None,
) -> None:
    """pass@k of one model; attempts and scores stay in the folder `out`.

    A run stands for its student, and a model of a run is asked as the run asks it. `against` is
    another model, or a folder with an evaluation, with which it is compared; so may `model` be one.
    """
    console = Console(json_lines=json_lines)
    if track is not None:
        check_tracker(track)
    asked = Asked(suite, folder, samples, layout, settings, track)
    models = [one for one in (model, against) if one is not None and not _scored(store.place(one))]
    recipes = {one: _checked(asked, one) for one in models}
    if against is not None:
        both = [_problems_of(one, recipes.get(one)) for one in (against, model)]
        check_same_problems(against, both[0], model, both[1])
    target = (
        store.place(model)
        if _scored(store.place(model))
        else _evaluated(console, asked, model, out, recipes)
    )
    made = readings.scores(target / "evaluate")
    console.scores(made, readings.unattempted(target / "evaluate", made))
    say_contamination(console, target / "evaluate", made)
    if against is not None:
        other = store.place(against)
        if not _scored(other):
            console.say()
            beside = None if out is None else out.with_name(f"{out.name}-against")
            other = _evaluated(console, asked, against, beside, recipes)
        console.say()
        show_comparison(console, read_side(other), read_side(target))
    console.next_command(shlex.join(["etude", "show", str(target)]))


def check_suite(
    suite: str, folder: Path | None, settings: Sequence[str], *, json_lines: bool
) -> None:
    """Judge a suite's own solutions. Raises `InputError` when it has none.

    Ends with exit code 1 when one of them is not accepted: no model could be credited for it.
    """
    console = Console(json_lines=json_lines)
    asked = Asked(suite, folder, 1, None, settings)
    recipe = asked.recipe("none")  # no model is opened
    problems = [one for one in load_problems(recipe) if one.solution]
    if not problems:
        raise InputError(f"The suite {suite} has no solutions to check. Choose another.")
    refused = []
    with Arm(store.Run(Path(), recipe), "verified", console.event) as arm:
        verdicts = verdicts_of(arm.judge, problems, [[one.solution] for one in problems])
        for problem, (verdict,) in zip(problems, verdicts, strict=True):
            checked([verdict])
            if verdict.outcome is not Outcome.ACCEPTED:
                refused.append((problem, verdict))
    for problem, verdict in refused:
        outcome, detail = str(verdict.outcome), verdict.detail
        console.record("refused", problem=problem.name, outcome=outcome, detail=detail)
        console.say(f"{harmless(f'{problem.name}  {outcome}: {detail}', lines=1)}")
    accepted = len(problems) - len(refused)
    console.record("suite", suite=suite, solutions=len(problems), accepted=accepted)
    console.say(
        f"{suite}: the judge accepts {accepted:,} of {len(problems):,} reference solutions "
        f"({100 * accepted / len(problems):.1f} %)"
    )
    if refused:
        sys.exit(1)


def _scored(place: Path) -> bool:
    return _is_folder(place) and is_evaluated(place)


def _is_folder(place: Path) -> bool:
    """Any text may be asked about, also one that no folder can be called."""
    return os.path.isdir(place) if store.is_local(place) else place.is_dir()


def _problems_of(model: str, recipe: Recipe | None) -> dict[str, tuple[str, str]]:
    """What a model is asked, or what an evaluation asked."""
    if recipe is None:
        return read_side(store.place(model)).problems
    return {problem.name: (problem.id, problem.part) for problem in load_problems(recipe)}


def _checked(asked: Asked, model: str) -> Recipe:
    """The recipe that evaluates a model; whatever it names has been looked at."""
    recipe = asked.recipe(student_of(model))
    check_inputs(recipe)
    return recipe


def _evaluated(
    console: Console,
    asked: Asked,
    model: str,
    out: Path | None,
    recipes: Mapping[str, Recipe],
) -> Path:
    """The folder in which the model has been evaluated: now, or before in the same way."""
    recipe = recipes[model]
    model = student_of(model)
    target = out or Path("runs") / f"evaluate-{asked.suite}-{_named(model)}"
    _check_target(target, recipe)
    opened = store.Run.open(target, recipe, record(recipe))
    _say_detectable(console, len(load_problems(recipe)), recipe.evaluate.final_samples)
    command = shlex.join(["etude", "evaluate", *asked.words(model), "--out", str(target)])
    with (
        continued_by(target, command),
        store.only_writer(target),
        console,
        tracking(asked.track, target) as hear,
        Arm(opened, "verified", both(console.event, hear), way="here") as arm,
    ):
        evaluate(arm, None, target, model, recipe.evaluate.final_samples)
    return target


def _say_detectable(console: Console, problems: int, samples: int) -> None:
    """What a comparison of this size can show, before time is spent on it."""
    best, worst = detectable_range(problems, samples, 0.5)
    console.record("detectable", problems=problems, samples=samples, best=best, worst=worst)
    attempts = "1 attempt" if samples == 1 else f"{samples} attempts"
    text = (
        f"{problems:,} problems, {attempts} each: two models with a pass@1 near 50 are told apart "
        f"4 times in 5 when they differ by {100 * best:.1f} points at best, {100 * worst:.1f} at "
        "worst"
    )
    for line in wrapped(text.split(" "), console.width, "", "  ", " "):
        console.say(line)


def student_of(model: str) -> str:
    """The student's folder, where the model is a run."""
    path = store.place(model)
    if not (path / "recipe.toml").is_file():
        return model
    student = path / "final" / "train"
    if store.finished(path / "final" / "reinforce"):
        student = path / "final" / "reinforce"
    if not store.finished(student):
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
    path = store.place(model)
    above = path.absolute().parents if path.is_dir() else ()  # not a name on the hub
    run = next((parent for parent in above if (parent / "recipe.toml").is_file()), None)
    if run is None:
        return []
    recipe = store.read_recipe(run)
    return [
        f"prompt.layout={_toml(recipe.prompt.layout)}",
        f"prompt.few_shot={'true' if recipe.prompt.few_shot else 'false'}",
        f"prompt.examples={recipe.prompt.examples}",
        f"prompt.examples_seed={recipe.prompt.examples_seed}",
        f"evaluate.temperature={recipe.evaluate.temperature}",
        f"evaluate.max_new_tokens={recipe.evaluate.max_new_tokens}",
        f"seeds.split_seed={recipe.seeds.split_seed}",
        f"engine.dtype={_toml(recipe.engine.dtype)}",
    ]


def _named(model: str) -> str:
    """`tiny-final-train` for the model `runs/tiny/final/train`: a name for its evaluation."""
    path = store.place(model)
    parts = path.parts[-3:] if path.is_dir() else path.parts
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
