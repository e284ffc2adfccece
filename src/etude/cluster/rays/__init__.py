"""Work on a Ray cluster: the only place that imports ray (extra `ray`).

    with reached_ray("auto", look) as address:      # the driver: find or start one, look at it
        crew = RayCrew(address, make_desk, needs)   # an arm: workers are actors
        crew.job(partial(fit, ...), Needs(4, 2), tick)   # a training is one task

Covered: finding a cluster, what its nodes must have in common, actors that hold desks, what is to
be done when they or their nodes die. Not covered: what the work is. Ray never repeats a call by
itself: the scheduler (`cluster.flow`) knows which unit killed its worker, and Ray does not.
"""

from etude.cluster.rays.address import reached_ray
from etude.cluster.rays.crew import RayCrew

__all__ = ["RayCrew", "reached_ray"]
