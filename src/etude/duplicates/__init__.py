"""Duplicates among puzzles, or among pairs of puzzle and solution, at levels of their own.

    from etude.duplicates import Item, find

    found = find([Item("a", "def f(x: int, n=3): return x == n"),
                  Item("b", "def f(y: int, k=3): return k == y")])
    found.kept("canonical")        # ['a']: ids, in the order of the items
    list(found.groups("canonical"))  # [('a', 'b')]: the first of each group is the one to keep
    list(found.pairs("canonical"))   # [Twin(level='canonical', id='b', first='a', jaccard=...)]

Levels, from the surest to the loosest (`docs/dedup.md`):

    exact       the same text, but for line ends and white space at the end of the text
    canonical   the same but for layout, comments, docstrings, names of arguments and of local
                variables, and the order of operands where it can't matter
    form        canonical with every number and string as its type; `per_form` of each are kept
    near        at least `threshold` of the runs of 3 tokens in common: found by MinHash, held
                against the true Jaccard index

Equal at one level is equal at every later one down to `form`. Nothing here executes what it reads.
What two puzzles accept is compared by the verb's level `behavioural`, in the judge.
"""

from etude.duplicates.finding import LEVELS, PER_FORM, THRESHOLD, Found, Item, Twin, find

__all__ = ["LEVELS", "PER_FORM", "THRESHOLD", "Found", "Item", "Twin", "find"]
