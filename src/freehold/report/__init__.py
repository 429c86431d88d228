"""Records in, one self-contained HTML page out. Pure: no store, no clock, no network."""

from freehold.report.page import render

__all__ = ["render"]
