"""The families: every instance is right, and no test problem is among the seeds."""

from __future__ import annotations

import collections
import hashlib
import random
import re
from collections.abc import Iterator

import pytest

from etude.errors import InputError
from etude.judge import Judge
from etude.puzzle import check_rules, parse
from etude.tiny.families import (
    FAMILIES,
    REPORTING,
    TUNING,
    Family,
    Instance,
    held_out,
    seed_pairs,
    split,
    tuning,
    unseen,
)
from etude.trivial import trivial_answers
from etude.types import Outcome

NEVER_TAUGHT = (*tuning.FAMILIES, *unseen.FAMILIES)
EVERY = (*FAMILIES, *NEVER_TAUGHT)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1) as judge:
        yield judge


def outcomes(judge: Judge, instances: list[Instance]) -> list[Outcome]:
    pairs = [(instance.puzzle, [instance.solution]) for instance in instances]
    return [verdict.outcome for (verdict,) in judge.verify_all(pairs)]


def draw(count: int, families: tuple[Family, ...] = FAMILIES, seed: int = 0) -> list[Instance]:
    rng = random.Random(seed)
    return [family.instance(rng) for family in families for _ in range(count)]


def named(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


def share(instances: list[Instance], pattern: str) -> float:
    return sum(bool(re.search(pattern, one.puzzle)) for one in instances) / len(instances)


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_every_instance_of_every_family_is_solved_by_its_solution(judge: Judge, count: int) -> None:
    instances = draw(count, EVERY, seed=count)
    found = zip(instances, outcomes(judge, instances), strict=True)
    assert [instance for instance, outcome in found if outcome is not Outcome.ACCEPTED] == []


def test_every_seed_and_every_test_problem_is_solved_by_its_solution(judge: Judge) -> None:
    constants, families = held_out()
    assert set(outcomes(judge, constants + families + seed_pairs(0))) == {Outcome.ACCEPTED}


def test_every_solution_of_a_family_comes_up() -> None:
    rng = random.Random(0)
    for family in EVERY:
        if len(family.constants) == 1:  # nothing is inlined: the text is the solution as declared
            seen = {family.instance(rng).solution.split(": return ")[1] for _ in range(60)}
            assert seen == set(family.solutions), family.name


def test_every_instance_is_a_puzzle_by_the_rules() -> None:
    for instance in draw(20, EVERY):
        puzzle = parse(instance.puzzle)
        check_rules(puzzle)  # every argument is used, among others
        assert puzzle.answer_type == instance.answer_type
        assert puzzle.inputs == instance.inputs
        assert instance.solution.startswith(f"def g({instance.inputs}): return ")
        assert "\n" not in instance.puzzle + instance.solution


def test_there_are_as_many_families_of_each_type_as_promised() -> None:
    counts = collections.Counter(family.answer_type for family in FAMILIES)
    assert counts == {"int": 31, "float": 8, "str": 27, "List[int]": 25, "List[str]": 17}


def test_no_two_families_are_the_same() -> None:
    assert len({family.name for family in FAMILIES}) == 108
    assert len({family.name for family in EVERY}) == 108 + 59 + 55
    assert len({(family.answer_type, family.condition) for family in EVERY}) == 108 + 59 + 55


def test_constants_are_never_negative_so_that_they_can_be_inlined_anywhere() -> None:
    for instance in draw(60, EVERY):
        assert not re.search(r"=-|\[-|, -\d", instance.inputs), instance.puzzle


def test_an_equality_is_sometimes_written_the_other_way_round() -> None:
    assert 0.2 < share(draw(2000, (named("reverse"),)), r"return s == x\[::-1\]$") < 0.3
    both = draw(2000, (named("between"),))
    assert 0.2 < share(both, r"return x < \w+ and x > \w+$") < 0.4


def test_constants_are_sometimes_inlined_and_never_all_of_them() -> None:
    instances = draw(4000, (named("add"),))
    assert 0.23 < share(instances, r"return .*\d") < 0.33  # 1 - 0.85 ** 2 = 0.28
    assert all(instance.inputs for instance in instances)
    assert share(instances, r"x: int, b=") > 0.4


def test_the_same_seed_draws_the_same_instances() -> None:
    assert draw(2, seed=3) == draw(2, seed=3)
    assert draw(2, seed=3) != draw(2, seed=4)


@pytest.mark.parametrize("seed", range(8))
def test_a_split_holds_out_25_families_of_all_types(seed: int) -> None:
    training, held = split(seed)
    assert len(training) == 83
    assert {f.name for f in training} | {f.name for f in held} == {f.name for f in FAMILIES}
    counts = collections.Counter(family.answer_type for family in held)
    assert counts == {"int": 7, "float": 2, "str": 6, "List[int]": 6, "List[str]": 4}


def test_another_split_holds_out_other_families() -> None:
    assert {f.name for f in split(7)[1]} != {f.name for f in split(8)[1]}
    assert [f.name for f in split(7)[1]] == [f.name for f in split()[1]]


def test_what_is_reported_on_is_no_family_that_settings_were_chosen_on() -> None:
    names = [{one.name for one in each} for each in (FAMILIES, tuning.FAMILIES, unseen.FAMILIES)]
    assert [len(each) for each in names] == [108, 59, 55]
    assert len(set().union(*names)) == 108 + 59 + 55
    for seed in range(5):
        for splits, held in ((TUNING, tuning.FAMILIES), (REPORTING, unseen.FAMILIES)):
            training, others = split(splits[seed])
            assert others == held
            assert len(training) == 83
            assert {one.name for one in training} < names[0]
            assert training != split(splits[seed + 1])[0]


def test_a_form_that_is_held_out_is_neither_taught_nor_of_both_sets() -> None:
    forms = [
        {parse(one.puzzle).form for one in draw(40, each)}
        for each in (FAMILIES, tuning.FAMILIES, unseen.FAMILIES)
    ]
    assert len(set().union(*forms)) == sum(map(len, forms))


def test_no_one_answer_solves_half_of_a_family_that_is_never_taught(judge: Judge) -> None:
    rng = random.Random(0)
    for one in NEVER_TAUGHT:
        puzzles = [one.instance(rng).puzzle for _ in range(8)]
        jobs = [(puzzle, trivial_answers(one.answer_type)) for puzzle in puzzles]
        solved: collections.Counter[int] = collections.Counter()
        for said in judge.satisfied_all((parse(puzzle), answers) for puzzle, answers in jobs):
            solved.update(at for at, outcome in enumerate(said) if outcome is Outcome.ACCEPTED)
        assert max(solved.values(), default=0) < 4, one.name


@pytest.mark.parametrize(
    ("seed", "split_seed", "each"),
    [(0, 7, 4), (1, 7, 4), (2, 7, 4), (0, 8, 4), (1, 9, 4), (0, 1000, 2), (1, 3001, 2)],
)
def test_seeds_show_no_test_problem_and_no_held_out_family(
    seed: int, split_seed: int, each: int
) -> None:
    constants, families = held_out(split_seed=split_seed)
    pairs = seed_pairs(seed, split_seed=split_seed)
    training, held = split(split_seed)
    assert collections.Counter(p.family for p in pairs) == {f.name: 2 for f in training}
    assert {one.family for one in constants} == {f.name for f in training}
    assert collections.Counter(one.family for one in families) == {f.name: each for f in held}
    problems = [*constants, *families, *pairs]
    assert len({parse(one.puzzle).id for one in problems}) == 96 + each * len(held) + 166
    assert len({one.identity for one in problems}) == 96 + each * len(held) + 166


def test_runs_with_other_seeds_start_from_other_pairs() -> None:
    first, second = ({one.puzzle for one in seed_pairs(seed)} for seed in (0, 1))
    assert len(first & second) < 30


def test_the_test_problems_are_those_that_published_scores_rest_on() -> None:
    """If this fails, scores on `tiny` can't be compared with earlier ones: say so in CHANGELOG."""
    texts = "\n".join(one.puzzle for part in held_out() for one in part)
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == "8e8958c862faf9f1"


def test_a_family_without_enough_puzzles_is_named() -> None:
    with pytest.raises(InputError, match=r"family 'number_of_digits' has too few .* ask for fewer"):
        seed_pairs(0, per_family=8)


def test_the_number_of_problems_is_as_asked() -> None:
    constants, families = held_out(n_constants=10, n_families=25)
    assert (len(constants), len(families)) == (10, 25)
    assert len(seed_pairs(0, per_family=1)) == 83
