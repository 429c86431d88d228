"""Weights as files: sources they come from, and the store they are kept in."""
