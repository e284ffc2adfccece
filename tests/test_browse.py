"""The pages over HTTP: what they find, whom they refuse, and what a decision needs."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from etude import reviews, store, tables
from etude.errors import InputError
from reader_run import HOSTILE, VARIANT, start, steps, whole, with_made

pytest.importorskip("starlette", reason="needs the extra browse")
pytest.importorskip("httpx2", reason="needs httpx2, for starlette's test client")

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from etude.browse.guard import HEADERS, Guard
from etude.browse.library import Library
from etude.browse.server import application, run
from etude.browse.site import SEARCHING, Site

ORIGIN = "http://127.0.0.1"
PUZZLE = "aaaaaaaaaaaaaa01"
CANDIDATE = "bbbbbbbbbbbb0101"
INJECTIONS = ("'", "' or 1=1 --", '"; drop table kept; --', "%", "\\", "\x00", "ﬀ\ud83d\ude00")


def client(*folders: Path, **options: str) -> TestClient:
    app = application(folders, reviewer="Ada", **options)
    return TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole(tmp_path_factory.mktemp("browse") / "run").folder


@pytest.fixture(scope="module")
def site(folder: Path) -> TestClient:
    return client(folder)


PAGES = (
    "/", "/candidates", f"/candidate/{CANDIDATE}", "/puzzles", f"/puzzle/{PUZZLE}", "/problems",
    "/problem?name=constants/3", "/review", f"/review?puzzle={PUZZLE}&edit=1", "/live",
    "/chart/rounds", "/chart/outcomes", "/chart/rates", f"/text/solution/{CANDIDATE}",
    "/static/browse.js", "/static/browse.css", "/static/plotly.js",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_and_is_locked_down(site: TestClient, page: str) -> None:
    answer = site.get(page)
    assert answer.status_code == 200, answer.text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("page", ["/candidates?page=x", "/nothing", "/puzzle/none"])
def test_a_refusal_is_locked_down_too(site: TestClient, page: str) -> None:
    answer = site.get(page)
    assert answer.status_code in (400, 404)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("page=0", "page must be a whole number from 1 to 1,000,000"),
        ("page=-1", "page must be a whole number"),
        ("page=1e3", "page must be a whole number"),
        ("page=9999999999999999999", "page must be a whole number"),
        ("page=\u0663", "page must be a whole number"),
        ("round=first", "round must be a whole number"),
        ("outcome=good", "outcome must be one of accepted, wrong"),
        ("arm=all", "arm must be one of verified, unverified"),
        ("order=source", "order must be one of newest"),
        ("down=2", "down must be one of 0, 1"),
        ("page=1&page=2", "must be given once"),
        ("colour=red", "This page takes arm, down, id"),
        ("puzzle=" + "x" * 501, "must have at most 500 characters but has 501"),
    ],
)
def test_a_wrong_value_is_one_sentence(site: TestClient, query: str, sentence: str) -> None:
    answer = site.get(f"/candidates?{query}")
    assert answer.status_code == 400
    assert sentence in answer.text


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize(
    "page",
    [
        "/candidates?{}=puzzle", "/candidates?{}=solution", "/candidates?{}=type",
        "/candidates?{}=id", "/candidates?{}=order", "/candidates?{}=arm", "/puzzles?{}=puzzle",
        "/puzzles?{}=id", "/puzzles?{}=solved", "/problems?{}=problem", "/problems?{}=part",
        "/problem?{}=name", "/review?{}=puzzle",
    ],
)  # fmt: skip
def test_no_parameter_becomes_sql(site: TestClient, page: str, text: str) -> None:
    path, _, name = page.partition("?{}=")
    answer = site.get(path, params={name: text.encode("utf-8", "surrogatepass")})
    assert answer.status_code in (200, 400, 404)
    assert PUZZLE not in answer.text  # nothing is found by it
    assert "12 candidates" in site.get("/candidates").text  # and nothing was changed


def test_what_was_made_of_a_pair_is_shown_beside_it(tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    with_made(run)
    site = client(run)
    page = site.get(f"/puzzle/{PUZZLE}").text
    assert "made of it: variant" in page
    assert "made of it: repair" in page
    assert "(description) the example" in site.get(f"/candidate/{CANDIDATE}").text
    assert site.get("/text/derived/variant-1").text == "\n".join(VARIANT)
    assert "<td>1</td><td>3</td>" in site.get("/").text  # examples, and what was derived


@pytest.mark.parametrize("name", ["'", "x' or '1'='1", "..%2f..%2fetc%2fpasswd", "%00"])
@pytest.mark.parametrize("page", ["/candidate/", "/puzzle/", "/text/solution/", "/static/"])
def test_no_path_names_what_is_not_of_the_run(site: TestClient, page: str, name: str) -> None:
    assert site.get(page + name).status_code in (400, 404)


def test_filters_find_what_they_say(site: TestClient) -> None:
    def found(query: str) -> str:
        text = site.get(f"/candidates?{query}").text
        return re.findall(r"of ([\d,]+) candidates|(No) candidates", text)[0][0] or "0"

    assert found("") == "12"
    assert found("outcome=accepted") == "4"
    assert found("outcome=accepted&arm=verified&round=2") == "1"
    assert found("solution=RETURN 9 - a") == "12"
    assert found("solution=return 9 - b") == "0"
    assert found("puzzle=x %2B a") == "12"
    assert found("type=int") == "12"
    assert found("type=str") == "0"
    assert found(f"id={CANDIDATE}") == "2"  # the same ids in the control, as reader_run writes
    assert found("order=cpu&down=0&outcome=timeout") == "4"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example",
                                  "user@127.0.0.1", "10.0.0.1", "", "127.0.0.1/x"])  # fmt: skip
def test_another_name_for_this_address_is_refused(site: TestClient, host: str) -> None:
    assert site.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost:9000", "[::1]:8642"])
def test_its_own_names_are_served_at_any_port(site: TestClient, host: str) -> None:
    assert site.get("/live", headers={"host": host}).status_code == 200


def decision(site: TestClient, **fields: str) -> dict[str, str]:
    token = re.findall(r'name="token" value="([^"]+)"', site.get("/review").text)[0]
    form = {"token": token, "puzzle": PUZZLE, "decision": "accept", "reviewer": "Ada"}
    return form | fields


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", ""])
def test_a_decision_from_another_site_is_refused(tmp_path: Path, origin: str) -> None:
    run = whole(tmp_path / "run").folder
    site = client(run)
    answer = site.post("/review", data=decision(site), headers={"origin": origin})
    assert answer.status_code == 403
    assert reviews.read(run) == []


def test_decisions_are_kept_and_undone(tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    site = client(run)
    answer = site.post("/review", data=decision(site, note="<b>good"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/review?skip=0")
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    [made] = reviews.read(run)
    assert (made.puzzle_id, made.decision, made.reviewer) == (PUZZLE, "accept", "Ada")
    assert "&lt;b&gt;good" in site.get("/review").text
    assert site.post("/review", data=decision(site, decision="undo")).status_code == 303
    assert reviews.standing(reviews.read(run)) == {}


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"token": "guessed"}, 403, "earlier start"),
        ({"puzzle": "none"}, 400, "no puzzle of the loop"),
        ({"reviewer": " "}, 422, "must say who"),
        ({"decision": "burn"}, 422, "must be one of"),
        ({"decision": "edit", "source": "def f(x: int): retur </textarea>"}, 422, "not Python"),
        ({"note": "x" * 3000}, 422, "at most 2,000"),
        ({"more": "1"}, 400, "at most once"),
    ],
)
def test_what_can_not_be_kept_is_said_and_what_was_typed_stays(
    tmp_path: Path, fields: dict[str, str], status: int, sentence: str
) -> None:
    run = whole(tmp_path / "run").folder
    site = client(run)
    answer = site.post("/review", data=decision(site, **fields))
    assert answer.status_code == status
    assert sentence in answer.text
    assert reviews.read(run) == []
    if "source" in fields:
        assert "retur &lt;/textarea&gt;" in answer.text


def test_a_body_without_an_end_is_refused(site: TestClient) -> None:
    assert site.post("/review", content=b"x" * 1_000_001).status_code == 413
    assert site.put("/review").status_code == 405


def test_hostile_text_is_escaped_and_cut(tmp_path: Path) -> None:
    made = whole(tmp_path / "run", puzzle=HOSTILE, solution=HOSTILE, detail=HOSTILE)
    site = client(made.folder)
    for page in (*PAGES[:5], "/review"):
        text = site.get(page).text
        assert len(text) < 60_000
        assert "<img" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
    answer = site.get(f"/text/puzzle/{PUZZLE}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(answer.text) > 1_000_000


def test_the_name_of_a_folder_is_harmless_too(tmp_path: Path) -> None:
    run = whole(tmp_path / '<img src=x onerror=alert(1)>\u202e"\u200b').folder
    site = client(run, whole(tmp_path / "\u2066two").folder)
    for page in ("/", "/candidates?page=x", "/compare", f"/puzzle/{PUZZLE}"):
        text = site.get(page).text
        assert "<img" not in text
        assert not re.search("[\u202e\u200b\u2066]", text)


def test_segments_that_appear_are_seen(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    site = client(run.folder)
    before = site.get("/live").json()
    for step in steps(run.folder)[:5]:
        step()
    time.sleep(1.1)  # the folder is looked at once a second
    after = site.get("/live").json()
    assert before["generation"] != after["generation"]
    assert "propose 3" in after["strip"]


def test_two_runs_are_compared(folder: Path, tmp_path: Path) -> None:
    other = whole(tmp_path / "other", puzzle="def f(x: int, a=8): return x * a == 64")
    site = client(folder, other.folder)
    text = site.get("/compare").text
    assert "2 puzzles were kept by both" in text
    assert "+0.0 [+0.0, +0.0]" in text
    assert site.get(f"/second/puzzle/{PUZZLE}").status_code == 200
    assert "x * a == 64" in site.get("/second/candidates").text.replace("&#34;", '"')


def test_other_machines_need_the_key(folder: Path) -> None:
    site = client(folder, host="0.0.0.0", key="secret")
    assert site.get("/").status_code == 403
    assert site.get("/?key=wrong").status_code == 403
    answer = site.get("/?key=secret")
    assert answer.status_code == 303
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert site.get("/").status_code == 200
    assert site.get("/", headers={"host": "evil.example"}).status_code == 421


def test_a_port_in_use_is_one_sentence(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"Port {port} .* in use.*--port"):
            run([folder], host="127.0.0.1", port=port, open_page=False, reviewer="Ada")


@pytest.mark.parametrize("left", [False, True])
def test_few_pages_search_at_a_time_and_none_for_who_has_left(folder: Path, left: bool) -> None:
    site = Site(Library(folder), "", "", "Ada", [])
    go = threading.Event()
    begun: list[str] = []

    def slow(_: Site, request: Request) -> Response:
        begun.append(request.url.path)
        go.wait(30)
        return Response()

    async def receive() -> dict[str, str]:
        if not left or len(begun) < SEARCHING:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def many() -> None:
        asked = site._searched(slow)
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [],
                 "query_string": b"", "server": ("127.0.0.1", 1), "scheme": "http"}  # fmt: skip
        async with anyio.create_task_group() as group:
            for _ in range(60):  # more than there are threads
                group.start_soon(asked, Request(scope, receive))
            while len(begun) < SEARCHING:
                await anyio.sleep(0.01)
            with anyio.fail_after(10):  # a quick page has a thread
                await anyio.to_thread.run_sync(lambda: None)
            assert len(begun) == SEARCHING
            go.set()

    anyio.run(many)
    assert len(begun) == (SEARCHING if left else 60)


def test_another_site_can_not_make_it_search(site: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert site.get("/candidates", headers=headers).status_code == 403
    headers["sec-fetch-mode"] = "navigate"  # a link, which a person followed
    assert site.get("/candidates", headers=headers).status_code == 200


def test_no_run_and_no_extra_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a run folder"):
        application([tmp_path])
    code = (
        "import sys; sys.modules['uvicorn'] = None; from etude.cli import main; "
        f"sys.argv = ['etude', 'browse', {str(tmp_path)!r}]; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'etude[browse]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_guard_knows_numbers_only_where_it_is_open_to_others() -> None:
    assert Guard(lambda *_: None, host="0.0.0.0", key="").knows("10.0.0.1:80")  # type: ignore[arg-type, return-value]
    assert not Guard(lambda *_: None, host="127.0.0.1", key="").knows("10.0.0.1:80")  # type: ignore[arg-type, return-value]


def test_an_edit_says_what_does_not_show(tmp_path: Path) -> None:
    """In the field the text must stand as it is, where a character can turn it about."""
    puzzle = "def f(x: str, s='a\u202eb\u200b'): return x == s"
    site = client(whole(tmp_path / "run", puzzle=puzzle).folder)
    text = site.get(f"/review?puzzle={PUZZLE}&edit=1").text
    assert puzzle in html.unescape(text)
    assert "characters that do not show: \\u200b, \\u202e" in html.unescape(text)
    assert "do not show" not in site.get(f"/review?puzzle={PUZZLE}").text


def test_the_chart_of_solve_rates_tells_sometimes_from_always(tmp_path: Path) -> None:
    """Eleven of twelve attempts stood in one bar with twelve of twelve."""
    run = whole(tmp_path / "run").folder
    figure = client(run).get("/chart/rates").json()
    for bars in figure["data"]:  # one puzzle a round, one of its three attempts accepted
        assert dict(zip(bars["x"], bars["y"], strict=True)) == {
            "never": 0, "up to 25%": 0, "25 to 50%": 1, "50 to 75%": 0, "75 to 99%": 0, "always": 0,
        }  # fmt: skip


def test_health_says_what_each_measure_is_and_what_is_ill_first(tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    rows = [
        {"measure": "kept", "value": 0.5, "warn": None, "stop": None, "state": "ok"},
        {"measure": "learnable", "value": 0.0, "warn": 0.1, "stop": None, "state": "warn"},
    ]
    store.write_table(store.unit_path(run / "round-01" / "health", 0), rows, tables.HEALTH)
    text = client(run).get("/").text
    assert text.index("some right and some wrong") < text.index("that go on to be solved")
    assert "<td>0</td>" in text
    assert "all 2 measures" in text


def test_a_run_that_its_health_ended_says_so(tmp_path: Path) -> None:
    run = whole(tmp_path / "run").folder
    shutil.rmtree(run / "round-02")
    row = {"measure": "learnable", "value": 0.0, "warn": None, "stop": 0.1, "state": "stop"}
    store.write_table(store.unit_path(run / "round-01" / "health", 0), [row], tables.HEALTH)
    assert "by health.stop: learnable 0, below 0.1" in client(run).get("/").text


def test_runs_of_other_problems_have_no_column_of_differences(tmp_path: Path) -> None:
    runs = [whole(tmp_path / name).folder for name in ("one", "two")]
    for path in runs[1].rglob("evaluate/scores.parquet"):
        path.unlink()
    text = client(*runs).get("/compare").text
    assert "second - first" not in text
    assert "no difference is given" in text
