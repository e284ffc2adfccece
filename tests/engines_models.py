"""Models and tokenizers of a few thousand weights, built on the spot for the tests of engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from etude.engines.transformers.loading import quiet

CONTEXT = 96
DOCUMENTS = [
    f"def f(x: int, a={a}, b={b}): return x + a == b\ndef g(a={a}, b={b}):\n    return b - a\n\n"
    for a in range(10, 40)
    for b in range(5)
]


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, in which several tokens hold newlines."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=150,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        show_progress=False,
        max_token_length=6,
    )
    made.train_from_iterator(DOCUMENTS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<bos>", pad_token="<pad>", eos_token="<eos>"
    )


def _model(kind: str, vocabulary: int, context: int) -> Any:
    common = {
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "initializer_range": 0.3,
    }
    llama = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**llama, **common, tie_word_embeddings=True))
    if kind == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**llama, **common))
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, **common))
    # A window far shorter than the prompts, so that a wrong distance shows.
    layers = [[["global", "local"], 1]]
    neo = GPTNeoConfig(
        hidden_size=32, num_layers=2, num_heads=4, attention_types=layers, window_size=7, **common
    )
    return GPTNeoForCausalLM(neo)


TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ 'f' if m.role == 'user' else 'g' }}({{ m.content }})"
    "{% endfor %}{% if add_generation_prompt %}g({% endif %}"
)


def build(kind: str, folder: Path, *, context: int = CONTEXT, chat: bool = False) -> Path:
    """A folder with a random `llama`, `qwen2`, `gpt2` or `gpt_neo` and its tokenizer."""
    words = tokenizer()
    if chat:
        words.chat_template = TEMPLATE
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(5)
        made = _model(kind, len(words), context)
        made.save_pretrained(folder)
        words.save_pretrained(folder)
    return folder
