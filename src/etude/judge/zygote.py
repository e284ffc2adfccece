"""Run as a script in a fresh interpreter: `python -s -S -P zygote.py DESCRIPTOR SETTINGS`.

Imports what candidates may import, then etude's own few modules. Those are loaded without
running `etude/__init__.py`, so that nothing else of the project comes along.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from types import ModuleType

ALLOWED = (
    "abc",
    "array",
    "ast",
    "bisect",
    "builtins",
    "calendar",
    "cmath",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "io",
    "itertools",
    "json",
    "math",
    "numbers",
    "operator",
    "os",
    "queue",
    "random",
    "re",
    "statistics",
    "string",
    "struct",
    "sys",
    "textwrap",
    "time",
    "types",
    "typing",
    "unicodedata",
    "zlib",
)
# Imported by functions of the modules above when they are first called.
_LATER = ("_strptime", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "traceback")


def _ignore(**_: object) -> None:
    """In place of `os.register_at_fork`."""


def load_allowed() -> frozenset[str]:
    """Import what candidates may import; return the names of all modules that came along."""
    # hashlib then uses Python's own digests: OpenSSL would make every fork slower.
    sys.modules["_hashlib"] = None  # type: ignore[assignment]
    # What `random` and `threading` would do after every fork costs more than the fork itself.
    # Children have no threads, and seed `random` themselves.
    register, os.register_at_fork = os.register_at_fork, _ignore
    for name in ALLOWED + _LATER:
        importlib.import_module(name)
    os.register_at_fork = register
    return frozenset(name for name in sys.modules if name.partition(".")[0] != "etude")


def load_native() -> ModuleType | None:
    """The C extension; None where it was not built."""
    try:
        native = importlib.import_module("etude.judge._native")
    except ModuleNotFoundError:
        return None
    native.gather()
    return native


def add_packages() -> None:
    """Let `etude.judge.x` be found, and leave the packages' own `__init__` out."""
    judge = os.path.dirname(os.path.abspath(__file__))
    for name, folder in (("etude", os.path.dirname(judge)), ("etude.judge", judge)):
        package = ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def main() -> None:
    """Become the zygote. Does not return."""
    gc.disable()
    add_packages()
    native = load_native() if sys.argv[3] == "native" else None
    allowed = load_allowed()
    # Held until the process ends: etude's own objects, written to all the time, lie together.
    filler = importlib.import_module("etude.judge.heap").fill_holes()
    importlib.import_module("etude.judge.inside").boot(sys.argv[1:], allowed, filler, native)


if __name__ == "__main__":
    main()
