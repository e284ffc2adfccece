"""The report: its numbers are the tables', it needs nothing else, and nothing in it can act."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reader_run
from browsers import needs_browser, opened_browser, overflow, watched_page
from etude import readings, reviews, store
from etude.errors import InputError
from etude.readings import words
from etude.report import charts, results, write_report
from etude.report.facts import CLASSES, Facts
from etude.report.inert import inert, label
from etude.stats import Estimate
from reader_run import HOSTILE

PAYLOAD = (
    "def f(x: int):\n"
    '    \'<img src=x onerror="window.hacked=1"><a href="javascript:window.hacked=1">here</a>\'\n'
    "    '</script><script>window.hacked=1</script> <!-- %{x} %{customdata} %{meta[0]} $x^2$'\n"
    "    '<b onmouseover=\"window.hacked=1\">&lt;b&gt;&amp;</b>'\n"
    "    '\u2028\u2029\x00\x1b[2J\u202e\u2066\u200b\ufeff \ud800 @c0 {{ 7 * 7 }}'\n"
    "    return x == 3  # " + "A" * 1_000_000
)
"""What a model, or someone with access to it, could write to make a report do something."""


class Page(HTMLParser):
    """What a browser would find: elements, attributes, cells of tables. Scripts are left out."""

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
        if set(self.open) & {"td", "th"}:
            self.cells[-1] += data


SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def whole(run: store.Run) -> str:
    return write_report([run.folder]).read_text("utf-8")


def bare(text: str) -> str:
    """A report without its scripts, which are long."""
    return SCRIPT.sub("", text)


def specs(text: str) -> dict[str, Any]:
    """The charts of a report."""
    found = next(body for kind, body in SCRIPT.findall(text) if "json" in kind)
    return dict(json.loads(found))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    return reader_run.whole(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def text(run: store.Run) -> str:
    return whole(run)


def test_every_score_stands_in_a_table(run: store.Run, text: str) -> None:
    cells = Page(bare(text)).cells
    tables = [run.folder / "round-01" / "evaluate", run.folder / "round-02" / "evaluate"]
    tables += [rung.folder for rung in readings.ladder(run.folder)]
    for folder in tables:
        for score in readings.curve(folder):
            assert words.percent(score) in cells


def test_every_difference_and_finding_is_there(run: store.Run, text: str) -> None:
    compared = readings.comparisons(readings.ladder(run.folder))
    cells = Page(bare(text)).cells
    assert compared
    assert all(words.signed(c.difference) in cells for c in compared)
    assert all(line in text for line in words.conclusion(compared))
    assert all(line in text for line in words.headline(readings.ladder(run.folder), compared))


def test_the_ladder_draws_the_scores_and_their_intervals(run: store.Run, text: str) -> None:
    first = specs(text)["ladder-constants"]["data"][0]
    expected = [
        score
        for rung in readings.ladder(run.folder)
        for score in rung.scores
        if (score.part, score.k) == ("constants", 1)
    ]
    assert first["x"] == pytest.approx([100 * s.value for s in expected], rel=1e-4)
    above = [100 * (s.high - s.value) for s in expected]
    assert first["error_x"]["array"] == pytest.approx(above, rel=1e-3, abs=1e-3)


def test_difficulty_is_counted_puzzle_by_puzzle(tmp_path: Path) -> None:
    """Six puzzles, each of them in a class of its own; p (1 - p) as by hand."""
    run = reader_run.start(tmp_path / "run")
    accepted = [0, 1, 3, 5, 7, 8]
    rows = [
        {"candidate_id": f"{puzzle}-{draw}", "puzzle_id": f"p{puzzle}", "detail": "",
         "outcome": "accepted" if draw < count else "wrong", "answer": None,
         "cpu_seconds": 0.0, "peak_bytes": 0}
        for puzzle, count in enumerate(accepted)
        for draw in range(8)
    ]  # fmt: skip
    stage = run.folder / "round-01" / "judge"
    store.write_table(store.unit_path(stage, 0), rows, reader_run.tables.JUDGE)
    facts = Facts(run.folder, "run")
    (found,) = facts.difficulty
    facts.close()
    assert found.classes == (1,) * len(CLASSES)
    by_hand = [c * (8 - c) / (8 * 7) for c in accepted]
    assert found.learnability.value == pytest.approx(sum(by_hand) / 6)
    assert found.between == pytest.approx(4 / 6)


def test_examples_made_from_pairs_are_counted(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    own = sum(len(store.read_stage(at / "select")) for at in run.folder.glob("round-*"))
    assert figure(run) == (f"{own:,}", "")
    row = dict.fromkeys(reader_run.tables.DERIVE.names, "x") | {"origin": "repair"}
    posed = row | {"origin": "posed"}
    place = store.unit_path(run.folder / "round-01" / "derive", 0)
    store.write_table(place, [row] * 90 + [posed] * 7, reader_run.tables.DERIVE)
    beside = "97 of them made from pairs: 90 repair, 7 posed"
    assert figure(run) == (f"{own + 97:,}", beside)
    assert [one.derived for one in readings.funnels(run.folder)] == [97, 0]


def figure(run: store.Run) -> tuple[str, str]:
    facts = Facts(run.folder, "run")
    (found,) = [one for one in results.figures([facts]) if one.label == "training examples"]
    facts.close()
    return found.value, found.beside


def test_the_gallery_shows_a_kept_solution_and_a_wrong_attempt(run: store.Run, text: str) -> None:
    facts = Facts(run.folder, "run")
    shown = facts.gallery
    facts.close()
    assert {one.round for one in shown} == {1, 2}
    for one in shown:
        assert [pair.outcome == "accepted" for pair in one.pairs] == [True, False]
        assert (one.accepted, one.attempts) == (1, 3)
    assert "raised" in text


@pytest.mark.parametrize(
    ("way", "outcome", "stable", "shown"),
    [
        ("borrowed", "accepted", None, False),
        ("borrowed", "accepted", False, True),  # by chance
        ("borrowed", "wrong", None, True),
        ("posed", "accepted", None, True),
    ],
)
def test_a_puzzle_that_was_repaired_is_not_among_those_that_nothing_solved(
    tmp_path: Path, way: str, outcome: str, stable: bool | None, shown: bool
) -> None:
    run = reader_run.whole(tmp_path / "run")
    round_1 = run.folder / "round-01"
    judged = store.read_stage(round_1 / "judge")
    lost = [row | {"outcome": "wrong"} for row in judged]
    store.write_table(store.unit_path(round_1 / "judge", 0), lost, reader_run.tables.JUDGE)
    shutil.rmtree(round_1 / "select")
    row = dict.fromkeys(reader_run.tables.REPAIR.names) | {
        "puzzle_id": judged[0]["puzzle_id"], "way": way, "outcome": outcome,
        "stable": stable,
    }  # fmt: skip
    store.write_table(store.unit_path(round_1 / "repair", 0), [row], reader_run.tables.REPAIR)
    facts = Facts(run.folder, "run")
    found = {one.round for one in facts.gallery}
    facts.close()
    assert (1 in found) is shown


def test_only_its_own_scripts_may_run_and_nothing_is_loaded(text: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = policy[1].replace("&#39;", "'")
    scripts = [body for kind, body in SCRIPT.findall(text) if not kind]
    hashes = [b64encode(sha256(body.encode()).digest()).decode() for body in scripts]
    assert len(scripts) == 2
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in rules
    assert rules.startswith("default-src 'none'")
    assert "'unsafe-eval'" not in rules
    page = Page(bare(text))
    assert page.open == []
    assert not {"img", "link", "iframe", "object", "form"} & set(page.tags)
    assert not {n for n, _ in page.attributes if n.startswith("on")}
    assert all(v and v.startswith("#") for n, v in page.attributes if n in ("href", "src"))
    assert not re.search(r"url\(|@import", bare(text))


def test_every_chart_has_words_a_table_and_a_place(text: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", bare(text), re.DOTALL)
    places = re.findall(r'data-chart="([^"]+)" role="img" aria-label="[^"]+"', text)
    assert sorted(places) == sorted(specs(text))
    assert len(figures) == len(places)
    assert all("<table>" in figure for figure in figures)


def test_every_chart_is_one_that_plotly_knows(text: str) -> None:
    """plotly.js takes wrong names in silence; its Python twin does not."""
    from plotly.graph_objects import Figure

    made = specs(text)
    assert {"ladder-constants", "gains-families", "funnel", "outcomes", "difficulty"} <= set(made)
    for spec in made.values():
        Figure(_coloured(spec["data"]), _coloured(_without(spec["layout"], "zoomable")))


def _without(layout: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in layout.items() if key != name}


def _coloured(value: Any) -> Any:
    """With a colour in the place of each name of one."""
    if isinstance(value, dict):
        return {key: _coloured(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_coloured(item) for item in value]
    return "#123456" if isinstance(value, str) and value.startswith("@") else value


def test_the_same_folder_gives_the_same_bytes(run: store.Run, text: str) -> None:
    assert whole(run) == text
    assert not list(run.folder.glob(".report*"))


def test_only_the_report_is_written(run: store.Run) -> None:
    paths = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}
    path = write_report([run.folder])
    now = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}
    assert {p for p in now if now[p] != paths.get(p)} == {path}


def test_an_unfinished_run_has_a_report_at_every_step(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = reader_run.start(folder)
    assert "Nothing has been scored yet." in whole(run)
    steps = reader_run.steps(folder)
    for number, step in enumerate(steps):
        step()
        if number % 7 == 0:
            assert Page(bare(whole(run))).open == []
    assert "2 of 2 rounds finished, 5 rungs" in whole(run)


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    """Names of parts, fates and outcomes come from tables that another program may have written."""
    run = reader_run.whole(tmp_path / "run")
    bad = "<img src=x>%{x}</script>\x1b\u202e"
    stage = run.folder / "final" / "evaluate"
    rows = [row | {"part": bad} for row in store.read_table(stage / "scores.parquet")]
    store.write_table(stage / "scores.parquet", rows, reader_run.tables.SCORES)
    vet = run.folder / "round-01" / "vet"
    fates = [row | {"fate": bad} for row in store.read_stage(vet)]
    store.write_table(store.unit_path(vet, 0), fates, reader_run.tables.VET)
    text = whole(run)
    assert "img" not in Page(bare(text)).tags
    assert all(line.isprintable() for line in bare(text).split("\n"))
    assert "<img" not in json.dumps(specs(text))
    assert "%{" not in json.dumps(specs(text))


def test_megabytes_of_text_stay_small(tmp_path: Path) -> None:
    hostile = {"puzzle": HOSTILE, "solution": HOSTILE, "detail": HOSTILE}
    text = whole(reader_run.whole(tmp_path / "run", **hostile))
    assert len(bare(text)) < 300_000
    assert len(json.dumps(specs(text))) < 300_000


def test_a_diverged_training_is_drawn(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    reader_run.trained(run.folder / "final" / "train", [float("nan"), float("inf"), 2.0])
    text = whole(run)
    drawn = specs(text)["losses"]["data"]
    assert [2.0] in [trace["y"] for trace in drawn]
    assert "nan → 2.00" in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a run folder"):
        write_report([tmp_path])


def test_a_run_that_is_given_twice_is_refused(run: store.Run) -> None:
    with pytest.raises(InputError, match="is given twice"):
        write_report([run.folder, run.folder / "."], run.folder / "two.html")
    assert not (run.folder / "two.html").exists()


def test_a_record_that_is_gone_is_named(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    (run.folder / "record.json").write_text("[]")
    with pytest.raises(InputError, match=r"record\.json must hold the run's versions"):
        write_report([run.folder])


WITHOUT_PLOTLY = """
import sys
sys.modules["plotly"] = None
sys.argv = ["etude", "report", sys.argv[1]]
from etude.cli import main
main()
"""


def test_without_plotly_the_line_that_installs_it_is_said(run: store.Run) -> None:
    made = subprocess.run(
        [sys.executable, "-c", WITHOUT_PLOTLY, str(run.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
    assert "pip install 'etude[report]'" in made.stderr
    assert "Traceback" not in made.stderr


def test_a_run_without_plotly_ends_well(
    run: store.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from etude import session
    from etude.console import Console
    from etude.report import page

    page._plotly.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setitem(sys.modules, "plotly", None)
    session._report(Console(), run.folder)
    said = " ".join(capsys.readouterr().out.split())
    assert "pip install 'etude[report]'" in said
    assert f"Then: etude report {run.folder}" in said


@pytest.fixture
def seeds(tmp_path: Path) -> list[store.Run]:
    """Two runs that differ in their seed, the second of which did worse."""
    runs = [reader_run.whole(tmp_path / name) for name in ("one", "two")]
    for name in ("recipe.toml", ".started.toml"):
        path = runs[1].folder / name
        path.write_text(re.sub(r"(?m)^seed = 0$", "seed = 5", path.read_text(), count=1))
    reader_run.evaluated(runs[1].folder / "final", [1, 0, 0])
    return runs


def test_runs_of_several_seeds_get_a_mean_and_its_span(seeds: list[store.Run]) -> None:
    out = seeds[0].folder.parent / "both.html"
    text = write_report([run.folder for run in seeds], out).read_text("utf-8")
    values = [
        score.value
        for run in seeds
        for score in readings.ladder(run.folder)[-1].scores
        if (score.part, score.k) == ("constants", 1)
    ]
    assert len(set(values)) == 2
    assert f"Over 2 seeds the student solves on average {words.span(values, '%')} of the" in text
    assert words.span(values) in Page(bare(text)).cells
    assert "The recipes differ in the seed alone" in text
    assert len(specs(text)["ladder-constants"]["data"]) == 2


def test_what_people_decided_is_said(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    assert "People reviewed" not in bare(write_report([run.folder]).read_text("utf-8"))
    for name, decision in [("01", "accept"), ("02", "reject"), ("03", "accept"), ("03", "undo")]:
        puzzle_id = f"aaaaaaaaaaaaaa{name}"
        reviews.write(run.folder, puzzle_id, decision, "def f(x: int): ...", reviewer="<b>Ada")
    text = bare(write_report([run.folder]).read_text("utf-8"))
    assert "People reviewed its puzzles: 1 accepted and 1 rejected." in text
    assert "<b>Ada" not in text


def test_seeds_with_held_out_problems_of_their_own_are_seeds_too(seeds: list[store.Run]) -> None:
    path = seeds[1].folder / "recipe.toml"
    path.write_text(path.read_text().replace("split_seed = 7", "split_seed = 8"))
    out = seeds[0].folder.parent / "both.html"
    text = write_report([run.folder for run in seeds], out).read_text("utf-8")
    assert "Over 2 seeds the student solves on average" in text
    assert "Each seed has held-out problems of its own" in text


def test_runs_of_other_recipes_get_no_mean_but_their_differences(tmp_path: Path) -> None:
    runs = [reader_run.whole(tmp_path / name) for name in ("one", "two")]
    for name in ("recipe.toml", ".started.toml"):
        path = runs[1].folder / name
        text = path.read_text().replace("max_new_tokens = ", "max_new_tokens = 1")
        path.write_text(text)
    out = tmp_path / "both.html"
    text = bare(write_report([run.folder for run in runs], out).read_text("utf-8"))
    assert "Over 2 seeds" not in text
    assert "propose.max_new_tokens" in Page(text).cells
    assert "<h1>2 runs, whose recipes differ in more than the seed.</h1>" in text
    assert "one: The student solves" in text


def test_what_a_run_watches_of_itself_is_there(tmp_path: Path) -> None:
    """Health with its limits, probes, re-invented families, and the seconds of stages."""
    run = reader_run.whole(tmp_path / "run")
    place, schema = run.folder / "round-02", reader_run.tables
    measures = [("learnable", 0.04, "warn"), ("unique", 0.9, "ok")]
    health = [
        {"measure": name, "value": value, "warn": 0.1, "stop": None, "state": state}
        for name, value, state in measures
    ]
    store.write_table(store.unit_path(place / "health", 0), health, schema.HEALTH)
    probes = [
        {"puzzle_id": f"p{n}", "strangers": 4, "satisfied": n, "weak": n == 2, "stable": n != 1,
         "unused_arguments": [], "idle_arguments": ["a"] * n}
        for n in range(3)
    ]  # fmt: skip
    store.write_table(store.unit_path(place / "probe", 0), probes, schema.PROBE)
    leaks = [
        {"suite": "tiny", "problem": problem, "part": part, "level": level, "puzzle_id": puzzle}
        for problem, part, level, puzzle in [
            ("sorted_by/1", "families", "form", "aaaaaaaaaaaaaa02"),
            ("sorted_by/2", "families", "behaviour", "aaaaaaaaaaaaaa02"),
            ("sorted_by/2", "families", "8-gram", "another"),
            ("total/1", "constants", "form", "third"),
        ]
    ]
    store.write_table(store.unit_path(place / "screen", 0), leaks, schema.SCREEN)
    contamination = run.folder / "final" / "evaluate" / "contamination.parquet"
    store.write_table(contamination, [], schema.CONTAMINATION)
    seconds = [(1, "propose", 61.0), (1, "propose", 60.0), (None, "train", 5.0)]
    said = [{"round": n, "stage": stage, "seconds": s} for n, stage, s in seconds]
    (run.folder / "times").mkdir()
    lines = "".join(f"{json.dumps(line)}\n" for line in said)
    (run.folder / "times" / "a.jsonl").write_text(lines)
    text = whole(run)
    cells = Page(bare(text)).cells
    assert "0.04 ▲ warn" in cells
    assert "round 2: warn, learnable 0.04, below 0.1" in text
    row = cells.index("strangers' answers accepted")
    assert cells[row + 3 : row + 9] == ["round 2", "3", "1", "25.0%", "1", "2"]
    row = cells.index("sorted_by")
    assert cells[row - 3 : row + 3] == ["family", "round 2", "taught", "sorted_by", "1", "1"]
    assert "total" not in cells
    assert "2:01" in cells
    assert specs(text)["times"]["data"][0]["x"][0] == pytest.approx(121 / 60, rel=1e-4)


TEXTS = st.text(st.characters(), max_size=300)


@given(TEXTS)
def test_inert_text_has_nothing_that_plotly_reads(text: str) -> None:
    shown = inert(text)
    assert not set(shown.replace("<br>", "")) & set("<>%{}$\"'")
    assert re.fullmatch(r"(&#\d+;|[^&])*", shown)
    assert all(c.isprintable() or c == "\u00a0" for c in shown)
    assert not set(label(text)) & set("<>%{}")


@given(
    st.lists(st.tuples(*(st.floats(0, 100) for _ in range(3))).map(sorted), min_size=1, max_size=6)
)
def test_an_axis_holds_its_intervals(found: list[list[float]]) -> None:
    values = [Estimate(middle, low, high) for low, middle, high in found]
    rows = [str(n) for n in range(len(values))]
    series = [charts.Series("a", "@c0", values)]
    low, high = charts.intervals(rows, series)["layout"]["xaxis"]["range"]
    assert low <= min(v.low for v in values)
    assert max(v.high for v in values) <= high
    low, high = charts.intervals(rows, series, unit="points")["layout"]["xaxis"]["range"]
    assert low <= 0 <= max(v.high for v in values) <= high


# In a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in which every text that a model can write is hostile."""
    folder = tmp_path_factory.mktemp("runs") / "hostile"
    run = reader_run.whole(folder, puzzle=PAYLOAD, solution=PAYLOAD, detail=PAYLOAD)
    rows = [
        {"problem": "<img src=x onerror='window.hacked=1'>", "part": "constants", "level": "form",
         "examples": 1, "share": 1.0, "example_id": "x", "problem_text": PAYLOAD[:5000],
         "example_text": PAYLOAD[:5000]}
    ]  # fmt: skip
    stage = folder / "final" / "evaluate"
    store.write_table(stage / "contamination.parquet", rows, reader_run.tables.CONTAMINATION)
    return write_report([run.folder])


OPENED = "() => document.querySelectorAll('details').forEach(one => { one.open = true })"
DRAWN = "() => document.querySelectorAll('.plot svg.main-svg').length"


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_it_opens_from_the_disk_and_draws_every_chart(
    browser: Any, run: store.Run, text: str, width: int, dark: bool
) -> None:
    path = run.folder / "report.html"
    with watched_page(browser, width=width, dark=dark) as (page, seen):
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]")
        places = page.locator(".plot").count()
        assert places == len(specs(text)) > 8
        assert page.locator(".plot:has(svg.main-svg)").count() == places
        assert overflow(page) == 0
        page.evaluate(OPENED)
        assert overflow(page) == 0
        ink = page.evaluate("() => getComputedStyle(document.querySelector('.xtick text')).fill")
        assert (ink == "rgb(232, 235, 238)") is dark
    assert seen.nothing_bad()


@needs_browser
def test_charts_change_with_the_theme_and_print_in_light(
    browser: Any, run: store.Run, text: str
) -> None:
    ink = "() => getComputedStyle(document.querySelector('.xtick text')).fill"
    with watched_page(browser) as (page, seen):
        page.goto((run.folder / "report.html").as_uri())
        page.wait_for_selector("html[data-drawn]")
        light = page.evaluate(ink)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"light => ({ink})() !== light", arg=light)
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        page.wait_for_function(f"light => ({ink})() === light", arg=light)
    assert seen.nothing_bad()


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_text_is_shown_and_does_nothing(browser: Any, hostile: Path, width: int) -> None:
    with watched_page(browser, width=width) as (page, seen):
        page.goto(hostile.as_uri())
        page.wait_for_selector("html[data-drawn]")
        page.evaluate(OPENED)
        shown = page.inner_text("body")
        assert "onerror=" in shown
        assert "{{ 7 * 7 }}" in shown
        assert "\\u202e" in shown
        assert page.evaluate("() => typeof window.hacked") == "undefined"
        assert page.locator("img, iframe, a:not([href^='#'])").count() == 0
        assert page.locator("script").count() == 3
        assert overflow(page) == 0
        _hover_everything(page)
        assert page.evaluate("() => typeof window.hacked") == "undefined"
        assert page.locator("img, iframe, a:not([href^='#'])").count() == 0
    assert seen.nothing_bad()
    assert set(seen.moves) <= {hostile.as_uri(), "about:blank"}


def _hover_everything(page: Any) -> None:
    """Show the hover box of the first point of every trace, as a mouse would."""
    page.evaluate(
        """() => document.querySelectorAll('.plot').forEach(place =>
            place.data.forEach((_, n) => {
              try { Plotly.Fx.hover(place, [{ curveNumber: n, pointNumber: 0 }]) } catch {}
            }))"""
    )


@needs_browser
def test_a_hover_box_shows_hostile_text_as_text(browser: Any, tmp_path: Path) -> None:
    """The map is drawn of human puzzles too, so its text is put in here."""
    from etude.report.page import render
    from etude.report.parts import Section

    points = [(float(n), float(n % 3), PAYLOAD[:400], PAYLOAD) for n in range(5)]
    spec = charts.cloud([charts.Cloud("@c0", 0, points)])
    chart = charts.Chart("map", "a map", "a map", spec, ["a"], [["b"]])
    sections = [Section("diversity", "Diversity", "", [chart])]
    path = tmp_path / "page.html"
    path.write_bytes(
        render("t", ["s"], sections, figures=[], progress=[], recipes=[], records=[], commands=[])
    )
    with watched_page(browser) as (page, seen):
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]")
        page.evaluate(
            "() => Plotly.Fx.hover(document.querySelector('.plot'),"
            " [{ curveNumber: 0, pointNumber: 0 }])"
        )
        box = page.wait_for_selector(".hoverlayer .hovertext", state="attached")
        said = box.text_content()
        assert "<img src=x onerror" in said.replace("\u00a0", " ")
        assert page.locator(".hoverlayer a, .hoverlayer img, .hoverlayer b").count() == 0
        page.mouse.move(*_place_of_a_point(page))
        reader = page.wait_for_selector(".reader:not([hidden])")
        assert "<img src=x onerror" in reader.inner_text()
        assert page.evaluate("() => typeof window.hacked") == "undefined"
    assert seen.nothing_bad()


def _place_of_a_point(page: Any) -> tuple[float, float]:
    box = page.locator(".plot .point").nth(2).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
