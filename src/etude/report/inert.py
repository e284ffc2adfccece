"""Model-written text for plotly, made inert.

Plotly reads a subset of HTML in hover texts, labels and titles (bold, links, line breaks), fills
in templates (`%{x}`), and decodes entities last. So every character that could begin one of these
becomes an entity, and is shown as it stands; what does not print is shown by its escape, and long
text is cut, saying so.
"""

from __future__ import annotations

from etude.readings.words import harmless

_ENTITIES = {ord(c): f"&#{ord(c)};" for c in "&<>\"'%{}$"}
LINES = 14
WIDTH = 72


def inert(text: str, *, lines: int = LINES, width: int = WIDTH) -> str:
    """Text of several lines for a hover box.

    >>> inert('<b>%{x}</b>')
    '&#60;b&#62;&#37;&#123;x&#125;&#60;/b&#62;'
    """
    shown = harmless(text, lines=lines, width=width).translate(_ENTITIES)
    return "<br>".join(_indented(line) for line in shown.split("\n"))


def label(text: str, *, width: int = 40) -> str:
    """Text of one line for an axis or a title."""
    return inert(text.replace("\n", "\\n"), lines=1, width=width)


def _indented(line: str) -> str:
    """Leading spaces would fall together."""
    bare = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(bare)) + bare
