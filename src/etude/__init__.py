"""A language model teaches itself to program by writing its own exercises."""

__version__ = "0.1.0"
