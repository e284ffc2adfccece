"""What befalls the processes of a run whose PYTHONPATH leads here, told by the environment.

ETUDE_STAGE_MISSING   `NAME=FOLDER`: the package NAME can't be imported once FOLDER is there
ETUDE_STAGE_LETHAL    `NAME`: a process dies when it writes a file of that name the first times,
                      as one whose memory ran out; ETUDE_STAGE_TIMES says how often
"""

import os
import signal
import sys
from importlib.abc import MetaPathFinder


class Missing(MetaPathFinder):
    """As if a package had been removed."""

    def __init__(self, name: str, folder: str) -> None:
        self.name, self.folder = name, folder

    def find_spec(self, fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        if fullname == self.name and os.path.exists(self.folder):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def lethal(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str) or LETHAL not in arguments[0]:
        return
    if os.path.basename(arguments[0]).startswith(".") and _once_more():
        os.kill(os.getpid(), signal.SIGKILL)


def _once_more() -> bool:
    """One death more, counted in a file: the processes know nothing of each other."""
    with open(COUNT, "a+", encoding="utf-8") as file:
        file.seek(0)
        done = len(file.read())
        if done < TIMES:
            file.write("x")
    return done < TIMES


if told := os.environ.get("ETUDE_STAGE_MISSING"):
    sys.meta_path.insert(0, Missing(*told.split("=", 1)))
LETHAL = os.environ.get("ETUDE_STAGE_LETHAL", "")
if LETHAL:
    COUNT = os.environ["ETUDE_STAGE_COUNT"]
    TIMES = int(os.environ["ETUDE_STAGE_TIMES"])
    sys.addaudithook(lethal)
