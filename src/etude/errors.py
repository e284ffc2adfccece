"""What can go wrong, and whose doing it is.

EtudeError
├── UserError          the caller can mend it: one sentence, exit code 2, no traceback
│   ├── RecipeError    a recipe that is missing, malformed, or not the one the run was started with
│   ├── InputError     a file, folder, suite or model that is not what was asked for
│   └── MissingExtra   an optional package that is not installed
└── Fault              our own machinery failed; loud, and never counted against the model
    └── WorkerDied     a process that did our work is gone: what it was doing is tried again

A bad sample from a model is none of these: it is data (see `types.Outcome`).
"""

import errno

BARRED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
"""No room, or no access: only the caller can mend these."""
TRAIN = {"torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft"}
"""What the extra `train` brings."""
STORE_CLIENTS = frozenset(
    {"aiobotocore", "aiohttp", "azure", "boto3", "botocore", "gcsfs", "google", "s3fs"}
)
"""Packages that speak to object stores."""


class EtudeError(Exception):
    """Base of every error that etude raises on purpose."""


class UserError(EtudeError):
    """Something the caller can mend. The message names what was expected, found, and what to do."""


class RecipeError(UserError):
    """The recipe can't be used as it stands."""


class InputError(UserError):
    """A file, folder, suite or model is not what was asked for."""


class MissingExtra(UserError):
    """What was asked for needs a package that is not installed. The message says how to get it."""


class Fault(EtudeError):
    """A part of etude failed. Never a verdict on a candidate."""


class WorkerDied(Fault):
    """A process that did part of the work is gone. What it was doing can be tried again."""


def of_object_store(error: BaseException | None) -> bool:
    """Whether an error comes from what speaks to object stores: about a place, or the way there."""
    while error is not None:
        if type(error).__module__.partition(".")[0] in STORE_CLIENTS:
            return True
        error = error.__cause__
    return False


def for_the_caller(error: BaseException) -> UserError | None:
    """An error as what the caller can mend, if it is that; None for what is a fault of ours."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in TRAIN:
        return MissingExtra(
            f"this needs the Python package {error.name}, which is not installed: "
            "pip install 'etude[train]'."
        )
    if isinstance(error, OSError) and error.errno in BARRED:
        return InputError(
            f"a file or folder must be there to read or to write, but is not ({error}). "
            "Make room or grant access, then give the command again."
        )
    if of_object_store(error):
        return InputError(
            f"the object store must be there to read and to write, but is not ({error}). What was "
            "finished is kept: see to it, then give the command again."
        )
    return None
