"""The one part that is compiled: the judge's hot path. Everything else is in pyproject.toml.

Optional: where there is no compiler, or no Linux, the judge does the same in Python, slower, and
`etude check` says so.
"""

import sys

from setuptools import Extension, setup

NATIVE = Extension(
    "etude.judge._native",
    ["src/etude/judge/_native.c"],
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
    optional=True,
)

setup(ext_modules=[NATIVE] if sys.platform.startswith("linux") else [])
