"""The stage for hostile candidates: what they might reach, and whether anything happened to it.

Used by the tests of the judge; see `Stage`.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SECRET = "SECRET-" + "7" * 17
ENVIRONMENT = "ETUDE_ENV_SECRET"


@dataclass
class Stage:
    """A folder with canaries, listeners on 127.0.0.1, and a secret in the environment."""

    canary: Path
    port: int
    connections: list[str] = field(default_factory=list)

    def set(self, text: str) -> str:
        """A case's text with this stage's places in it."""
        return text.replace("@CANARY@", str(self.canary)).replace("@PORT@", str(self.port))

    def damage(self) -> list[str]:
        """Everything that is not as it was. Mends it, so that the next case starts clean."""
        found = [f"file:{p.name}" for p in self.canary.iterdir() if p.name not in _CANARIES]
        for name, text in _CANARIES.items():
            path = self.canary / name
            if not path.exists():
                found.append(f"gone:{name}")
            elif path.read_text() != text:
                found.append(f"changed:{name}")
            path.write_text(text)
        found += [f"net:{name}" for name in self.connections]
        self.connections.clear()
        return found


_CANARIES = {"secret.txt": SECRET + "\n", "precious.txt": "precious\n"}


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set the stage in an empty folder, and strike it afterwards."""
    folder.chmod(0o777)
    listeners = [socket.socket(socket.AF_INET, kind) for kind in _KINDS]
    listeners[0].bind(("127.0.0.1", 0))
    port = listeners[0].getsockname()[1]
    listeners[1].bind(("127.0.0.1", port))
    abstract = socket.socket(socket.AF_UNIX)
    _bind_when_free(abstract, "\0etude_canary")
    stage = Stage(folder, port)
    stage.damage()
    os.environ[ENVIRONMENT] = "leaked"
    threads = [_listen(listeners[0], "tcp", stage), _listen(abstract, "unix", stage)]
    threads.append(_receive(listeners[1], stage))
    try:
        yield stage
    finally:
        del os.environ[ENVIRONMENT]
        for listener in (*listeners, abstract):
            listener.close()
        for thread in threads:
            thread.join(5)


def _bind_when_free(sock: socket.socket, address: str) -> None:
    """The attacks know this address by name, so only one stage can be set at a time."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return sock.bind(address)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _listen(listener: socket.socket, name: str, stage: Stage) -> threading.Thread:
    listener.listen()
    listener.settimeout(0.2)

    def accept() -> None:
        while listener.fileno() >= 0:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            stage.connections.append(name)
            connection.close()

    return _started(accept)


def _receive(receiver: socket.socket, stage: Stage) -> threading.Thread:
    receiver.settimeout(0.2)

    def receive() -> None:
        while receiver.fileno() >= 0:
            try:
                receiver.recv(100)
            except TimeoutError:
                continue
            except OSError:
                return
            stage.connections.append("udp")

    return _started(receive)


def _started(target: object) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def descendants(root: int) -> set[int]:
    """The process ids below one process, itself left out (Linux)."""
    return set().union(*generations(root))


def kill_descendants(root: int) -> None:
    """Kill what is below one process, parents first (Linux): a parent that lives sees its child
    end, and a zygote then says that the candidate crashed."""
    for generation in generations(root):
        for pid in generation:
            with suppress(ProcessLookupError):  # its parent's end was its own
                os.kill(pid, signal.SIGKILL)


def generations(root: int) -> list[set[int]]:
    """The process ids below one process (Linux): its children, their children, and so on."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, last = [], {root}
    while last := {pid for pid, parent in parents.items() if parent in last}:
        found.append(last)
    return found


def resident_bytes(pids: set[int]) -> int:
    """Resident memory of some processes together (shared pages counted each time)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as file:
                total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
