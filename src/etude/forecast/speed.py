"""How fast this machine, or one that is reckoned with, samples, trains and judges.

Measured with the recipe's own model where its weights are at hand: a few texts are sampled from
random prompts, a few steps are trained, and a few seed pairs are judged, in a temporary folder.
Otherwise reckoned from the number of weights N: 2 N floating point operations for each token read
or written and 6 N for each trained on (Kaplan et al., "Scaling Laws for Neural Language Models",
arXiv 2001.08361, table 1), of which a GPU is taken to do the shares below of its peak.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from etude import domains
from etude.arm import fit_options, limits_of
from etude.config import FitSection, Recipe
from etude.engines import Engine
from etude.forecast.lengths import Count
from etude.judge import Judge
from etude.roles import open_for
from etude.seeds import SeedPair
from etude.types import Prompt

GPU = "an A100"
PEAK = 312e12
"""bf16 operations a second of an A100, by its data sheet."""
READING, WRITING, TRAINING = 0.4, 0.05, 0.35
"""Shares of the peak: assumed. Sampling is bound by memory, training by arithmetic."""
TOKENS = 16
"""Tokens that each text of a trial gets."""
MOST_ROWS = 512
"""Texts that are tried at a time where the engine itself finds out how many it can."""
ENOUGH_SECONDS = 1.0
"""A trial that takes so long is long enough: a smaller one is repeated with more texts."""
STEP_OPERATIONS = 2e11
"""A training step of more operations than this is not tried on a CPU: a few take minutes."""
STEPS = 30


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds a token, or a check. Estimates all."""

    read: float
    write: float
    train: float
    check: float
    source: str
    """Where these come from, in a sentence for people."""


def by_size(parameters: int, check: float, why: str) -> Speed:
    """Reckoned from the number of weights."""
    needs = 2 * parameters / PEAK
    return Speed(
        read=needs / READING,
        write=needs / WRITING,
        train=3 * needs / TRAINING,
        check=check,
        source=(
            f"reckoned, not measured ({why}): {parameters / 1e6:,.0f} million weights on {GPU}, "
            f"{READING:.0%} of whose {PEAK / 1e12:.0f} teraFLOP/s is taken to be used in reading "
            f"a prompt, {WRITING:.0%} in sampling and {TRAINING:.0%} in training"
        ),
    )


def parameters_named(model: str) -> int | None:
    """The number of weights that a model's name tells: 125 million for `gpt-neo-125m`."""
    found = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)\s*([mMbB])(?![a-zA-Z])", model)
    if found is None:
        return None
    return round(float(found[1]) * (1e6 if found[2] in "mM" else 1e9))


def judging(recipe: Recipe, pairs: Sequence[SeedPair]) -> float:
    """Seconds that one check takes the judge, on the first of the seed pairs."""
    jobs = [(pair.puzzle, [pair.solution] * 4) for pair in pairs[:10]]
    with Judge(recipe.judge.workers, limits_of(recipe.judge), recipe.judge.isolation) as judge:
        list(judge.verify_all(jobs[:1]))  # starts what is started once
        begun = time.perf_counter()
        count = sum(len(verdicts) for verdicts in judge.verify_all(jobs))
        return (time.perf_counter() - begun) / count


def measured(
    recipe: Recipe,
    model: Path | str,
    parameters: int,
    check: float,
    pairs: Sequence[SeedPair],
    count: Count,
) -> Speed:
    """Measured with the model's weights, here. Raises `InputError` when they can't be loaded."""
    engine = open_for(recipe.engine, str(model), threads=recipe.run.threads, journal=None)
    domain = domains.named(recipe.domain)
    puzzles = [domain.solving_prompt(pair.puzzle, (), layout="line") for pair in pairs]
    prompts = [prompt for prompt in puzzles if engine.fits(prompt, TOKENS)]
    with closing(engine):
        read = _reading(engine, prompts, count)
        write = _writing(engine, prompts[0], recipe.engine.max_rows or MOST_ROWS)
    trained = _training(recipe, model, parameters, pairs, count)
    how = "a few steps" if trained else "three times the reading of a prompt, not tried"
    return Speed(
        read=read,
        write=write,
        train=trained or 3 * read,
        check=check,
        source=f"measured here just now, on a few texts; training by {how}",
    )


def _reading(engine: Engine, prompts: Sequence[Prompt], count: Count) -> float:
    """Seconds a token of a prompt, from as many prompts as take long enough."""
    tried = 2
    _sampled(engine, prompts[:1], 1, 1)  # what is done once, at the first call
    while True:
        some = prompts[:tried]
        seconds = _sampled(engine, some, 1, 1)
        if seconds >= ENOUGH_SECONDS or tried >= len(prompts):
            return seconds / sum(count([prompt.text for prompt in some]))
        tried *= 4


def _writing(engine: Engine, prompt: Prompt, most: int) -> float:
    """Seconds a token of a text, with as many texts at a time as take long enough."""
    rows = 4
    while True:
        rows = min(rows, most)
        seconds = _sampled(engine, [prompt], rows, TOKENS)
        if seconds >= ENOUGH_SECONDS or rows == most:
            return seconds / (rows * TOKENS)
        rows *= 4


def _sampled(engine: Engine, prompts: Sequence[Prompt], n: int, tokens: int) -> float:
    begun = time.perf_counter()
    engine.sample(prompts, n, seed=0, temperature=1.0, max_new_tokens=tokens)
    return time.perf_counter() - begun


def _training(
    recipe: Recipe, model: Path | str, parameters: int, pairs: Sequence[SeedPair], count: Count
) -> float | None:
    """Seconds a token trained on; None where a few steps would take too long or too much room."""
    section = recipe.train
    if not _can_train(6 * parameters * section.batch_tokens, 16 * parameters):
        return None
    layout = recipe.prompt.layout
    domain = domains.named(recipe.domain)
    texts = [
        domain.example_text(pair.puzzle.source, pair.solution, layout=layout) for pair in pairs
    ]
    repeats = math.ceil(STEPS * section.batch_tokens / sum(count(texts)))
    return _timed_fit(
        recipe, section.model_copy(update={"epochs": 1.0, "tokens": 0}), model, texts * repeats
    )


def _can_train(operations: float, needed_bytes: float) -> bool:
    from etude.engines.transformers.sizes import accelerator

    gpu = accelerator()
    return operations <= STEP_OPERATIONS if gpu is None else needed_bytes < gpu[1]


def _timed_fit(
    recipe: Recipe, section: FitSection, model: Path | str, texts: Sequence[str]
) -> float | None:
    from etude.training import FitSettings, fit

    at: list[tuple[int, float]] = []
    settings = FitSettings(**fit_options(recipe, section))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="etude-forecast-") as folder:
        fitted = fit(
            model,
            texts,
            Path(folder) / "trained",
            settings,
            seed=0,
            progress=lambda done, _: at.append((done, time.perf_counter())),
        )
    steps, seconds = at[-1][0] - at[0][0], at[-1][1] - at[0][1]
    return seconds / steps * fitted.steps / fitted.tokens if steps else None
