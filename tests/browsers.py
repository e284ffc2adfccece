"""A real browser for the tests of pages: found, opened, and watched for what must not happen.

    @needs_browser
    def test_a_page(tmp_path):
        with opened_browser() as browser, watched_page(browser, width=390) as (page, seen):
            page.goto(path.as_uri())
            ...
        assert seen.nothing_bad()

The browser is named by CHROMIUM, or is one on the path, or the one that `playwright install`
brought. Where there is none, the tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
LOCAL = ("file:", "data:", "blob:", "about:")
"""What a page that needs no network may ask for."""
HEIGHT = 900


@cache
def find_chromium() -> str | None:
    """The path of a Chromium that can be started, None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    return on_path or _playwrights_own()


def _playwrights_own() -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return None
    with sync_playwright() as started:
        path = started.chromium.executable_path
    return path if Path(path).is_file() else None


def _missing() -> str:
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "needs a browser: pip install playwright"
    if find_chromium() is None:
        return "needs a browser: install chromium, or name one with CHROMIUM=/path/to/it"
    return ""


needs_browser = pytest.mark.skipif(bool(_missing()), reason=_missing() or "a browser is there")


@dataclass
class Seen:
    """What a page did that nobody asked for."""

    errors: list[str] = field(default_factory=list)
    """Errors of the console, and exceptions that no script caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for that `allowed` does not begin."""
    dialogs: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    """Every address that the page has been at."""

    def nothing_bad(self) -> bool:
        """No error, no request to elsewhere, no dialog. Fails saying what there was."""
        assert self.errors == []
        assert self.requests == []
        assert self.dialogs == []
        return True


@contextmanager
def opened_browser() -> Iterator[Any]:
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(
    browser: Any,
    *,
    width: int = 1280,
    dark: bool = False,
    allowed: tuple[str, ...] = LOCAL,
    **options: Any,
) -> Iterator[tuple[Any, Seen]]:
    """A page of its own, and what it does unasked. Addresses that `allowed` does not begin, such
    as `("http://127.0.0.1:8000/",)` for a local server, are refused."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if dark else "light",
        **options,
    )
    page, seen = context.new_page(), Seen()
    permitted = (*LOCAL, *allowed)

    def route(route: Any) -> None:
        if route.request.url.startswith(permitted):
            route.continue_()
        else:
            seen.requests.append(route.request.url)
            route.abort()

    def dialog(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            seen.errors.append(message.text)

    context.route("**/*", route)
    page.on("dialog", dialog)
    page.on("console", said)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("framenavigated", lambda frame: seen.moves.append(frame.url))
    try:
        yield page, seen
    finally:
        context.close()


def overflow(page: Any) -> int:
    """Pixels by which a page is wider than its window; 0 where nothing has to be scrolled."""
    width: int = page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width
