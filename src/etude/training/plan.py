"""Everything that the arguments of a training decide, before the first step."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from etude.engines.transformers.loading import (
    check_source,
    context_length,
    load_config,
    load_tokenizer,
)
from etude.engines.transformers.weights import weights_sum
from etude.errors import InputError, RecipeError
from etude.precision import resolve_precision
from etude.training.batches import Batch, make_batches, padding
from etude.training.documents import Tokens, tokenise
from etude.training.rows import check_attention
from etude.training.settings import FitSettings, Fitted
from etude.types import Document, content_id

_NAMES = ("start", "start_id", "early", "early_id", "weights")
"""Of a report: what its model is called, which its digest says better."""


@dataclass(frozen=True)
class Plan:
    """What is trained on, in which order."""

    fingerprint: str
    """Equal for equal arguments: whether a checkpoint belongs to them."""
    documents: list[Tokens]
    batches: list[Batch]
    """One batch a step: rows of indices into `documents`."""
    report: Fitted
    shown: dict[str, tuple[int, int]]
    """By the content id of each text: how often it stands among the documents, those that are too
    long included, and how often it is trained on over all epochs."""


def make_plan(
    model: str | Path,
    documents: Sequence[str | Document],
    settings: FitSettings,
    seed: int,
    early: str | Path | None = None,
) -> Plan:
    """The plan of a training. Raises `InputError` and `RecipeError` as `fit` does."""
    if settings.early_share and early is None:
        raise RecipeError("early_share needs an early model to have that share of, but got none.")
    if settings.packing:
        check_attention(settings.attention)
    precision = resolve_precision(settings.precision)
    texts = [one if isinstance(one, str) else one.text for one in documents]
    limit = context_length(load_config(model)) or math.inf
    encoded = tokenise(load_tokenizer(model), documents, settings.loss)
    fits = [place for place, tokens in enumerate(encoded) if len(tokens) <= limit]
    fitting = [encoded[place] for place in fits]
    if not fitting:
        raise InputError(
            f"There must be a document of at most {limit} tokens to train on, but "
            + (f"all {len(documents)} are longer." if documents else "there are no documents.")
        )
    lengths = [len(tokens) for tokens in fitting]
    # A row beyond the context would not fit the masks that some models keep.
    block = int(min(settings.block_tokens, limit)) if settings.packing else None
    epochs = settings.tokens / sum(lengths) if settings.tokens else settings.epochs
    batches = make_batches(lengths, epochs, settings.batch_tokens, seed, block)
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
        start=start_of(model),
        start_id=model_id(model),
        early=start_of(early) if early is not None else "",
        early_id=model_id(early) if early is not None else "",
    )
    if not report.loss_tokens:
        raise InputError(
            "There must be a token to learn, but every document is a single one, "
            "with nothing before it to predict it from."
        )
    times = Counter(texts[fits[index]] for index in shown)
    told = {content_id(text): (count, times[text]) for text, count in Counter(texts).items()}
    models = [model] if early is None else [model, early]
    return Plan(_fingerprint(models, settings, report, fitting), fitting, batches, report, told)


def _fingerprint(
    models: Sequence[str | Path],
    settings: FitSettings,
    report: Fitted,
    documents: Sequence[Tokens],
) -> str:
    """The batches follow from these, so they need no reading."""
    told = {name: value for name, value in asdict(report).items() if name not in _NAMES}
    about = [*map(model_digest, models), asdict(settings), told]
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


def start_of(model: str | Path) -> str:
    """What a training starts from, as it is called wherever the run lies: `round-01/train`, or a
    name on the hub."""
    source = check_source(model)
    return "/".join(Path(source).absolute().parts[-2:]) if Path(source).is_dir() else source


def model_id(model: str | Path) -> str:
    """Which weights a model has: `sha256:...` of a folder's, `commit:...` of a name on the hub.

    That of a folder is what `weights_sum` says. Empty where it can't be known.
    """
    source = check_source(model)
    folder = Path(source)
    if not folder.is_dir():
        commit = getattr(load_config(model), "_commit_hash", None)
        return f"commit:{commit}" if commit else ""
    return weights_sum(folder)
