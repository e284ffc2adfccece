"""Any causal language model of transformers as an engine, on a CPU or one GPU.

    engine = TransformersEngine("runs/a/checkpoint", threads=1)
    [[sample]] = engine.sample([prompt], 1, seed=7, temperature=0.8, max_new_tokens=64)

Covered: batching by length, prompts computed once for all their samples, what all prompts begin
with computed once, finished rows dropped while others go on, batches as large as the memory allows
and halved where that was too much, chat models by their own template. Not covered: several GPUs,
encoder-decoder models, models that keep a running state instead of keys and values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from etude.engines.samples import check_range, ended
from etude.engines.transformers import decoding
from etude.engines.transformers.loading import (
    check_source,
    context_length,
    decode,
    encode_prompts,
    load_config,
    load_model,
    load_tokenizer,
    torch_threads,
)
from etude.engines.transformers.memory import Rows, is_out_of_memory
from etude.errors import InputError
from etude.types import Prompt, Sample

__all__ = ["Drawn", "TransformersEngine"]

COMPACT_BELOW = 0.8
"""Finished rows are dropped when less than this share is live: copying the caches costs too."""


@dataclass(frozen=True, slots=True)
class _Item:
    """Some samples wanted of one prompt."""

    place: int
    """Index of the prompt in the request."""
    prompt: Prompt
    ids: tuple[int, ...]
    uniforms: Tensor
    """(samples, tokens): the numbers that the samples are drawn with."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample with the tokens that it was read from, as whoever trains on it needs them."""

    sample: Sample
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    """Everything that was drawn, the token with which the text ended included."""


class TransformersEngine:
    """Samples from a causal language model. Holds the weights as they were when it was opened."""

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        max_rows: int = 0,
    ) -> None:
        """Loads the model.

        Args:
            model: a folder written by `save_pretrained`, or a name on the hub.
            device: `cpu`, `cuda`, `cuda:1`, ...; `auto` is a GPU where there is one.
            dtype: `float32`, `bfloat16`, `float16`; `auto` is float32 on a CPU, and on a GPU one
                of 16 bits: the checkpoint's own, else bfloat16 where the GPU multiplies it.
            threads: CPU threads while sampling; None leaves torch's setting alone.
            max_rows: samples continued at the same time; 0 is as many as the memory holds.

        Raises:
            InputError: no such model or device, or an argument out of its range.
        """
        if max_rows < 0:
            raise InputError(f"max_rows must be 0 or more, but got {max_rows}.")
        self.name = f"transformers:{check_source(model)}"
        self._source = str(model)
        self._threads = threads
        self._tokenizer = load_tokenizer(model)
        config = load_config(model)
        shares = config.model_type in decoding.SHARING_MODELS
        self.context = context_length(config)
        self._device = _device(device)
        if dtype == "auto":
            dtype = _best_dtype(config, self._device)
        attention = decoding.SHARED_ATTENTION if shares else None
        self._model: Any = self._loaded(dtype, attention)
        if self._model._is_stateful:
            raise InputError(
                f"The model {model} keeps a running state; expected one with a key-value cache."
            )
        self._entries = self._model.get_input_embeddings().weight.shape[0]
        _check_vocabulary(self._tokenizer, self._entries, self._source)
        self._ends = _Ends(self._tokenizer, self._model)
        self._rows = Rows(self._model, max_rows, shares=shares)

    def _loaded(self, dtype: str, attention: str | None) -> Any:
        try:
            made = load_model(self._source, dtype=dtype, attention=attention)
            return made.to(self._device).eval()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"The model {self._source} must fit the memory of {self._device.type}, but does "
                "not: take a smaller one, or engine.dtype of 16 bits."
            ) from None

    def close(self) -> None:
        """Gives the weights back."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """See `Engine.fits`."""
        [ids] = encode_prompts(self._tokenizer, [prompt], self._source)
        return self.context is None or len(ids) + max_new_tokens <= self.context

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """See `Engine.sample`. Temperature 0 takes the likeliest token each time.

        Up to rounding, the samples do not depend on `max_rows`, the device, or the other prompts.
        """
        drawn = self.draw(
            prompts, n, seed=seed, temperature=temperature, max_new_tokens=max_new_tokens
        )
        return [[one.sample for one in own] for own in drawn]

    def draw(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Drawn]]:
        """The samples of `sample`, with their tokens."""
        check_range(n, temperature, max_new_tokens)
        self._live_model()
        encoded = self._encode(prompts, max_new_tokens)
        out: list[list[Drawn]] = [[] for _ in prompts]
        with torch_threads(self._threads):
            prefix = decoding.Prefix.of(self._live_model(), encoded) if n else None
            for batch in self._batches(prompts, encoded, n, seed, max_new_tokens):
                done = self._run(batch, temperature, prefix)
                for item, samples in zip(batch, done, strict=True):
                    out[item.place] += samples
        return out

    @torch.no_grad()
    def follow(self, model: Any) -> None:
        """Takes over the weights of a model of the same shape, as they are now: one that learns."""
        own = dict(self._live_model().named_parameters())
        for name, weight in model.named_parameters():
            own[name].copy_(weight)

    @torch.inference_mode()
    def next_token_probabilities(self, prompt: Prompt) -> list[float]:
        """The model's probabilities, at temperature 1, of each token after the prompt.

        Takes the way of `sample`: the last token of the prompt is a decoding step of its own.
        """
        [ids] = self._encode([prompt], 1)
        at = decoding.start(self._live_model(), [ids[: max(len(ids) - 1, 1)]], 1, 1)
        if len(ids) > 1:
            at.step(torch.tensor(ids[-1:], device=self._device))
        probabilities: list[float] = at.logits[0].float().softmax(dim=-1).tolist()
        return probabilities

    def _live_model(self) -> Any:
        if self._model is None:
            raise InputError(f"The engine {self.name} is closed: open it again.")
        return self._model

    def _encode(self, prompts: Sequence[Prompt], max_new_tokens: int) -> list[list[int]]:
        encoded = encode_prompts(self._tokenizer, prompts, self._source)
        for number, ids in enumerate(encoded):
            if self.context is not None and len(ids) + max_new_tokens > self.context:
                raise InputError(
                    f"A prompt and its continuation must fit the model's {self.context} tokens, "
                    f"but prompt {number} has {len(ids)} and {max_new_tokens} new ones are asked "
                    "for: leave out the prompts for which fits() is False."
                )
            if max(ids) >= self._entries:
                raise InputError(
                    f"The tokenizer of {self._source} must belong to the model, but makes token "
                    f"{max(ids)} of prompt {number}, and the model has {self._entries:,}: "
                    "put the model's own tokenizer into its folder."
                )
        return encoded

    def _batches(
        self,
        prompts: Sequence[Prompt],
        encoded: Sequence[list[int]],
        n: int,
        seed: int,
        max_new_tokens: int,
    ) -> Iterator[list[_Item]]:
        """Prompts of like length together, the shortest first, as many as the memory holds."""
        order = sorted(range(len(prompts)), key=lambda place: len(encoded[place]))
        first = 0
        while n and first < len(order):
            places, width = self._together(order[first:], encoded, n, max_new_tokens)
            first += len(places)
            numbers = [_uniforms(seed, place, n, max_new_tokens) for place in places]
            for left in range(0, n, width):
                yield [
                    _Item(
                        place,
                        prompts[place],
                        tuple(encoded[place]),
                        drawn[left : left + width],
                    )
                    for place, drawn in zip(places, numbers, strict=True)
                ]

    def _together(
        self, order: Sequence[int], encoded: Sequence[list[int]], n: int, room: int
    ) -> tuple[Sequence[int], int]:
        """The next prompts that go together, and how many samples of each at a time."""

        def most(count: int) -> int:
            return self._rows.most(len(encoded[order[count - 1]]), room, n)

        width = min(n, most(1))
        count = min(max(1, most(1) // width), len(order))
        while count > 1 and most(count) // width < count:
            count -= 1
        return order[:count], width

    def _run(
        self, batch: list[_Item], temperature: float, prefix: decoding.Prefix | None
    ) -> list[list[Drawn]]:
        """The samples of a batch; of its halves where the memory is too small for it.

        Raises:
            InputError: there is no memory for a single sample.
        """
        rows = sum(len(item.uniforms) for item in batch)
        try:
            return _Batch(self._live_model(), self._ends, batch, temperature, prefix).run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise InputError(
                    f"{self.name} must have memory for one sample, but a prompt of "
                    f"{len(batch[0].ids)} tokens and {batch[0].uniforms.shape[1]} new ones are too "
                    f"much for this {self._device.type}: take a smaller model, shorter prompts, or "
                    "engine.dtype of 16 bits."
                ) from None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._rows.learn(rows)
        first, second = (self._run(half, temperature, prefix) for half in _halves(batch))
        return _joined(batch, first, second)


class _Ends:
    """Where texts end: the tokens that can end a function, and the texts that have."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self._tokenizer = tokenizer
        size = model.get_output_embeddings().weight.shape[0]
        texts = decode(tokenizer, [[index] for index in range(min(size, len(tokenizer)))])
        texts += [""] * (size - len(texts))
        device = model.device
        self.newline = torch.tensor(["\n" in text for text in texts], device=device)
        # What goes on with a line that began with a space can't end a function.
        self._flush = torch.tensor([not text[:1].isspace() for text in texts], device=device)
        self.stop = torch.zeros(size, dtype=torch.bool, device=device)
        self.stop[[index for index in _stop_ids(tokenizer, model) if index < size]] = True

    def possible(self, tokens: Tensor, after_newline: Tensor) -> Tensor:
        """(rows,): which rows may have reached the end of their function with these tokens."""
        return self.newline[tokens] | (after_newline & self._flush[tokens])

    def text(self, last: int, tokens: list[int]) -> str:
        """What tokens say after the prompt's last token (some tokenizers drop a leading space)."""
        before, whole = decode(self._tokenizer, [[last], [last, *tokens]])
        return whole[len(before) :]


class _Batch:
    """One batch on its way from prompts to samples."""

    def __init__(
        self,
        model: Any,
        ends: _Ends,
        batch: list[_Item],
        temperature: float,
        prefix: decoding.Prefix | None,
    ) -> None:
        self._ends, self._temperature, self._batch = ends, temperature, batch
        self._n = len(batch[0].uniforms)
        self._uniforms = torch.cat([item.uniforms for item in batch]).to(model.device)
        count, self._room = self._uniforms.shape
        self._tokens = torch.zeros(count, self._room, dtype=torch.long, device=model.device)
        self._samples: list[Drawn | None] = [None] * count
        # Per row that is still in the decoder: which sample it is, and whether it goes on.
        self._rows = torch.arange(count, device=model.device)
        self._live = torch.ones(count, dtype=torch.bool, device=model.device)
        openings = [item.prompt.opening for item in batch]
        fresh = torch.tensor([text.endswith("\n") for text in openings], device=model.device)
        functions = torch.tensor([not item.prompt.chat for item in batch], device=model.device)
        self._is_function = functions.repeat_interleave(self._n)
        self._after_newline = fresh.repeat_interleave(self._n)
        ids = [item.ids for item in batch]
        self._decoding = decoding.start(model, ids, self._n, self._room, prefix)

    @torch.inference_mode()
    def run(self) -> list[list[Drawn]]:
        """The samples of each prompt."""
        for step in range(self._room):
            tokens = self._advance(step)
            if step + 1 == self._room or not bool(self._live.any()):
                break
            self._decoding.step(self._compacted(tokens))
        for row in self._rows[self._live].tolist():
            sample = Sample(self._text(row, self._room), finished=False)
            self._samples[row] = self._drawn(row, sample, self._room)
        done = [sample for sample in self._samples if sample is not None]
        return [done[i : i + self._n] for i in range(0, len(done), self._n)]

    def _advance(self, step: int) -> Tensor:
        """Draws one token a row and finishes the samples that ended with it."""
        uniforms = self._uniforms[self._rows, step]
        tokens = decoding.draw(self._decoding.logits, uniforms, self._temperature)
        self._tokens[self._rows, step] = tokens
        stopped = self._ends.stop[tokens]
        possible = self._ends.possible(tokens, self._after_newline) & self._is_function
        self._after_newline = self._ends.newline[tokens]
        for at in ((stopped | possible) & self._live).nonzero()[:, 0].tolist():
            self._finish(at, int(self._rows[at]), step, stopped=bool(stopped[at]))
        return tokens

    def _finish(self, at: int, row: int, step: int, *, stopped: bool) -> None:
        text = self._text(row, step if stopped else step + 1)
        sample = ended(self._batch[row // self._n].prompt, text, stopped=stopped)
        if sample is not None:
            self._samples[row] = self._drawn(row, sample, step + 1)
            self._live[at] = False

    def _drawn(self, row: int, sample: Sample, length: int) -> Drawn:
        tokens = self._tokens[row, :length].tolist()
        return Drawn(sample, self._batch[row // self._n].ids, tuple(tokens))

    def _text(self, row: int, length: int) -> str:
        last = self._batch[row // self._n].ids[-1]
        return self._ends.text(last, self._tokens[row, :length].tolist())

    def _compacted(self, tokens: Tensor) -> Tensor:
        """Drops finished rows once there are enough of them, and their tokens."""
        if int(self._live.sum()) >= COMPACT_BELOW * len(self._rows):
            return tokens
        kept = self._decoding.keep(self._live)
        self._rows, self._live = self._rows[kept], self._live[kept]
        self._after_newline = self._after_newline[kept]
        self._is_function = self._is_function[kept]
        return tokens[kept]


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        made = torch.device(device)
        torch.empty(0, device=made)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"device must be auto, cpu or cuda, but got {device!r}: {reason}"
        ) from None
    return made


def _best_dtype(config: Any, device: torch.device) -> str:
    """The type of numbers that samples fastest without loss that matters."""
    if device.type != "cuda":
        return "float32" if device.type == "cpu" else "auto"
    own = str(config.dtype).removeprefix("torch.")
    if own in ("bfloat16", "float16"):
        return own
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if native else "float16"


def _check_vocabulary(tokenizer: Any, entries: int, model: str) -> None:
    """Raises `InputError` for a tokenizer that knows more words than the model.

    Tokens added to it, which many chat models have in reserve, do not count.
    """
    if tokenizer.vocab_size > entries:
        raise InputError(
            f"The tokenizer of {model} must belong to the model, but has {tokenizer.vocab_size:,} "
            f"tokens, and the model {entries:,}: put the model's own tokenizer into its folder."
        )


def _uniforms(seed: int, place: int, n: int, room: int) -> Tensor:
    """(n, room) numbers in [0, 1), drawn on the CPU from the seed and the prompt's place alone."""
    digest = hashlib.sha256(f"{seed} {place}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.rand(n, room, generator=generator)


def _stop_ids(tokenizer: Any, model: Any) -> list[int]:
    """Every token that the tokenizer or the model calls the end of a text."""
    configured = [model.generation_config.eos_token_id, model.config.eos_token_id]
    found = {tokenizer.eos_token_id}
    for ids in configured:
        found.update(ids if isinstance(ids, list) else [ids])
    return sorted(index for index in found if index is not None)


def _halves(batch: list[_Item]) -> tuple[list[_Item], list[_Item]]:
    """Half of the prompts each; of a single prompt half of the samples each."""
    if len(batch) > 1:
        return batch[: len(batch) // 2], batch[len(batch) // 2 :]
    [item] = batch
    middle = len(item.uniforms) // 2
    return tuple(
        [_Item(item.place, item.prompt, item.ids, part)]
        for part in (item.uniforms[:middle], item.uniforms[middle:])
    )  # type: ignore[return-value]


def _joined(
    batch: list[_Item], first: list[list[Drawn]], second: list[list[Drawn]]
) -> list[list[Drawn]]:
    return first + second if len(batch) > 1 else [first[0] + second[0]]
