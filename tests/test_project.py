"""The promises around the code: where imports go, what loads quickly, what the documents show."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import etude
from etude import config

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "etude"
MODULES = sorted(PACKAGE.rglob("*.py"))
RECIPES = sorted((PACKAGE / "recipes").glob("*.toml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LONGEST_FUNCTION = 60

# A part is a module or package directly below `etude`. It imports from the rows above its own.
ROWS = (
    {"etude", "types", "errors", "recipes", "sweeps"},
    {"spill"},
    {
        "offspring",
        "kernels",
        "precision",
        "config",
        "puzzle",
        "prompts",
        "store",
        "tables",
        "stats",
        "trivial",
        "times",
    },
    {"streams"},
    {
        "judge",
        "engines",
        "tiny",
        "training",
        "cluster",
        "replies",
        "arguments",
        "constants",
        "generality",
        "shares",
    },
    {"variants"},
    {"exchanges"},
    {"rewrites", "mutate", "edits", "english"},
    {"domains", "holes"},
    {"suites", "turned"},
    {"roles", "behaviour", "reviews"},
    {"duplicates"},
    {"cells", "decontaminate", "earlier", "pool"},
    {"course"},
    {"seeds", "arm"},
    {"attempts", "exposure", "answers", "rewards"},
    {"difficulty"},
    {"archive", "budget"},
    {"parents"},
    {"breeding"},
    {"propose", "vet", "solve", "select", "train", "evaluate", "vouch", "probe", "health"},
    {"screen", "vary", "recall", "reinforce"},
    {"batches", "borrow", "posed"},
    {"lend"},
    {"hindsight", "repair", "turn", "describe"},
    {"derive"},
    {"loop"},
    {"ladder"},
    {"query"},
    {"readings"},
    {"console"},
    {"diversity", "quality"},
    {"comparing"},
    {"lineage"},
    {"diff", "tracking"},
    {"reviewing"},
    {"report", "show", "browse", "export", "forecast"},
    {"session", "judging", "check", "scorers"},
    {"evaluating"},
    {"again", "solving", "dedup", "importing", "inspect_tasks", "sweep_words", "value"},
    {"sweep"},
    {"cli"},
    {"__main__"},
)
# Imports that the rows alone would refuse, by name, so that each new one is a decision.
ALLOWED = {
    ("etude", "judge"),  # what users import by the package's name; nothing below asks for it
    ("prompts", "puzzle"),
    ("store", "config"),
    ("times", "store"),
    ("training", "engines"),
    ("arm", "seeds"),
}
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "safetensors",
    "peft",
    "trl",
    "inspect_ai",
    "openai",
    "vllm",
    "sklearn",
    "scipy",
    "rensa",
    "plotly",
    "starlette",
    "uvicorn",
    "umap",
    "sentence_transformers",
    "trackio",
    "wandb",
    "tensorboard",
    "huggingface_hub",
    "datasets",
    "upath",
    "fsspec",
    "s3fs",
    "ray",
}
HEAVY_PLACES = (
    "store/places.py",
    "engines/transformers/",
    "engines/openai/",
    "engines/vllm/",
    "training/",
    "reinforce/grpo.py",
    "cluster/rays/",
    "tiny/model.py",
    "precision.py",
    "scorers.py",
    "inspect_tasks.py",
    "duplicates/",
    "diversity/",
    "report/",
    "browse/",
    "export/",
    "tracking/",
)


def row_of(part: str) -> int:
    """The row of a part. A part without one fails the test until ROWS names it."""
    rows = [number for number, parts in enumerate(ROWS) if part in parts]
    assert rows, f"etude.{part} stands in no row of ROWS: decide where it belongs"
    return rows[0]


def part_of(module: str) -> str:
    """The part that a dotted name belongs to: `etude.judge.pairs` to `judge`."""
    below = module.split(".")[1:]
    return below[0] if below else "etude"


def dotted(path: Path) -> str:
    names = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def is_module(name: str) -> bool:
    path = SOURCE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, also of those inside functions and `if` blocks.

    `from etude import store` names `etude.store`; `from etude.store import Run` the module.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(path, node)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield node.lineno, name if is_module(name) else base


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """The module that a `from` import names, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    package = dotted(path).split(".") + ["__init__"] * (path.name == "__init__.py")
    return ".".join([*package[: -node.level], *([node.module] if node.module else [])])


def of_etude(path: Path) -> Iterator[tuple[int, str]]:
    return ((line, name) for line, name in imported(path) if name.split(".")[0] == "etude")


def upward(path: Path) -> Iterator[str]:
    """The imports of one file that go against the rows."""
    here = part_of(dotted(path))
    row = row_of(here)
    for line, name in of_etude(path):
        there = part_of(name)
        below = row_of(there) < row or there == here
        if not below and (here, there) not in ALLOWED:
            yield f"{path.relative_to(ROOT)}:{line}: {here} must not import {there}"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_one_way(path: Path) -> None:
    assert list(upward(path)) == []


def test_every_allowed_exception_is_in_use() -> None:
    used = {
        (part_of(dotted(path)), part_of(name)) for path in MODULES for _, name in of_etude(path)
    }
    assert used >= ALLOWED


def test_modules_import_each_other_in_no_circle() -> None:
    names = {dotted(path) for path in MODULES}
    graph = {dotted(path): names & {name for _, name in of_etude(path)} for path in MODULES}
    finished: set[str] = set()
    while free := [name for name in graph if name not in finished and graph[name] <= finished]:
        finished.update(free)
    assert sorted(graph.keys() - finished) == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_heavy_libraries_stay_in_their_places(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix().startswith(HEAVY_PLACES):
        return
    heavy = [(line, name) for line, name in imported(path) if name.split(".")[0] in HEAVY]
    assert heavy == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_function_is_long(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [
        (node.name, (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(name, lines) for name, lines in functions if lines > LONGEST_FUNCTION] == []


def loaded_by(code: str) -> set[str]:
    """The top-level modules in a fresh interpreter after it has run `code`."""
    report = "\nimport sys; print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


def test_the_judge_imports_nothing_heavy() -> None:
    loaded = loaded_by("import etude.judge")
    assert "etude" in loaded
    assert loaded & (HEAVY | {"pyarrow", "pydantic", "numpy"}) == set()


def test_help_imports_nothing_heavy() -> None:
    loaded = loaded_by(
        "import sys; from etude.cli import main; sys.argv = ['etude', '--help']\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code, left.code"
    )
    assert "etude" in loaded
    assert loaded & (HEAVY | {"pyarrow", "pydantic", "numpy"}) == set()


def test_the_package_names_what_it_offers() -> None:
    """As completion and `help(etude)` ask, though the judge is only loaded when it is used."""
    ended = subprocess.run(
        [sys.executable, "-c", "import etude, sys; print(*dir(etude)); print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    names, loaded = ended.stdout.splitlines()
    assert {"Judge", "AsyncJudge", "__version__"} <= set(names.split())
    assert "etude.judge" not in loaded.split()
    space: dict[str, object] = {}
    exec("from etude import *", space)
    assert {"Judge", "AsyncJudge"} <= set(space)


def test_the_recipes_that_the_documents_name_are_there() -> None:
    assert {"tiny", "smoke"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_by_name_and_by_path(path: Path) -> None:
    assert config.load(path.stem) == config.load(str(path))


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:console|bash|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:\S*/)?(etude|make)\b\s*(.*)")


def commands(document: Path) -> list[tuple[str, list[str]]]:
    """The `etude` and `make` commands of a document's shell blocks, with their arguments.

    In a block with `$ ` prompts, the lines without one are output. A line that ends with a
    backslash goes on in the next; a comment ends a command.
    """
    found = []
    for block in BLOCK.findall(document.read_text("utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
        for line in typed:
            for simple in re.split(r"&&|\||;", re.sub(r"(^|\s)#.*", "", line)):
                if match := COMMAND.fullmatch(simple.strip()):
                    found.append((match[1], match[2].split()))
    return found


SHOWN = [(document, *command) for document in DOCUMENTS for command in commands(document)]


def test_the_readme_shows_commands() -> None:
    assert {tool for document, tool, _ in SHOWN if document.name == "README.md"} == {
        "etude",
        "make",
    }


def test_the_readme_prints_the_tree() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    parts = {part_of(dotted(path)) for path in MODULES} - {"etude", "__main__"}
    printed = set(re.findall(r"(?<![\w/.])(\w+)(?:\.py|/)(?=\s)", text))
    assert sorted(parts - printed) == []


@cache
def help_of(*words: str) -> str:
    """What `etude ... --help` prints. Fails when the verb does not exist."""
    ended = subprocess.run(
        [sys.executable, "-c", "from etude.cli import main; main()", *words, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
    )
    assert ended.returncode == 0, f"etude {' '.join(words)}: {ended.stderr}{ended.stdout}"
    return ended.stdout


@pytest.mark.parametrize(
    ("document", "arguments"),
    [(document.name, arguments) for document, tool, arguments in SHOWN if tool == "etude"],
)
def test_every_etude_command_shown_exists(document: str, arguments: list[str]) -> None:
    words = [argument for argument in arguments[:1] if not argument.startswith("-")]
    text = help_of(*words)
    options = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
    known = set(re.findall(r"--[\w-]+", text)) | {"--help"}
    assert options <= known, f"{document}: etude {' '.join(arguments)}"


@pytest.mark.parametrize(
    ("document", "arguments"),
    [(document.name, arguments) for document, tool, arguments in SHOWN if tool == "make"],
)
def test_every_make_target_shown_exists(document: str, arguments: list[str]) -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    asked = [word for word in arguments if re.fullmatch(r"[a-z]+", word)]
    assert set(asked) <= targets, f"{document}: make {' '.join(arguments)}"


def test_the_version_is_said_once_in_each_place() -> None:
    assert PROJECT["version"] == etude.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{etude.__version__}]" in changelog


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("=="))
        for pin in pinned
    }


def wanted() -> list[Requirement]:
    """All but vLLM, which lives in an environment of its own: it fixes another torch."""
    extras = PROJECT["optional-dependencies"]
    lines = itertools.chain(PROJECT["dependencies"], *extras.values())
    return [asked for asked in map(Requirement, lines) if asked.name != "vllm"]


@pytest.mark.parametrize("requirement", wanted(), ids=lambda requirement: requirement.name)
def test_the_constraints_pin_what_the_project_asks_for(requirement: Requirement) -> None:
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_torch_is_pinned_for_every_build() -> None:
    assert pins()["torch"] == Version("2.13.0")
