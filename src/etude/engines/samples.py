"""What engines have in common: which arguments are out of range, and where a sample ends."""

from __future__ import annotations

import hashlib

from etude.errors import InputError
from etude.prompts import function_end
from etude.types import Prompt, Sample

STOPS = ("\ndef ", "\nassert ", "\nclass ", "\nfrom ")
"""Texts that surely end a function, for those who can only look for texts; OpenAI takes four.
Where one of them stands, `function_end` finds an end too."""


def check_range(n: int, temperature: float, max_new_tokens: int) -> None:
    """Raises `InputError` for arguments of `Engine.sample` that are out of range."""
    if n < 0:
        raise InputError(f"n, the samples of a prompt, must be 0 or more, but got {n}.")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature must be 0 or more, but got {temperature}.")
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens must be at least 1, but got {max_new_tokens}.")


def ended(prompt: Prompt, text: str, *, stopped: bool) -> Sample | None:
    """The sample, if `text` reaches the end of the function; None while more may follow.

    `stopped`: the model ended its text here, or one of STOPS follows. A chat model's reply has no
    other end.
    """
    if prompt.chat:
        return Sample(text, finished=True) if stopped else None
    if prompt.line:
        line, newline, _ = text.partition("\n")
        return Sample(line, finished=True) if stopped or newline else None
    # After a stop nothing follows, as if the next line began with something else.
    end = function_end(prompt.opening, text + "\n." if stopped else text)
    return Sample(text[:end], finished=True) if stopped or end is not None else None


def sample_of(prompt: Prompt, text: str, *, stopped: bool) -> Sample:
    """The sample in a text that will not go on: finished, or cut short by a limit."""
    return ended(prompt, text, stopped=stopped) or Sample(text, finished=False)


def derived_seed(seed: int, place: int, draw: int) -> int:
    """A 31-bit seed of one request, from a call's seed, the prompt's place and the first draw."""
    digest = hashlib.sha256(f"{seed} {place} {draw}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
