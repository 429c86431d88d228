"""Recorded requests asked of an endpoint again: the client, the answers, where they are kept."""
