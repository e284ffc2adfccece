"""How many tokens a second the transformers engine samples, beside transformers' own `generate`.

    python benchmarks/sampling.py                 short prompts and a Llama, made on the spot
    python benchmarks/sampling.py --few-shot      a prompt of 1,800 tokens, three kinds of model
    python benchmarks/sampling.py --model FOLDER  any other model

The models have about a million weights. One prompt length, every sample with as many new tokens as
asked for (the weights are random and nothing is allowed to end a text), the same number of samples
at a time on both sides, in turns. `generate` gets one row a prompt and `num_return_sequences`. The
best of the repetitions counts: it is the one that other work on the machine disturbed least. The
peak is the memory that the process held at most on each side, above what it held before.
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
    GPTNeoConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from etude.engines.transformers import TransformersEngine
from etude.engines.transformers.loading import quiet
from etude.types import Prompt

KINDS = ("gpt_neo", "llama", "qwen2")


def build(folder: Path, kind: str, context: int) -> str:
    """A model of about a million random weights, with a tokenizer of one token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({text: index for index, text in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config_of(kind, context)).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=bytes_only).save_pretrained(folder)
    return str(folder)


def config_of(kind: str, context: int) -> PreTrainedConfig:
    """Four layers of width 128, as each kind of model has them.

    GPT-Neo has heads of 64, and its layers see the whole text and the last 256 tokens by turns, as
    those of its 125M do. Qwen2 has fewer heads for keys and values, as its small models do.
    """
    ends = {"vocab_size": 512, "bos_token_id": None, "eos_token_id": None}
    common = {"hidden_size": 128, "max_position_embeddings": context, **ends}
    if kind == "gpt_neo":
        layers = [[["global", "local"], 2]]
        return GPTNeoConfig(num_layers=4, num_heads=2, attention_types=layers, **common)
    common |= {"intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
    common["tie_word_embeddings"] = True
    return (
        Qwen2Config(num_key_value_heads=2, **common) if kind == "qwen2" else LlamaConfig(**common)
    )


def prompts_of(model: str, tokens: int, count: int) -> list[Prompt]:
    """Different prompts of exactly so many tokens. No text ends: none closes fifty brackets."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = "def f(x: int, a=7, b=73): return x + a == b # " * tokens
    made = []
    for index in range(count):
        ids = tokenizer(f"{index} {text}")["input_ids"][:tokens]
        made.append(Prompt(tokenizer.decode(ids, skip_special_tokens=True), "def f" + "(" * 50))
    return made


def measured(work: Callable[[], int]) -> tuple[float, float]:
    """New tokens a second of CPU time (wall-clock time on a GPU), and the memory it took in MiB."""
    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        before = held_kib("VmRSS") / 2**10
    start = clock()
    rate = work() / (clock() - start)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else held_kib("VmHWM") / 2**10
    return rate, peak - before


def held_kib(name: str) -> int:
    """One of the sizes that Linux keeps of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def compare(arguments: argparse.Namespace, name: str, model: str, dtype: str) -> None:
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

    turns = [(*measured(ours), *measured(theirs)) for _ in range(arguments.repeat)]
    mine, my_peak, other, other_peak = (max(column) for column in zip(*turns, strict=True))
    print(
        f"{name:8} {dtype:9} {len(prompts):4} prompts x {arguments.n:3} samples"
        f"   engine {mine:9,.0f}   generate {other:9,.0f} tokens/s   x {mine / other:.1f}"
        f"   peak {my_peak:5,.0f} and {other_peak:6,.0f} MiB",
        flush=True,
    )


def main() -> None:
    """Prints one line for each model and data type."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or hub name instead of a small model made here")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["llama"])
    parser.add_argument("--rows", type=int, default=512, help="samples at a time")
    parser.add_argument("--n", type=int, default=32, help="samples of one prompt")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=30, help="new tokens of a sample")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument(
        "--few-shot",
        action="store_const",
        const={"kinds": list(KINDS), "rows": 64, "n": 64, "prompt": 1800, "new": 150},
        default={},
        help="one prompt of 1,800 tokens, 64 samples of 150 new tokens, every kind of model",
    )
    arguments = parser.parse_args()
    vars(arguments).update(arguments.few_shot)
    torch.set_num_threads(arguments.threads)
    if arguments.model:
        for dtype in arguments.dtypes:
            compare(arguments, "", arguments.model, dtype)
        return
    context = max(192, arguments.prompt + arguments.new)
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder, quiet():
            build(Path(folder), kind, context)
            for dtype in arguments.dtypes:
                compare(arguments, kind, folder, dtype)


if __name__ == "__main__":
    main()
