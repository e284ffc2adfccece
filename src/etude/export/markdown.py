"""Tables of a dataset card, in Markdown. Text of anyone stays in its cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from etude.readings.words import harmless

Cells = Sequence[object]
_CELL = re.compile(r"[|\n\r]")


def table(head: Cells, rows: Iterable[Cells]) -> str:
    """A table; numbers to the right, with a comma for the thousands."""
    body = [[_cell(cell) for cell in row] for row in rows]
    if not body:
        return "None.\n"
    numeric = [
        all(re.fullmatch(r"[-+]?[\d,.]+", row[at]) for row in body) for at in range(len(head))
    ]
    rule = [" ---: " if right else " --- " for right in numeric]
    lines = [f"| {' | '.join(cells)} |" for cells in ([str(h) for h in head], *body)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:], ""])


def code(text: str, *, width: int = 300) -> str:
    """Somebody's text in one line, as code: no link, picture or tag of it is one."""
    line = " ".join(text.split())
    return f"`{harmless(line, lines=1, width=width).replace('`', chr(39))}`"


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _CELL.sub(" ", harmless("" if value is None else str(value), lines=1, width=300))
