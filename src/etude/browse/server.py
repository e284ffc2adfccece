"""Server: the pages of one or two runs on an address of this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import re
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import plotly
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from etude import readings, reviewing
from etude.browse.guard import KEY, Guard, is_own, new_key
from etude.browse.library import Library
from etude.browse.site import Site
from etude.errors import InputError
from etude.readings.words import printable

SECOND = "/second"
STATIC = Path(__file__).with_name("static")
FILES = {
    "browse.js": (STATIC / "browse.js", "text/javascript"),
    "browse.css": (STATIC / "browse.css", "text/css"),
    "plotly.js": (
        Path(plotly.__file__).with_name("package_data") / "plotly.min.js",
        "text/javascript",
    ),
}


def application(
    folders: Sequence[Path], *, host: str = "127.0.0.1", key: str = "", reviewer: str = ""
) -> ASGIApp:
    """The whole site: the first run at the top, a second one below `/second`.

    Raises `InputError` for a folder that is no run.
    """
    if not 1 <= len(folders) <= 2:
        raise InputError(f"etude browse takes one run or two but got {len(folders)}.")
    token = new_key()
    styles = _unwanted_styles()
    sites = [
        Site(_library(folder), base, token, reviewer, styles)
        for folder, base in zip(folders, ("", SECOND), strict=False)
    ]
    for site in sites:
        threading.Thread(target=_warm, args=[site.library], daemon=True).start()
    if len(sites) == 2:
        sites[0].other, sites[1].other = sites[1], sites[0]
    routes: list[BaseRoute] = [
        Route("/static/{name}", _static),
        *(route for site in sites for route in site.routes()),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _lost})
    return Guard(app, host=host, key=key or new_key())


def _unwanted_styles() -> list[str]:
    """The ids under which plotly.js looks for the styles of its maps before it brings them in.

    No page has a map, and their policy lets no such style in: an element of that id on the page
    spares the attempt, and an error in the browser's console.
    """
    text = FILES["plotly.js"][0].read_text("utf-8")
    return re.findall(r'if\(!document\.getElementById\("([0-9a-f]{64})"\)\)', text)


def _warm(library: Library) -> None:
    with suppress(InputError):  # the page that asks for it says so
        library.warm()


def _library(folder: Path) -> Library:
    library = Library(folder)
    if readings.is_evaluation(library.recipe):
        raise InputError(
            f"{folder} must be a run but holds an evaluation: see it with `etude show {folder}`."
        )
    return library


def _static(request: Request) -> Response:
    found = FILES.get(request.path_params["name"])
    if found is None:
        return PlainTextResponse("There is no such file.\n", 404)
    path, kind = found
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "max-age=3600"})


def _lost(_: Request, __: Exception) -> Response:
    return PlainTextResponse("There is no such page.\n", 404)


def run(
    folders: Sequence[Path], *, host: str, port: int, open_page: bool, reviewer: str | None
) -> None:
    """Serve until Ctrl-C. Raises `InputError` for a port in use and a folder that is no run."""
    key = new_key()
    name = reviewing.likely_reviewer() if reviewer is None else reviewer
    app = application(folders, host=host, key=key, reviewer=name)
    with _listening(host, port) as listening:
        address = _address(host, listening.getsockname()[1])
        if not is_own(host):
            address += f"?{KEY}={key}"
            print(
                f"etude: {host} can be reached from other machines, without encryption. Whoever "
                "has the address below can read the run and review its puzzles.",
                file=sys.stderr,
            )
        print(f"{printable(str(folders[0]))}: {address}   (Ctrl-C ends)", flush=True)
        if open_page:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        _Server(settings).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends quietly on Ctrl-C: uvicorn would raise the signal once more when it has ended."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Port 0 takes any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen()  # before the address is printed and opened: what comes early waits
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"Port {port} of {host} must be free but is in use, perhaps by another "
                f"`etude browse`. Give another with --port, or --port 0 for any that is free."
            ) from None
        raise InputError(
            f"--host must be an address of this machine, and --port one that may be used, but "
            f"{host} port {port} is not ({error.strerror or error})."
        ) from None
    return made
