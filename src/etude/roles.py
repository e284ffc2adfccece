"""Which engine samples for which stage: the model that learns, or a teacher.

Proposing and solving may have engines of their own (`[propose.engine]`, `[solve.engine]`);
evaluation always samples the model that learns. Covered: opening them, looking at them before hours
are spent, and what a segment's metadata says of the engine that made it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from etude import store
from etude.config import EngineSection, Recipe
from etude.engines import Engine, Metered, open_engine
from etude.types import Usage

Role = Literal["propose", "solve", "evaluate"]

NOTE_KEY = "etude.engine"
"""Metadata of a segment: which engine made it, and what that cost."""
NOTHING = Usage()
_SERVER = (
    *("url", "key_variable", "context", "choices", "token_limit", "concurrency"),
    *("requests_per_minute", "tokens_per_minute", "timeout", "retries"),
    *("input_price", "output_price"),
)


def section_of(recipe: Recipe, role: Role) -> EngineSection:
    """The section of the engine that a stage asks."""
    own = {"propose": recipe.propose.engine, "solve": recipe.solve.engine}.get(role)
    return own or recipe.engine


def source_of(recipe: Recipe, role: Role, student: str | Path) -> str:
    """What is sampled: the model that learns, or the one that the section names."""
    section = section_of(recipe, role)
    if section.kind == "replay":
        return section.recordings
    return str(student) if role == "evaluate" else section.model or str(student)


def is_paid(recipe: Recipe) -> bool:
    """Whether some stage asks a server, which one process does: it keeps the server's pace."""
    asked: tuple[Role, ...] = ("propose", "solve", "evaluate")
    return any(section_of(recipe, role).kind == "openai" for role in asked)


def wants_gpu(recipe: Recipe) -> bool:
    """Whether some engine works on a GPU where there is one."""
    asked: tuple[Role, ...] = ("propose", "solve", "evaluate")
    sections = [section_of(recipe, role) for role in asked]
    return any(
        section.kind == "vllm" or (section.kind == "transformers" and section.device != "cpu")
        for section in sections
    )


def open_for(section: EngineSection, source: str, *, threads: int, journal: Path | None) -> Engine:
    """An engine with the settings of a section. Raises `InputError` as `open_engine` does."""
    options: dict[str, Any] = {}
    if section.kind == "transformers":
        options = {"device": section.device, "dtype": section.dtype, "threads": threads}
        options["max_rows"] = section.max_rows
    elif section.kind == "vllm":
        options = {"dtype": section.dtype, "context": section.context}
        options |= {"memory_share": section.memory_share, "python": section.python}
    elif section.kind == "openai":
        options = {name: getattr(section, name) for name in _SERVER} | {"journal": journal}
    return open_engine(section.kind, source, **options)


def check(recipe: Recipe) -> None:
    """Looks at every engine of a recipe before hours are spent.

    A server is asked for one token, so that its key and the model's name are known to be right.
    Raises `InputError` for what is not there or can't do what the recipe asks.
    """
    asked: tuple[Role, ...] = ("propose", "solve", "evaluate")
    student = recipe.model.base
    wanted = {
        (section_of(recipe, role), source_of(recipe, role, student))
        for role in asked[0 if recipe.run.rounds else -1 :]
    }
    for section, source in sorted(wanted, key=str):
        _check_one(recipe, section, source)


def _check_one(recipe: Recipe, section: EngineSection, source: str) -> None:
    chat = recipe.prompt.layout == "chat"
    source = source if section.kind == "openai" else str(store.local(source))
    if section.kind == "replay":
        open_engine("replay", source).close()
    elif section.kind == "openai":
        engine = open_for(section, source, threads=1, journal=None)
        assert isinstance(engine, Metered)
        engine.check(chat=chat)
    elif source != "scratch":
        from etude.engines.transformers.loading import check_chat, load_config, load_tokenizer

        load_config(source)
        if chat:
            check_chat(load_tokenizer(source), source)
    if section.kind == "vllm":
        from etude.engines.vllm import check_vllm

        check_vllm(source, section.python)


def usage(engine: Engine) -> Usage:
    """What an engine's last call cost."""
    return engine.usage if isinstance(engine, Metered) else Usage()


def note(engine: Engine, run: Path, earlier: Usage, names: Mapping[str, str]) -> dict[str, str]:
    """What a segment says of the engine that made it. A model of the run by its place in there.

    `earlier`: what the calls before the last one cost, of those that made the segment. `names`:
    of segments that several engines made, `engine` for most of it and `base`.
    """
    place = f"{store.scratch(run)}/"
    named = {"engine": engine.name} | dict(names)
    said: dict[str, Any] = {role: name.replace(place, "") for role, name in named.items()}
    if isinstance(engine, Metered):
        used = earlier + engine.usage
        said |= {
            "requests": used.requests,
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "cost": used.cost,
        }
    return {NOTE_KEY: json.dumps(said)}


def usage_of(notes: Iterable[str]) -> Usage:
    """What segments with these notes cost altogether."""
    total = Usage()
    for text in notes:
        said = json.loads(text)
        total += Usage(
            said.get("requests", 0),
            said.get("prompt_tokens", 0),
            said.get("completion_tokens", 0),
            said.get("cost", 0.0),
        )
    return total


def spent(stage: Path) -> str:
    """`  640 requests  310,000 + 98,000 tokens  cost 0.42`, or nothing where nothing was asked."""
    total = usage_of(store.read_notes(stage, NOTE_KEY))
    if not total.requests:
        return ""
    words = f"  {total.requests:,} requests"
    if total.prompt_tokens or total.completion_tokens:
        words += f"  {total.prompt_tokens:,} + {total.completion_tokens:,} tokens"
    return words + (f"  cost {total.cost:,.2f}" if total.cost else "")
