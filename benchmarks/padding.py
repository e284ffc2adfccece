"""How much of a training is padding: a document a row as it comes, sorted by length, and packed.

    python benchmarks/padding.py

The documents are those that the recipe `tiny` pretrains on, with its tokenizer.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from etude import config
from etude.engines.transformers.loading import load_tokenizer, quiet
from etude.tiny.grammar import document
from etude.tiny.model import build
from etude.training.batches import make_batches, padding
from etude.training.documents import tokenise


def main() -> None:
    recipe = config.load("tiny")
    assert recipe.pretrain is not None
    model, rng = recipe.model, random.Random(0)
    texts = ["\n".join((*document(rng), "")) for _ in range(recipe.pretrain.documents)]
    with tempfile.TemporaryDirectory() as place, quiet():
        build(
            Path(place),
            texts[:5000],
            vocab_size=model.vocab_size,
            hidden=model.hidden,
            layers=model.layers,
            heads=model.heads,
            ffn=model.ffn,
            context=model.context,
            seed=0,
        )
        lengths = [len(tokens) for tokens in tokenise(load_tokenizer(place), texts, "text")]
    mean = sum(lengths) / len(lengths)
    print(f"{len(lengths):,} documents of {mean:.0f} tokens on average, at most {max(lengths)}")
    as_they_come = [
        [[index] for index in range(first, min(first + 32, len(lengths)))]
        for first in range(0, len(lengths), 32)
    ]
    print(f"as they come, 32 a batch      {padding(as_they_come, lengths):6.1%}")
    loose = make_batches(lengths, 1, 4096, 0)
    print(f"sorted, 4,096 tokens a batch  {padding(loose, lengths):6.1%}")
    for block in (256, 1024):
        tight = make_batches(lengths, 1, 4096, 0, block)
        print(f"packed in rows of {block:5,}       {padding(tight, lengths):6.1%}")


if __name__ == "__main__":
    main()
