"""Trust: what there is to say of contamination, health, vetting and diversity, where it was found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec

from etude import store
from etude.decontaminate import LEVELS
from etude.diversity import Diversity, measure
from etude.diversity.results import HELD_OUT, HUMAN
from etude.report import charts
from etude.report.charts import Chart, Cloud, Key, colour, step
from etude.report.facts import Facts
from etude.report.parts import Cell, Code, Runs, Section, Table, part_name

POINTS = 600
"""Puzzles of a group on the map at most."""
