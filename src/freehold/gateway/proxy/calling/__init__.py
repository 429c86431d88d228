"""Calls of tools that an engine was told to make."""
