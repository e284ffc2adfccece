"""TRL's GRPO with the judge's reward, on a tiny untrained model: under a minute on a CPU.

    pip install -e '.[train,rl]'
    python examples/grpo.py [STEPS]

The model has 86,336 random weights and reads characters. It is to finish `def g(): return ` so
that the puzzle holds. At first nearly everything it writes is no Python; the judge's reward alone
teaches it to write numbers, and then numbers that fit. Nothing is downloaded.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer

from etude import Judge
from etude.rewards import SolverReward

STEPS = 40
PREFIX = "def g(): return "
RULES = ("> 5", "% 2 == 0", "!= 8", "< 90", "% 3 == 0")
PUZZLES = [f"def f(x: int): return x {rule}" for rule in RULES]
PROMPTS = [f"{puzzle}\n{PREFIX}" for puzzle in PUZZLES]


def characters() -> PreTrainedTokenizerFast:
    """A tokenizer with a token for each character of the prompts and each digit."""
    letters = sorted(set("".join(PROMPTS)) | set("0123456789"))
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def untrained(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_attention_heads=4, bos_token_id=None, **sizes, **special
    )
    return LlamaForCausalLM(config)


class Rewards(TrainerCallback):
    """Prints the mean reward of each step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "reward" in logs:
            print(f"step {state.global_step:3}  mean reward {logs['reward']:.3f}", flush=True)


def main(steps: int) -> None:
    torch.manual_seed(0)
    tokenizer = characters()
    rows = Dataset.from_dict({"prompt": PROMPTS, "puzzle": PUZZLES})
    with Judge() as judge, tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=160,
            num_generations=32,
            max_completion_length=3,
            learning_rate=3e-3,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            seed=0,
        )
        trainer = GRPOTrainer(
            model=untrained(tokenizer),
            reward_funcs=SolverReward(judge, prefix=PREFIX),
            args=config,
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[Rewards()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STEPS)
