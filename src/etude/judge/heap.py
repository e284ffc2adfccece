"""Keeping what a zygote writes to close together.

After a fork, the first write to each page of memory costs a fault and a copy: that is most of the
price of a step. An allocator gives out the holes in old memory first, so objects that are made
together end up all over it. When the holes are filled, they end up side by side.
"""

from __future__ import annotations

_POOL_BYTES = 16 << 10
"""What CPython's allocator of small objects cuts up into blocks of one size."""
_POOL_HEADER = 48
_STEP = 16
_SMALL = 512
_BYTES_HEADER = 33
_LARGE = (*range(96 << 10, 4 << 10, -4 << 10), *range(4 << 10, _SMALL, -128))
"""Sizes that malloc serves from its heap, rather than with a mapping of their own."""
_PROBE = 120 << 10
_MOST = 20_000


def fill_holes() -> list[object]:
    """Take every hole in the memory in use, until the list that comes back is dropped.

    Nothing depends on it but speed: with another allocator it may do little.
    """
    filler: list[object] = [None] * _MOST  # it must not grow, for it would take blocks itself
    used = 0
    for size in range(_SMALL, _BYTES_HEADER, -_STEP):
        used = _fill_pools(size, filler, used)
    used = _fill_malloc(filler, used)
    del filler[used:]
    return filler


def _fill_pools(size: int, filler: list[object], used: int) -> int:
    """Fill the pools of one size of block. A pool that was all empty is given back."""
    blocks = (_POOL_BYTES - _POOL_HEADER) // size
    last, start, at = 0, used, used
    while at - start < blocks and at < _MOST:
        block = bytes(size - _BYTES_HEADER)
        if id(block) != last + size:
            start = at
        filler[at] = block
        at += 1
        last = id(block)
    block = b""
    filler[start:at] = [None] * (at - start)
    return start


def _fill_malloc(filler: list[object], used: int) -> int:
    """Fill malloc's holes, the large ones first, until what it gives lies beyond all the rest."""
    top = id(bytes(_PROBE))  # too large for a hole, nearly always
    for size in _LARGE:
        block = bytes(size - _BYTES_HEADER)
        while id(block) < top and used < _MOST:
            filler[used] = block
            used += 1
            block = bytes(size - _BYTES_HEADER)
    return used
