"""Exact repeats of a route's requests, answered from memory."""
