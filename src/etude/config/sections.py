"""The sections of a recipe: one frozen model a stage, every setting with its bounds and default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

LARGEST = 2**53
"""Of any whole number in a recipe: above any count, and below what an index or a float holds."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Which Python takes for 0 or 1 wherever a number is wanted."""
        wanted = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and wanted is not bool:
            raise ValueError("must not be true or false")
        if isinstance(value, int) and value > LARGEST:
            raise ValueError(f"must be at most {LARGEST}")
        return value


class RunSection(Section):
    """What holds for the whole run."""

    seed: int = Field(0, ge=0)
    rounds: int = Field(4, ge=0)
    threads: int = Field(1, ge=1)
    """Threads of torch in each process. Another number rounds differently, so it is recorded."""
    processes: int = Field(2, ge=1)
    """Arms of the ladder that run at the same time. Changes nothing but the time."""
    checkpoints: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    """Rounds whose weights are kept, the newest ones; of the others stays everything else, with
    the sums of the weights. The best round is kept too where `health.stop` may go back to it."""


class ModelSection(Section):
    """The model that learns: one built here, or one from a folder or the hub."""

    base: str = "scratch"
    """`scratch`, a folder, or a name on the hub."""
    vocab_size: int = Field(512, ge=300)
    hidden: int = Field(128, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    ffn: int = Field(384, ge=8)
    context: int = Field(192, ge=32)
    attention: Literal["eager", "sdpa"] = "eager"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Training precision. `auto` is bf16 where the processor has it, and is resolved at start."""


class FitSection(Section):
    """One training: how long, how fast, and how. `docs/training.md` says more of each."""

    epochs: float = Field(gt=0)
    tokens: int = Field(0, ge=0)
    """Tokens to train on, padding left out, in place of `epochs`: the same work however many
    examples there are. 0 leaves it to the epochs."""
    learning_rate: float = Field(gt=0)
    batch_tokens: int = Field(1024, ge=16)
    """Tokens of a step's batch, padding included, however it is cut and shared."""
    method: Literal["full", "lora"] = "full"
    lora_rank: int = Field(16, ge=1)
    lora_alpha: float = Field(32, gt=0)
    lora_dropout: float = Field(0, ge=0, lt=1)
    lora_targets: str | tuple[str, ...] = "all-linear"
    """`all-linear`, or the names of modules, such as `["q_proj", "v_proj"]`."""
    loss: Literal["text", "solution"] = "text"
    """What the model learns to predict: the whole text, or the solution given the puzzle."""
    packing: bool = False
    """Several documents in a row, none of which sees another."""
    block_tokens: int = Field(1024, ge=16)
    """With packing: the tokens of a row."""
    accumulate: int = Field(1, ge=1)
    """Parts that a batch is cut into on each device, one after the other, to save memory."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: slower, in less memory."""
    processes: int = Field(1, ge=1)
    """Processes that share each batch, a device each."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate after the warm-up."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises, where `warmup_steps` is not given."""
    warmup_steps: int | None = Field(None, ge=0)
    final_lr: float = Field(0.05, ge=0, lt=1)
    """With the schedule `cosine`: the last learning rate, as a share of the full one."""
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.98,
    )
    epsilon: float = Field(1e-8, gt=0)
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 clips nothing."""


class PretrainSection(FitSection):
    documents: int = Field(24_000, ge=1)
    loss: Literal["text"] = "text"
    """The only one: what a model is pretrained on has no solutions."""
    epochs: float = Field(1, gt=0)
    learning_rate: float = Field(2e-3, gt=0)
    batch_tokens: int = Field(768, ge=16)


class SeedsSection(FitSection):
    """The human-written pairs that the run starts from."""

    source: str = "tiny"
    """`tiny`, `p3-train`, or a JSONL or Parquet file of puzzle, solution."""
    folder: str = ""
    """For `p3-train`: a local folder of P3's files; otherwise they are downloaded once."""
    begin: Literal["seeds", "base"] = "seeds"
    """The model that the first round asks: trained on the seeds, or the base (the paper's)."""
    per_family: int = Field(2, ge=1)
    split_seed: int = Field(7, ge=0)
    """For `tiny`: which families are held out. From 1000 on, only such as settings were chosen on;
    from 2000 on, none of those (`etude.tiny.families`)."""
    epochs: float = Field(20, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    batch_tokens: int = Field(2048, ge=16)


class EngineSection(Section):
    """What samples text. `[propose.engine]` and `[solve.engine]` are the same for one stage."""

    kind: Literal["transformers", "vllm", "openai", "replay"] = "transformers"
    model: str = ""
    """A folder, a name on the hub, or a server's name of a model; empty is the model that learns,
    as it is by then. Evaluation always samples the model that learns."""
    recordings: str = ""
    """For `replay`: the file of recorded samples."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    max_rows: int = Field(0, ge=0)
    """For `transformers`: samples continued at the same time; 0 is as many as the memory holds."""
    memory_share: float = Field(0.9, gt=0, le=1)
    """For `vllm`: the share of the GPU's memory that it takes."""
    python: str = ""
    """For `vllm`: the interpreter of the environment that has it; empty is this one."""
    context: int = Field(0, ge=0)
    """For `openai` and `vllm`: tokens of prompt and reply; 0 is unknown, or the model's."""
    url: str = Field("https://api.openai.com/v1", pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")
    """For `openai`: the server's address up to and with `/v1`."""
    key_variable: str = Field("OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    """For `openai`: the environment variable that holds the key, which is never written down."""
    choices: int = Field(1, ge=1)
    """For `openai`: samples wanted of one request (`n`); a server that gives fewer is asked on."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """For `openai`: what the server calls the limit on new tokens."""
    concurrency: int = Field(8, ge=1)
    """For `openai`: requests under way at the same time."""
    requests_per_minute: int = Field(0, ge=0)
    """For `openai`: 0 is no limit; so for tokens, prompt and reply together."""
    tokens_per_minute: int = Field(0, ge=0)
    timeout: float = Field(120.0, gt=0)
    """For `openai`: seconds that a request may take."""
    retries: int = Field(8, ge=0)
    """For `openai`: how often a request is sent again after a failure that may pass."""
    input_price: float = Field(0.0, ge=0)
    """For `openai`: the price of a million prompt tokens, and of a million tokens of replies."""
    output_price: float = Field(0.0, ge=0)


class PromptSection(Section):
    layout: Literal["paper", "line", "chat"] = "paper"
    few_shot: bool = True
    """Show training puzzles when proposing, and the paper's five examples when solving."""
    shown: int = Field(0, ge=0)
    """Training puzzles that a prompt shows when proposing, at most; 0 is as many as fit."""
    human_share: float = Field(0.0, ge=0, le=1)
    """Where `propose.pool` shows self-made puzzles: the share of the shown ones that are people's,
    at least."""
    examples: int = Field(5, ge=0, le=5)
    """Of the paper's five solved examples, how many are shown when solving."""
    examples_seed: int = Field(0, ge=0)
    """0 shows the first of them in the paper's order; any other number draws which, and reorders
    them. Proposing reshuffles the training puzzles for every prompt, whatever this is."""


class ProposeSection(Section):
    samples: int = Field(ge=1)
    per_unit: int = Field(512, ge=1)
    per_prompt: int = Field(64, ge=1)
    """Samples of one prompt, at most; a unit's are shared out evenly among its prompts."""
    parents: Literal["any", "learnable", "thin", "thin-learnable"] = "any"
    """Which puzzles a prompt shows first: any, or rather those of middling difficulty, of cells
    that hold few (see `[archive]`), or both."""
    pool: int = Field(0, ge=0)
    """Self-made puzzles of earlier rounds among those that prompts show, at most."""
    mutate: float = Field(0.0, ge=0, le=1)
    """The share of the samples that are asked for by mutation: with prompts that start from one or
    two puzzles (see `docs/levers.md`)."""
    mutations: tuple[Literal["change", "exchange", "combine", "harder", "easier"], ...] = (
        "change",
        "combine",
    )
    """Their kinds, one drawn for each prompt. In the layout `line` there are no others."""
    per_mutation: int = Field(4, ge=1)
    """Samples of one such prompt, at most."""
    redraw: bool = False
    """Such prompts show their parents with other constants as defaults."""
    base_share: float = Field(0.0, ge=0, le=1)
    """The share of the units that are asked of the base, the model before it learned any puzzle."""
    temperature: float = Field(0.9, gt=0)
    max_new_tokens: int = Field(200, ge=1)
    engine: EngineSection | None = None
    """What proposes; without it `[engine]`."""


class VetSection(Section):
    max_puzzles: int = Field(ge=1)
    """Puzzles that go on to be solved, at most, in each round."""
    max_per_form: int = Field(12, ge=1)
    """Puzzles of one form (canonical source without constants), over all rounds."""
    max_per_cell: int = Field(0, ge=0)
    """Puzzles of one cell (see `[archive]`), in one round; 0 is no limit."""
    rules: Literal["etude", "paper"] = "etude"
    """`paper`: the released code's own rules and trivial answers (`docs/recipes.md`)."""
    unused: Literal["drop", "trim"] = "drop"
    """A puzzle with inputs that it never reads is dropped, or goes on without them."""
    skip_triviality: float = Field(0.0, ge=0, le=1)
    """The share of puzzles that are not tried with trivial answers; the paper's is 0.05."""


class ArchiveSection(Section):
    """What kinds of puzzles there are: the cells of `propose.parents` and `vet.max_per_cell`."""

    by: tuple[Literal["type", "constructs", "size", "form"], ...] = Field(
        ("type", "constructs", "size"), min_length=1
    )
    """Puzzles that agree in all of these stand in one cell."""


class DifficultySection(Section):
    """What is expected of puzzles that were not tried yet, or by weaker models (`difficulty`)."""

    prior: float = Field(4.0, ge=0.01, le=1e6)
    """What a prior weighs: so many attempts at a puzzle, so many puzzles of a form or type."""
    decay: float = Field(0.7, gt=0, le=1)
    """What a round's verdicts weigh against those of the round after it."""


class RetrySection(Section):
    """Puzzles that nobody solved are tried again in later rounds."""

    puzzles: int = Field(0, ge=0)
    """So many a round, at most, beside the new ones."""
    tries: int = Field(2, ge=1)
    """Rounds in which a puzzle is tried again, at most."""


class SolveSection(Section):
    samples: int = Field(ge=1)
    """Attempts at each puzzle."""
    budget: Literal["even", "adaptive"] = "even"
    """`adaptive`: as many attempts in all, half as many at puzzles that are expected to be easy,
    twice as many at hard ones."""
    base_share: float = Field(0.0, ge=0, le=1)
    """The share of the attempts at each puzzle that are asked of the base."""
    puzzles_per_unit: int = Field(100, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(150, ge=1)
    engine: EngineSection | None = None
    """What solves; without it `[engine]`."""


class JudgeSection(Section):
    cpu_seconds: float = Field(1.0, gt=0)
    wall_seconds: float = Field(10.0, gt=0)
    memory_mib: int = Field(1024, ge=64)
    isolation: Literal["auto", "full", "filtered", "process"] = "auto"
    """The least that will do; `docs/judge.md` says what each means."""
    twice: bool = False
    """Look at every answer a second time, with other chance, time and hashes; pairs whose outcome
    changes teach nothing."""
    workers: int = Field(1, ge=1)


class ProbeSection(Section):
    """What puzzles are tried with once they have been solved (see `docs/vetting.md`)."""

    strangers: int = Field(20, ge=0)
    """Answers of other puzzles that a puzzle is tried with, at most."""
    max_satisfied: float = Field(0.5, gt=0, le=1)
    """A puzzle that accepts more than this share of them is weak."""
    weak: Literal["report", "drop"] = "report"
    """`drop`: weak puzzles teach nothing."""
    unstable: Literal["report", "drop"] = "drop"
    """`drop`: puzzles teach nothing whose verdict on an answer changes with chance, time, hashes,
    or with what they were asked before."""


class DecontaminateSection(Section):
    """What is done about examples near a held-out problem (see `docs/vetting.md`)."""

    suites: tuple[str, ...] = ()
    """Suites, or files of puzzles, that the model will be scored on besides `evaluate.suite`."""
    folder: str = ""
    """A local folder of the data of these suites; otherwise it is downloaded once."""
    levels: tuple[Literal["exact", "canonical", "form", "8-gram", "behaviour"], ...] = (
        "exact",
        "canonical",
    )
    """The levels at which `action` is taken. Hits are written down at all of them."""
    share: float = Field(0.5, gt=0, le=1)
    """Of a problem's runs of 8 tokens, from which on an example counts at the level `8-gram`."""
    action: Literal["drop", "report"] = "drop"
    """`drop`: what is met at these levels is not trained on."""


class SelectSection(Section):
    max_solve_rate: float = Field(1.0, gt=0, le=1)
    """Puzzles solved more often than this are too easy to teach anything."""
    per_puzzle: int = Field(8, ge=1)
    """The shortest distinct accepted solutions that are kept of each puzzle."""
    dedup: Literal["exact", "canonical"] = "exact"
    """What makes two solutions of a puzzle one: their texts, or all but names, layout and order of
    operands (`docs/dedup.md`)."""
    most: int = Field(0, ge=0)
    """Examples of a round, at most; 0 is no limit. One of each puzzle goes before a second of
    any."""
    prefer: Literal["any", "learnable"] = "any"
    """With `most`: which puzzles go first. Any, or rather those of middling difficulty."""


class VarySection(Section):
    """Puzzles that were solved, asked again with other constants (see `docs/levers.md`)."""

    tries: int = Field(0, ge=0)
    """Variants of each puzzle, at most; 0 asks none."""
    solutions: int = Field(8, ge=1)
    """The shortest distinct accepted solutions of a puzzle that are tried on them."""
    rule: Literal["ignore", "prefer", "require"] = "prefer"
    """`prefer`: where a solution of a puzzle generalises, no other of it teaches. `require`: where
    none does, the puzzle teaches nothing."""
    generality: float = Field(0.5, gt=0, le=1)
    """A solution generalises that solves this share of the variants that can be solved."""
    examples: int = Field(0, ge=0)
    """Variants of each puzzle that become examples too, at most, with a solution of it that the
    judge accepted for them."""


class HindsightSection(Section):
    """Wrong answers as right ones to other puzzles (see `docs/levers.md`)."""

    per_puzzle: int = Field(0, ge=0)
    """Rewritten pairs of each puzzle that become examples, at most; 0 rewrites none."""
    general: bool = False
    """Only those whose solution also solves `vary.generality` of its puzzle's variants."""


class RepairSection(Section):
    """What nobody solved, by other solutions than the attempts (see `docs/levers.md`)."""

    tries: int = Field(0, ge=0)
    """Solutions one edit away from the attempts at each unsolved puzzle, at most; 0 tries none."""
    borrow: int = Field(0, ge=0)
    """Attempts at other puzzles that each unsolved one is tried with, at most; 0 tries none."""
    pose: int = Field(0, ge=0)
    """Puzzles with an answer that are made of each that is left unsolved, at most; 0 makes none.
    They are tried with what is borrowed."""
    turn: int = Field(0, ge=0)
    """Puzzles that are made of a round's attempts, at most, and posed and tried as those are; 0
    makes none."""
    per_puzzle: int = Field(2, ge=1)
    """The shortest distinct repairs of a puzzle that become examples, at most; if it was posed anew
    and that is fewer, the shortest of them with other values too."""
    per_turned: int = Field(4, ge=1)
    """The same of a puzzle that an attempt was turned into."""

    @property
    def is_on(self) -> bool:
        return bool(self.tries or self.borrow)

    @model_validator(mode="after")
    def _pose_borrows(self) -> RepairSection:
        if self.pose and not self.borrow:
            raise ValueError(
                "repair.pose needs solutions to try: set repair.borrow above 0, or repair.pose = 0"
                + (" and repair.turn = 0" if self.turn else "")
            )
        if 0 < self.pose < 3:
            raise ValueError(f"repair.pose must be 0 or at least 3 but is {self.pose}")
        if self.turn and not self.pose:
            raise ValueError(
                "repair.turn makes puzzles to pose: set repair.pose and repair.borrow above 0, or "
                "repair.turn = 0"
            )
        return self


class DescribeSection(Section):
    """Puzzles told in English, and solved from that alone (see `docs/levers.md`)."""

    tries: int = Field(0, ge=0)
    """Docstrings that are written of each puzzle that teaches; 0 writes none."""
    attempts: int = Field(4, ge=1)
    """Solutions that are written by each docstring alone: one that is right shows that it will do.
    Temperature and length are those of `[solve]`."""
    most: int = Field(0, ge=0)
    """Puzzles of a round that are told, at most; 0 is no limit."""
    per_puzzle: int = Field(1, ge=1)
    """Docstrings of a puzzle that become examples, at most: those that it was solved by most."""
    temperature: float = Field(0.7, gt=0)
    max_new_tokens: int = Field(100, ge=1)
    """Of a docstring."""


HumanShare = Annotated[float, Field(ge=0, le=0.99)]


class TrainSection(FitSection):
    """The training at the end of a round: seeds, new examples, a sample of the old."""

    start: Literal["latest", "base"] = "latest"
    """The checkpoint that it starts from; the paper's is `base`."""
    epochs: float = Field(2, gt=0)
    learning_rate: float = Field(8e-4, gt=0)
    seed_repeat: int = Field(4, ge=0)
    human_share: HumanShare | None = None
    """The share of the training's documents that people wrote, or reviewed: they are repeated as
    often as that takes, in place of `seed_repeat` times."""
    early_share: float = Field(0.0, ge=0, lt=1)
    """The share that round 0's model, which learned the seeds, has of the result's weights."""
    turned_share: float = Field(1.0, ge=0, le=1)
    """Of the examples that attempts were turned into (`repair.turn`), the share that this training
    takes; the student learns from all."""
    replay: Annotated[float, Field(ge=0)] | Literal["all"] = 1.0
    """Old examples, as a multiple of the new ones; `all` trains on everything so far."""


class FinalSection(FitSection):
    """The student: trained on the seeds and every example of all rounds."""

    start: Literal["latest", "base"] = "base"
    """The checkpoint that it starts from: the last round's, or the base."""
    epochs: float = Field(6, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    seed_repeat: int = Field(5, ge=0)
    human_share: HumanShare | None = None
    """As in `[train]`."""
    early_share: float = Field(0.0, ge=0, lt=1)
    """As in `[train]`."""


class EvaluateSection(Section):
    suite: str = "tiny"
    folder: str = ""
    """A local folder of the suite's data; otherwise it is downloaded once."""
    samples: int = Field(32, ge=1)
    """Attempts a problem after each round."""
    final_samples: int = Field(128, ge=1)
    """Attempts a problem for the rows of the ladder."""
    ks: tuple[Annotated[int, Field(ge=1)], ...] = (1, 10, 100)
    temperature: float = Field(0.8, gt=0)
    max_new_tokens: int = Field(150, ge=1)
    problems_per_unit: int = Field(50, ge=1)


Share = Annotated[float, Field(ge=0, le=1)]


class StopLimits(Section):
    """Where the rounds end, by measure (`docs/health.md` says what each is); None is nowhere."""

    well_formed: Share | None = None
    duplicates: Share | None = None
    """This, `accepted`, `weak`, `unstable`, `gap` and `drop` end above their limit, the others
    below."""
    kept: Share | None = None
    accepted: Share | None = None
    solved: Share | None = None
    learnable: Share | None = None
    taught: Share | None = None
    weak: Share | None = None
    unstable: Share | None = None
    novel_forms: Share | None = None
    held_out: Share | None = None
    drop: Share | None = None
    gap: Share | None = None
    types: Share | None = None


class WarnLimits(StopLimits):
    """Where a round is warned of."""

    well_formed: Share | None = 0.1
    duplicates: Share | None = 0.5
    accepted: Share | None = 0.9
    learnable: Share | None = 0.1
    weak: Share | None = 0.5
    unstable: Share | None = 0.05
    novel_forms: Share | None = 0.1
    drop: Share | None = 0.1
    types: Share | None = 0.3


class HealthSection(Section):
    """When a round is warned of, and when the rounds end early."""

    keep: Literal["best", "last"] = "best"
    """After a stop: the student learns the examples up to the best round by held-out pass@1, or
    all."""
    warn: WarnLimits = WarnLimits()
    stop: StopLimits = StopLimits()


class MonitorLimits(Section):
    """Where a reinforcement is stopped, by measure (`docs/reinforce.md`); None is nowhere."""

    held_out: Share | None = 0.15
    """How far the rate on puzzles held apart may fall below its best while the reward rises."""
    constants: Share | None = 0.8
    """The share of accepted solutions that read none of their arguments."""
    trivial: Share | None = 0.8
    """The share of proposals that a trivial answer satisfies."""
    reward: Share | None = 0.5
    """The least reward, as a share of that at the start."""
    entropy: Share | None = 0.1
    """The least entropy a token, as a share of that at the start."""
    kl: Annotated[float, Field(gt=0)] | None = 2.0
    """The divergence from the start, in nats a token; it is measured where `beta` is not 0."""


class ReinforceSection(Section):
    """GRPO with the judge as reward (see `docs/reinforce.md`), by TRL."""

    when: Literal["rounds", "student", "both"] = "rounds"
    """After the training of each round, of the student, or of both."""
    steps: int = Field(40, ge=1)
    prompts: int = Field(8, ge=1)
    """Prompts a step."""
    num_generations: int = Field(8, ge=2)
    """Samples of a prompt: its group."""
    iterations: int = Field(1, ge=1)
    """Updates with the samples of a step."""
    accumulate: int = Field(1, ge=1)
    """Parts that a step's samples are cut into, one after the other, to save memory."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: slower, in less memory."""
    learning_rate: float = Field(1e-4, gt=0)
    beta: float = Field(0.02, ge=0)
    """How much the divergence from the start counts; 0 measures none."""
    epsilon: float = Field(0.2, gt=0, lt=1)
    """How far from 1 a ratio of probabilities counts, with more than one iteration."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dr_grpo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 clips nothing."""
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int | None = Field(None, ge=1)
    """Tokens of a solution; without it those of `[solve]`. A proposal has those of `[propose]`."""
    propose_share: Share = 0.25
    """Of a step's prompts, how many ask for a puzzle."""
    seed_share: Share = 0.25
    """Of the prompts that ask for a solution, how many have a human-written puzzle."""
    attempts: int = Field(4, ge=2)
    """Solutions with which a proposed puzzle is tried."""
    novelty: float = Field(0.2, ge=0)
    """What a form that was not seen before adds to the reward of a puzzle that was solved."""
    probe: int = Field(32, ge=0)
    """Puzzles that are held apart and never rewarded, at most a quarter of all."""
    probe_samples: int = Field(4, ge=1)
    monitor_every: int = Field(10, ge=1)
    """Steps from one look of the monitor, and one checkpoint, to the next."""
    on_alarm: Literal["stop", "keep-best"] = "stop"
    """After an alarm the last good weights are kept; `stop` ends the rounds too."""
    limits: MonitorLimits = MonitorLimits()


class ControlsSection(Section):
    arms: tuple[Literal["pretrained", "more-epochs", "unverified"], ...] = (
        "unverified",
        "pretrained",
        "more-epochs",
    )


_PYTHONS = frozenset(
    ("tiny", "p3", "p3-train", "p3-all", "humaneval", "mbpp", "humaneval+", "mbpp+")
)
"""Seeds and suites of Python."""


class Recipe(Section):
    """Every setting of a run. `name` is the recipe's, and the default name of its folder."""

    name: str = Field(pattern=r"^[\w.-]+$")
    domain: Literal["python", "regex"] = "python"
    """What the puzzles are of (`docs/domains.md`)."""
    run: RunSection = RunSection()
    model: ModelSection = ModelSection()
    pretrain: PretrainSection | None = None
    seeds: SeedsSection = SeedsSection()
    engine: EngineSection = EngineSection()
    prompt: PromptSection = PromptSection()
    propose: ProposeSection
    vet: VetSection
    archive: ArchiveSection = ArchiveSection()
    difficulty: DifficultySection = DifficultySection()
    retry: RetrySection = RetrySection()
    solve: SolveSection
    judge: JudgeSection = JudgeSection()
    probe: ProbeSection = ProbeSection()
    decontaminate: DecontaminateSection = DecontaminateSection()
    select: SelectSection = SelectSection()
    vary: VarySection = VarySection()
    hindsight: HindsightSection = HindsightSection()
    repair: RepairSection = RepairSection()
    describe: DescribeSection = DescribeSection()
    train: TrainSection = TrainSection()
    final: FinalSection = FinalSection()
    reinforce: ReinforceSection | None = None
    evaluate: EvaluateSection = EvaluateSection()
    health: HealthSection = HealthSection()
    controls: ControlsSection = ControlsSection()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if (self.model.base == "scratch") != (self.pretrain is not None):
            raise ValueError(
                'model.base = "scratch" and a [pretrain] section go together: '
                "a model built here must be pretrained, any other must not"
            )
        if self.model.hidden % (2 * self.model.heads):
            raise ValueError(
                f"model.hidden must be a multiple of twice model.heads = {self.model.heads}, "
                f"so that every head has an even size, but is {self.model.hidden}"
            )
        for name in ("propose", "solve", "evaluate"):
            asked = getattr(self, name).max_new_tokens
            if self.model.base == "scratch" and asked >= self.model.context:
                raise ValueError(
                    f"{name}.max_new_tokens must be below model.context = {self.model.context}, "
                    f"which holds the prompt too, but is {asked}"
                )
        self._check_engines()
        self._check_levers()
        self._check_reinforce()
        self._check_parents()
        self._check_mutations()
        self._check_early_shares()
        self._check_domain()
        if self.judge.wall_seconds < self.judge.cpu_seconds:
            raise ValueError(
                f"judge.wall_seconds must not be below judge.cpu_seconds = "
                f"{self.judge.cpu_seconds}, in place of which it would decide, but is "
                f"{self.judge.wall_seconds}"
            )
        fewest = min(self.evaluate.samples, self.evaluate.final_samples)
        if not self.evaluate.ks or min(self.evaluate.ks) > fewest:
            raise ValueError(
                f"evaluate.ks needs a k of at most {fewest}, the attempts a problem, "
                "because pass@k is undefined for k > n"
            )
        return self

    def _check_levers(self) -> None:
        if self.vary.examples > self.vary.tries:
            raise ValueError(
                f"vary.examples must be at most vary.tries = {self.vary.tries}, of which they are "
                f"taken, but is {self.vary.examples}"
            )
        if self.hindsight.general and not self.vary.tries:
            raise ValueError(
                "hindsight.general needs vary.tries of at least 1: without variants nothing says "
                "what generalises"
            )
        if self.describe.tries and self.prompt.layout == "line":
            raise ValueError(
                'describe.tries above 0 needs prompt.layout = "paper" or "chat": a model of the '
                "layout line knows no English"
            )
        if self.select.prefer != "any" and not self.select.most:
            raise ValueError(
                f'select.prefer = "{self.select.prefer}" chooses the examples that select.most '
                "allows, so select.most must be above 0"
            )

    def _check_early_shares(self) -> None:
        for name, section in (("train", self.train), ("final", self.final)):
            if section.early_share and section.method != "full":
                raise ValueError(
                    f"{name}.early_share mixes whole weights, so {name}.method must be full, "
                    f"but is {section.method}"
                )

    def _check_parents(self) -> None:
        if self.prompt.few_shot or self.propose.mutate:
            return
        for setting, on in (
            ("propose.pool", self.propose.pool),
            ("propose.parents", self.propose.parents != "any"),
        ):
            if on:
                raise ValueError(
                    f"{setting} chooses the puzzles that prompts show, so prompt.few_shot must be "
                    "true, or propose.mutate above 0"
                )

    def _check_mutations(self) -> None:
        kinds = self.propose.mutations
        if not self.propose.mutate:
            return
        if not kinds:
            raise ValueError("propose.mutations must name a kind where propose.mutate is above 0")
        if self.prompt.layout == "line" and not set(kinds) <= {"change", "exchange", "combine"}:
            raise ValueError(
                'prompt.layout = "line" follows no words, so propose.mutations must be of '
                f"change, exchange and combine, but is {', '.join(kinds)}"
            )
        if self.prompt.layout != "line" and "exchange" in kinds:
            raise ValueError(
                f'prompt.layout = "{self.prompt.layout}" asks in words, so propose.mutations must '
                "be without exchange, which is of the layout line alone"
            )

    def _check_domain(self) -> None:
        """What is Python's alone, and what is another domain's own."""
        others = {"regex"} - {self.domain}
        own, plain = self.domain, self.domain == "python"
        for setting, value in (
            ("seeds.source", self.seeds.source),
            ("evaluate.suite", self.evaluate.suite),
        ):
            if value in others or (not plain and value in _PYTHONS):
                raise ValueError(
                    f'{setting} must be of the domain "{own}" but is "{value}"; give '
                    + (f'domain = "{value}" too' if plain else f'"{own}"')
                )
        if plain:
            return
        if self.prompt.layout != "line" or self.prompt.few_shot:
            raise ValueError(
                f'domain = "{own}" needs prompt.layout = "line" and prompt.few_shot = false: '
                "it has no other prompts"
            )
        for setting, on in (
            ("vary.tries", self.vary.tries),
            ("hindsight.per_puzzle", self.hindsight.per_puzzle),
            ("repair.tries", self.repair.tries),
            ("repair.borrow", self.repair.borrow),
            ("propose.mutate", self.propose.mutate),
        ):
            if on:
                raise ValueError(f'domain = "{own}" needs {setting} = 0: that reads Python alone')
        if self.vet.unused == "trim":
            raise ValueError(f'domain = "{own}" needs vet.unused = "drop": that reads Python alone')
        if self.reinforce is not None:
            raise ValueError(f'domain = "{own}" has no [reinforce]: its prompts are of Python')
        if self.vet.rules == "paper":
            raise ValueError(f'domain = "{own}" needs vet.rules = "etude": the paper has no others')

    def _check_engines(self) -> None:
        if self.engine.kind == "openai" and self.run.rounds:
            raise ValueError(
                'engine.kind must be "transformers" or "vllm" in a run with rounds, because '
                "[engine] samples the model that learns, which no server has; a server may "
                "propose and solve: [propose.engine], [solve.engine]"
            )
        for name in ("propose", "solve"):
            section: EngineSection | None = getattr(self, name).engine
            if section is not None and section.kind == "openai" and not section.model:
                raise ValueError(f"{name}.engine.model must name the server's model, but is empty")
            asked = section or self.engine
            if getattr(self, name).base_share and asked.model:
                raise ValueError(
                    f"{name}.base_share asks the base beside the model that learns, but "
                    f"{asked.model} does that stage: leave base_share or the engine's model out"
                )
        if self.prompt.layout == "chat" and self.model.base == "scratch":
            raise ValueError(
                'prompt.layout = "chat" needs a chat model as model.base: '
                "a model built here has no chat template"
            )

    def _check_reinforce(self) -> None:
        section = self.reinforce
        if section is None:
            return
        samples = section.prompts * section.num_generations
        if samples % section.accumulate:
            raise ValueError(
                f"reinforce.accumulate must divide prompts * num_generations = {samples}, "
                f"but is {section.accumulate}"
            )
        asked = section.max_new_tokens or 0
        if self.model.base == "scratch" and asked >= self.model.context:
            raise ValueError(
                f"reinforce.max_new_tokens must be below model.context = {self.model.context}, "
                f"which holds the prompt too, but is {asked}"
            )
