"""Cells, the archive, mutations people's shares: the mechanics, with real puzzles and stages."""

from __future__ import annotations

import ast
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import config, reviews, store, tables
from etude.archive import Archive, Round, archive, kept_in
from etude.arguments import unused_arguments
from etude.arm import Arm
from etude.breeding import Breeder
from etude.cells import cell_of, traits, words_of
from etude.errors import InputError, RecipeError
from etude.exchanges import KINDS, exchanged
from etude.exposure import trained_on
from etude.forecast.work import count_work
from etude.mutate import cuts, merged, mutation_prompt, opening_of
from etude.parents import Parents, parents
from etude.prompts import completed, proposal_prompt
from etude.propose import _mutations, propose
from etude.puzzle import parse
from etude.shares import Shown, arranged, exactly, repeated, wanted
from etude.tiny.families import seed_pairs
from etude.tiny.grammar import document
from etude.train import _beside_people, _people_words, seed_documents
from etude.types import Prompt, Puzzle, content_id
from etude.vet import vet

BY = ("type", "constructs", "size")


@cache
def written() -> tuple[Puzzle, ...]:
    """Puzzles of every family, and random ones."""
    rng = random.Random(5)
    texts = [pair.puzzle for pair in seed_pairs(0, 1, split_seed=7)]
    texts += [document(rng)[0] for _ in range(60)]
    return tuple(map(parse, texts))


puzzles = st.sampled_from(range(len(written()))).map(lambda place: written()[place])


# cells


def renamed_inputs(puzzle: Puzzle) -> Puzzle:
    """The same puzzle, whose arguments have other names."""
    tree = ast.parse(puzzle.source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    names = {one.arg: f"other{place}" for place, one in enumerate(function.args.args)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = names.get(node.arg, node.arg)
        elif isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return parse(ast.unparse(tree))


@given(puzzle=puzzles)
def test_a_cell_knows_neither_names_nor_layout(puzzle: Puzzle) -> None:
    other = renamed_inputs(puzzle)
    assert traits(other) == traits(puzzle)
    assert words_of(other) == words_of(puzzle)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x: int, a=7): return x + a == 9", "def f(x: int, a=-31): return x + a == -400"),
        (
            "def f(u: List[int], v=[1, 2]): return u == v + [3, 4, 5]",
            "def f(u: List[int], v=[7]): return u == v + [-9]",
        ),
        ("def f(x: int): return x == 3", 'def f(x: int):\n    """What?"""\n    return x == 4'),
    ],
)
def test_a_cell_knows_no_constants(one: str, other: str) -> None:
    assert traits(parse(one)) == traits(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x: int): return x > 3 == 5", "def f(x: str): return x > 3 == 5"),
        ("def f(x: int, a=2): return x % a == 1", "def f(x: int, a=2): return x * a == 1"),
        ("def f(s: str): return s[1] == 'a'", "def f(s: str): return s[1:] == 'a'"),
        (
            "def f(u: List[int]): return sum(u) == 9",
            "def f(u: List[int], sum=max): return sum(u) == 9",
        ),
        (
            "def f(x: int, a=2): return x + a == 9",
            "def f(x: int, a=2): return x + a + x + a + x + a + x + a == 9",
        ),
    ],
)
def test_what_differs_in_kind_stands_in_other_cells(one: str, other: str) -> None:
    assert cell_of(traits(parse(one)), BY) != cell_of(traits(parse(other)), BY)


def test_a_cell_by_form_is_the_form() -> None:
    same = [parse(f"def f(x: int, a={a}): return x + a == 9") for a in (1, 2)]
    other = parse("def f(x: int, a=1): return a + x == 9")
    first, second, third = (cell_of(traits(one), ["form"]) for one in (*same, other))
    assert first == second != third


# the archive


def test_a_cell_is_as_full_as_it_has_puzzles_that_someone_solved() -> None:
    """A puzzle that is tried again later is one puzzle; what nobody solved fills no cell."""
    human = parse("def f(x: int, a=7): return x + a == 9")
    sums = [parse(f"def f(x: int, a={a}): return x - a == 1") for a in range(3)]
    lone = parse("def f(s: str, t='a'): return s in t")
    rounds = [Round(), Round()]
    for puzzle, accepted in [(sums[0], 2), (sums[1], 0), (sums[2], 0), (lone, 1)]:
        rounds[0].add(int(puzzle.id, 16), traits(puzzle), 4, accepted)
    for puzzle, accepted in [(sums[1], 3), (sums[0], 1), (human, 4)]:
        rounds[1].add(int(puzzle.id, 16), traits(puzzle), 4, accepted)
    found = Archive([human], rounds, BY)
    cell = found.cell(human)
    assert cell == found.cell(sums[0])
    assert found.members(cell) == 3  # a person's, and two that were solved by now
    assert found.cells[cell].solve_rate == (2 + 3 + 1 + 4) / 24
    assert found.thinness(sums[2].id) == 1 / 3
    assert found.thinness(lone.id) == 1
    assert found.filled() == 2
    assert Archive([human], rounds, BY, verdicts=False).members(cell) == 4


def test_thin_cells_are_drawn_as_often_as_full_ones() -> None:
    """In all, each cell weighs the same, whatever it holds."""
    found = Archive(written(), [], BY)
    weights: Counter[object] = Counter()
    for puzzle in written():
        weights[found.cell(puzzle)] += found.thinness(puzzle.id)  # type: ignore[assignment]
    assert len(weights) > 10
    assert all(abs(weight - 1) < 1e-9 for weight in weights.values())


# mutations


@given(puzzle=puzzles, data=st.data())
def test_a_beginning_and_its_own_rest_are_the_puzzle_again(
    puzzle: Puzzle, data: st.DataObject
) -> None:
    source = puzzle.source
    place = data.draw(st.sampled_from(cuts(source)))
    after = data.draw(st.sampled_from(["", "\n", "\ndef g(", "\n\nassert f(g())\n"]))
    prompt = Prompt(source[:place], opening_of(source[:place]))
    assert prompt.opening == prompt.text
    again = completed(prompt, source[place:] + after, "f")
    assert again == source
    assert parse(again).id == puzzle.id


@pytest.mark.parametrize(
    "source",
    [
        "def f(s: str, t='def f('): return s == t + 'def g(x: int):'",
        "def f(s: str, t=':'): return (lambda u: u + \"'\")(s) == t # def f(",
        "def f(s: str, t='é\\n\u2028'): return s in f'{t}{{x}}def f1('",
        "def f(x: int,\n      a=7):\n    def f(y):\n        return y\n    return f(x) == a",
        "def f(s: str, t='''a\nb'''): return s == t",
    ],
)
def test_texts_that_look_like_headers_mislead_nobody(source: str) -> None:
    assert cuts(source)
    for place in cuts(source):
        prompt = Prompt(source[:place], opening_of(source[:place]))
        assert completed(prompt, source[place:], "f") == source


@pytest.mark.parametrize(
    "source", ["x = 1\ndef f(x: int): return x == 3", "def f(x: int): return (x == 3", "def f("]
)
def test_what_is_no_puzzle_of_its_own_is_not_cut(source: str) -> None:
    assert cuts(source) == []


def test_a_free_prompt_ends_with_its_opening() -> None:
    sources = [one.source for one in written()[:9]]
    for layout in ("paper", "line"):
        prompt, _ = proposal_prompt(
            sources,
            random.Random(3),
            layout=layout,  # type: ignore[arg-type]
            fits=lambda _: True,
        )
        assert opening_of(prompt.text) == prompt.opening == "def f10("
    assert opening_of("def f(") == "def f("


@given(puzzle=puzzles, seed=st.integers(0, 2**32))
def test_an_exchange_changes_one_part_and_nothing_else(puzzle: Puzzle, seed: int) -> None:
    made = exchanged(puzzle.source, random.Random(seed))
    if made is None:
        return
    whole, end = made
    assert puzzle.source in {
        whole[: end - len(new)] + old + whole[end:]
        for kind in KINDS
        for new in kind
        for old in kind
        if old != new and whole[:end].endswith(new)
    }
    assert parse(whole).answer_type == puzzle.answer_type
    assert parse(whole).inputs == puzzle.inputs


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int, a=-7): return -x",
        "def f(x: int, s='a + b'): return [*s][x]",
        "def f(x: int, len=7): return len",
        "def f(x: int):\n    return x + 1 == 3",
        "def f(x: int, a=7): return (x + a",
        "def f(x: int, a=3 + 4): return x",
    ],
)
def test_where_nothing_has_a_kind_nothing_is_exchanged(source: str) -> None:
    assert exchanged(source, random.Random(1)) is None


def test_a_prompt_reaches_beyond_what_was_exchanged() -> None:
    parent = parse("def f(x: List[int], a=7, u=[3, 4]): return [i * a for i in x] == u")
    head = "def f(x: List[int], a=7, u=[3, 4]): return "
    found = set()
    for seed in range(400):
        made = mutation_prompt("exchange", [parent], random.Random(seed), layout="line")
        assert made is not None
        assert made.opening == made.text
        found.add(made.text.removeprefix(head))
    assert {"[i +", "[i + a for i in x] == u", "[i * a for i in x] >="} <= found
    assert not any("[i * a for i in x] == u".startswith(one) for one in found)


@given(one=puzzles, other=puzzles)
@settings(max_examples=60)
def test_two_puzzles_become_one_with_the_inputs_of_both(one: Puzzle, other: Puzzle) -> None:
    whole = merged(one, other)
    if one.answer_type != other.answer_type or not other.inputs:
        assert whole is None
        return
    if whole is None:  # a name of the one means something else in the other
        assert "for " in other.source or "lambda" in other.source
        return
    made = parse(whole[0])
    assert made.answer_type == one.answer_type
    defaults = [text.partition("=")[2] for text in made.inputs.split(", ")]
    own = [text.partition("=")[2] for text in f"{one.inputs}, {other.inputs}".split(", ") if text]
    assert defaults == own
    assert len(unused_arguments(made)) == len(unused_arguments(one) + unused_arguments(other))


@pytest.mark.parametrize(
    ("one", "other", "made"),
    [
        (
            "def f(x: int, a=7): return x == a or x == 3",
            "def f(y: int, a=3, b=4): return y < a + b",
            "def f(x: int, a=7, c=3, b=4): return (x == a or x == 3) and x < c + b",
        ),
        (
            "def f(u: List[int], sum=3): return u[0] == sum",
            "def f(v: List[int], n=9): return sum(v) == n",
            None,  # `sum` is the first one's input
        ),
        (
            "def f(i: List[int], a=3): return a in i",
            "def f(v: List[int], n=9): return all(i < n for i in v)",
            None,  # `i` is the first one's answer
        ),
        (
            "def f(x: int): return x > 4",
            "def f(x: int, a=3):\n    y = x + a\n    return y == 9",
            None,
        ),
    ],
)
def test_what_is_composed_means_what_its_parts_did(one: str, other: str, made: str | None) -> None:
    whole = merged(parse(one), parse(other))
    assert (whole and whole[0]) == made


def test_words_ask_for_what_a_model_follows() -> None:
    one, other = written()[:2]
    rng = random.Random(1)
    paper = mutation_prompt("harder", [one], rng, layout="paper")
    assert paper is not None
    assert paper.text.endswith("\n\n# the same puzzle, but harder\ndef f2(")
    assert paper.opening == opening_of(paper.text) == "def f2("
    assert parse(paper.text.partition("\n\n#")[0]).id == one.id
    both = mutation_prompt("combine", [one, other], rng, layout="paper")
    assert both is not None
    assert both.opening == "def f3("
    chat = mutation_prompt("combine", [one, other], rng, layout="chat")
    assert chat is not None
    assert chat.chat
    assert one.source in chat.text
    assert other.source in chat.text


def test_new_constants_are_those_of_another_puzzle_of_the_form() -> None:
    puzzle = parse("def f(x: int, a=7, words=['sky', 'fish']): return x + a == len(words)")
    drawn = mutation_prompt("easier", [puzzle], random.Random(2), layout="paper", words=["owl"])
    assert drawn is not None
    other = parse(drawn.text.partition("\n\n#")[0])
    assert (other.form, other.id == puzzle.id) == (puzzle.form, False)


def bred(share: float, people: int = 2) -> Breeder:
    found = list(written()[:12])
    return Breeder(
        Parents(found, None, people),
        Shown(share),
        random.Random(4),
        "line",
        lambda prompt: len(prompt.text) < 200,
        False,
        (),
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_parents_of_mutations_are_by_people_as_often_as_asked(share: float) -> None:
    breeder, parents_of = bred(share), []
    for kind in ["change"] * 40:
        parents_of += breeder.prompt(kind)[1]
    human = sum(place < 2 for place in parents_of)
    assert human >= share * len(parents_of)
    if share == 0.3:
        assert human < 0.6 * len(parents_of)


def test_parents_that_lend_themselves_to_nothing_are_named() -> None:
    lone = [parse("def f(x: int): return x == 3"), parse("def f(s: str, t='a'): return s in t")]
    breeder = Breeder(
        Parents(lone, None, 2), Shown(0), random.Random(0), "line", lambda _: True, False, ()
    )
    with pytest.raises(InputError, match=r"kind combine must .* none of the 2 puzzles does"):
        breeder.prompt("combine")


# shares


@given(
    order=st.permutations(range(12)),
    people=st.integers(0, 12),
    share=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]),
)
def test_of_any_first_few_that_are_shown_the_share_is_by_people(
    order: Sequence[int], people: int, share: float
) -> None:
    found = arranged(order, people, share)
    for count in range(1, len(found) + 1):
        ours = sum(one < people for one in found[:count])
        assert ours >= exactly(share) * count
    assert len(set(found)) == len(found)
    if share == 0:
        assert found == list(order)
    ours = [one for one in order if one < people]
    assert [one for one in found if one < people] == ours  # none of people's is left out


@given(
    people=st.integers(1, 40),
    made=st.integers(1, 500),
    share=st.floats(0.01, 0.95).map(lambda share: round(share, 3)),
)
def test_a_share_of_documents_is_exact_to_one_document(
    people: int, made: int, share: float
) -> None:
    found = repeated(list(range(people)), made, share, seed=3)
    assert len(found) == wanted(made, share)
    exact = exactly(share)
    assert abs(len(found) - exact * (len(found) + made)) <= Fraction(1, 2)
    counts = Counter(found)
    assert max(counts.values(), default=0) - min(counts[one] for one in range(people)) <= 1
    assert found == repeated(list(range(people)), made, share, seed=3)


def test_a_share_of_nothing_and_beside_nothing() -> None:
    assert repeated([1, 2], 10, 0.0, 0) == []
    assert repeated([1, 2], 0, 0.5, 0) == [1, 2]
    with pytest.raises(InputError, match="human_share must be 0 where no human-written pair"):
        repeated([], 10, 0.5, 0)


@pytest.mark.parametrize(
    "setting",
    [
        "train.human_share=1.0",
        "final.human_share=1.0",
        "prompt.human_share=1.5",
        "propose.mutate=1.1",
        "archive.by=[]",
        'archive.by=["colour"]',
    ],
)
def test_what_has_no_meaning_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError, match=setting.partition("=")[0]):
        config.load("smoke", [setting])


def test_a_model_that_follows_no_words_is_not_asked_in_words() -> None:
    asked = ["propose.mutate=0.5", 'propose.mutations=["change", "harder"]']
    with pytest.raises(RecipeError, match="follows no words"):
        config.load("smoke", asked)
    config.load("smoke", [*asked, "prompt.layout=paper"])
    exchange = ["propose.mutate=0.5", 'propose.mutations=["exchange"]']
    config.load("smoke", exchange)
    with pytest.raises(RecipeError, match="of the layout line alone"):
        config.load("smoke", [*exchange, "prompt.layout=paper"])
    with pytest.raises(RecipeError, match=r"propose\.mutations must name a kind"):
        config.load("smoke", ["propose.mutate=0.5", "propose.mutations=[]"])


# stages


def opened(folder: Path, lines: Sequence[dict[str, object]], *more: str) -> Arm:
    recordings = folder / "recordings.jsonl"
    recordings.write_text("\n".join(map(json.dumps, lines)))
    settings = [
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(recordings))}",
        "propose.samples=24",
        "propose.per_unit=12",
        "judge.cpu_seconds=0.3",
        *more,
    ]
    run = store.Run.open(folder / "run", config.load("smoke", settings), {})
    return Arm(run, "verified", lambda _: None)


FREE = [
    "x: int, a=7, b=12): return x + a == b * 20",
    "x: int, a=8, b=13): return x - a == b * 20",
    "x: int, a=9, b=14): return x * a == b * 9 + 7",
    "x: int, a=9, c=14): return x - a == c * 3",
    "s: str, t='dog'): return s == t * 2 + 'x'",
    "u: List[int], a=3): return u == [a] * 4",
]
MUTATE = ("propose.mutate=0.5", "propose.per_mutation=2")


def recorded(folder: Path) -> list[dict[str, object]]:
    """Of the mutations of both units, the parents' own rest and one with another end."""
    lines: list[dict[str, object]] = [{"prompt": "def f(", "samples": FREE}]
    with opened(folder, lines, *MUTATE) as arm:
        known = {puzzle.id: puzzle for puzzle in arm.shown}
        for unit in (0, 1):
            asked = _mutations(arm, "m", parents(arm, 1), arm.seed(1, "mutate", unit), 3)
            for one in asked:
                whole = known[one.parents[0]].source
                rest = whole[len(one.prompt.text) :] if one.mutation == "change" else " True"
                samples = [rest, f"{rest} and {unit} < 1"]
                lines.append({"prompt": one.prompt.text, "samples": samples})
    return lines


def test_a_share_of_the_proposals_comes_of_mutations(tmp_path: Path) -> None:
    with opened(tmp_path, recorded(tmp_path), *MUTATE) as arm:
        folder = propose(arm, 1, "m", "m")
        rows = store.read_stage(folder)
        assert [row["mutation"] is None for row in rows] == ([True] * 6 + [False] * 6) * 2
        assert [row["draw"] for row in rows] == list(range(12)) * 2
        assert len({row["proposal_id"] for row in rows}) == 24
        known = {puzzle.id: puzzle for puzzle in arm.shown}
        for row in rows:
            count = {None: 0, "change": 1, "combine": 2}[row["mutation"]]
            assert len(row["parents"]) == count
            if row["mutation"] == "change":
                assert known[row["parents"][0]].source.startswith(row["prompt"])
        vetted = {row["proposal_id"]: row for row in store.read_stage(vet(arm, 1))}
        again = [row for row in rows if row["mutation"] == "change"][::2]
        assert again
        for row in again:  # the parent's own rest gives the parent again
            fate = vetted[row["proposal_id"]]
            assert (fate["fate"], fate["puzzle_id"]) == ("duplicate", row["parents"][0])
        for path in store.segments(folder):
            path.unlink()
        propose(arm, 1, "m", "m")
        assert store.read_stage(folder) == rows


def test_without_mutations_the_table_is_what_it_was(tmp_path: Path) -> None:
    with opened(tmp_path, [{"prompt": "def f(", "samples": FREE * 2}]) as arm:
        folder = propose(arm, 1, "m", "m")
        [path, _] = store.segments(folder)
        assert "mutation" not in store.read_schema(path).names
        assert "mutation" in tables.PROPOSE.names


def test_a_round_keeps_no_more_of_a_cell_than_its_quota(tmp_path: Path) -> None:
    samples = [{"prompt": "def f(", "samples": FREE * 2}]
    quota = ("vet.max_per_cell=1", "propose.samples=6")
    with opened(tmp_path, samples, *quota) as arm:
        propose(arm, 1, "m", "m")
        rows = store.read_stage(vet(arm, 1))
        fates = [row["fate"] for row in rows]
        assert fates == ["kept", "same cell", "same cell", "same cell", "kept", "kept"]
        assert rows[1]["detail"] == "int, arithmetic, 8 to 15 nodes"
        cells = Counter(archive(arm, 1).cell(puzzle) for puzzle in arm.puzzles(1))
        assert set(cells.values()) == {1}
        filled = kept_in(arm.round(1))
        assert [(attempts, accepted) for _, _, attempts, accepted in filled] == [(0, 0)] * 3


def selected(arm: Arm, number: int, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """A round whose examples are these; the ids of their puzzles."""
    rows = [
        {
            "example_id": content_id(f"{puzzle}\n{solution}\n"),
            "puzzle_id": parse(puzzle).id,
            "candidate_id": f"{place:016x}",
            "text": f"{puzzle}\n{solution}\n",
        }
        for place, (puzzle, solution) in enumerate(pairs)
    ]
    store.write_table(store.unit_path(arm.round(number) / "select", 0), rows, tables.SELECT)
    return [row["puzzle_id"] for row in rows]


MADE = [
    (f"def f(x: int, a={a}): return x + a == {a + 9}", f"def g(a={a}): return 9")
    for a in range(1, 11)
]


@pytest.fixture
def taught(tmp_path: Path) -> Iterator[Arm]:
    """A round with ten examples, of which a person accepted one and edited another."""
    with opened(tmp_path, [], "train.human_share=0.5", "final.human_share=0.25") as arm:
        ids = selected(arm, 1, MADE)
        run = arm.run.folder
        reviews.write(run, ids[0], "accept", MADE[0][0], reviewer="A")
        edit = ("def f(x: int, a=1): return x - a == 9", "def g(a=1): return 9 + a")
        reviews.write(run, ids[1], "edit", edit[0], reviewer="A", solution=edit[1])
        yield arm


def texts(arm: Arm, number: int | None) -> list[str]:
    section = arm.recipe.final if number is None else arm.recipe.train
    made = [(1, row) for row in store.read_stage(arm.round(1) / "select")]
    withdrawn = arm.withdrawn(number)
    made = [one for one in made if one[1]["puzzle_id"] not in withdrawn]
    return [one.text for one in _beside_people(arm, number, made, section)]


def test_people_have_their_share_of_a_training_and_reviews_are_theirs(taught: Arm) -> None:
    ours = [one.text for one in seed_documents(taught)]
    accepted = "\n".join((*MADE[0], ""))
    edited = "def f(x: int, a=1): return x - a == 9\ndef g(a=1): return 9 + a\n"
    assert len(ours) > 16
    for number, human in ((2, 8), (None, 3)):
        found = texts(taught, number)
        others = ["\n".join((*pair, "")) for pair in MADE[2:]]
        assert found[human:] == others
        assert set(found[:human]) <= {*ours, accepted, edited}
    recipe = taught.recipe
    more = recipe.train.model_copy(update={"human_share": 0.96})
    taught.run = store.Run(taught.run.folder, recipe.model_copy(update={"train": more}))
    found = texts(taught, 2)
    assert Counter(found)[accepted] in (2, 3)  # as often as a seed
    assert Counter(found)[edited] in (2, 3)
    assert texts(taught, 2) == found


def test_in_the_control_an_accepted_puzzle_is_not_people_s(taught: Arm) -> None:
    control = Arm(taught.run, "unverified", lambda _: None)
    selected(control, 1, MADE)
    found = texts(control, 2)
    accepted = "\n".join((*MADE[0], ""))
    assert found.count(accepted) == 1
    assert len(found) == 18


def test_what_was_trained_on_includes_edits_and_is_told(taught: Arm) -> None:
    texts(taught, None)
    out = taught.folder / "final" / "train"
    known = {one.text for one in trained_on(out) or ()}
    assert "def f(x: int, a=1): return x - a == 9\ndef g(a=1): return 9 + a\n" in known
    [accepted, other] = (content_id("\n".join((*MADE[place], ""))) for place in (0, 5))
    rows = [
        {"example_id": accepted, "documents": 1, "shown": 1},
        {"example_id": other, "documents": 3, "shown": 3},
    ]
    store.write_table(out / "examples.parquet", rows, tables.TRAINED)
    said = _people_words(taught, None, out, taught.recipe.final)
    assert said == "  25% by people"


def test_the_forecast_counts_prompts_and_people_s_documents() -> None:
    asked = [*MUTATE, "train.human_share=0.5", "propose.per_unit=128"]
    recipe = config.load("smoke", asked)
    work = count_work(recipe, pairs=83, problems=9)
    [first, *_] = [one for one in work if one.stage == "propose"]
    assert first.prompts == 2 * (1 + 32)
    [_, training, *_] = [one for one in work if one.stage == "train"]
    assert training.documents == 2 * recipe.vet.max_puzzles * recipe.select.per_puzzle
