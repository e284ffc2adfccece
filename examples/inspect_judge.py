"""inspect_ai with the judge as scorer: three puzzles, and a model that needs no network.

    pip install -e '.[inspect]'
    python examples/inspect_judge.py

inspect_ai's mock model says what is written here: two solutions are right, one is wrong. With a
real model it is `inspect eval examples/inspect_judge.py --model ...`.
"""

from __future__ import annotations

import tempfile

from inspect_ai import Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate

from etude.scorers import etude_scorer

PUZZLES = {
    "sum": "def f(x: int, a=7):\n    return x + a == 9",
    "words": 'def f(s: str):\n    return s[::-1] == "edute"',
    "squares": "def f(x: List[int]):\n    return [n * n for n in x] == [1, 4, 9]",
}
REPLIES = {
    "sum": "Subtract:\n```python\ndef g(a=7):\n    return 9 - a\n```",
    "words": '```python\ndef g():\n    return "etude"\n```',
    "squares": "def g():\n    return [1, 4, 9]",
}
ASK = "Write a function `g` so that `f(g())` is True. Answer with Python only.\n\n{}"


@task
def puzzles() -> Task:
    samples = [
        Sample(id=name, input=ASK.format(puzzle), metadata={"puzzle": puzzle})
        for name, puzzle in PUZZLES.items()
    ]
    return Task(dataset=samples, solver=generate(), scorer=etude_scorer())


def reply(messages: list[ChatMessage], *_: object) -> ModelOutput:
    """What the mock model says to a puzzle."""
    asked = messages[-1].text
    (name,) = [name for name, puzzle in PUZZLES.items() if puzzle in asked]
    output = ModelOutput.from_content("mockllm/model", REPLIES[name])
    output.usage = ModelUsage()  # else inspect_ai downloads a tokenizer to count
    return output


def main() -> None:
    model = get_model("mockllm/model", custom_outputs=reply)
    with tempfile.TemporaryDirectory() as folder:
        (log,) = eval(puzzles(), model=model, log_dir=folder, display="none")
        print(log.status)
        for sample in log.samples or []:
            for score in (sample.scores or {}).values():
                print(f"{sample.id:8} {score.value}  {score.explanation}")
        if log.results is not None:
            print("accuracy", round(log.results.scores[0].metrics["accuracy"].value, 2))


if __name__ == "__main__":
    main()
