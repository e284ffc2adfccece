from pathlib import Path

import pytest

from etude.config import differences, dump, load, parse, recipe_names
from etude.errors import RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_being_written_and_read(name: str) -> None:
    recipe = load(name)
    assert parse(dump(recipe), "again") == recipe


def test_settings_change_one_thing_each() -> None:
    base = load("tiny")
    changed = load("tiny", ["run.seed=3", "model.attention=sdpa"])
    assert differences(base, changed) == [
        "model.attention: 'eager' -> 'sdpa'",
        "run.seed: 0 -> 3",
    ]


@pytest.mark.parametrize("turn", [1, -1])
def test_settings_mean_the_same_in_any_order(turn: int) -> None:
    recipe = load("tiny", ["train.tokens=90", "train.epochs=2", "final.seed_repeat=3"][::turn])
    assert (recipe.train.tokens, recipe.train.epochs, recipe.final.human_share) == (90, 2, None)


@pytest.mark.parametrize("setting", ["propose.pool=9", "propose.parents=thin"])
def test_a_choice_of_puzzles_that_no_prompt_shows_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError, match=r"chooses the puzzles that prompts show"):
        load("tiny", [setting])
    load("tiny", [setting, "propose.mutate=0.5"])
    load("smoke", [setting, "prompt.few_shot=true"])


def test_what_held_in_place_of_a_setting_goes_when_that_is_asked_for() -> None:
    recipe = load("tiny", ["train.human_share=0.3", "train.tokens=90", "final.seed_repeat=3"])
    assert recipe.final.human_share is None
    assert (recipe.train.human_share, recipe.train.tokens) == (0.3, 90)
    again = parse(dump(recipe), "again", ["train.seed_repeat=2", "train.epochs=1"])
    assert (again.train.human_share, again.train.tokens, again.train.epochs) == (None, 0, 1)


def test_settings_of_time_alone_do_not_count_as_a_change() -> None:
    assert differences(load("tiny"), load("tiny", ["run.processes=1", "judge.workers=7"])) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("solve.sample=3", "solve.sample is not a setting. Did you mean samples?"),
        ("slove.samples=3", "slove is not a setting. Did you mean solve?"),
        ("run.max_puzzles=3", "Did you mean vet.max_puzzles?"),
        ("solve.samples=-1", "solve.samples is -1"),
        ("solve.samples=many", "solve.samples is 'many'"),
        ("solve.samples", "--set must be section.key=value but got 'solve.samples'"),
        ("name.x=1", "name is a value, not a section"),
        ("evaluate.final_samples=0", "evaluate.final_samples is 0"),
        ("solve.temperature=nan", "solve.temperature"),
        ("evaluate.ks=[0,1]", "evaluate.ks.0 is 0"),
        ("judge.cpu_seconds=6", "judge.wall_seconds must not be below judge.cpu_seconds = 6.0"),
        (
            "run.checkpoints=0",
            "tiny: run.checkpoints is 0: Input should be greater than or equal to 1, or 'all'. "
            "Change it.",
        ),
        ("train.lora_targets=3", "train.lora_targets is 3: Input should be a valid string, or a"),
        ("final.human_share=false", "final.human_share is False: must not be true or false"),
        ("run.rounds=true", "run.rounds is True: must not be true or false"),
        (f"repair.tries={10**20}", f"repair.tries is {10**20}: must be at most {2**53}"),
        ("final.human_share=0.999", "final.human_share is 0.999"),
        ("solve.max_new_tokens=192", "solve.max_new_tokens must be below model.context = 192"),
    ],
)
def test_a_bad_setting_is_one_sentence(setting: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load("tiny", [setting])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pass_at_k_beyond_the_attempts_is_refused() -> None:
    with pytest.raises(RecipeError, match="undefined for k > n"):
        load("tiny", ["evaluate.ks=[100]", "evaluate.samples=10"])


def test_scratch_needs_pretraining() -> None:
    with pytest.raises(RecipeError, match="go together"):
        load("tiny", ["model.base=somewhere"])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"one of .*tiny"):
        load(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="is not text"):
        load(tmp_path / "binary.toml")
    (tmp_path / "broken.toml").write_text("name = [\nx")
    with pytest.raises(RecipeError, match="must be TOML"):
        load(tmp_path / "broken.toml")
    (tmp_path / "bare.toml").write_text('name = "bare"')
    with pytest.raises(RecipeError, match="propose must be given but is missing"):
        load(tmp_path / "bare.toml")
