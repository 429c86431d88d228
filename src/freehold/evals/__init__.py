"""Replay, scorers, comparison."""
