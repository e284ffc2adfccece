"""Budget: how many attempts each puzzle of a round gets, of the same number in all.

Even: `solve.samples` each. Adaptive: some hard puzzles get twice as many, and each of them is paid
for by two easy ones that get half. What is raised is the expected number of puzzles that are solved
at all, by what is believed of them as the round begins. Hopeless ones, for which twice as many
attempts are expected to change next to nothing, keep theirs. After Damani and others,
"Learning How Hard to Think: Input-Adaptive Allocation of LM Computation" (ICLR 2025, arXiv
2410.04707), in three levels in place of any number, so that few texts are sampled apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etude.arm import Arm
from etude.difficulty import Belief, rates

FEWEST = 4
"""Attempts that every puzzle keeps, where `solve.samples` allows: of fewer no rate is told."""
HOPELESS = 0.02
"""So little is the chance of a hopeless puzzle to be solved by the attempts that `many` adds."""


def levels(even: int) -> tuple[int, int, int]:
    """Few, even and many attempts: two puzzles with few of them pay for one with many.

    >>> levels(12), levels(9), levels(3)
    ((6, 12, 24), (5, 9, 17), (3, 3, 3))
    """
    few = min(even, max(FEWEST, (even + 1) // 2))
    return few, even, even + 2 * (even - few)


def missed(belief: Belief, attempts: int) -> float:
    """The chance that all of some attempts fail: the mean of (1 - p) ** attempts over Beta(a, b).

    It is the product of (b + i) / (a + b + i) for i below `attempts` (the beta-binomial at zero).
    """
    chance = 1.0
    for i in range(attempts):
        chance *= (belief.b + i) / (belief.a + belief.b + i)
    return chance


def shared_out(beliefs: Sequence[Belief], even: int) -> list[int]:
    """The attempts at each puzzle: `even` times as many as there are puzzles, in all.

    Those that win most by many attempts get them, as long as they are not hopeless and win more
    than the two easiest of the others lose; whatever pays is expected to be easier than all that
    get.
    """
    few, _, many = levels(even)
    shares = [even] * len(beliefs)
    kinds = {one: (missed(one, few), missed(one, even), missed(one, many)) for one in set(beliefs)}
    gains = [kinds[one][1] - kinds[one][2] for one in beliefs]
    losses = [kinds[one][0] - kinds[one][1] for one in beliefs]
    means = [one.mean for one in beliefs]
    places = range(len(beliefs))
    paying = sorted(places, key=lambda place: (-means[place], place))
    easiest, start = 0.0, 0  # the mean of the easiest who gets many; the next who may pay
    for place in sorted(places, key=lambda place: (-gains[place], place)):
        pair = paying[start : start + 2]
        least = max(HOPELESS, sum(losses[one] for one in pair))
        if len(pair) < 2 or gains[place] <= least:
            break
        if means[pair[1]] > max(easiest, means[place]):
            shares[place], start = many, start + 2
            easiest = max(easiest, means[place])
            for one in pair:
                shares[one] = few
    return shares


def budget(arm: Arm, number: int) -> Sequence[int]:
    """The attempts at each puzzle of a round, in their order.

    The control that takes its pairs whatever is found asks no verdicts here either: it is even.
    """

    def share() -> Sequence[int]:
        puzzles, even = arm.puzzles(number), arm.recipe.solve.samples
        if not is_adaptive(arm):
            return [even] * len(puzzles)
        known = rates(arm, number)
        return shared_out([known.of(puzzle) for puzzle in puzzles], even)

    found: Sequence[int] = arm.remembered("budget", number, share)
    return found


def is_adaptive(arm: Arm) -> bool:
    """Whether an arm shares its attempts out by what is believed."""
    return arm.recipe.solve.budget == "adaptive" and arm.name != "unverified"


def words(arm: Arm, number: int) -> str:
    """`800 x 12`; adaptive, and where not all are alike, `700 x 12, 80 x 6, 40 x 24`."""
    counts = Counter(budget(arm, number))
    even = arm.recipe.solve.samples
    order = sorted(counts, key=lambda attempts: (attempts != even, attempts)) or [even]
    return ", ".join(f"{counts[attempts]:,} x {attempts}" for attempts in order)
