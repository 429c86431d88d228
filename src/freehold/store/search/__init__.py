"""Traces found by who, when, how and what was said; traffic counted. An index next to the traces."""
