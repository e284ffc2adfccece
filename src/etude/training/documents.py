"""Documents -> tokens, and which of them are learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etude.engines.transformers.loading import encode, quiet
from etude.errors import InputError
from etude.types import Document

AT_ONCE = 1000
"""Documents that are encoded together: offsets of all of them at a time would fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """One document as the model reads it."""

    ids: NDArray[np.int32]
    first: int
    """The first token that is learned, as an index into `ids`. The one at 0 never is: nothing
    comes before it to predict it from."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learned(self) -> int:
        """How many tokens count in the loss."""
        return max(0, len(self.ids) - self.first)


def tokenise(tokenizer: Any, documents: Sequence[str | Document], loss: str) -> list[Tokens]:
    """The tokens of each document, with the special tokens that the tokenizer adds itself.

    With the loss `solution`, a token counts when it ends after the document's prompt: one that
    straddles the boundary holds characters of the solution, so it is learned.

    Raises:
        InputError: a prompt that fills its document, or, with the loss `solution`, a tokenizer
            that can't say which characters a token stands for.
    """
    whole = [Document(one) if isinstance(one, str) else one for one in documents]
    if loss == "text":
        rows = encode(tokenizer, [one.text for one in whole])
        return [Tokens(np.array(ids, np.int32), 1) for ids in rows]
    _check(tokenizer, whole)
    return [
        tokens
        for start in range(0, len(whole), AT_ONCE)
        for tokens in _with_prompts(tokenizer, whole[start : start + AT_ONCE])
    ]


def _check(tokenizer: Any, documents: Sequence[Document]) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "loss solution needs a fast tokenizer, which knows the characters of each token, but "
            f"the model has a {type(tokenizer).__name__}: use loss text, or another model."
        )
    for number, one in enumerate(documents):
        if not 0 <= one.prompt_characters < max(len(one.text), 1):
            raise InputError(
                f"prompt_characters must be from 0 to below the length of the text, but document "
                f"{number} has {one.prompt_characters} of {len(one.text)}."
            )


def _with_prompts(tokenizer: Any, documents: Sequence[Document]) -> list[Tokens]:
    with quiet():
        texts = [one.text for one in documents]
        made = tokenizer(texts, return_offsets_mapping=True, return_special_tokens_mask=True)
    tokens = []
    columns = (made["input_ids"], made["offset_mapping"], made["special_tokens_mask"])
    for one, ids, offsets, special in zip(documents, *columns, strict=True):
        first = _first_learned(offsets, special, one.prompt_characters)
        tokens.append(Tokens(np.array(ids or encode(tokenizer, [""])[0], np.int32), first))
    return tokens


def _first_learned(offsets: Sequence[tuple[int, int]], special: Sequence[int], prompt: int) -> int:
    """The index of the first token that ends after the prompt; special tokens have no place."""
    for index, ((_, end), added) in enumerate(zip(offsets, special, strict=True)):
        if not added and end > prompt:
            return max(1, index)
    return max(1, len(offsets))
