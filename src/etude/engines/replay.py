"""Recorded samples as an engine, and the wrapper that records them.

    with contextlib.closing(record(engine, path)) as recorder:
        recorder.sample(prompts, 4, seed=1, temperature=0.8, max_new_tokens=64)
    ReplayEngine(path).sample(prompts, 4, seed=1, temperature=0.8, max_new_tokens=64)  # the same

A recording is JSON lines. Each has a `prompt` and its `samples`, a string for a finished sample or
`{"text": ..., "finished": false}` for one that met the token limit. A line may name the `seed` it
was drawn with and then serves that seed alone; a line without one serves every seed. A line with
`"fits": false` says that the prompt was too long for the recorded engine. Several lines on the
same prompt and seed are read as one.

Temperature and token limit are not compared: the recording is asked for what it holds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from etude.engines import Engine
from etude.engines.samples import check_range
from etude.errors import InputError
from etude.types import Prompt, Sample

_Key = tuple[str, int | None]


class ReplayEngine:
    """Serves recorded samples: the first ones recorded for a prompt, in their order."""

    def __init__(self, recordings: str | Path | Mapping[str, Sequence[str | Sample]]) -> None:
        """From a file of JSON lines, or from a mapping of prompt text to samples.

        Raises:
            InputError: the file is missing, or one of its lines is not a recording.
        """
        self._samples: dict[_Key, list[Sample]] = {}
        self._too_long: set[str] = set()
        if isinstance(recordings, Mapping):
            self.name = "replay"
            for text, samples in recordings.items():
                self._samples[text, None] = [_as_sample(sample) for sample in samples]
        else:
            self.name = f"replay:{recordings}"
            self._read(Path(recordings))

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """False for a prompt that was recorded as too long."""
        return prompt.text not in self._too_long

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """The first `n` samples recorded for each prompt; the next `n` where a prompt comes again.

        Raises:
            InputError: a prompt that was not recorded, or with too few samples, or an argument that
                no engine takes.
        """
        check_range(n, temperature, max_new_tokens)
        taken: Counter[str] = Counter()
        out = []
        for prompt in prompts:
            recorded = self._recorded(prompt, seed)
            start = taken[prompt.text]
            taken[prompt.text] += n
            if len(recorded) < start + n:
                raise InputError(
                    f"{self.name} must hold at least {start + n} samples of the prompt "
                    f"{_shown(prompt.text)} but has {len(recorded)}: record more of them."
                )
            out.append(recorded[start : start + n])
        return out

    def close(self) -> None:
        """Nothing to give back."""

    def _recorded(self, prompt: Prompt, seed: int) -> list[Sample]:
        for key in ((prompt.text, seed), (prompt.text, None)):
            if key in self._samples:
                return self._samples[key]
        seeds = sorted(s for text, s in self._samples if text == prompt.text and s is not None)
        found = f"only with seeds {', '.join(map(str, seeds[:5]))}" if seeds else "not at all"
        raise InputError(
            f"{self.name} must hold the prompt {_shown(prompt.text)} with seed {seed}, but it was "
            f"recorded {found}: record it, or ask for what is there."
        )

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"A recording must be a readable UTF-8 file: {path}: {error}."
            ) from None
        for number, line in enumerate(lines, start=1):
            if line.strip():
                self._add(line, f"{path}, line {number}")

    def _add(self, line: str, place: str) -> None:
        try:
            row = json.loads(line)
            text, seed = row["prompt"], row.get("seed")
            if not isinstance(text, str) or not (seed is None or isinstance(seed, int)):
                raise TypeError("prompt must be a string and seed a number")
            if row.get("fits", True) is False:
                self._too_long.add(text)
                return
            samples = row["samples"]
            if not isinstance(samples, list):
                raise TypeError("samples must be a list")
            self._samples.setdefault((text, seed), []).extend(map(_as_sample, samples))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f'{place} must be {{"prompt": text, "samples": [text, ...]}}, '
                f"but it is not: {type(error).__name__}: {error}."
            ) from None


class Recorder:
    """Another engine, whose samples are also written down. Made by `record`."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.name = engine.name
        self._engine = engine
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._said_too_long: set[str] = set()

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """The engine's own answer; a prompt that is too long is noted once."""
        fits = self._engine.fits(prompt, max_new_tokens)
        if not fits and prompt.text not in self._said_too_long:
            self._said_too_long.add(prompt.text)
            self._write({"prompt": prompt.text, "fits": False})
        return fits

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """The engine's samples, one line written for each prompt."""
        drawn = self._engine.sample(
            prompts, n, seed=seed, temperature=temperature, max_new_tokens=max_new_tokens
        )
        for prompt, samples in zip(prompts, drawn, strict=True):
            plain = [_as_json(sample) for sample in samples]
            self._write({"prompt": prompt.text, "seed": seed, "samples": plain})
        self._file.flush()
        return drawn

    def close(self) -> None:
        """Closes the recording and the engine."""
        self._file.close()
        self._engine.close()

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=True) + "\n")


def record(engine: Engine, path: str | Path) -> Recorder:
    """An engine that passes everything on to `engine` and writes its samples to a new file.

    Raises:
        InputError: the file can't be written.
    """
    try:
        return Recorder(engine, Path(path))
    except OSError as error:
        raise InputError(f"A recording needs a file that can be written: {error}.") from None


def _as_sample(sample: str | Sample | Mapping[str, Any]) -> Sample:
    if isinstance(sample, Sample):
        return sample
    if isinstance(sample, str):
        return Sample(sample, finished=True)
    text, finished = sample["text"], sample["finished"]
    if not isinstance(text, str) or not isinstance(finished, bool):
        raise TypeError("a sample's text must be a string and its finished true or false")
    return Sample(text, finished)


def _as_json(sample: Sample) -> str | dict[str, Any]:
    return sample.text if sample.finished else {"text": sample.text, "finished": False}


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"...{text[-77:]}")
