"""The verbs: arguments in, one call out.

    app      the command itself, and options that several verbs share
    working  run, sweep, judge, evaluate, solve, check
    reading  show, why, diff, report, browse, review
    data     dedup, diversity, quality, value, export, import
    ending   exit codes

Everything heavy is imported by the verb that needs it, so that `etude --help` answers at once.
"""

from etude.cli.ending import main

__all__ = ["main"]
