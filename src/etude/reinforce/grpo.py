"""GRPO by TRL's GRPOTrainer, sampled by our own engine: the only import of TRL.

    reinforce(Job(model, Path("out"), tasks, ReinforceSection(), seed=1, ...), judge)

GRPO is of Shao et al., 2024 (arXiv 2402.03300). TRL's trainer computes the loss, the reference
model's log probabilities and the updates; what it asks of us are samples (`rollout_func`) and
rewards. Samples are a function of the weights, the prompts and the step, so that no random state
is carried from one step to the next, and what was interrupted ends with the same bytes on a CPU.

Covered: one process, a CPU or one GPU; going on from the last look of the monitor after a kill.
Not covered: adapters, several GPUs, a policy that is sampled by vLLM.
"""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from etude import store, tables
from etude.engines.samples import derived_seed
from etude.engines.transformers import TransformersEngine
from etude.engines.transformers.loading import (
    load_model,
    load_tokenizer,
    quiet,
    torch_threads,
)
from etude.errors import Fault, RecipeError
from etude.judge import Judge
from etude.prompts import completed, solving_prompt
from etude.reinforce.earnings import Earnings, Known, counts, held_out_rate
from etude.reinforce.job import Job
from etude.reinforce.monitor import alarms
from etude.reinforce.tasks import Task
from etude.replies import solution_source
from etude.store import writing_to
from etude.training import Fitted, random_state_kept
from etude.training import work as folders
from etude.training.plan import model_digest, model_id, start_of
from etude.types import Prompt, Puzzle

Progress = Callable[[int, int], None]
_PROBE, _ATTEMPTS = 1, 2
"""Places of seeds beside those of a step's own samples."""


def reinforce(job: Job, judge: Judge, progress: Progress | None = None) -> Fitted:
    """Trains `job.model` by its rewards, into the folder `job.out`, which appears all at once.

    Called again after a kill it goes on from the monitor's last look; other arguments start
    afresh. After an alarm the folder holds the weights of the look before it.

    Raises:
        InputError: no such model, or the disk is full; what was done is kept.
        RecipeError: the loss is no longer a number.
        Fault: the sandbox fails again and again.
    """
    work = store.scratch(job.out).with_name(f"{job.out.name}.partial")
    if not store.finished(job.out):
        with (
            writing_to(work),
            quiet(),
            _untold(),
            torch_threads(job.threads),
            random_state_kept(),
        ):
            folders.prepare(work, job.fingerprint(model_digest(job.model)))
            _train(job, work, judge, progress)
            store.keep(work / "result", job.out)
    shutil.rmtree(work, ignore_errors=True)
    return Fitted(**json.loads((job.out / "training.json").read_text("utf-8")))


def _train(job: Job, work: Path, judge: Judge, progress: Progress | None) -> None:
    with closing(_engine(job)) as engine:
        policy = _Policy(job, engine)
        known = Known(set(job.known), set(job.forms), job.held_out)
        dealt = None if job.watched else job.seed
        earnings = Earnings(
            judge, known, policy.attempts, job.section.novelty, paper=job.paper, dealt=dealt
        )
        watch = _Watch(job, work, judge, policy, earnings, progress)
        trainer = _trainer(job, work, policy, earnings, watch)
        use_cache = trainer.model.config.use_cache
        checkpoint = folders.newest_checkpoint(work)
        if checkpoint is not None:
            watch.recall(int(checkpoint.name.split("-")[1]))
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        history = list(trainer.state.log_history)
        trained = trainer.accelerator.unwrap_model(trainer.model)
    if watch.alarm:
        good = folders.newest_checkpoint(work)
        trained = load_model(good or job.model, dtype="float32", attention=job.attention)
    trained.config.use_cache = use_cache
    _write(trained, job, work, history)
    del trainer, trained
    gc.collect()


@contextmanager
def _untold() -> Iterator[None]:
    """Keeps to ourselves what TRL warns of: that its rollouts are new, and of old names that it
    uses itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*rollout_func.*experimental", UserWarning)
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is dep", FutureWarning)
        yield


def _engine(job: Job) -> TransformersEngine:
    device = "auto" if torch.cuda.is_available() else "cpu"
    return TransformersEngine(job.model, device=device, threads=job.threads)


@dataclass
class _Policy:
    """The model that learns, as an engine: it takes over the weights whenever they have changed."""

    job: Job
    engine: TransformersEngine
    model: Any = None

    def rollout(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """The samples of a step, in TRL's form."""
        step = trainer.state.global_step // self.job.section.iterations
        tasks = self.job.tasks.steps[step]
        group = self.job.section.num_generations
        if list(prompts) != [task.prompt.text for task in tasks for _ in range(group)]:
            raise Fault(f"TRL asked for other prompts than those of step {step}")
        self.engine.follow(self.model)
        drawn: list[list[Any]] = [[] for _ in tasks]
        for solving, room in ((True, self.job.solve_tokens), (False, self.job.propose_tokens)):
            places = [at for at, task in enumerate(tasks) if (task.puzzle is not None) == solving]
            own = self._draw([tasks[at].prompt for at in places], group, room, step, int(solving))
            for at, samples in zip(places, own, strict=True):
                drawn[at] = samples
        flat = [one for samples in drawn for one in samples]
        return {
            "prompt_ids": [list(one.prompt) for one in flat],
            "completion_ids": [list(one.tokens) for one in flat],
            "logprobs": None,
            "text": [one.sample.text for one in flat],
            "finished": [one.sample.finished for one in flat],
        }

    def _draw(self, prompts: list[Prompt], n: int, room: int, step: int, kind: int) -> Any:
        seed = derived_seed(self.job.seed, step, 10 + kind)
        temperature = self.job.section.temperature
        return self.engine.draw(prompts, n, seed=seed, temperature=temperature, max_new_tokens=room)

    def attempts(self, puzzles: Sequence[Puzzle], step: int) -> list[list[str]]:
        """Solutions of proposed puzzles, by the weights that wrote them."""
        job, layout = self.job, self.job.layout
        prompts = [solving_prompt(puzzle, job.examples, layout=layout) for puzzle in puzzles]
        seed = derived_seed(job.seed, step, _ATTEMPTS)
        return self._solutions(prompts, job.section.attempts, seed)

    def probed(self) -> list[list[str]]:
        """Solutions of the puzzles held apart, drawn with the same numbers at every look."""
        self.engine.follow(self.model)
        prompts = [task.prompt for task in self.job.tasks.probe]
        seed = derived_seed(self.job.seed, 0, _PROBE)
        return self._solutions(prompts, self.job.section.probe_samples, seed)

    def _solutions(self, prompts: list[Prompt], n: int, seed: int) -> list[list[str]]:
        room, temperature = self.job.solve_tokens, self.job.section.temperature
        fitting = [at for at, prompt in enumerate(prompts) if self.engine.fits(prompt, room)]
        sampled = self.engine.sample(
            [prompts[at] for at in fitting],
            n,
            seed=seed,
            temperature=temperature,
            max_new_tokens=room,
        )
        found: list[list[str]] = [[] for _ in prompts]
        for at, samples in zip(fitting, sampled, strict=True):
            prompt = prompts[at]
            found[at] = [
                solution_source(one.text) if prompt.chat else completed(prompt, one.text, "g")
                for one in samples
            ]
        return found


class _Trainer(GRPOTrainer):  # type: ignore[misc]
    def create_model_card(self, *_: Any, **__: Any) -> None:
        """TRL would write one of its own at every checkpoint."""


def _trainer(job: Job, work: Path, policy: _Policy, earnings: Earnings, watch: _Watch) -> Any:
    tokenizer = load_tokenizer(job.model)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = load_model(job.model, dtype="float32", attention=job.attention)
    places = [(step, at) for step, tasks in enumerate(job.tasks.steps) for at in range(len(tasks))]
    rows = {
        "prompt": [job.tasks.steps[step][at].prompt.text for step, at in places],
        "place": [at for _, at in places],
    }
    trainer = _Trainer(
        model=model,
        reward_funcs=[_Solver(job, earnings), _Proposer(job, earnings)],
        args=_config(job, work),
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
        callbacks=[watch],
        rollout_func=policy.rollout,
    )
    trainer.remove_callback(PrinterCallback)
    policy.model = trainer.accelerator.unwrap_model(trainer.model)
    return trainer


def _config(job: Job, work: Path) -> GRPOConfig:
    section = job.section
    return GRPOConfig(
        output_dir=str(work),
        max_steps=job.updates,
        per_device_train_batch_size=section.prompts * section.num_generations // section.accumulate,
        gradient_accumulation_steps=section.accumulate,
        num_generations=section.num_generations,
        num_iterations=section.iterations,
        max_completion_length=max(job.solve_tokens, job.propose_tokens),
        shuffle_dataset=False,  # the tasks stand in their order
        temperature=section.temperature,
        beta=section.beta,
        epsilon=section.epsilon,
        loss_type=section.loss_type,
        scale_rewards=section.scale_rewards,
        learning_rate=section.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=section.clip,
        bf16=job.precision == "bf16",
        fp16=job.precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        activation_checkpointing=section.checkpointing,  # TRL's default would be to
        seed=job.seed % 2**31,
        logging_steps=1,
        save_strategy="no",  # when to save is `_Watch`'s doing
        save_total_limit=2,
        logging_nan_inf_filter=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


@dataclass
class _Paid:
    """A reward function of TRL for the samples of one kind; None for the others."""

    job: Job
    earnings: Earnings

    def _mine(self, step: int, places: Sequence[int], solving: bool) -> list[tuple[int, Task]]:
        tasks = [self.job.tasks.steps[step][at] for at in places]
        return [(at, one) for at, one in enumerate(tasks) if (one.puzzle is not None) == solving]

    def _step(self, state: Any) -> int:
        return int(state.global_step) // self.job.section.iterations


class _Solver(_Paid):
    __name__ = "solver"

    def __call__(
        self, prompts: Any, completions: Any, *, place: Any, text: Any, trainer_state: Any, **_: Any
    ) -> list[float | None]:
        step = self._step(trainer_state)
        mine = self._mine(step, place, True)
        found = self.earnings.solver(step, [one for _, one in mine], [text[at] for at, _ in mine])
        return _spread(len(place), mine, found)


class _Proposer(_Paid):
    __name__ = "proposer"

    def __call__(
        self,
        prompts: Any,
        completions: Any,
        *,
        place: Any,
        text: Any,
        finished: Any,
        trainer_state: Any,
        **_: Any,
    ) -> list[float | None]:
        step = self._step(trainer_state)
        mine = self._mine(step, place, False)
        tasks, texts = [one for _, one in mine], [text[at] for at, _ in mine]
        found = self.earnings.proposer(step, tasks, texts, [finished[at] for at, _ in mine])
        return _spread(len(place), mine, found)


def _spread(
    count: int, mine: Sequence[tuple[int, Task]], found: Sequence[float | None]
) -> list[float | None]:
    rewards: list[float | None] = [None] * count
    for (at, _), reward in zip(mine, found, strict=True):
        rewards[at] = reward
    return rewards


@dataclass
class _Watch(TrainerCallback):
    """Writes down what a step did, has the monitor look at it, and saves where that finds nothing.

    The newest checkpoint is always the newest state in which nothing was wrong.
    """

    job: Job
    work: Path
    judge: Judge
    policy: _Policy
    earnings: Earnings
    progress: Progress | None
    alarm: str = ""
    _since: list[dict[str, Any]] = field(default_factory=list)

    def recall(self, update: int) -> None:
        """Takes up where the checkpoint of an update was made."""
        for path in sorted(self.work.glob("samples-*.parquet")):
            if int(path.stem.split("-")[1]) <= update:
                self.earnings.recall(store.read_table(path))
            else:
                path.unlink()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0 and self.job.tasks.probe:
            state.log_history.append({"step": 0, "held_out": self._held_out()})

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        row = state.log_history[-1]
        if "loss" not in row:  # what the Trainer says at the end
            return
        if not math.isfinite(row["loss"]):
            raise RecipeError(
                f"The loss must be a number, but is {row['loss']} at step {state.global_step}: "
                "lower reinforce.learning_rate, or use precision fp32."
            )
        taken = self.earnings.take()
        self._since += taken
        row.update(counts(taken) if taken else {})
        last = state.global_step == state.max_steps
        every = self.job.section.monitor_every * self.job.section.iterations
        if last or state.global_step % every == 0:
            self._look(state, control)
        if self.progress:
            self.progress(state.global_step, state.max_steps)

    def _look(self, state: Any, control: Any) -> None:
        row = state.log_history[-1]
        if self.job.tasks.probe:
            row["held_out"] = self._held_out()
        _write_samples(self.work / f"samples-{state.global_step:07d}.parquet", self._since)
        self._since = []
        if self.job.watched:
            found = alarms(step_rows(state.log_history), self.job.section.limits)
            self.alarm = "; ".join(found)
        if self.alarm:
            row["alarm"] = self.alarm
            control.should_training_stop = True
        elif state.global_step < state.max_steps:
            control.should_save = True

    def _held_out(self) -> float:
        return held_out_rate(self.judge, self.job.tasks.probe, self.policy.probed())

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folders.mark_complete(self.work / f"checkpoint-{state.global_step}")


_LOGGED = {
    "flat_groups": "frac_reward_zero_std",
    "clipped": "clip_ratio/region_mean",
    "gradient": "grad_norm",
    "length": "completions/mean_length",
}
"""What TRL calls a column of the table."""


def step_rows(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `steps.parquet`, of what the Trainer logged."""
    return [
        {name: row.get(_LOGGED.get(name, name)) for name in tables.REINFORCED.names}
        for row in history
        if "loss" in row or row["step"] == 0
    ]


def _write_samples(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=tables.REWARDED)
    temporary = path.with_name(f".{path.name}")
    pq.write_table(table, temporary)
    os.replace(temporary, path)


def _write(trained: Any, job: Job, work: Path, history: Sequence[dict[str, Any]]) -> None:
    result = work / "result"
    trained.save_pretrained(result)
    load_tokenizer(job.model).save_pretrained(result)
    rows = step_rows(history)
    pq.write_table(pa.Table.from_pylist(rows, schema=tables.REINFORCED), result / "steps.parquet")
    samples = [pq.read_table(path) for path in sorted(work.glob("samples-*.parquet"))]
    pq.write_table(pa.concat_tables(samples), result / "samples.parquet")
    report = json.dumps(asdict(_report(job, rows, model_id(result))), indent=2)
    (result / "training.json").write_text(report + "\n", encoding="utf-8")
    folders.sync_tree(result)


def _report(job: Job, rows: Sequence[dict[str, Any]], weights: str) -> Fitted:
    done = [row for row in rows if row["step"]]
    each = job.section.prompts * job.section.num_generations
    tokens = sum(round(row["length"] * each) for row in done if row["length"] is not None)
    return Fitted(
        documents=sum((row["solutions"] or 0) + (row["proposals"] or 0) for row in done),
        too_long=0,
        steps=len(done),
        tokens=tokens,
        precision=job.precision,
        seed=job.seed,
        method="grpo",
        loss_tokens=tokens,
        start=start_of(job.model),
        start_id=model_id(job.model),
        weights=weights,
    )
