import itertools
import random
from pathlib import Path

import pytest

from etude.prompts import (
    PAPER_EXAMPLES,
    chat_messages,
    chosen_examples,
    completed,
    example_text,
    function_end,
    proposal_prompt,
    renamed,
    solving_prompt,
)
from etude.puzzle import parse
from etude.replies import solution_source
from etude.types import Prompt

SHARED = Path(__file__).parents[1].parent / "shared"
TRAINING = [f"def sat(x: int, a={i}):\n    '''Say {i}.'''\n    return x == a" for i in range(9)]


@pytest.mark.parametrize(
    ("opening", "completion", "kept"),
    [
        ("def g(a=7):", " return a\n", " return a"),
        ("def g(a=7):", " return a\ndef f(x", " return a"),
        ("def g(a=7):", " return a", None),
        ("def f(", "x: int, a=7): return x == a\n", "x: int, a=7): return x == a"),
        ("def f(", "x: int, s=':'): return s[1:]\n", "x: int, s=':'): return s[1:]"),
        ("def f(", "x: int, s='\\':') ->bool: return 1\nx", "x: int, s='\\':') ->bool: return 1"),
        ("def f(", "x: int,\n  a=7): return x\n", "x: int,\n  a=7): return x"),
        ("def g():", "\n    return 1\n", None),
        ("def g():", "\n    return 1\n\n\ndef f(", "\n    return 1"),
        ("def g():", "\n    a = 1\n\n    return a\nassert", "\n    a = 1\n\n    return a"),
        ("def g():", " # why\n    return 1\nx", " # why\n    return 1"),
        ("def g():", "\n    if 1:\n# odd\n        pass\nx", "\n    if 1:\n# odd\n        pass"),
        ("def g():\n", "    return 1\n", None),
        ("def g():\n", "    return 1\nx", "    return 1"),
        ("def f(", "x: int", None),
        ("def f(", "x: List[int", None),
    ],
)
def test_a_function_ends_where_python_would_end_it(
    opening: str, completion: str, kept: str | None
) -> None:
    end = function_end(opening, completion)
    assert (None if end is None else completion[:end]) == kept


def test_proposal_prompt_shows_reshuffled_numbered_puzzles_without_docstrings() -> None:
    prompt, shown = proposal_prompt(TRAINING, random.Random(1), fits=lambda _: True)
    assert sorted(shown) == list(range(9))
    assert shown != sorted(shown)
    assert prompt.opening == "def f10("
    assert prompt.text.endswith("\n\ndef f10(")
    assert f"def f1(x: int, a={shown[0]}):" in prompt.text
    assert "Say" not in prompt.text


def test_proposal_prompt_keeps_to_its_budget() -> None:
    smallest = len("def f1(")

    def within(budget: int) -> None:
        rng = random.Random(1)
        prompt, shown = proposal_prompt(TRAINING, rng, fits=lambda p: len(p.text) <= budget)
        assert len(prompt.text) <= max(budget, smallest)
        assert prompt.opening == f"def f{len(shown) + 1}("

    for budget in range(60, 500, 20):
        within(budget)


def test_proposal_prompt_shows_no_more_puzzles_than_it_may() -> None:
    prompt, shown = proposal_prompt(TRAINING, random.Random(1), fits=lambda _: True, most=3)
    assert len(shown) == 3
    assert prompt.text.endswith("\n\ndef f4(")
    assert len(proposal_prompt(TRAINING, random.Random(1), fits=lambda _: True, most=0)[1]) == 9


@pytest.mark.parametrize("count", range(6))
def test_examples_are_chosen_and_ordered_by_a_seed(count: int) -> None:
    assert chosen_examples(count, 0) == PAPER_EXAMPLES[:count]
    drawn = {chosen_examples(count, seed) for seed in range(1, 3_000)}
    assert drawn == set(itertools.permutations(PAPER_EXAMPLES, count))


def test_two_draws_of_the_same_seed_agree_and_others_differ() -> None:
    def draw(seed: int) -> str:
        return proposal_prompt(TRAINING, random.Random(seed), fits=lambda _: True)[0].text

    assert draw(3) == draw(3) != draw(4)


def test_solving_prompt_hides_the_docstring_and_offers_the_inputs() -> None:
    prompt = solving_prompt(parse(TRAINING[5]), PAPER_EXAMPLES)
    assert prompt.text.endswith("def f(x: int, a=5):\n    return x == a\n\ndef g(a=5):")
    assert prompt.opening == "def g(a=5):"
    assert "Say" not in prompt.text


def test_the_papers_examples_are_the_papers() -> None:
    prefix = SHARED / "p3" / "train_prefix.txt"
    if not prefix.exists():
        pytest.skip("needs ../shared/p3, which is not beside this checkout")
    ours = "\n".join(example_text(f, g) for f, g in PAPER_EXAMPLES)
    assert "from typing import List\n\n" + ours.strip() == prefix.read_text().strip()


def test_a_sample_becomes_a_function_of_the_right_name() -> None:
    prompt = Prompt("...def f7(", "def f7(")
    assert completed(prompt, "x: int): return x == 3\njunk", "f") == "def f(x: int): return x == 3"
    assert completed(prompt, "x: int): return x ==", "f") == "def f(x: int): return x =="


def test_line_layout_is_one_function_a_line() -> None:
    text = example_text("def f(x: int): return x == 1", "def g(): return 1", layout="line")
    assert text == "def f(x: int): return x == 1\ndef g(): return 1\n"
    prompt = solving_prompt(parse("def f(x: int): return x == 1"), layout="line")
    assert text.startswith(prompt.text)


def test_only_the_header_is_renamed() -> None:
    assert renamed("def sat(x: str): return 'sat' in x", "f") == "def f(x: str): return 'sat' in x"


def test_a_message_that_asks_for_a_puzzle_shows_others_in_fenced_blocks() -> None:
    prompt, shown = proposal_prompt(
        TRAINING, random.Random(1), layout="chat", fits=lambda _: True, most=3
    )
    assert (prompt.chat, prompt.opening, len(shown)) == (True, "", 3)
    assert [puzzle_block(TRAINING[index]) in prompt.text for index in shown] == [True] * 3
    assert prompt.text.count("```") == 6
    assert "Say" not in prompt.text
    assert proposal_prompt(TRAINING, random.Random(1), layout="chat")[1] == []


def puzzle_block(source: str) -> str:
    number = source.split("a=")[1].split(")")[0]
    return f"```python\ndef f(x: int, a={number}):\n    return x == a\n```"


def test_a_message_keeps_to_its_budget_too() -> None:
    least = len(proposal_prompt(TRAINING, random.Random(1), layout="chat")[0].text)
    for budget in range(least, least + 600, 50):
        prompt, shown = proposal_prompt(
            TRAINING, random.Random(1), layout="chat", fits=lambda p, b=budget: len(p.text) <= b
        )
        assert len(prompt.text) <= budget
        assert prompt.text.count("```python") == len(shown)


def test_at_most_so_many_puzzles_are_shown() -> None:
    prompt, shown = proposal_prompt(TRAINING, random.Random(1), fits=lambda _: True, most=4)
    assert len(shown) == 4
    assert prompt.opening == "def f5("


def test_a_message_that_asks_for_a_solution_and_the_dialogue_to_learn_from() -> None:
    puzzle = parse(TRAINING[5])
    prompt = solving_prompt(puzzle, PAPER_EXAMPLES[:2], layout="chat")
    assert prompt.chat
    assert "```python\ndef f(x: int, a=5):\n    return x == a\n```" in prompt.text
    assert "begins `def g(a=5):`" in prompt.text
    assert prompt.text.count("assert f(g())") == 2
    question, answer = chat_messages(puzzle, "def g(a=5):\n    return a\n", PAPER_EXAMPLES[:2])
    assert question == {"role": "user", "content": prompt.text}
    assert answer == {
        "role": "assistant",
        "content": "```python\ndef g(a=5):\n    return a\n```",
    }
    assert solution_source([question, answer]) == "def g(a=5):\n    return a"
    paper = example_text("def f(x: int): return x", "def g(): return 1")
    assert example_text("def f(x: int): return x", "def g(): return 1", layout="chat") == paper


def test_a_body_that_has_begun_ends_behind_what_was_given() -> None:
    """HumanEval's prompts hold docstrings, which may have text in column 0."""
    opening = 'def area(a):\n    """ Its area.\nNot the perimeter: see above.\n    """\n'
    assert function_end(opening, "    return a * a\n\nprint(area(2))") == len("    return a * a")
    assert function_end(opening, "    return a * a\n") is None
    assert function_end(opening, "print(area(2))") == 0
    one_line = 'def area(a):  """ Its area.\n    """\n'
    assert function_end(one_line, "    return a\n\nx") == len("    return a")
