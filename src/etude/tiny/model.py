"""A small untrained transformer with its tokenizer, written to a folder.

Any program that reads transformers models reads it: `AutoTokenizer.from_pretrained(folder)`,
`AutoModelForCausalLM.from_pretrained(folder)`. With the defaults it has about a million weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

PAD, BOS = "<pad>", "<bos>"


def build(
    folder: Path,
    texts: Iterable[str],
    *,
    vocab_size: int = 512,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    ffn: int = 384,
    context: int = 192,
    seed: int,
) -> None:
    """Train a tokenizer on `texts`, draw a model's weights from `seed`, save both in `folder`.

    A document is `puzzle + "\\n" + solution + "\\n"`. The tokenizer puts `<bos>` before each text
    that is encoded with special tokens; `<bos>` also ends a text, where the next would begin.
    The same texts and seed give the same bytes. Raises `InputError` when the sizes do not fit
    one another, or `texts` is too short for the vocabulary.
    """
    if hidden % heads or hidden // heads % 2:
        raise InputError(
            f"The hidden size must be an even multiple of the number of heads, but {hidden} was "
            f"given for {heads} heads; try hidden={heads * 32}."
        )
    tokenizer = _tokenizer(texts, vocab_size)
    _save_tokenizer(tokenizer, folder, context)
    model = _model(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=ffn,
        max_position_embeddings=context,
    )
    _draw_weights(model, seed)
    model.save_pretrained(folder)


def _tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE over words, single digits, single newlines and runs of punctuation.

    Pieces never reach over the end of `def f(` or of `def g(...):`, so a prompt cut there has
    the tokens that the whole document begins with.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            level,
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 1)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS],
        # All 256 bytes, so that every text survives. ASCII alone would save 0.5% of the tokens.
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found != vocab_size:
        raise InputError(
            f"The texts must give a vocabulary of {vocab_size} tokens but gave {found}; "
            "use more text, or ask for a vocabulary of that size."
        )
    return tokenizer


def _save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    from transformers import PreTrainedTokenizerFast

    wrap: Any = PreTrainedTokenizerFast  # its constructor has no types
    wrap(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=BOS,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def _model(**sizes: Any) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **sizes,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):  # these first weights are drawn again below
        return LlamaForCausalLM(config)


def _draw_weights(model: LlamaForCausalLM, seed: int) -> None:
    """Normal weights, wider than usual: a small model starts faster from them.

    Embeddings 0.04; linear layers 0.02 sqrt(512 / width) below width 512; those that write to the
    residual stream 0.02 / sqrt(2 layers), as in GPT-2 (Radford et al. 2019, section 2.3).
    """
    import torch

    width, layers = model.config.hidden_size, model.config.num_hidden_layers
    inner = 0.02 * math.sqrt(512 / min(512, max(64, width)))
    deviations = {"embed_tokens": 0.04, "o_proj": 0.02 / math.sqrt(2 * layers)}
    deviations["down_proj"] = deviations["o_proj"]
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            layer = name.split(".")[-2]
            torch.nn.init.normal_(weight, std=deviations.get(layer, inner), generator=generator)
