"""The report: its numbers are the tables', it needs nothing else, and nothing in it can act."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from etude.report.pictures import Curve, Mark

import reader_run
from etude import readings, store
from etude.errors import InputError
from etude.readings import words
from etude.report import pictures, write_report
from reader_run import HOSTILE


class Page(HTMLParser):
    """What a browser would find: elements, attributes, tables, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def written(run: store.Run) -> str:
    return write_report(run.folder).read_text("utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    return reader_run.whole(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def text(run: store.Run) -> str:
    return written(run)


def test_every_score_stands_in_a_table(run: store.Run, text: str) -> None:
    cells = Page(text).cells
    tables = [run.folder / "round-01" / "evaluate", run.folder / "round-02" / "evaluate"]
    tables += [rung.folder for rung in readings.ladder(run.folder)]
    for folder in tables:
        for score in readings.scores(folder):
            assert words.percent(score) in cells


def test_every_difference_and_finding_is_there(run: store.Run, text: str) -> None:
    compared = readings.comparisons(readings.ladder(run.folder))
    cells = Page(text).cells
    assert compared
    assert all(words.signed(c.difference) in cells for c in compared)
    assert all(line in text for line in words.conclusion(compared))
    assert words.sentence(readings.ladder(run.folder), compared) in text


def test_the_ladder_picture_draws_the_scores(run: store.Run, text: str) -> None:
    """Read each dot's place back from the picture: it is the score."""
    svg = next(s for s in re.findall(r"<svg.*?</svg>", text, re.S) if "every rung" in s)
    root = ElementTree.fromstring(svg)
    width = pictures.RIGHT - pictures.LABELS
    found = [(float(dot.attrib["cx"]) - pictures.LABELS) / width for dot in root.iter("circle")]
    expected = [
        score.value
        for rung in readings.ladder(run.folder)
        for score in rung.scores
        if (score.part, score.k) == ("constants", 1)
    ]
    assert found == pytest.approx(expected, abs=0.001)


def test_it_is_well_formed_and_needs_nothing_else(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object", "form", "a"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {n for n in names if n.startswith("on")} | names & {"src", "href", "srcset"}
    assert "default-src 'none'" in text
    assert not [value for _, value in page.attributes if "//" in (value or "")]
    assert not re.search(r"url\(|@import", text)
    assert "url(" not in text


def test_every_picture_has_words_and_a_table_behind_it(text: str) -> None:
    drawn = re.findall(r"<svg[^>]*>", text)
    pictures_ = [svg for svg in drawn if 'class="key"' not in svg]
    assert all(re.search(r'role="img" aria-label="[^"]+"', svg) for svg in pictures_)
    assert text.count("<figure") == len(pictures_)
    for figure in re.findall(r"<figure.*?</figure>", text, re.S):
        assert "<table>" in figure


def test_the_same_folder_gives_the_same_bytes(run: store.Run, text: str) -> None:
    assert written(run) == text
    assert not list(run.folder.glob(".report*"))


def test_only_the_report_is_written(run: store.Run) -> None:
    paths = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}
    path = write_report(run.folder)
    now = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}
    assert {p for p in now if now[p] != paths.get(p)} == {path}


def test_an_unfinished_run_has_a_report_at_every_step(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = reader_run.start(folder)
    assert "Nothing has been scored yet." in written(run)
    for step in reader_run.steps(folder):
        step()
        assert Page(written(run)).open == []
    assert "2 of 2 rounds finished, 5 rungs" in written(run)


def test_hostile_text_does_nothing(tmp_path: Path) -> None:
    hostile = {"puzzle": HOSTILE, "solution": HOSTILE, "detail": HOSTILE}
    text = written(reader_run.whole(tmp_path / "run", **hostile))
    page = Page(text)
    assert page.open == []
    assert not {"script", "img"} & set(page.tags)
    assert "&lt;img src=x" in text
    assert "{{ 7 * 7 }}" in text
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text) < 200_000


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    """Names of parts and fates come from tables that another program may have written."""
    run = reader_run.whole(tmp_path / "run")
    bad = "<img src=x>\x1b\u202e"
    stage = run.folder / "final" / "evaluate"
    rows = [row | {"part": bad} for row in store.read_table(stage / "scores.parquet")]
    store.write_table(stage / "scores.parquet", rows, reader_run.tables.SCORES)
    vet = run.folder / "round-01" / "vet"
    fates = [row | {"fate": bad} for row in store.read_stage(vet)]
    store.write_table(store.unit_path(vet, 0), fates, reader_run.tables.VET)
    text = written(run)
    assert "img" not in Page(text).tags
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_diverged_training_is_drawn(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    reader_run.trained(run.folder / "final" / "train", [float("nan"), float("inf")])
    assert "no finite loss" in written(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a run folder"):
        write_report(tmp_path)


def test_a_record_that_is_gone_is_named(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    (run.folder / "record.json").write_text("[]")
    with pytest.raises(InputError, match=r"record\.json must hold the run's versions"):
        write_report(run.folder)


@pytest.mark.parametrize("highest", [0.0, 0.4, 5.0, 5.1, 79.0, 80.1, 100.0])
def test_an_axis_holds_its_values(highest: float) -> None:
    assert highest <= pictures.nice_top(highest) <= 100


def test_no_text_leaves_its_element() -> None:
    bad = "\"'><script>&"
    for drawn in (
        pictures.bars(bad, [(bad, 3), (bad, 0)]),
        pictures.shares(bad, [(bad, [(0, 0)])]),
        pictures.intervals(bad, [(bad, [Mark(0, 1, 0, 2)])]),
        pictures.curves(bad, [Curve(0, ((1, Mark(0, 50, 40, 60)),))]),
        pictures.loss(bad, [(1, 0.0)]),
    ):
        root = ElementTree.fromstring(drawn)
        assert root.attrib["aria-label"] == bad
        assert not [element for element in root.iter() if element.tag == "script"]
