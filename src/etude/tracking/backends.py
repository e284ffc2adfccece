"""The trackers: the only place that imports them, each when it is asked for.

All are offline unless the user's own environment says otherwise: trackio keeps a database on this
machine where no Space or server is named, wandb writes offline runs where WANDB_MODE is not set,
and TensorBoard writes files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from etude import store
from etude.readings import ARMS
from etude.tracking.measures import SEEDS

PROJECT = "etude"
Values = dict[str, float]


class Backend(Protocol):
    """A tracked run that has been begun, or is continued."""

    def log(self, axis: str, at: int, values: Values) -> None:
        """Numbers by name, at a place on an axis: `round`, or `step` of a training."""

    def finish(self) -> None:
        """Send or write what is left."""


def open_backend(name: str, track: Path, identity: str, run: store.Run) -> Backend:
    """The tracker of that name. `identity` is the same whenever the same run is continued."""
    kinds: dict[str, Callable[[Path, str, store.Run], Backend]] = {
        "trackio": Trackio,
        "tensorboard": TensorBoard,
        "wandb": Wandb,
    }
    return kinds[name](track, identity, run)


def _config(run: store.Run) -> dict[str, Any]:
    return run.recipe.model_dump(mode="json", exclude_none=True)


class TensorBoard:
    """Files below `track/tensorboard`: `tensorboard --logdir RUN/track`."""

    def __init__(self, track: Path, identity: str, run: store.Run) -> None:
        from tensorboard.summary import Writer

        folder = track / "tensorboard"
        folder.mkdir(exist_ok=True)  # the writer itself would leave a bad one to a thread
        self._writer = Writer(str(folder))

    def log(self, axis: str, at: int, values: Values) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, at)
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()


class Trackio:
    """Trackio's own database, `TRACKIO_DIR` or the Hugging Face cache: `trackio show`."""

    def __init__(self, track: Path, identity: str, run: store.Run) -> None:
        import trackio

        self._run: Any = trackio.init(
            project=PROJECT,
            name=f"{run.folder.absolute().name}-{identity}",
            config=_config(run),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, axis: str, at: int, values: Values) -> None:
        self._run.log(values, step=at)

    def finish(self) -> None:
        self._run.finish()


class Wandb:
    """Weights & Biases: offline runs below `track/wandb`, for `wandb sync`."""

    def __init__(self, track: Path, identity: str, run: store.Run) -> None:
        mode = os.environ.setdefault("WANDB_MODE", "offline")
        if mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # which would go to its maker
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            name=run.folder.absolute().name,
            dir=track,
            config=_config(run),
            resume="allow",
            settings=wandb.Settings(
                console="off", disable_git=True, disable_code=True, x_disable_stats=True
            ),
        )
        for axis in ("round", "step"):
            self._run.define_metric(axis, hidden=True)
        for arm in (*ARMS, SEEDS):  # not "*", which would be the axis of the losses too
            self._run.define_metric(f"{arm}/*", step_metric="round")
        self._run.define_metric("loss/*", step_metric="step")

    def log(self, axis: str, at: int, values: Values) -> None:
        self._run.log({**values, axis: at})

    def finish(self) -> None:
        self._run.finish()
