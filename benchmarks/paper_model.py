"""A small GPT-Neo that writes puzzles and solutions, trained on the spot for `paper.py`.

It has what costs time in GPT-Neo 125M: heads of 64, global and local layers by turns, a window of
256, learned positions, a context of 2,048. A model so small would take hours to learn from whole
prompts. So its local layers are trained alone, on texts of up to 512 tokens, written as the
paper's prompts are, of P3's training puzzles and pairs of etude's own families. Then the positions
are repeated four times (as Longformer did, arXiv 2004.05150, section 5), and global layers are put
in between that add nothing yet: they cost what they cost, and what the model writes stays.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedTokenizerFast,
)

from etude.engines.transformers.loading import quiet
from etude.prompts import PAPER_EXAMPLES, example_text, renamed
from etude.puzzle import without_docstring
from etude.tiny.families import FAMILIES
from etude.training import FitSettings, fit

END = "<|endoftext|>"
TRAINED = 512
CONTEXT = 2048
LONGEST = 1300
"""Characters of a text, so that it has at most as many tokens."""
HEAD = "from typing import List\n\n"


def build(folder: Path, training: Sequence[str], documents: int, seed: int = 0) -> Path:
    """The folder of the trained model, made in `folder`. `training` are P3's training puzzles."""
    texts = Texts(training, random.Random(seed))
    written = [texts.numbered() if at % 3 else texts.solved() for at in range(documents)]
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        words = tokenizer(written)
        GPTNeoForCausalLM(config(len(words), ["local"], TRAINED)).save_pretrained(folder / "blank")
        words.save_pretrained(folder / "blank")
    how = FitSettings(learning_rate=3e-3, batch_tokens=CONTEXT, precision="fp32")
    fit(folder / "blank", written, folder / "trained", how, seed=seed)
    return grown(folder / "trained", folder / "model")


def config(vocabulary: int, turns: list[str], context: int) -> GPTNeoConfig:
    """Two times these layers, of 0.2 million weights each."""
    return GPTNeoConfig(
        vocab_size=vocabulary,
        max_position_embeddings=context,
        hidden_size=128,
        num_layers=2 * len(turns),
        num_heads=2,
        attention_types=[[turns, 2]],
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


class Texts:
    """Texts as the paper's prompts go on: numbered puzzles, and pairs after examples."""

    def __init__(self, training: Sequence[str], rng: random.Random) -> None:
        self._rng = rng
        bare = [without_docstring(text).strip() for text in training]
        self._training = [text for text in bare if len(text) < 250]

    def numbered(self) -> str:
        """Puzzles, some of them P3's, numbered as in the prompt that asks for one more."""
        rng = self._rng
        text, number = HEAD, rng.randrange(1, 40)
        while len(text) < LONGEST - 250:
            own = rng.random() < 0.85
            puzzle = self._pair()[0] if own else rng.choice(self._training)
            text += renamed(puzzle, f"f{number}") + "\n\n"
            number += 1
        return text

    def solved(self) -> str:
        """The paper's five examples and a pair, with the text that the paper closes them with."""
        shown = "".join(example_text(*pair) + "\n" for pair in PAPER_EXAMPLES)
        return HEAD + shown + example_text(*self._pair())

    def _pair(self) -> tuple[str, str]:
        """A puzzle of one of 18 families of etude, and its solution."""
        pair = self._rng.choice(FAMILIES[::6]).instance(self._rng)
        return blocks(pair.puzzle), blocks(pair.solution)


def blocks(function: str) -> str:
    """A function of one line with its body on a line of its own."""
    head, body = function.rsplit(": return ", 1)
    return f"{head}:\n    return {body}"


def grown(trained: Path, out: Path) -> Path:
    """The same model with GPT-Neo's positions, and with global layers before its own."""
    with quiet():
        old = AutoModelForCausalLM.from_pretrained(trained)
        new = GPTNeoForCausalLM(config(old.config.vocab_size, ["global", "local"], CONTEXT))
        new.load_state_dict(larger(old.state_dict(), new.state_dict()))
        new.save_pretrained(out)
        PreTrainedTokenizerFast.from_pretrained(trained).save_pretrained(out)
    return out


def larger(old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the grown model: what a global layer would add to the text's is zero."""
    for name in old:
        _, layer, rest = name.partition(".h.0.") if ".h.0." in name else name.partition(".h.1.")
        place = name if not layer else f"transformer.h.{2 * int(layer[3]) + 1}.{rest}"
        new[place] = old[name]
    positions = "transformer.wpe.weight"
    new[positions] = old[positions].repeat(CONTEXT // TRAINED, 1)
    silent = ("attn.attention.out_proj", "mlp.c_proj")
    for layer in ("0", "2"):
        for name in (f"transformer.h.{layer}.{part}" for part in silent):
            new[f"{name}.weight"].zero_()
            new[f"{name}.bias"].zero_()
    return new
