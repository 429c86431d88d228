"""Joins ruling, fit, comparison and cost into promote, hold or reject. Pure."""

from freehold.verdict.aging import evidence_ages
from freehold.verdict.join import join

__all__ = ["evidence_ages", "join"]
