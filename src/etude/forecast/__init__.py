"""What a recipe would do, and what that would take: `etude run RECIPE --dry-run`.

    work      units, texts, checks and documents, counted
    lengths   tokens of prompts and documents, from samples of them
    speed     seconds a token and a check, measured here or reckoned

Nothing is written but in a temporary folder. Times and memory are estimates, each with its source.
Covered: one machine. Not covered: activations in memory, the time that loading takes.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etude import domains
from etude.arm import load_problems
from etude.config import EngineSection, FitSection, Recipe
from etude.errors import InputError
from etude.forecast import lengths, speed
from etude.forecast.lengths import Lengths
from etude.forecast.speed import Speed
from etude.forecast.work import Work, count_work
from etude.readings import is_evaluation
from etude.roles import Role, section_of
from etude.seeds import SeedPair, load_seeds, load_shown
from etude.types import Problem, Puzzle

__all__ = ["Cost", "Forecast", "Work", "count_work", "forecast"]

ROLES: tuple[Role, ...] = ("propose", "solve", "evaluate")
ROWS = 512
"""Texts sampled at a time where the engine finds that out by itself."""
LARGEST_ON_CPU = 500_000_000
"""Weights beyond which a model is not tried on a CPU: the trial itself would take minutes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work takes."""

    work: Work
    read: float
    """Tokens of prompts, each read once for all of its samples."""
    written: float
    """Tokens of texts, if every one is as long as it may be."""
    trained: float
    """Tokens trained on, over all epochs."""
    steps: int
    seconds: float
    money: float
    """What a server asks for it, in the currency of the engine's prices."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A recipe's costs and what they rest on."""

    recipe: Recipe
    costs: tuple[Cost, ...]
    lengths: Lengths
    speed: Speed
    parameters: int
    lengths_by: str
    sampling_bytes: float
    """Weights, and keys and values of as many texts as are sampled at a time."""
    training_bytes: float
    training_in: str
    """What these bytes are."""

    @property
    def money(self) -> float:
        return sum(cost.money for cost in self.costs)

    @property
    def hours(self) -> float:
        """Of all arms, one after the other."""
        return sum(cost.seconds for cost in self.costs) / 3600


@dataclass(frozen=True, slots=True)
class _Model:
    """What is known of the model that learns."""

    source: str | Path
    parameters: int
    context: int
    cache_bytes: int
    count: lengths.Count
    counted_by: str
    missing: str = ""
    """Why its weights can't be tried here; empty when they can."""


def forecast(recipe: Recipe, controls: Sequence[str], *, like: Forecast | None = None) -> Forecast:
    """The costs of a run with these controls; of the recipe of an evaluation, those of it alone.

    `like`, a forecast of the same model and engine, saves measuring again. Raises `InputError` for
    seeds or a suite that are not there, and for a model of which not even the size can be told.
    """
    same = like is not None and (like.recipe.model, like.recipe.engine) == (
        recipe.model,
        recipe.engine,
    )
    data = load_seeds(recipe), load_shown(recipe), load_problems(recipe)
    with tempfile.TemporaryDirectory(prefix="etude-forecast-") as folder:
        model = _model(recipe, Path(folder))
        return _forecast(recipe, controls, data, model, like.speed if like and same else None)


Data = tuple[list[SeedPair], list[Puzzle], list[Problem]]
"""Seed pairs, the puzzles that are shown, the suite."""


def _forecast(
    recipe: Recipe, controls: Sequence[str], data: Data, model: _Model, known: Speed | None
) -> Forecast:
    pairs, shown, problems = data
    sizes = lengths.measure(recipe, pairs, shown, problems, model.count, model.context)
    pace = known or _pace(recipe, model, pairs, speed.judging(recipe, pairs))
    paces: dict[str, Speed] = {role: _role(section_of(recipe, role), pace) for role in ROLES}
    works = count_work(
        recipe,
        pairs=len(pairs),
        problems=len(problems),
        controls=controls,
        evaluation=is_evaluation(recipe),
    )
    rows = recipe.engine.max_rows or ROWS
    longest = sizes.propose + recipe.propose.max_new_tokens
    return Forecast(
        recipe,
        tuple(_cost(recipe, work, sizes, paces.get(work.stage, pace)) for work in works),
        sizes,
        pace,
        model.parameters,
        model.counted_by,
        sampling_bytes=2 * model.parameters + rows * longest * model.cache_bytes,
        training_bytes=model.parameters * (4 if recipe.train.method == "lora" else 16),
        training_in=(
            "weights in 32 bits, without the adapter and activations"
            if recipe.train.method == "lora"
            else "weights, gradients and optimiser in 32 bits, without activations"
        ),
    )


def _model(recipe: Recipe, folder: Path) -> _Model:
    if recipe.engine.kind == "replay":
        raise InputError(
            "A forecast is of a model that samples, but engine.kind is replay: recordings take no "
            "time. Leave out --dry-run."
        )
    if recipe.engine.kind == "openai":
        return _served(recipe)
    if recipe.pretrain:
        return _scratch(recipe, folder)
    from etude.engines.transformers.loading import encode, load_tokenizer
    from etude.engines.transformers.sizes import sizes

    try:
        known, tokenizer = sizes(recipe.model.base), load_tokenizer(recipe.model.base)
    except InputError:
        return _named(recipe.model.base, recipe.engine.context)
    return _Model(
        recipe.model.base,
        known.parameters,
        min(filter(None, (known.context, recipe.engine.context)), default=lengths.CONTEXT),
        known.cache_bytes,
        lambda texts: [len(ids) for ids in encode(tokenizer, texts)],
        "by the model's tokenizer",
        _too_large(known.parameters),
    )


def _pace(recipe: Recipe, model: _Model, pairs: Sequence[SeedPair], check: float) -> Speed:
    """Measured if the weights can be tried here, otherwise reckoned; it says which, and why."""
    if model.missing:
        return speed.by_size(model.parameters, check, model.missing)
    try:
        return speed.measured(recipe, model.source, model.parameters, check, pairs, model.count)
    except InputError as error:
        return speed.by_size(model.parameters, check, str(error).rstrip("."))


def _scratch(recipe: Recipe, folder: Path) -> _Model:
    """A model as the run builds it, with its first, random weights."""
    from etude.engines.transformers.loading import encode, load_tokenizer, quiet
    from etude.engines.transformers.sizes import sizes
    from etude.tiny.model import build

    section, rng = recipe.model, random.Random(recipe.run.seed)
    texts = [domains.named(recipe.domain).document(rng) for _ in range(5_000)]
    with quiet():
        build(
            folder / "blank",
            texts,
            vocab_size=section.vocab_size,
            hidden=section.hidden,
            layers=section.layers,
            heads=section.heads,
            ffn=section.ffn,
            context=section.context,
            seed=recipe.run.seed,
        )
    tokenizer, known = load_tokenizer(folder / "blank"), sizes(folder / "blank")
    return _Model(
        folder / "blank",
        known.parameters,
        section.context,
        known.cache_bytes,
        lambda texts: [len(ids) for ids in encode(tokenizer, texts)],
        "by a tokenizer made as the run makes its own",
    )


def _served(recipe: Recipe) -> _Model:
    """A model behind a server, which is only ever evaluated."""
    context = recipe.engine.context or lengths.CONTEXT
    how = f"by characters, {lengths.CHARACTERS:.0f} a token"
    return _Model("", 0, context, 0, lengths.by_characters, how, "a server samples")


def _named(model: str, context: int = 0) -> _Model:
    """A model that is not at hand, by what its name tells."""
    parameters = speed.parameters_named(model)
    if parameters is None:
        raise InputError(
            f"A forecast needs the size of the model {model}, but neither can it be read nor does "
            "its name tell, as that of gpt-neo-125m does. Give the model's folder as model.base."
        )
    return _Model(
        model,
        parameters,
        context or lengths.CONTEXT,
        0,
        lengths.by_characters,
        f"by characters, {lengths.CHARACTERS:.0f} a token, in a context of "
        f"{context or lengths.CONTEXT:,}: "
        "the model's tokenizer is not at hand",
        "the model is not at hand, its size is that in its name",
    )


def _too_large(parameters: int) -> str:
    """Why weights that are at hand are not tried, or an empty text."""
    from etude.engines.transformers.sizes import accelerator

    gpu = accelerator()
    if gpu is None and parameters > LARGEST_ON_CPU:
        return "too large to try on this machine's processor"
    if gpu is not None and 2 * parameters > gpu[1]:
        return f"too large for the free memory of this machine's {gpu[0]}"
    return ""


def _role(section: EngineSection, own: Speed) -> Speed:
    """How fast a stage samples, maybe by an engine of its own; a server takes no time of ours."""
    if section.kind != "openai" and not section.model:
        return own
    if section.kind == "openai":
        return replace(own, read=0.0, write=0.0)
    try:
        from etude.engines.transformers.sizes import sizes

        parameters = sizes(section.model).parameters
    except InputError:
        parameters = _named(section.model).parameters
    return speed.by_size(parameters, own.check, "a model for one stage")


def _money(section: EngineSection, work: Work, prompt: float, written: float) -> float:
    """What a server asks: a prompt is paid once a request, a reply by its tokens."""
    if section.kind != "openai" or not work.prompts:
        return 0.0
    requests = work.prompts * math.ceil(work.samples / work.prompts / section.choices)
    paid = requests * prompt * section.input_price + written * section.output_price
    return paid / 1e6


def _cost(recipe: Recipe, work: Work, sizes: Lengths, pace: Speed) -> Cost:
    prompt = {"propose": sizes.propose, "solve": sizes.solve, "evaluate": sizes.evaluate}
    section: Any = getattr(recipe, work.stage, None)
    longest = section.max_new_tokens if work.samples else 0
    read = work.prompts * prompt.get(work.stage, 0.0)
    written = float(work.samples * longest)
    document = sizes.pretrain if work.stage == "pretrain" else sizes.seed
    trained = work.documents * work.epochs * document + work.tokens
    seconds = read * pace.read + written * pace.write + work.checks * pace.check
    steps = math.ceil(trained / _trained_by(recipe, work).batch_tokens) if trained else 0
    engine = next((section_of(recipe, role) for role in ROLES if role == work.stage), recipe.engine)
    money = _money(engine, work, prompt.get(work.stage, 0.0), written)
    return Cost(work, read, written, trained, steps, seconds + trained * pace.train, money)


def _trained_by(recipe: Recipe, work: Work) -> FitSection:
    """The section with the settings of a training."""
    if work.stage == "pretrain" and recipe.pretrain:
        return recipe.pretrain
    if work.round == 0 or work.arm == "more-epochs":
        return recipe.seeds
    return recipe.final if work.round is None else recipe.train
