"""Domains: kinds of puzzles that the loop can be run on. `docs/domains.md` says how to add one.

domain     what a domain is
python     functions of Python, the default
regex      regular expressions
"""

from __future__ import annotations

from etude.domains.domain import Domain
from etude.domains.python import Python
from etude.domains.regex import Regex

__all__ = ["DOMAINS", "PYTHON", "Domain", "named", "of_suite"]

PYTHON: Domain = Python()
DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (PYTHON, Regex())}


def named(name: str) -> Domain:
    """The domain that a recipe names."""
    return DOMAINS[name]


def of_suite(suite: str) -> Domain | None:
    """The domain whose own suite it is, if any."""
    return next((domain for domain in DOMAINS.values() if domain.own == suite), None)
