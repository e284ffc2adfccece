"""The address of `etude browse`, as soon as it is known."""

import socket

import pytest

pytest.importorskip("starlette", reason="needs the extra browse")
pytest.importorskip("plotly", reason="needs the extra browse")

from etude.browse.server import _listening


def test_a_browser_that_comes_before_the_server_waits_and_is_not_refused() -> None:
    with _listening("127.0.0.1", 0) as made:
        socket.create_connection(made.getsockname(), timeout=5).close()
