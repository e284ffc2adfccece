"""Words: the templates, and how values and model-written text stand in them."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from etude.readings import PARTS
from etude.readings.words import harmless, printable
from etude.stats import Estimate

LINES = 40
WIDTH = 200


@cache
def environment() -> Environment:
    """The templates. Whatever they are given is escaped."""
    pages = Environment(
        loader=PackageLoader("etude.browse", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "code": code,
        "short": short,
        "plain": plain,
        "count": lambda number: f"{number:,}",
        "percent": percent,
        "rate": rate,
        "bytes": megabytes,
        "seconds": seconds,
        "place": place,
        "part": lambda part: PARTS.get(part, part),
        "age": age,
        "value": value,
        "interval": interval,
        "hidden": hidden,
    }
    return pages


def render(template: str, **content: Any) -> str:
    """A page as text that UTF-8 can hold."""
    made = environment().get_template(template).render(**content)
    return made.encode("utf-8", "backslashreplace").decode()


def code(text: str | None, lines: int = LINES) -> Markup:
    """Python in colours, cut where it is long, without characters that act."""
    return Markup(
        highlight(
            harmless(text or "", lines=lines, width=WIDTH),
            PythonLexer(stripnl=False, ensurenl=False),
            HtmlFormatter(nowrap=True),
        )
    )


def plain(text: str | None, lines: int = LINES) -> str:
    return harmless(text or "", lines=lines, width=WIDTH)


def hidden(text: str) -> str:
    """The escapes of characters that do not show or that turn text about; empty without any."""
    found = sorted({c for c in text if not c.isprintable() and c not in "\r\n\t"})
    return ", ".join(printable(c) for c in found[:20])


def short(text: str | None, width: int = 110) -> str:
    """The first line, or as much of it as a row has room for."""
    first, _, more = (text or "").strip().partition("\n")
    cut = harmless(first[:width], lines=1, width=width)
    return cut + (" ..." if more or len(first) > width else "")


def percent(number: float | None) -> str:
    return "-" if number is None else f"{100 * number:.1f}"


def rate(accepted: int, attempts: int) -> str:
    """`6 of 12`."""
    return f"{accepted:,} of {attempts:,}" if attempts else "not tried"


def interval(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:+.1f} [{low:+.1f}, {high:+.1f}]"


def megabytes(number: int | None) -> str:
    return "-" if number is None else f"{number / 1e6:.1f} MB"


def seconds(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:.2f} s" if number >= 1 else f"{1000 * number:.1f} ms"


def place(number: int | None) -> str:
    return "student" if number is None else f"round {number}"


def age(number: float) -> str:
    """`12 s`, `4 min`, `3 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if number >= size:
            return f"{number / size:.0f} {unit}"
    return f"{max(number, 0):.0f} s"


def value(thing: Any) -> str:
    """A value of a table that other parts of etude write."""
    if isinstance(thing, float):
        return f"{thing:.4g}"
    return harmless("" if thing is None else str(thing), lines=10, width=WIDTH)
