"""Site: the pages of one run. Each handler reads its address, asks the tables and fills a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, quote

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import BaseRoute, Route

from etude import reviewing, reviews
from etude.browse import charts, counts, finds, words
from etude.browse.asked import LAST_PAGE, Asked, NotThere
from etude.browse.guard import same
from etude.browse.library import Library
from etude.errors import InputError
from etude.health import meaning
from etude.query import ARMS
from etude.readings.words import harmless, stopped
from etude.reviewing import Reviewer
from etude.suites import OWN
from etude.suites import load as load_suite
from etude.tables import OUTCOMES

NAME_COOKIE = "etude-reviewer"
MOST_BYTES = 1_000_000
"""Of what a form sends."""
FIELDS = {"token", "puzzle", "decision", "source", "solution", "note", "reviewer", "skip"}
DECIDED = 20
TEXTS = {
    "puzzle": ("vetted", "puzzle_id", "source"),
    "solution": ("candidates", "candidate_id", "source"),
    "answer": ("verdicts", "candidate_id", "answer"),
    "detail": ("verdicts", "candidate_id", "detail"),
    "proposal": ("proposals", "proposal_id", "text"),
    "prompt": ("proposals", "proposal_id", "prompt"),
    "example": ("examples", "example_id", "text"),
    "derived": ("derived", "example_id", "text"),
}
"""What `/text` gives whole: view, the column of the id, the column of the text."""
_EXAMPLES = """
    select arm, round, example_id, candidate_id, puzzle_id, null as origin from examples
    union all select arm, round, example_id, candidate_id, puzzle_id, origin from derived
"""
"""Those that are pairs themselves, and those that were made of one."""

SEARCHING = 4
"""Pages that search tables at a time. Others wait, and what is quick is not behind them."""
_LEFT = Response(status_code=499)
"""For whoever has gone before the search began."""

Handler = Callable[["Site", Request], Response]


def _answering(handler: Handler) -> Handler:
    """What was asked wrongly is one sentence: 404 for what is not there, otherwise 400."""

    @wraps(handler)
    def answer(site: Site, request: Request) -> Response:
        try:
            return handler(site, request)
        except InputError as error:
            status = 404 if isinstance(error, NotThere) else 400
            return site.page(request, "refused.html.j2", status, sentence=str(error))

    return answer


class Site:
    """The pages of one run below `base`; with a second run also their comparison."""

    def __init__(
        self, library: Library, base: str, token: str, reviewer: str, styles: Sequence[str]
    ) -> None:
        self.library = library
        self.base = base
        self.token = token
        self.reviewer = reviewer
        self.styles = styles
        self.other: Site | None = None
        self.reviewing = Reviewer(library.folder, library.recipe)
        self._searching: CapacityLimiter | None = None

    def routes(self) -> list[BaseRoute]:
        pages: dict[str, Handler] = {
            "/": Site.overview,
            "/candidates": Site.candidates,
            "/candidate/{name}": Site.candidate,
            "/puzzles": Site.puzzles,
            "/puzzle/{name}": Site.puzzle,
            "/problems": Site.problems,
            "/problem": Site.problem,
            "/compare": Site.compare,
            "/text/{kind}/{name}": Site.text,
            "/chart/{name}": Site.chart,
            "/live": Site.live,
        }
        quick = ("/live", "/text/{kind}/{name}")
        made: list[BaseRoute] = [
            Route(self.base + path, (self._bound if path in quick else self._searched)(handler))
            for path, handler in pages.items()
        ]
        made.append(Route(self.base + "/review", self._searched(Site.review), methods=["GET"]))
        made.append(Route(self.base + "/review", self.decide, methods=["POST"]))
        return made

    def _bound(self, handler: Handler) -> Callable[[Request], Response]:
        def bound(request: Request) -> Response:
            return _answering(handler)(self, request)

        return bound

    def _searched(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A page over whole tables: a few at a time, and none for a reader who has left.

        Who types fast, or has many tabs, asks for more than two cores can search; what was
        asked and left must not hold up what is asked now.
        """
        answer = self._bound(handler)

        async def searched(request: Request) -> Response:
            if self._searching is None:  # it belongs to the loop that serves
                self._searching = CapacityLimiter(SEARCHING)
            async with self._searching:
                if await request.is_disconnected():
                    return _LEFT
                return await to_thread.run_sync(answer, request)

        return searched

    def page(self, request: Request, template: str, status: int = 200, **content: Any) -> Response:
        """A whole page, with what stands on each of them."""
        here = request.url.path.removeprefix(self.base).strip("/").partition("/")[0]
        html = words.render(
            template,
            base=self.base,
            here=here,
            run=str(self.library.folder),
            other=self.other,
            live=counts.live(self.library),
            generation=self.library.generation,
            **content,
        )
        return HTMLResponse(html, status)

    def overview(self, request: Request) -> Response:
        Asked(request.query_params.multi_items(), ())
        shelf = self.library.shelf
        return self.page(
            request,
            "overview.html.j2",
            recipe=self.library.recipe,
            styles=self.styles,
            early=stopped(self.library.folder),
            funnels=shelf.answer("funnels", lambda: counts.funnels(shelf)),
            scores=_score_table(counts.scores(shelf)),
            health=counts.health(shelf),
            meaning=meaning,
            decided=len(reviews.standing(self.library.reviews)),
        )

    def candidates(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), finds.CANDIDATE_NAMES)
        shelf = self.library.shelf
        return self.page(
            request,
            "candidates.html.j2",
            asked=asked,
            found=finds.candidates(shelf, asked),
            arms=ARMS,
            outcomes=OUTCOMES,
            types=finds.answer_types(shelf),
            orders=finds.CANDIDATE_ORDERS,
        )

    def candidate(self, request: Request) -> Response:
        Asked(request.query_params.multi_items(), ())
        name = request.path_params["name"]
        shelf = self.library.shelf
        rows = finds.candidate_rows(shelf, [name])
        if not rows:
            raise _nothing("candidate", name)
        examples = shelf.rows(
            f"select round, example_id, origin from ({_EXAMPLES}) where candidate_id = ? "
            "order by origin nulls first, round, example_id limit 9",
            [name],
        )
        return self.page(request, "candidate.html.j2", row=rows[0], examples=examples)

    def puzzles(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), finds.PUZZLE_NAMES)
        shelf = self.library.shelf
        stands = reviews.standing(self.library.reviews)
        return self.page(
            request,
            "puzzles.html.j2",
            asked=asked,
            found=finds.puzzles(shelf, asked),
            decisions={name: review.decision for name, review in stands.items()},
            arms=ARMS,
            solved=finds.SOLVED,
            types=finds.answer_types(shelf),
            orders=finds.PUZZLE_ORDERS,
        )

    def puzzle(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), {"page"})
        name = request.path_params["name"]
        shelf = self.library.shelf
        kept = shelf.rows(
            f"select * replace (left(source, {finds.SHOWN}) as source), length(source) as length "
            "from kept where puzzle_id = ? order by arm desc, round",
            [name],
        )
        if not kept:
            raise _nothing("puzzle", name)
        tried = Asked([("id", name), ("order", "outcome"), ("down", "0"),
                       ("page", str(asked.page))], finds.CANDIDATE_NAMES)  # fmt: skip
        return self.page(
            request,
            "puzzle.html.j2",
            kept=kept,
            asked=asked,
            found=finds.candidates(shelf, tried),
            verdicts=_verdict_counts(shelf, name),
            lineage=[_lineage(shelf, row) for row in kept],
            examples=shelf.rows(
                f"select * from ({_EXAMPLES}) where puzzle_id = ? "
                "order by arm desc, round, origin nulls first, example_id limit 50",
                [name],
            ),
            probes=counts.extra(shelf, "probes", name),
            decisions=[one for one in self.library.reviews if one.puzzle_id == name],
        )

    def problems(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), finds.PROBLEM_NAMES)
        shelf = self.library.shelf
        parts = shelf.rows("select distinct part from problems order by 1")
        return self.page(
            request,
            "problems.html.j2",
            asked=asked,
            found=finds.problems(shelf, asked),
            rounds=finds.rounds(shelf, asked.choice("arm", ARMS, "verified")),
            arms=ARMS,
            suite_parts=[row["part"] for row in parts],
            orders=finds.PROBLEM_ORDERS,
        )

    def problem(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), finds.ATTEMPT_NAMES)
        shelf = self.library.shelf
        name = asked.text("name")
        places = shelf.rows(
            "select arm, round, part, attempts, accepted from problems where problem = ? "
            "order by arm desc, round nulls last",
            [name],
        )
        if not places:
            raise _nothing("problem", name)
        return self.page(
            request,
            "problem.html.j2",
            asked=asked,
            name=name,
            places=places,
            found=finds.attempts(shelf, asked),
            arms=ARMS,
            outcomes=OUTCOMES,
            source=self._problem_source(name),
        )

    def _problem_source(self, name: str) -> str | None:
        """What is asked, where that needs no download: of the suite that etude makes itself."""
        recipe = self.library.recipe
        if recipe.evaluate.suite not in OWN:
            return None
        suite = load_suite(recipe.evaluate.suite, split_seed=recipe.seeds.split_seed)
        found = (one.puzzle.source for one in suite if one.name == name and one.puzzle)
        return next(found, None)

    def compare(self, request: Request) -> Response:
        Asked(request.query_params.multi_items(), ())
        if self.other is None:
            raise NotThere(
                f"Two runs are compared when both are given: etude browse {self.library.folder} "
                "ANOTHER-RUN."
            )
        return self.page(
            request,
            "compare.html.j2",
            second=str(self.other.library.folder),
            made=counts.compare(self.library, self.other.library),
            funnels=[counts.funnels(one.library.shelf) for one in (self, self.other)],
        )

    def text(self, request: Request) -> Response:
        """A text of the tables, whole, as plain text."""
        Asked(request.query_params.multi_items(), ())
        kind, name = request.path_params["kind"], request.path_params["name"]
        if kind not in TEXTS:
            raise NotThere(f"A text must be one of {', '.join(TEXTS)}.")
        view, key, column = TEXTS[kind]
        rows = self.library.shelf.rows(
            f"select {column} as text from {view} where {key} = ? and {column} is not null limit 1",
            [name],
        )
        if not rows:
            raise _nothing(kind, name)
        return PlainTextResponse(rows[0]["text"])

    def chart(self, request: Request) -> Response:
        made = charts.chart(self.library.shelf, request.path_params["name"])
        return Response(made, media_type="application/json")

    def live(self, request: Request) -> Response:
        """What the page's script asks again and again: whether there is something new."""
        strip = words.render("strip.html.j2", live=counts.live(self.library))
        return JSONResponse({"generation": self.library.generation, "strip": strip})

    def review(self, request: Request) -> Response:
        asked = Asked(request.query_params.multi_items(), {"puzzle", "skip", "edit"})
        return self._review(
            request,
            skip=asked.whole("skip", 0, 0, LAST_PAGE) or 0,
            puzzle_id=asked.text("puzzle"),
            editing=asked.choice("edit", ("1",)) == "1",
        )

    def _review(
        self,
        request: Request,
        *,
        skip: int,
        puzzle_id: str,
        editing: bool,
        status: int = 200,
        sentence: str = "",
        typed: dict[str, str] | None = None,
    ) -> Response:
        shelf = self.library.shelf
        made = self.library.reviews
        stands = reviews.standing(made)
        waits = f"from kept where {reviewing.WAITING}"
        total = int(shelf.value(f"select count(*) {waits}", [list(stands)]))
        if puzzle_id:
            shown = [puzzle_id]
        else:
            skip = min(skip, max(total - 1, 0))
            found = shelf.rows(
                f"select puzzle_id {waits} order by {reviewing.ORDER} limit 1 offset ?",
                [list(stands), skip],
            )
            shown = [one["puzzle_id"] for one in found]
        rows = shelf.rows(
            "select * from kept where arm = 'verified' and list_contains(?, puzzle_id)", [shown]
        )
        if puzzle_id and not rows:
            raise _nothing("puzzle of the loop", puzzle_id)
        row = rows[0] if rows else None
        return self.page(
            request,
            "review.html.j2",
            status,
            row=row,
            solutions=reviewing.known_solutions(shelf.tables, row["puzzle_id"])[:3] if row else [],
            missed=_missed(shelf, row["puzzle_id"]) if row else [],
            stands=stands.get(row["puzzle_id"]) if row else None,
            waiting=total,
            skip=skip,
            single=bool(puzzle_id),
            editing=editing,
            sentence=sentence,
            typed=dict.fromkeys(("note", "solution", "reviewer"), "") | (typed or {}),
            decided=list(reversed(made))[:DECIDED],
            decisions=len(stands),
            token=self.token,
            name=_name_of(request) or self.reviewer,
        )

    async def decide(self, request: Request) -> Response:
        """A decision was sent: keep it and go on, or say what is wrong with what was typed."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return PlainTextResponse("A decision must have at most 1 MB.\n", 413)
        return await run_in_threadpool(self._decide, request, body)

    def _decide(self, request: Request, body: bytes) -> Response:
        try:
            form = _form(body)
        except InputError as error:
            return self.page(request, "refused.html.j2", 400, sentence=str(error))
        if not same(form.get("token", ""), self.token):
            sentence = "This page is of an earlier start of etude browse. Open the review anew."
            return self.page(request, "refused.html.j2", 403, sentence=sentence)
        skip = form.get("skip", "0")
        where = int(skip) if skip.isascii() and skip.isdecimal() and len(skip) < 8 else 0
        name = form.get("reviewer", "").strip()
        puzzle = form.get("puzzle", "")
        try:
            self.reviewing.decide(
                self.library.shelf.tables,
                puzzle,
                form.get("decision", ""),
                reviewer=name,
                source=form.get("source", ""),
                solution=form.get("solution", ""),
                note=form.get("note", ""),
            )
        except InputError as error:
            return self._refused(request, form, where, str(error))
        answer = RedirectResponse(f"{self.base}/review?skip={where}", 303)
        answer.set_cookie(
            NAME_COOKIE, quote(name), httponly=True, samesite="strict", max_age=31_536_000
        )
        return answer

    def _refused(
        self, request: Request, form: dict[str, str], skip: int, sentence: str
    ) -> Response:
        try:
            return self._review(
                request,
                skip=skip,
                puzzle_id=form.get("puzzle", ""),
                editing=form.get("decision") == "edit",
                status=422,
                sentence=sentence,
                typed=form,
            )
        except InputError as error:  # the puzzle is none of the run's
            return self.page(request, "refused.html.j2", 400, sentence=str(error))


def _form(body: bytes) -> dict[str, str]:
    """The fields of a sent form. Raises `InputError` for what no page of ours sends."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict"
        )
    except ValueError:  # also of text that is no UTF-8
        raise InputError("A decision must be a form as the page sends it.") from None
    form = dict(pairs)
    if len(form) != len(pairs) or not form.keys() <= FIELDS:
        raise InputError(f"A decision has each of {', '.join(sorted(FIELDS))} at most once.")
    return form


def _name_of(request: Request) -> str:
    """The reviewer's name as it was given before."""
    from urllib.parse import unquote

    return unquote(request.cookies.get(NAME_COOKIE, ""))[: reviewing.LONGEST_NAME]


def _nothing(kind: str, name: str) -> NotThere:
    shown = repr(harmless(name, lines=1, width=60))
    return NotThere(f"The run has no {kind} {shown}. It may be of another run, or not there yet.")


def _score_table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores as a table: a row for arm and round, a column for part and k."""
    columns = list(dict.fromkeys((row["part"], row["k"]) for row in rows))
    by_place: dict[tuple[str, int | None], dict[tuple[str, int], Any]] = {}
    for row in rows:
        by_place.setdefault((row["arm"], row["round"]), {})[row["part"], row["k"]] = row
    return {"columns": columns, "places": by_place}


def _verdict_counts(shelf: Any, name: str) -> list[dict[str, Any]]:
    return list(
        shelf.rows(
            "select outcome, count(*) as n from verdicts where puzzle_id = ? "
            "group by 1 order by 2 desc, 1",
            [name],
        )
    )


def _missed(shelf: Any, name: str) -> list[dict[str, Any]]:
    """One attempt at a puzzle that was not accepted, with its reason."""
    keys = shelf.rows(
        "select candidate_id, arm, round from verdicts "
        "where puzzle_id = ? and outcome <> 'accepted' "
        "order by outcome = 'wrong' desc, candidate_id limit 1",
        [name],
    )
    places = {(row["arm"], row["round"]) for row in keys}
    return finds.candidate_rows(shelf, [row["candidate_id"] for row in keys], places)


def _lineage(shelf: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Where a kept puzzle comes from: its proposal, and which parents are puzzles of this run."""
    found = shelf.rows(
        f"select arm, round, proposal_id, draw, parents, left(prompt, {finds.SHOWN}) as prompt, "
        f"length(prompt) as prompt_length, left(text, {finds.SHOWN}) as text, "
        "length(text) as text_length from proposals where proposal_id = ? limit 1",
        [row["proposal_id"]],
    )
    proposal = found[0] if found else None
    parents = proposal["parents"] or [] if proposal else []
    known = shelf.rows(
        "select distinct puzzle_id from kept where list_contains(?, puzzle_id)", [parents]
    )
    return {"kept": row, "proposal": proposal, "own": {one["puzzle_id"] for one in known}}
