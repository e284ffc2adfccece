"""The pages in a real browser: hostile text, keys, filters, a run that goes on, a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browsers import needs_browser, opened_browser, overflow, watched_page
from etude import reviews
from reader_run import HOSTILE, start, steps, whole

pytest.importorskip("starlette", reason="needs the extra browse")
pytest.importorskip("playwright", reason="needs playwright")

import uvicorn
from playwright.sync_api import expect

from etude.browse.server import application

pytestmark = needs_browser
PUZZLE = "aaaaaaaaaaaaaa01"


@contextmanager
def served(*folders: Path) -> Iterator[str]:
    config = uvicorn.Config(
        application(folders, reviewer="Ada"), port=0, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as browser:
        yield browser


def test_hostile_text_does_nothing_and_fits_a_phone(browser: Any, tmp_path: Path) -> None:
    whole(tmp_path / "run", puzzle=HOSTILE, solution=HOSTILE, detail=HOSTILE)
    with served(tmp_path / "run", tmp_path / "run") as address:
        with watched_page(browser, width=390, allowed=(address,)) as (page, seen):
            pages = ("/", "/candidates", "/candidate/bbbbbbbbbbbb0101", "/puzzles",
                     f"/puzzle/{PUZZLE}", "/problems", "/problem?name=constants/3", "/compare",
                     "/review", f"/review?puzzle={PUZZLE}&edit=1")  # fmt: skip
            for path in pages:
                page.goto(address + path, wait_until="networkidle")
                assert overflow(page) == 0, path
                assert page.locator("main img, main script").count() == 0
        assert seen.nothing_bad()


def test_charts_are_drawn_in_the_dark_too(browser: Any, tmp_path: Path) -> None:
    whole(tmp_path / "run")
    with served(tmp_path / "run") as address:
        with watched_page(browser, dark=True, allowed=(address,)) as (page, seen):
            page.goto(address)
            expect(page.locator(".chart .plot-container")).to_have_count(3, timeout=20_000)
            assert page.locator(".errorbar").count() > 0
        assert seen.nothing_bad()


def test_rows_are_filtered_in_place_and_walked_by_keys(browser: Any, tmp_path: Path) -> None:
    whole(tmp_path / "run")
    with served(tmp_path / "run") as address:
        with watched_page(browser, allowed=(address,)) as (page, seen):
            page.goto(f"{address}/candidates")
            assert page.locator(".rows tbody tr").count() == 12
            page.keyboard.press("/")
            page.keyboard.type("no such text")
            page.get_by_text("No candidates found").wait_for()
            assert "solution=no+such+text" in page.url
            page.locator("[data-search]").fill("")
            page.locator("select[name=outcome]").select_option("accepted")
            expect(page.locator(".rows tbody tr")).to_have_count(4)
            page.keyboard.press("Escape")
            page.keyboard.press("j")
            page.keyboard.press("j")
            page.keyboard.press("k")
            assert page.evaluate("document.activeElement.matches('tr:first-child .open')")
            page.keyboard.press("Enter")
            page.wait_for_url("**/candidate/*")
            page.keyboard.press("?")
            assert page.locator("#help").is_visible()
            page.keyboard.press("Escape")
            page.keyboard.press("3")
            page.wait_for_url("**/puzzles")
        assert seen.nothing_bad()


def test_a_person_reviews_by_keys(browser: Any, tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    with served(run) as address:
        with watched_page(browser, allowed=(address,)) as (page, seen):
            page.goto(f"{address}/review")
            page.get_by_text("2 puzzles wait").wait_for()
            page.keyboard.press("a")
            page.get_by_text("1 puzzles wait").wait_for()
            page.wait_for_load_state("load")  # the text is there before the script hears keys
            page.keyboard.press("e")
            page.wait_for_url("**edit=1")
            page.locator("[name=source]").fill("def f(x: int, a=7): return x + a == 10")
            page.get_by_role("button", name="Keep the edit").click()
            page.get_by_text("The judge must accept").wait_for()
            page.locator("[name=solution]").fill("def g(a=7):\n    return 10 - a")
            page.get_by_role("button", name="Keep the edit").click()
            page.get_by_text("Nothing waits").wait_for()
            page.goto(f"{address}/review?puzzle={PUZZLE}")
            page.keyboard.press("u")
            page.get_by_text("1 puzzles wait").wait_for()
        seen.errors = [error for error in seen.errors if "422" not in error]
        assert seen.nothing_bad()
    made = reviews.read(run)
    assert [(review.decision, review.reviewer) for review in made] == [
        ("accept", "Ada"), ("edit", "Ada"), ("undo", "Ada"),
    ]  # fmt: skip
    assert made[1].source == "def f(x: int, a=7): return x + a == 10"


def test_a_run_that_goes_on_is_followed(browser: Any, tmp_path: Path) -> None:
    run = start(tmp_path / "run").folder
    made = steps(run)
    with served(run) as address:
        with watched_page(browser, allowed=(address,)) as (page, seen):
            page.goto(f"{address}/candidates")
            page.get_by_text("No candidates found").wait_for()
            for step in made[3:8]:
                step()
            page.get_by_text("1 to 3 of 3 candidates").wait_for(timeout=15_000)
            assert "going on" in page.locator("#strip").inner_text()
            assert "solve 3" in page.locator("#strip").inner_text()
        assert seen.nothing_bad()


def test_the_pages_work_without_scripts(browser: Any, tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    with served(run) as address:
        allowed = (address,)
        with watched_page(browser, allowed=allowed, java_script_enabled=False) as (page, _):
            page.goto(f"{address}/candidates")
            page.locator("select[name=outcome]").select_option("accepted")
            page.get_by_role("button", name="Search").click()
            assert page.locator(".rows tbody tr").count() == 4
            page.goto(f"{address}/review")
            page.get_by_role("button", name="Reject").click()
            page.get_by_text("1 puzzles wait").wait_for()
    assert [review.decision for review in reviews.read(run)] == ["reject"]
