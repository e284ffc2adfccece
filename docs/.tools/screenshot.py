"""A picture of a report for the documents.

    python docs/.tools/screenshot.py runs/tiny/report.html docs/report.png

It needs playwright (the extra `dev`) and a Chromium: on the path, or named by CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1180


def main() -> None:
    report, picture = (Path(argument).resolve() for argument in sys.argv[1:])
    with sync_playwright() as started:
        found = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-drawn]")
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
