"""The page: sections into one HTML file that needs nothing else and lets nothing else in.

Two scripts are inlined, plotly.js and the page's own, and the page's Content-Security-Policy names
their hashes: no other script runs, whatever a text in the page may be, and nothing is loaded from
anywhere. Data for the charts stands in the page as JSON of plain ASCII, without a `<`.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etude.errors import Fault, MissingExtra
from etude.readings.words import harmless, printable
from etude.report.charts import Spec
from etude.report.parts import Code, Section

SCRIPTS = "<!--scripts-->"
"""Where the scripts go. No text of the page can be mistaken for it: `<` is escaped in those."""


def check_installed() -> None:
    """Raises `MissingExtra` where charts can't be drawn."""
    _plotly()


@cache
def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "plotly":
            raise
        raise MissingExtra(
            "A report is drawn with the Python package plotly, which is not installed: "
            "pip install 'etude[report]'."
        ) from None
    return str(get_plotlyjs())


def render(title: str, sentences: Sequence[str], sections: Sequence[Section], **more: Any) -> bytes:
    """The whole page. `more` goes to the template as it is."""
    specs = {chart.name: chart.spec for section in sections for chart in section.charts}
    scripts = [_plotly(), _file("page.js")]
    text = (
        _pages()
        .get_template("page.html.j2")
        .render(
            title=title,
            sentences=sentences,
            sections=sections,
            style=Markup(_file("page.css")),
            policy=_policy(scripts),
            scripts=Markup(SCRIPTS),
            **more,
        )
    )
    before, after = printable(text).split(SCRIPTS)
    return f"{before}{_data(specs)}{''.join(map(_script, scripts))}{after}".encode()


def _file(name: str) -> str:
    return files("etude.report").joinpath(name).read_text("utf-8")


def _script(text: str) -> str:
    if "</script" in text.lower() or "<!--" in text:
        raise Fault("a script that is inlined must not end its element, but this one does")
    return f"<script>{text}</script>\n"


def _policy(scripts: Sequence[str]) -> str:
    """Plotly sets styles of its own, which can load nothing: `default-src` forbids it."""
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _data(specs: Mapping[str, Spec]) -> str:
    """The charts for the page's script. `<` would be what a parser looks for."""
    text = json.dumps(_rounded(specs), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    shown = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="charts">{shown}</script>\n'


def _rounded(value: Any) -> Any:
    """Six digits are more than a screen shows, and sums differ in the last between machines."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


@cache
def _pages() -> Environment:
    made = Environment(
        loader=PackageLoader("etude.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"harmless": harmless, "var": _var}
    made.tests |= {"code": lambda cell: isinstance(cell, Code)}
    return made


def _var(colour: str) -> str:
    """The custom property of a chart's colour."""
    return f"var(--{colour.removeprefix('@')})"
