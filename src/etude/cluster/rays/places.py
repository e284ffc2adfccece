"""How many workers a cluster has room for. Pure: what nodes have, and what a worker needs.

>>> two = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}]
>>> places(two, Needs(2, 1)), places(two, Needs(3))
(2, 4)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etude.cluster.units import Needs
from etude.errors import InputError

Node = Mapping[str, float]
"""What a node has, as Ray says it: `{"CPU": 8.0, "GPU": 1.0, ...}`."""


def fitted(needs: Needs, nodes: Sequence[Node]) -> Needs:
    """What a worker takes on these nodes: no GPU where there is none, and no more cores than the
    largest node has.

    Raises `InputError` where not one node has as many GPUs as are needed together.
    """
    gpus = max((node.get("GPU", 0) for node in nodes), default=0)
    if gpus and needs.gpus > gpus:
        raise InputError(
            f"One node must have {needs.gpus:g} GPUs, as the recipe asks, but the largest of the "
            f"cluster has {gpus:g}. Lower `processes` of the training, or join a larger node."
        )
    wanted = needs.gpus if gpus else 0
    able = [node.get("CPU", 0) for node in nodes if node.get("GPU", 0) >= wanted]
    return Needs(min(needs.cpus, max(able, default=0)), wanted)


def places(nodes: Sequence[Node], needs: Needs) -> int:
    """How many workers with these needs have room at the same time, each on one node."""
    return sum(_on(node, needs) for node in nodes)


def _on(node: Node, needs: Needs) -> int:
    cpus = node.get("CPU", 0) // needs.cpus if needs.cpus else float("inf")
    gpus = node.get("GPU", 0) // needs.gpus if needs.gpus else float("inf")
    return int(min(cpus, gpus)) if min(cpus, gpus) != float("inf") else 1


def engines_beside(engines: int, engine: Needs, judge: Needs) -> int:
    """How many of so many engines leave room for one judge, where both take cores of the same
    nodes: candidates are to be judged while more are sampled."""
    if engine.gpus or not engine.cpus:
        return max(1, engines)
    given_up = -int(-judge.cpus // engine.cpus)
    return max(1, engines - given_up)
