"""An interval for a share: of so many attempts, how many may succeed in the long run."""

from __future__ import annotations

import math

from etude.stats.intervals import Estimate

_Z = 1.959963984540054
"""The 97.5% point of the normal distribution."""


def share_interval(count: int, of: int) -> Estimate:
    """`count` of `of` with Wilson's 95% interval, which stays in [0, 1] and is sound for few.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22. Raises ValueError for no attempts, or for more successes than attempts.

    >>> share_interval(0, 12)
    Estimate(value=0.0, low=0.0, high=0.2425)
    """
    if not 0 <= count <= of or of == 0:
        raise ValueError(f"a share must be of at least one attempt, but got {count} of {of}")
    share, z2 = count / of, _Z * _Z / of
    middle = (share + z2 / 2) / (1 + z2)
    reach = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of)) / (1 + z2)
    low = 0.0 if count == 0 else middle - reach
    high = 1.0 if count == of else middle + reach
    return Estimate(share, round(low, 4), round(high, 4))
