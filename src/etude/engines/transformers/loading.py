"""Models and tokenizers from a folder or the hub, quietly, with errors that people can use."""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from etude.engines.transformers.weights import check_weights
from etude.errors import InputError
from etude.types import Prompt

HUB_SECONDS = 5.0
"""How long the hub may take to answer at all."""
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
    # Left out, transformers asks on the console whether to run the code that lies by a model.
    options["trust_remote_code"] = False
    if not Path(source).is_dir():
        options["local_files_only"] = _cached_only(source)
    try:
        with quiet():
            return loader.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"The {what} of {source} can't be loaded; expected a transformers causal language "
            f"model with its tokenizer, but: {reason}"
        ) from error


def _cached_only(name: str) -> bool:
    """Whether to take a model of the hub from the cache, because the hub can't be reached.

    The hub's client would find that out too, after half a minute of trying again, for each file.

    Raises:
        InputError: the hub can't be reached, and the cache has no such model.
    """
    if HF_HUB_OFFLINE or _hub_answers(ENDPOINT):
        return bool(HF_HUB_OFFLINE)
    if not _is_cached(name):
        raise InputError(
            f"{name} must be a folder, or a model on the hub, but there is no such folder here, "
            f"and {ENDPOINT} can't be reached. Mend the path, or download the model first."
        )
    return True


def _is_cached(name: str) -> bool:
    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except ValueError:  # no name that a model could have
        return False


@functools.cache
def _hub_answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(f"{endpoint}/api/models?limit=1", timeout=HUB_SECONDS).close()
    except urllib.error.HTTPError as error:  # an answer, if not a friendly one
        error.close()
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def check_chat(tokenizer: Any, model: str | Path) -> None:
    """Raises `InputError` for a model whose tokenizer has no chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f'prompt.layout = "chat" needs a model with a chat template, but {model} has none: '
            'take its chat ("instruct") variant, or another layout.'
        )


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a model. Raises InputError where there is none."""
    return _load("tokenizer", AutoTokenizer, check_source(model))


def load_config(model: str | Path) -> Any:
    """The configuration of a model. Raises InputError where there is none."""
    return _load("configuration", AutoConfig, check_source(model))


def load_model(model: str | Path, *, dtype: str, attention: str | None) -> Any:
    """A causal language model with its weights, on the CPU.

    Raises:
        InputError: no such model, weights missing, broken or not those of their training, or an
            unknown dtype.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, but got {dtype!r}.")
    check_weights(model)
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


def encode_prompts(tokenizer: Any, prompts: Sequence[Prompt], model: str) -> list[list[int]]:
    """Token ids of each prompt; of a chat prompt those of its dialogue, up to the reply.

    Raises:
        InputError: a chat prompt for a model that has no chat template, or whose template fails.
    """
    texts = iter(encode(tokenizer, [prompt.text for prompt in prompts if not prompt.chat]))
    return [
        _dialogue(tokenizer, prompt.text, model) if prompt.chat else next(texts)
        for prompt in prompts
    ]


def _dialogue(tokenizer: Any, text: str, model: str) -> list[int]:
    check_chat(tokenizer, model)
    message = [{"role": "user", "content": text}]
    try:
        with quiet():
            made = tokenizer.apply_chat_template(
                message, add_generation_prompt=True, tokenize=True, return_dict=False
            )
    except (TemplateError, TypeError, ValueError) as error:
        raise InputError(
            f"The chat template of {model} must take one message of a user, but fails: {error}."
        ) from None
    return list(made)


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
