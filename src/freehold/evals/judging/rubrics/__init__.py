"""Rubrics shipped with freehold, as data files."""
