"""The paper's way to write and check, to measure ours against (see `paper.py`).

Haluptzok, Bowers, Kalai, "Language Models Can Teach Themselves to Program Better" (ICLR 2023), as
its released code does it: transformers' `generate`, 64 sequences a call, each with the whole
prompt; 200 and 150 new tokens, whatever they say, cut afterwards at the first dedent; a pool of
processes that `exec` what was written, with a limit of one second.

THE POOL IS NO SANDBOX. As in the original, a list of forbidden words is all that stands between
the model's text and this machine; a limit of memory is added. Use it for nothing but this
measurement, and with no other model than a small one.
"""

from __future__ import annotations

import ast
import multiprocessing
import re
import resource
import signal
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from etude.prompts import renamed
from etude.trivial import trivial_answers
from etude.types import Prompt, Puzzle

ROWS = 64
SECONDS = 1.0
PATIENCE = 60
"""Seconds after which the measurement fails: the alarm can't interrupt one long operation."""
FORBIDDEN = re.compile(
    r"import|__|open|eval|exec|compile|input|globals|locals|vars|getattr|setattr"
)
ANSWER_TYPES = re.compile(r"int|str|float|(List\[)+(int|str|float|bool)\]+")
HEADER = "from typing import *\n"


class Writer:
    """`generate`, as the paper's code calls it."""

    def __init__(self, model: str) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self._model: Any = AutoModelForCausalLM.from_pretrained(model).eval()

    def tokens(self, text: str) -> int:
        return len(self._tokenizer(text)["input_ids"])

    @torch.inference_mode()
    def write(self, prompt: Prompt, new: int, temperature: float) -> list[str]:
        """64 functions, each cut at its first dedent."""
        ids = self._tokenizer([prompt.text], return_tensors="pt")
        out = self._model.generate(
            **ids,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            num_return_sequences=ROWS,
            min_new_tokens=new,
            max_new_tokens=new,
            pad_token_id=self._tokenizer.eos_token_id,
        )
        texts = self._tokenizer.batch_decode(
            out[:, ids["input_ids"].shape[1] :], clean_up_tokenization_spaces=False
        )
        return [prompt.opening + cut(text) for text in texts]


def cut(text: str) -> str:
    """What comes before the first line that is not indented."""
    first, *rest = text.split("\n")
    kept = [first]
    for line in rest:
        if line and not line[0].isspace():
            break
        kept.append(line)
    return "\n".join(kept).rstrip()


class Checker:
    """The pool: one process here, as everything is measured on one core."""

    def __init__(self) -> None:
        self._pool: Pool = multiprocessing.get_context("fork").Pool(1, limit_memory)

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def puzzles(self, proposals: Iterable[str]) -> list[str]:
        """The proposals that are puzzles, once each, and not satisfied by a trivial answer."""
        wanted = {renamed(text, "f") for text in proposals}
        well_formed = [text for text in sorted(wanted) if answer_type(text)]
        checked = self._pool.map_async(not_trivial, well_formed).get(PATIENCE)
        return [text for text, good in zip(well_formed, checked, strict=True) if good]

    def verified(self, puzzle: Puzzle, solutions: Sequence[str]) -> int:
        """How many of the attempts solve the puzzle."""
        pairs = [(puzzle.source, text) for text in solutions]
        return sum(self._pool.map_async(solves, pairs).get(PATIENCE + len(pairs)))


def limit_memory() -> None:
    """A process of the pool gets a GiB beyond what it begins with."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def answer_type(puzzle: str) -> str:
    """The annotation of the one required argument; empty for what is no puzzle."""
    if "return" not in puzzle or FORBIDDEN.search(puzzle):
        return ""
    try:
        [function] = ast.parse(puzzle).body
    except (SyntaxError, ValueError, RecursionError):
        return ""
    if not isinstance(function, ast.FunctionDef) or not function.args.args:
        return ""
    answer, *_ = arguments = function.args.args
    if len(arguments) - len(function.args.defaults) != 1 or answer.annotation is None:
        return ""
    used = any(isinstance(at, ast.Name) and at.id == answer.arg for at in ast.walk(function))
    annotation = ast.unparse(answer.annotation)
    return annotation if used and ANSWER_TYPES.fullmatch(annotation) else ""


def not_trivial(puzzle: str) -> bool:
    """Whether no trivial answer satisfies it. Runs in the pool, the whole within one second."""
    answers = trivial_answers(answer_type(puzzle), paper=True)
    return ran(lambda names: any(holds(names, one) for one in answers), puzzle) is False


def holds(names: dict[str, Any], answer: object) -> bool:
    try:
        return names["f"](answer) is True
    except Exception:  # noqa: BLE001 - whatever the model's code raises is a no
        return False


def solves(pair: tuple[str, str]) -> bool:
    """Whether `f(g()) is True`. Runs in the pool."""
    puzzle, solution = pair
    if FORBIDDEN.search(solution):
        return False
    both = f"{puzzle}\n\n{solution}"
    return ran(lambda names: names["f"](names["g"]()) is True, both) is True


class TooLong(BaseException):
    """No `Exception`, so that neither `holds` nor the model's own code swallows it."""


def ran(check: Callable[[dict[str, Any]], bool], source: str) -> bool | None:
    """`check` of what a text defines; None for whatever goes wrong, or takes a second."""
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        names: dict[str, Any] = {}
        exec(HEADER + source, names)
        return check(names)
    except (Exception, SystemExit, TooLong):  # noqa: BLE001
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def too_long(*_: object) -> None:
    raise TooLong
