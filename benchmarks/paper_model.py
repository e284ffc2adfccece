"""A small GPT-Neo that writes puzzles and solutions, trained on the spot for `paper.py`.

Its shape is that of GPT-Neo 125M made small: heads of 64, global and local layers by turns, a
window of 256, learned positions, a context of 2,048. It is trained on P3's training puzzles and on
the pairs of etude's own families, written as the paper's prompts are, in texts of up to 512
tokens; then its positions are repeated four times (as Longformer did, arXiv 2004.05150, section
5), for a model that small would take hours to train on whole prompts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedTokenizerFast,
)

from etude.engines.transformers.loading import quiet
from etude.prompts import PAPER_EXAMPLES, example_text, renamed
from etude.puzzle import without_docstring
from etude.tiny.families import FAMILIES, Family
from etude.training import FitSettings, fit

END = "<|endoftext|>"
TRAINED = 512
CONTEXT = 2048
LAYERS = 2
Pairs = list[tuple[str, str]]


def build(folder: Path, training: Sequence[str], documents: int, seed: int = 0) -> Path:
    """The folder of the trained model, made in `folder`. `training` are P3's training puzzles."""
    texts = written(training, documents, random.Random(seed))
    blank, trained = folder / "blank", folder / "trained"
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        words = tokenizer(texts)
        GPTNeoForCausalLM(config(len(words), TRAINED)).save_pretrained(blank)
        words.save_pretrained(blank)
    settings = FitSettings(learning_rate=2e-3, batch_tokens=2048, precision="fp32")
    fit(blank, texts, trained, settings, seed=seed)
    return lengthened(trained, folder / "model")


def config(vocabulary: int, context: int) -> GPTNeoConfig:
    """Half a million weights."""
    return GPTNeoConfig(
        vocab_size=vocabulary,
        max_position_embeddings=context,
        hidden_size=128,
        num_layers=LAYERS,
        num_heads=2,
        attention_types=[[["global", "local"], LAYERS // 2]],
        window_size=256,
        bos_token_id=0,
        eos_token_id=0,
    )


def tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE of 1,024 tokens, with the one special token of GPT-Neo's."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1024, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=END, eos_token=END)


def written(training: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Texts as the paper's prompts go on: numbered puzzles, and pairs after the five examples."""
    pairs = [pair_of(rng.choice(FAMILIES), rng) for _ in range(2000)]
    short = [without_docstring(text).strip() for text in training]
    short = [text for text in short if len(text) < 400]
    return [
        numbered(short, pairs, rng) if number % 2 else solved(pairs, rng) for number in range(count)
    ]


def pair_of(family: Family, rng: random.Random) -> tuple[str, str]:
    """A puzzle and its solution, bodies on lines of their own."""
    pair = family.instance(rng)
    return blocks(pair.puzzle), blocks(pair.solution)


def numbered(training: Sequence[str], pairs: Pairs, rng: random.Random) -> str:
    """A few puzzles, half of them P3's, numbered as in the prompt that asks for one more."""
    shown = [rng.choice(training) if rng.random() < 0.5 else rng.choice(pairs)[0] for _ in range(5)]
    first = rng.randrange(1, 90)
    named = [renamed(text, f"f{first + at}") for at, text in enumerate(shown)]
    return "from typing import List\n\n" + "\n\n".join(named) + "\n\n"


def solved(pairs: Pairs, rng: random.Random) -> str:
    """Two pairs, one of them the paper's, with the text that the paper closes them with."""
    puzzle, solution = rng.choice(pairs)
    example = example_text(*rng.choice(PAPER_EXAMPLES))
    return f"from typing import List\n\n{example}\n{example_text(puzzle, solution)}"


def blocks(function: str) -> str:
    """A function of one line with its body on a line of its own."""
    head, body = function.rsplit(": return ", 1)
    return f"{head}:\n    return {body}"


def lengthened(trained: Path, out: Path) -> Path:
    """The same model with as many positions as GPT-Neo has."""
    with quiet():
        old = AutoModelForCausalLM.from_pretrained(trained)
        weights = old.state_dict()
        weights["transformer.wpe.weight"] = weights["transformer.wpe.weight"].repeat(
            CONTEXT // TRAINED, 1
        )
        new = GPTNeoForCausalLM(config(old.config.vocab_size, CONTEXT))
        new.load_state_dict(weights)
        new.save_pretrained(out)
        PreTrainedTokenizerFast.from_pretrained(trained).save_pretrained(out)
    return out
