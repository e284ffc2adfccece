"""What holds for all tests: the order of their files, and which belong to the long form."""

from __future__ import annotations

import os
from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests come first: no worker is to be left alone with one at the end."""
    for item in items:
        if item.get_closest_marker("long") and not int(os.environ.get("ETUDE_KILLS", "0")) > 10:
            item.add_marker(pytest.mark.skip(reason="of the long form: make survive"))
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
