"""What `docs/integrations.md` shows runs as it stands, and prints what it says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "integrations.md").read_text("utf-8")
SNIPPETS = dict(re.findall(r"^## (.*?)\n\n```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE))


def test_every_section_begins_with_a_snippet() -> None:
    assert list(SNIPPETS) == re.findall(r"^## (.*)", TEXT, re.MULTILINE)


@pytest.mark.parametrize("section", SNIPPETS)
def test_the_snippet_runs(section: str) -> None:
    if section == "inspect_ai" and importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("needs the inspect extra")
    done = subprocess.run(
        [sys.executable, "-c", SNIPPETS[section]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if section == "asyncio":
        first, second, third = done.stdout.splitlines()
        assert first.startswith("Verdict(outcome=<Outcome.ACCEPTED: 'accepted'>, answer='6'")
        assert (second, third) == ("accepted wrong", "6")


def test_the_examples_that_are_shown_exist() -> None:
    shown = re.findall(r"python (examples/\w+\.py)", TEXT)
    assert sorted(shown) == sorted(f"examples/{path.name}" for path in ROOT.glob("examples/*.py"))
