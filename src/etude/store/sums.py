"""Checksums of segments: the SHA-256 of every byte of a file, kept in the file's own footer.

The sum stands in the metadata of a Parquet file as `etude.sha256`, 64 hexadecimal digits. It is
that of the file with zeros in their place, so that it covers the rows, the schema, the notes and
all that a footer says of where they lie: whichever byte is changed, and wherever the file is cut
off, the sum is another. Covered: making and checking, in constant memory. Not covered: who wrote
a file; whoever can write one can give it a sum.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from etude.errors import Fault

KEY = "etude.sha256"
CHUNK = 1 << 20
_ZEROS = b"0" * 64
_SUM = re.compile(rb"[0-9a-f]{64}")
_TAIL = 8
"""Bytes at the end of a Parquet file: the length of its footer, and `PAR1`."""


class Damaged(Exception):
    """What a file was found to be in place of a whole segment."""


def sealed(write: Callable[[str], bytes]) -> bytes:
    """The bytes of a segment with its sum. `write` makes them with this text under `KEY`.

    The text is drawn at random, so that nothing that a model wrote can be taken for it; of what
    is returned no byte depends on it.
    """
    draft = secrets.token_hex(32)
    data = write(draft)
    place = _place(data, draft.encode())
    if place is None:
        raise Fault(f"a segment must hold its draft under {KEY} once, but does not")
    digest = hashlib.sha256(data[:place] + _ZEROS + data[place + 64 :]).hexdigest()
    return data[:place] + digest.encode() + data[place + 64 :]


def _place(footer: bytes, text: bytes) -> int | None:
    """Where a value of `KEY` begins, as Parquet writes it: each text after its length."""
    marked = KEY.encode() + b"\x18\x40" + text
    found = footer.rfind(marked)
    return None if found < 0 or footer.count(marked) > 1 else found + len(marked) - 64


def verify(file: IO[bytes]) -> bool:
    """True when a segment is as it was written, False when it was written without a sum.

    Raises `Damaged` for anything else. The file can be sought in; it is read once.
    """
    size = file.seek(0, 2)
    start = _footer_start(file, size)
    file.seek(start)
    footer = file.read(size - start)
    said = _said(file)
    if said is None:
        if KEY.encode() in footer:
            raise Damaged("its footer is damaged")
        return False
    place = _place(footer, said)
    if place is None:
        raise Damaged("its checksum stands where it was not written")
    digest = hashlib.sha256()
    file.seek(0)
    for at in range(0, start, CHUNK):
        digest.update(file.read(min(CHUNK, start - at)))
    digest.update(footer[:place] + _ZEROS + footer[place + 64 :])
    if digest.hexdigest().encode() != said:
        raise Damaged("its bytes are not those of its checksum")
    return True


def _footer_start(file: IO[bytes], size: int) -> int:
    if size < 4 + _TAIL:
        raise Damaged(f"it has {size} bytes, which is less than any segment has")
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    start = size - _TAIL - int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or start < 4:
        raise Damaged("its end is missing, or is not that of a Parquet file")
    return start


def _said(file: IO[bytes]) -> bytes | None:
    """The sum that the footer gives; None for a file that has none."""
    file.seek(0)
    try:
        noted: dict[bytes, bytes] = pq.read_metadata(file).metadata or {}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(f"its footer can't be read ({type(error).__name__})") from None
    said = noted.get(KEY.encode())
    if said is None and any(_SUM.fullmatch(value) for value in noted.values()):
        raise Damaged("its footer is damaged")
    return said
