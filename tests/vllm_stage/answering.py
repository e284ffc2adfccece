"""An object for the tests of `etude.engines.child`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from etude.errors import InputError


class Answering:
    def __init__(self, word: str, *, fail: str = "") -> None:
        if fail == "input":
            raise InputError("must be a model but is a toaster")
        if fail == "fault":
            raise ZeroDivisionError("of the maker")
        if fail == "death":
            os._exit(7)
        self.word = word

    def say(self, times: int) -> str:
        return self.word * times

    def pid(self) -> int:
        return os.getpid()

    def refuse(self) -> None:
        raise InputError("too long")

    def fail(self) -> None:
        raise ZeroDivisionError("in the middle")

    def die(self) -> None:
        os._exit(9)

    def sleep(self, mark: str) -> None:
        Path(mark).write_text(str(os.getpid()))
        time.sleep(600)
