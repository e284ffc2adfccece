"""What holds for all tests: the order of their files, which belong to the long form, and that no
property is timed: on a busy machine any call may take long."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain, zip_longest

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests, which compute, take turns with the others, of which many wait; and no
    worker is to be left alone with a slow one at the end."""
    for item in items:
        if item.get_closest_marker("long") and int(os.environ.get("ETUDE_KILLS", "0")) <= 10:
            item.add_marker(pytest.mark.skip(reason="of the long form: make survive"))
    slow = Counter(
        item.path
        for item in items
        if item.get_closest_marker("slow") and not item.get_closest_marker("skip")
    )
    others = dict.fromkeys(item.path for item in items if item.path not in slow)
    turns = zip_longest([path for path, _ in slow.most_common()], others)
    order = {path: at for at, path in enumerate(chain.from_iterable(turns))}
    items.sort(key=lambda item: order[item.path])
