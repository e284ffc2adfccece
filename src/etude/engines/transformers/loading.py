"""Models and tokenizers from a folder or the hub, quietly, with errors that people can use."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from etude.errors import InputError

DTYPES = ("auto", "float32", "bfloat16", "float16")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' progress bars and advice off the console, and then puts both back."""
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Runs with this many CPU threads, and then with as many as before. None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_source(model: str | Path) -> str:
    """The folder or hub name to load from.

    Raises:
        InputError: it looks like a folder but is none, or the folder holds no model.
    """
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(
                f"A model folder must hold config.json and weights, but {path} has no config.json: "
                "name the folder that save_pretrained wrote."
            )
    elif isinstance(model, Path) or path.exists() or str(model).startswith((".", "/", "~")):
        found = "a file" if path.exists() else "missing"
        raise InputError(f"A model must be a folder or a name on the hub, but {path} is {found}.")
    return str(model)


def _load(what: str, loader: Any, source: str, **options: Any) -> Any:
    try:
        with quiet():
            return loader.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"The {what} of {source} can't be loaded; expected a transformers causal language "
            f"model with its tokenizer, but: {reason}"
        ) from error


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a model. Raises InputError where there is none."""
    return _load("tokenizer", AutoTokenizer, check_source(model))


def load_config(model: str | Path) -> Any:
    """The configuration of a model. Raises InputError where there is none."""
    return _load("configuration", AutoConfig, check_source(model))


def load_model(model: str | Path, *, dtype: str, attention: str | None) -> Any:
    """A causal language model with its weights, on the CPU.

    Raises:
        InputError: no such model, weights missing or broken, or an unknown dtype.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, but got {dtype!r}.")
    loaded, found = _load(
        "model",
        AutoModelForCausalLM,
        check_source(model),
        dtype=dtype,
        attn_implementation=attention,
        output_loading_info=True,
    )
    if found["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise InputError(
            f"The weights of {model} must be complete, but {len(found['missing_keys'])} are "
            f"missing, such as {min(found['missing_keys'])}: it may be another kind of model."
        )
    return loaded


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, with the special tokens that the tokenizer itself puts in front.

    A text that would be no tokens at all becomes the begin-of-text token, so that there is
    something to continue.
    """
    if not texts:
        return []
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    with quiet():  # It warns of texts beyond the context; whoever asks compares for himself.
        return [list(ids) or [start] for ids in tokenizer(list(texts))["input_ids"]]


def decode(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    """The text of each row of tokens, letter for letter.

    Some tokenizers are set to "clean up" spaces before commas and dots, which changes programs.
    """
    texts: list[str] = tokenizer.batch_decode(
        [list(row) for row in rows], clean_up_tokenization_spaces=False
    )
    return texts


def context_length(config: Any) -> int | None:
    """How many tokens a text may have: the model's positions, or its sliding window if shorter.

    A text within the window is seen whole, so that no cache has to forget. None: no limit known.
    """
    text = config.get_text_config(decoder=True)
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "sliding_window")]
    return min((limit for limit in limits if limit), default=None)
