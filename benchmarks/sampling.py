"""How many tokens a second the transformers engine samples, beside transformers' own `generate`.

    python benchmarks/sampling.py                 a Llama of a million weights, made on the spot
    python benchmarks/sampling.py --model FOLDER  any other model

One prompt length, every sample with as many new tokens as asked for (the weights are random and
nothing is allowed to end a text), the same number of samples at a time on both sides, in turns.
The best of the repetitions counts: it is the one that other work on the machine disturbed least.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from etude.engines.transformers import TransformersEngine
from etude.engines.transformers.loading import quiet
from etude.types import Prompt


def build(folder: Path) -> str:
    """A Llama of 0.92 million random weights, with a tokenizer of one token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({text: index for index, text in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=bytes_only).save_pretrained(folder)
    return str(folder)


def prompts_of(model: str, tokens: int, count: int) -> list[Prompt]:
    """Different prompts of exactly so many tokens. No text ends: none closes fifty brackets."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = "def f(x: int, a=7, b=73): return x + a == b # " * tokens
    made = []
    for index in range(count):
        ids = tokenizer(f"{index} {text}")["input_ids"][:tokens]
        made.append(Prompt(tokenizer.decode(ids, skip_special_tokens=True), "def f" + "(" * 50))
    return made


def best(work: Callable[[], int], repeat: int) -> float:
    """New tokens a second of CPU time (wall-clock time on a GPU), the best of the repetitions."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    rates = []
    for _ in range(repeat):
        start = clock()
        rates.append(work() / (clock() - start))
    return max(rates)


def compare(arguments: argparse.Namespace, model: str, dtype: str) -> None:
    """One line: engine, generate, ratio."""
    prompts = prompts_of(model, arguments.prompt, arguments.rows // arguments.n)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = TransformersEngine(
        model, device=device, dtype=dtype, threads=arguments.threads, max_rows=arguments.rows
    )
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval()
    ids = torch.tensor(AutoTokenizer.from_pretrained(model)([p.text for p in prompts])["input_ids"])

    def ours() -> int:
        engine.sample(prompts, arguments.n, seed=1, temperature=0.8, max_new_tokens=arguments.new)
        return len(prompts) * arguments.n * arguments.new

    def theirs() -> int:
        out = plain.generate(
            ids.to(device),
            attention_mask=torch.ones_like(ids).to(device),
            do_sample=True,
            temperature=0.8,
            top_k=0,
            num_return_sequences=arguments.n,
            max_new_tokens=arguments.new,
            min_new_tokens=arguments.new,
            pad_token_id=0,
        )
        return int(out.shape[0] * (out.shape[1] - ids.shape[1]))

    mine, other = best(ours, arguments.repeat), best(theirs, arguments.repeat)
    print(
        f"{dtype:9} {len(prompts):4} prompts x {arguments.n:3} samples"
        f"   engine {mine:9,.0f}   generate {other:9,.0f} tokens/s   x {mine / other:.1f}"
    )


def main() -> None:
    """Prints one line for each data type."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or hub name instead of the small Llama")
    parser.add_argument("--rows", type=int, default=512, help="samples at a time")
    parser.add_argument("--n", type=int, default=32, help="samples of one prompt")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=30, help="new tokens of a sample")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder, quiet():
        model = arguments.model or build(Path(folder))
        for dtype in ("float32", "bfloat16"):
            compare(arguments, model, dtype)


if __name__ == "__main__":
    main()
