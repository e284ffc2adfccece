"""The fenced blocks of README and docs, and how each is tried: run here, or why not.

A comment on the line before a block says what is special about it:

    <!-- not run: REASON -->   needs a GPU, a network, hours; only its syntax is checked
    <!-- exactly -->           what the page shows is what the command prints, to the letter
    <!-- exit 1 -->            its commands end with this exit code
    <!-- file: NAME -->        the block is written to this file

Every console block is run, prompt by prompt, in one folder a document, in the order of the page;
what `$ cat FILE` shows is first written to that file. `SMALLER` makes commands that take minutes
take seconds. Python blocks that import etude are run, one process each; others are only compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
SHORT = "--set evaluate.max_new_tokens=12"
SMALLER = (
    (r"^etude run tiny(?![-\w])", "etude run smoke --no-controls"),
    (r"^etude run$", "etude run smoke"),
    (r"^etude run smoke", f"etude run smoke {SHORT}"),
    (r"(etude evaluate .*)--samples \d+\b", r"\1--samples 4"),
    (r"--suite p3\b", "--suite p3 --folder P3_FOLDER"),
)
"""What a command says -> what is run in its place."""
FILES = {
    "pairs.jsonl": '{"puzzle": "def f(x: int): return x == 9", "solution": "def g(): return 9"}',
    "mine.jsonl": '{"puzzle": "def f(x: int, a=7): return x + a == 9"}\n',
    "puzzle.py": "def f(x: int, a=7): return x + a == 9\n",
    "solution.py": "def g(a=7): return 9 - a\n",
}
"""What pages take to be there, unless they show it."""
OF_P3 = {"puzzles.json": "puzzles.json", "P3_FOLDER": "."}
"""Names that commands give to P3's files; where these are not, such commands are left out."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def exit_code(self) -> int:
        """With which its commands end."""
        return int(self.mark.removeprefix("exit ")) if self.mark.startswith("exit ") else 0

    @property
    def reason(self) -> str:
        """Why it is not run, or an empty text."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else ""


@dataclass(frozen=True)
class Command:
    """One prompt of a console block, and what the document shows below it."""

    line: str
    output: str


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = document.read_text("utf-8")
    return [
        Block(
            document,
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["text"],
            match["mark"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; without `$ ` prompts every line is one."""
    text = block.text.replace("\\\n", " ")
    if not any(line.startswith("$ ") for line in text.splitlines()):
        yield from (Command(line, "") for line in text.splitlines() if line.strip())
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(line.strip(), output)


def smaller(line: str) -> str:
    """The command that is run in place of one that takes minutes."""
    for pattern, replacement in SMALLER:
        line = re.sub(pattern, replacement, line)
    return line
