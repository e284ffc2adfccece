"""Everything that the arguments of a training decide, before the first step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from etude.engines.transformers.loading import (
    check_source,
    context_length,
    load_config,
    load_tokenizer,
)
from etude.errors import InputError
from etude.training.batches import Batch, make_batches, padding
from etude.training.documents import Tokens, tokenise
from etude.training.rows import check_attention
from etude.training.settings import FitSettings, Fitted, resolve_precision
from etude.types import Document


@dataclass(frozen=True)
class Plan:
    """What is trained on, in which order."""

    fingerprint: str
    """Equal for equal arguments: whether a checkpoint belongs to them."""
    documents: list[Tokens]
    batches: list[Batch]
    """One batch a step: rows of indices into `documents`."""
    report: Fitted


def make_plan(
    model: str | Path, documents: Sequence[str | Document], settings: FitSettings, seed: int
) -> Plan:
    """The plan of a training. Raises `InputError` and `RecipeError` as `fit` does."""
    if settings.packing:
        check_attention(settings.attention)
    precision = resolve_precision(settings.precision)
    limit = context_length(load_config(model)) or math.inf
    encoded = tokenise(load_tokenizer(model), documents, settings.loss)
    fitting = [tokens for tokens in encoded if len(tokens) <= limit]
    if not fitting:
        raise InputError(
            f"There must be a document of at most {limit} tokens to train on, but "
            + (f"all {len(documents)} are longer." if documents else "there are no documents.")
        )
    lengths = [len(tokens) for tokens in fitting]
    # A row beyond the context would not fit the masks that some models keep.
    block = int(min(settings.block_tokens, limit)) if settings.packing else None
    batches = make_batches(lengths, settings.epochs, settings.batch_tokens, seed, block)
    shown = [index for batch in batches for row in batch for index in row]
    report = Fitted(
        documents=len(fitting),
        too_long=len(encoded) - len(fitting),
        steps=len(batches),
        tokens=sum(lengths[index] for index in shown),
        precision=precision,
        seed=seed,
        method=settings.method,
        loss_tokens=sum(fitting[index].learned for index in shown),
        padding=round(padding(batches, lengths), 4),
    )
    if not report.loss_tokens:
        raise InputError(
            "There must be a token to learn, but every document is a single one, "
            "with nothing before it to predict it from."
        )
    return Plan(_fingerprint(model, settings, report, fitting), fitting, batches, report)


def _fingerprint(
    model: str | Path, settings: FitSettings, report: Fitted, documents: Sequence[Tokens]
) -> str:
    """The batches follow from these, so they need no reading."""
    about = [model_digest(model), asdict(settings), asdict(report)]
    digest = hashlib.sha256(json.dumps(about).encode())
    for tokens in documents:
        digest.update(f"{len(tokens)} {tokens.first} ".encode())
        digest.update(tokens.ids.tobytes())
    return digest.hexdigest()


def model_digest(model: str | Path) -> str:
    """Which weights training starts from: the content of a folder, or a hub name."""
    source = check_source(model)
    folder = Path(source)
    if not folder.is_dir():
        return source
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
